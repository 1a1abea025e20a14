//! Shapes in the manifest, in which a dimension is a size, a letter, or a multiple of a letter.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::fault::{Fault, Outcome};

/// Values of the free sizes of a program, by letter.
pub type Sizes = BTreeMap<String, usize>;

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Dimension {
    Size(usize),
    Free(String),
}

/// One input or output of a program, as listed in the manifest.
#[derive(Clone, Debug, Deserialize)]
pub struct TensorSpec {
    pub name: String,
    pub shape: Vec<Dimension>,
    #[serde(default = "float32")]
    pub dtype: String,
}

fn float32() -> String {
    "float32".into()
}

impl TensorSpec {
    /// Return the type and the shape as text, such as `float32 1x4x16*hx16*w`.
    pub fn text(&self) -> String {
        format!("{} {}", self.dtype, self.shape_text())
    }

    pub fn shape_text(&self) -> String {
        let parts: Vec<String> = self
            .shape
            .iter()
            .map(|dimension| match dimension {
                Dimension::Size(size) => size.to_string(),
                Dimension::Free(text) => text.clone(),
            })
            .collect();
        parts.join("x")
    }

    /// Return whether an array of this shape fits; new values of free sizes are added to `sizes`.
    pub fn fits(&self, shape: &[usize], sizes: &mut Sizes) -> bool {
        shape.len() == self.shape.len()
            && self.shape.iter().zip(shape).all(|(expected, size)| bind(expected, *size, sizes))
    }

    /// Check an array's type (its NumPy name) and shape.
    pub fn check(
        &self,
        dtype: &str,
        shape: &[usize],
        sizes: &mut Sizes,
        fault: impl FnOnce(String) -> Fault,
    ) -> Outcome<()> {
        if dtype == self.dtype && self.fits(shape, sizes) {
            return Ok(());
        }
        let found: Vec<String> = shape.iter().map(usize::to_string).collect();
        Err(fault(format!(
            "{}: expected {}, got {dtype} {}",
            self.name,
            self.text(),
            found.join("x")
        )))
    }
}

fn bind(expected: &Dimension, size: usize, sizes: &mut Sizes) -> bool {
    let text = match expected {
        Dimension::Size(expected) => return size == *expected,
        Dimension::Free(text) => text,
    };
    let (factor, letter) = match text.split_once('*') {
        Some((factor, letter)) => (factor.parse().unwrap_or(0), letter),
        None => (1_usize, text.as_str()),
    };
    if factor == 0 || size == 0 || !size.is_multiple_of(factor) || letter.is_empty() {
        return false;
    }
    *sizes.entry(letter.into()).or_insert(size / factor) == size / factor
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> TensorSpec {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_letter_has_one_value_in_all_tensors() {
        let mut sizes = Sizes::new();
        let input = spec(r#"{"name": "x", "shape": [1, 4, "4*h", "4*w"]}"#);
        let output = spec(r#"{"name": "y", "shape": [1, 3, "8*h", "8*w"]}"#);
        assert!(input.fits(&[1, 4, 32, 64], &mut sizes));
        assert!(output.fits(&[1, 3, 64, 128], &mut sizes));
        assert!(!output.fits(&[1, 3, 64, 64], &mut sizes));
    }

    #[test]
    fn sizes_that_do_not_fit() {
        for shape in [&[1, 30][..], &[2, 32], &[1, 0], &[1], &[1, 32, 1]] {
            let tensor = spec(r#"{"name": "x", "shape": [1, "4*h"]}"#);
            assert!(!tensor.fits(shape, &mut Sizes::new()), "{shape:?}");
        }
        for dimension in ["0*h", "*h", "4*", "", "x*h", "99999999999999999999999*h"] {
            let tensor = TensorSpec {
                name: "x".into(),
                shape: vec![Dimension::Free(dimension.into())],
                dtype: float32(),
            };
            assert!(!tensor.fits(&[4], &mut Sizes::new()), "{dimension}");
        }
    }
}
