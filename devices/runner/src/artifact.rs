//! An artifact's folder: the sealed manifest, and the files of one program, checked by their hashes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::fault::{Fault, Outcome, first_line};
use crate::shape::TensorSpec;

const MANIFEST: &str = "manifest.json";
const SEAL: &str = "manifest.sha256";
const FORMAT: &str = "edge_pipeline.artifact";
const SCHEMA_VERSION: u64 = 1;
/// A manifest of the largest network has less than a megabyte.
const LARGEST_MANIFEST: u64 = 64 << 20;

#[derive(Clone, Debug, Deserialize)]
pub struct Program {
    pub name: String,
    pub file: String,
    pub reference: String,
    #[serde(default)]
    pub extra: Vec<String>,
    pub inputs: Vec<TensorSpec>,
    pub outputs: Vec<TensorSpec>,
}

#[derive(Debug, Deserialize)]
struct Stage {
    maps: Program,
    filters: Program,
}

#[derive(Debug, Deserialize)]
struct Tile {
    #[serde(default = "one")]
    minimum: usize,
}

fn one() -> usize {
    1
}

#[derive(Debug, Deserialize)]
struct Manifest {
    format: String,
    schema_version: u64,
    backend: String,
    programs: Vec<Program>,
    #[serde(default)]
    stages: Vec<Stage>,
    tile: Tile,
    files: BTreeMap<String, String>,
}

/// One program of a checked artifact.
#[derive(Debug)]
pub struct Job {
    pub folder: PathBuf,
    pub program: Program,
    pub backend: String,
    /// Least height and width of the first input.
    pub minimum: usize,
}

impl Job {
    /// Open a program: check the seal, and the hash of each file of the program.
    ///
    /// Files of other programs need not be present, so that a device only stores what it runs.
    pub fn open(folder: &Path, name: &str) -> Outcome<Job> {
        let manifest = read_manifest(folder)?;
        let programs = manifest
            .programs
            .iter()
            .chain(manifest.stages.iter().flat_map(|stage| [&stage.maps, &stage.filters]));
        let names: Vec<&str> = programs.clone().map(|program| program.name.as_str()).collect();
        let program = programs.clone().find(|program| program.name == name).ok_or_else(|| {
            Fault::artifact(format!(
                "{} has no program {name:?}; it has {}",
                folder.display(),
                names.join(", ")
            ))
        })?;
        for file in [&program.file, &program.reference].into_iter().chain(&program.extra) {
            check_file(folder, file, &manifest.files)?;
        }
        Ok(Job {
            folder: folder.into(),
            program: program.clone(),
            backend: manifest.backend,
            minimum: manifest.tile.minimum,
        })
    }

    /// Return the artifact's folder and the program, for messages.
    pub fn label(&self) -> String {
        format!("{}:{}", self.folder.display(), self.program.name)
    }

    pub fn read(&self, file: &str) -> Outcome<Vec<u8>> {
        let path = self.folder.join(file);
        fs::read(&path).map_err(|error| unreadable(&path, &error))
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    Fault::artifact(format!("cannot read {}: {}", path.display(), first_line(error)))
}

fn read_manifest(folder: &Path) -> Outcome<Manifest> {
    if !folder.is_dir() {
        return Err(Fault::artifact(format!(
            "{} is not a folder; an artifact is a folder with a manifest",
            folder.display()
        )));
    }
    let path = folder.join(MANIFEST);
    let content = read_limited(&path)?;
    let seal = read_limited(&folder.join(SEAL))?;
    if seal != format!("{}  {MANIFEST}\n", hexadecimal(&Sha256::digest(&content))).into_bytes() {
        return Err(Fault::artifact(format!(
            "{} does not match its hash in {SEAL}: one of them was changed after it was written; \
             push the artifact again",
            path.display()
        )));
    }
    let data: serde_json::Value = serde_json::from_slice(&content)
        .map_err(|error| Fault::artifact(format!("{} is not JSON: {error}", path.display())))?;
    if data.get("format").and_then(|format| format.as_str()) != Some(FORMAT) {
        return Err(Fault::artifact(format!(
            "{} is not an artifact: {MANIFEST} has another format",
            folder.display()
        )));
    }
    if let Some(version) = data.get("schema_version").and_then(serde_json::Value::as_u64)
        && version > SCHEMA_VERSION
    {
        return Err(Fault::artifact(format!(
            "{} has schema version {version}, and this edge_runner reads versions up to \
             {SCHEMA_VERSION}; build a newer edge_runner",
            path.display()
        )));
    }
    let manifest: Manifest = serde_json::from_value(data).map_err(|error| {
        Fault::artifact(format!("{} does not match the schema: {error}", path.display()))
    })?;
    debug_assert!(manifest.format == FORMAT && manifest.schema_version <= SCHEMA_VERSION);
    Ok(manifest)
}

fn read_limited(path: &Path) -> Outcome<Vec<u8>> {
    let fail = |error: io::Error| unreadable(path, &error);
    let mut content = Vec::new();
    let file = File::open(path).map_err(fail)?;
    file.take(LARGEST_MANIFEST + 1).read_to_end(&mut content).map_err(fail)?;
    if content.len() as u64 > LARGEST_MANIFEST {
        return Err(Fault::artifact(format!(
            "{} has more than {LARGEST_MANIFEST} bytes; it is not part of an artifact",
            path.display()
        )));
    }
    Ok(content)
}

/// Check that a listed file is a plain file inside the folder, with the content that was hashed.
fn check_file(folder: &Path, name: &str, files: &BTreeMap<String, String>) -> Outcome<()> {
    if !is_plain(name) {
        return Err(Fault::artifact(format!(
            "{}: the file name {name:?} is not a plain path inside the artifact",
            folder.display()
        )));
    }
    let path = folder.join(name);
    let Some(expected) = files.get(name) else {
        return Err(Fault::artifact(format!(
            "{} names {name} but does not list its hash; the runner runs programs that are one \
             file",
            folder.join(MANIFEST).display()
        )));
    };
    let kind = fs::symlink_metadata(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Fault::artifact(format!("{} is missing; push the artifact again", path.display()))
        }
        _ => unreadable(&path, &error),
    })?;
    if !kind.is_file() {
        return Err(Fault::artifact(format!(
            "{} is not a plain file; an artifact must contain plain files only",
            path.display()
        )));
    }
    let found = hash_of(&path).map_err(|error| unreadable(&path, &error))?;
    if found != *expected {
        return Err(Fault::artifact(format!(
            "{} was changed after it was written: expected the SHA-256 {}..., got {}...; push the \
             artifact again",
            path.display(),
            expected.chars().take(12).collect::<String>(),
            &found[..12]
        )));
    }
    Ok(())
}

/// Return whether a name is a path of plain parts, as `artifact/schema.py` requires.
fn is_plain(name: &str) -> bool {
    name.split('/').all(|part| {
        part.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
            && part.chars().all(|one| one.is_ascii_alphanumeric() || "_.+-".contains(one))
    }) && ![MANIFEST, SEAL].contains(&name.split('/').next().unwrap_or_default())
}

fn hash_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 16];
    loop {
        let count = file.read(&mut block)?;
        if count == 0 {
            return Ok(hexadecimal(&hash.finalize()));
        }
        hash.update(&block[..count]);
    }
}

fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names() {
        for name in ["forward.onnx", "a/b.data", "_x+1-2"] {
            assert!(is_plain(name), "{name}");
        }
        for name in
            ["", "..", "../x", "/etc/passwd", "a//b", "a/../b", "a b", ".x", "manifest.json"]
        {
            assert!(!is_plain(name), "{name}");
        }
    }
}
