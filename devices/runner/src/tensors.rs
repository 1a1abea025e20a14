//! Arrays: the reference input as it is stored in the artifact, and the outputs as they are written.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rten_tensor::prelude::*;
use rten_tensor::{Tensor, TensorView};
use safetensors::tensor::{Dtype, SafeTensors, TensorView as Stored};

use crate::artifact::Job;
use crate::fault::{Fault, Outcome, first_line};
use crate::shape::{Sizes, TensorSpec};

/// Values in the engine's types: RTen computes int64 and bool as int32.
#[derive(Clone, Debug)]
pub enum Values {
    Float(Vec<f32>),
    Whole(Vec<i32>),
}

/// An input or output of a program.
#[derive(Clone, Debug)]
pub struct Array {
    pub name: String,
    pub dtype: String,
    pub shape: Vec<usize>,
    pub values: Values,
}

impl Array {
    /// Return a view of the values for the engine.
    pub fn view(&self) -> rten::ValueOrView<'_> {
        match &self.values {
            Values::Float(v) => TensorView::from_data(self.shape.as_slice(), v.as_slice()).into(),
            Values::Whole(v) => TensorView::from_data(self.shape.as_slice(), v.as_slice()).into(),
        }
    }

    /// Return an output of the engine as an array of the type in the manifest.
    pub fn of_output(spec: &TensorSpec, value: rten::Value) -> Option<Array> {
        let (shape, values) = if spec.dtype == "float32" {
            let tensor: Tensor<f32> = value.try_into().ok()?;
            (tensor.shape().to_vec(), Values::Float(tensor.into_data()))
        } else {
            let tensor: Tensor<i32> = value.try_into().ok()?;
            (tensor.shape().to_vec(), Values::Whole(tensor.into_data()))
        };
        Some(Array { name: spec.name.clone(), dtype: spec.dtype.clone(), shape, values })
    }

    fn bytes(&self) -> Vec<u8> {
        match &self.values {
            Values::Float(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Values::Whole(values) => match self.dtype.as_str() {
                "bool" => values.iter().map(|v| u8::from(*v != 0)).collect(),
                "int64" => values.iter().flat_map(|v| i64::from(*v).to_le_bytes()).collect(),
                _ => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            },
        }
    }
}

/// Return a job's inputs in the program's order: the reference, repeated or cropped to `size`.
pub fn inputs_of(job: &Job, size: Option<(usize, usize)>) -> Outcome<Vec<Array>> {
    let mut inputs = reference(job)?;
    let (Some((height, width)), Some(first)) = (size, inputs.first_mut()) else {
        return Ok(inputs);
    };
    let spec = &job.program.inputs[0];
    let resized = match first.shape[..] {
        [batch, channels, rows, columns] if rows > 0 && columns > 0 => {
            vec![batch, channels, height, width]
        }
        _ => vec![],
    };
    if !spec.fits(&resized, &mut Sizes::new()) || height.min(width) < job.minimum {
        return Err(Fault::input(format!(
            "{}: expected a size that fits {} and is at least {}, got {height}x{width}",
            job.label(),
            spec.shape_text(),
            job.minimum
        )));
    }
    first.values = match &first.values {
        Values::Float(values) => Values::Float(repeated(values, &first.shape, &resized)?),
        Values::Whole(values) => Values::Whole(repeated(values, &first.shape, &resized)?),
    };
    first.shape = resized;
    Ok(inputs)
}

/// Repeat or crop the last two of four axes.
fn repeated<T: Copy>(values: &[T], from: &[usize], to: &[usize]) -> Outcome<Vec<T>> {
    let (height, width) = (from[2], from[3]);
    let too_large = || Fault::input(format!("an input of {}x{} pixels is too large", to[2], to[3]));
    let count = to.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
    let mut result = Vec::new();
    result.try_reserve_exact(count.ok_or_else(too_large)?).map_err(|_| too_large())?;
    for plane in values.chunks_exact(height * width) {
        for row in 0..to[2] {
            let start = row % height * width;
            let line = &plane[start..start + width];
            result.extend(line.iter().cycle().take(to[3]));
        }
    }
    Ok(result)
}

