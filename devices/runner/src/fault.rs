//! Errors: the name of an exception of `edge_pipeline.errors`, and a message of one sentence.

use serde_json::{Value, json};

/// Longest part of a message that comes from the file system or from the engine, in characters.
const LONGEST: usize = 300;

/// Exceptions of `edge_pipeline.errors` that the runner reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Artifact,
    Input,
    Output,
    Runtime,
}

/// An error that ends the runner after it has been answered.
#[derive(Debug)]
pub struct Fault {
    pub kind: Kind,
    pub message: String,
}

pub type Outcome<T> = Result<T, Fault>;

impl Fault {
    pub fn artifact(message: impl Into<String>) -> Fault {
        Fault { kind: Kind::Artifact, message: message.into() }
    }

    pub fn input(message: impl Into<String>) -> Fault {
        Fault { kind: Kind::Input, message: message.into() }
    }

    pub fn output(message: impl Into<String>) -> Fault {
        Fault { kind: Kind::Output, message: message.into() }
    }

    pub fn runtime(message: impl Into<String>) -> Fault {
        Fault { kind: Kind::Runtime, message: message.into() }
    }

    /// Return the answer to the order that failed.
    pub fn answer(&self) -> Value {
        let error = match self.kind {
            Kind::Artifact => "ArtifactError",
            Kind::Input => "InputError",
            Kind::Output => "OutputError",
            Kind::Runtime => "RuntimeFailure",
        };
        json!({"error": error, "message": self.message})
    }

    /// Return the exit code: 2 for bad input, 1 for a job that failed.
    pub fn exit_code(&self) -> u8 {
        if self.kind == Kind::Runtime { 1 } else { 2 }
    }
}

/// Return the first line of a foreign error's text, without an ending dot, cut to 300 characters.
pub fn first_line(error: impl std::fmt::Display) -> String {
    let text = error.to_string();
    let line = text.trim().lines().next().unwrap_or("no reason given").trim_end_matches('.');
    line.chars().take(LONGEST).collect()
}
