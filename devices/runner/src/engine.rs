//! The engine that computes: RTen, a runtime for ONNX files in pure Rust.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value};

use crate::artifact::Job;
use crate::fault::{Fault, Outcome, first_line};
use crate::shape::{Sizes, TensorSpec};
use crate::tensors::Array;

const LOCK: &str = include_str!("../Cargo.lock");

/// A loaded program.
pub struct Session {
    model: Model,
    inputs: Vec<NodeId>,
    outputs: Vec<NodeId>,
    options: RunOptions,
}

impl Session {
    /// Load a job's program into the engine, which packs its weights for the processor.
    pub fn load(job: &Job, threads: usize) -> Outcome<Session> {
        if job.backend != "onnx" {
            return Err(Fault::runtime(format!(
                "{} was compiled for {}; edge_runner runs programs that were compiled for onnx",
                job.folder.display(),
                job.backend
            )));
        }
        let program = &job.program;
        let mut options = ModelOptions::with_all_ops();
        options.prepack_weights(true);
        for file in &program.extra {
            let name = file.rsplit('/').next().unwrap_or(file);
            options.external_data(name, job.read(file)?);
        }
        let content = job.read(&program.file)?;
        let path = job.folder.join(&program.file);
        let fail = |reason: String| {
            Fault::runtime(format!("RTen could not load {}: {reason}", path.display()))
        };
        let model = guarded(|| options.load(content)).map_err(fail)?;
        let inputs = nodes_of(&model, model.input_ids(), &program.inputs, "inputs", &path)?;
        let outputs = nodes_of(&model, model.output_ids(), &program.outputs, "outputs", &path)?;
        let pool = Arc::new(ThreadPool::with_num_threads(threads));
        let options = RunOptions::default().with_thread_pool(Some(pool));
        Ok(Session { model, inputs, outputs, options })
    }

    /// Run the program, and return the engine's outputs in the manifest's order.
    pub fn run(&self, job: &Job, inputs: &[Array]) -> Outcome<Vec<Value>> {
        let feed = self.inputs.iter().zip(inputs).map(|(id, array)| (*id, array.view())).collect();
        let options = Some(self.options.clone());
        guarded(|| self.model.run(feed, &self.outputs, options)).map_err(|reason| {
            Fault::runtime(format!("RTen could not run {}: {reason}", job.program.name))
        })
    }
}

/// Return the outputs of a run as arrays, after checking them against the manifest.
pub fn checked(job: &Job, inputs: &[Array], values: Vec<Value>) -> Outcome<Vec<Array>> {
    let mut sizes = Sizes::new();
    for (spec, array) in job.program.inputs.iter().zip(inputs) {
        spec.fits(&array.shape, &mut sizes);
    }
    let specs = job.program.outputs.iter().zip(values);
    specs.map(|(spec, value)| checked_one(job, spec, value, &mut sizes)).collect()
}

fn checked_one(job: &Job, spec: &TensorSpec, value: Value, sizes: &mut Sizes) -> Outcome<Array> {
    let array = Array::of_output(spec, value).ok_or_else(|| {
        Fault::runtime(format!(
            "{} returned {} in another type; the manifest lists {}",
            job.program.name,
            spec.name,
            spec.text()
        ))
    })?;
    let fault = |text| Fault::runtime(format!("{} returned a wrong {text}", job.program.name));
    spec.check(&array.dtype, &array.shape, sizes, fault)?;
    Ok(array)
}

fn nodes_of(
    model: &Model,
    found: &[NodeId],
    specs: &[TensorSpec],
    kind: &str,
    path: &Path,
) -> Outcome<Vec<NodeId>> {
    let ids: Option<Vec<NodeId>> = specs
        .iter()
        .map(|spec| model.find_node(&spec.name).filter(|id| found.contains(id)))
        .collect();
    ids.filter(|ids| ids.len() == found.len()).ok_or_else(|| {
        let names: Vec<&str> = found.iter().filter_map(|id| model.node_info(*id)?.name()).collect();
        let listed: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        Fault::runtime(format!(
            "{} has the {kind} {}; the manifest lists {}",
            path.display(),
            names.join(", "),
            listed.join(", ")
        ))
    })
}

/// Call the engine; an error or a panic becomes a text.
fn guarded<T, E: std::fmt::Display>(call: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(first_line),
        Err(panic) => Err(format!("it stopped with {}", panic_text(panic.as_ref()))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("{:?}", first_line(text.unwrap_or("an internal error")))
}

/// Return the version of RTen that this executable was built with.
pub fn version() -> &'static str {
    LOCK.split_once("name = \"rten\"\nversion = \"")
        .and_then(|(_, rest)| rest.split('"').next())
        .unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_lock_file() {
        assert!(version().starts_with("0."), "{}", version());
    }

    #[test]
    fn a_panic_becomes_a_text() {
        let text = guarded::<(), String>(|| panic!("at {}", 3)).unwrap_err();
        assert_eq!(text, "it stopped with \"at 3\"");
    }
}