fn reference(job: &Job) -> Outcome<Vec<Array>> {
    let program = &job.program;
    let path = job.folder.join(&program.reference);
    let content = job.read(&program.reference)?;
    let damaged = |error| {
        let reason = first_line(error);
        Fault::artifact(format!("{} is not a readable safetensors file: {reason}", path.display()))
    };
    let tensors = SafeTensors::deserialize(&content).map_err(damaged)?;
    let inputs = program.inputs.iter().map(|spec| (format!("input.{}", spec.name), spec));
    let outputs = program.outputs.iter().map(|spec| (format!("output.{}", spec.name), spec));
    let listed: Vec<(String, &TensorSpec)> = inputs.chain(outputs).collect();
    let expected: BTreeSet<&str> = listed.iter().map(|(name, _)| name.as_str()).collect();
    let found: BTreeSet<&str> = tensors.names().into_iter().collect();
    if expected != found || listed.is_empty() {
        return Err(Fault::artifact(format!(
            "{}: expected the tensors {expected:?}, got {found:?}",
            path.display()
        )));
    }
    let mut sizes = Sizes::new();
    let mut arrays = Vec::new();
    for (number, (name, spec)) in listed.iter().enumerate() {
        let stored = tensors.tensor(name).map_err(damaged)?;
        let fault = |text| Fault::artifact(format!("{}: {text}", path.display()));
        spec.check(dtype_name(stored.dtype()), stored.shape(), &mut sizes, fault)?;
        if number < program.inputs.len() {
            let values = values_of(&stored).ok_or_else(|| {
                Fault::artifact(format!(
                    "{}: {} contains an integer beyond 32 bits, which the engine RTen lacks",
                    path.display(),
                    spec.name
                ))
            })?;
            let (name, dtype) = (spec.name.clone(), spec.dtype.clone());
            arrays.push(Array { name, dtype, shape: stored.shape().to_vec(), values });
        }
    }
    Ok(arrays)
}

/// Return the NumPy name of a type that programs have; other types never match the manifest.
fn dtype_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F32 => "float32",
        Dtype::I64 => "int64",
        Dtype::I32 => "int32",
        Dtype::BOOL => "bool",
        _ => "another type",
    }
}

fn values_of(stored: &Stored<'_>) -> Option<Values> {
    let data = stored.data();
    Some(match stored.dtype() {
        Dtype::F32 => Values::Float(
            data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        ),
        Dtype::I64 => Values::Whole(
            data.as_chunks()
                .0
                .iter()
                .map(|bytes| i32::try_from(i64::from_le_bytes(*bytes)).ok())
                .collect::<Option<_>>()?,
        ),
        Dtype::I32 => Values::Whole(
            data.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect(),
        ),
        _ => Values::Whole(data.iter().map(|byte| i32::from(*byte != 0)).collect()),
    })
}

/// Write arrays as one safetensors file, which appears at `path` complete or not at all.
pub fn write(arrays: &[Array], path: &Path) -> Outcome<()> {
    let fail = |reason: String| {
        Fault::output(format!("cannot write the outputs to {}: {reason}", path.display()))
    };
    let Some(name) = path.file_name() else {
        return Err(fail("it is not the path of a file".into()));
    };
    let contents: Vec<Vec<u8>> = arrays.iter().map(Array::bytes).collect();
    let mut views = Vec::new();
    for (array, bytes) in arrays.iter().zip(&contents) {
        let dtype = match array.dtype.as_str() {
            "float32" => Dtype::F32,
            "int64" => Dtype::I64,
            "bool" => Dtype::BOOL,
            _ => Dtype::I32,
        };
        let view = Stored::new(dtype, array.shape.clone(), bytes);
        views.push((array.name.as_str(), view.map_err(|error| fail(first_line(error)))?));
    }
    let content = safetensors::serialize(views, None).map_err(|error| fail(first_line(error)))?;
    let mut draft = std::ffi::OsString::from(format!(".{}-", std::process::id()));
    draft.push(name);
    let draft = path.with_file_name(draft);
    fs::write(&draft, content).and_then(|()| fs::rename(&draft, path)).map_err(|error| {
        let _ = fs::remove_file(&draft);
        fail(first_line(error))
    })
}
