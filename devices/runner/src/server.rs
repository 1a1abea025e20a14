//! Orders for one job, as in `edge_pipeline/harness/worker.py`, which runs the same protocol.

use std::path::Path;
use std::time::Instant;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::artifact::Job;
use crate::engine::{self, Session};
use crate::fault::{Fault, Outcome, first_line};
use crate::system;
use crate::tensors::{self, Array};

/// The first run allocates buffers, and the second can still change them; later ones do not.
const RUNS_TO_PEAK: usize = 3;
const MOST_THREADS: usize = 512;
const MOST_RUNS: usize = 1_000_000;

#[derive(Deserialize)]
struct Request {
    artifact: String,
    program: String,
    size: Option<(usize, usize)>,
    threads: usize,
    cpus: Option<Vec<usize>>,
}

/// A job, its inputs, and its program once that is loaded.
pub struct Server {
    job: Job,
    threads: usize,
    inputs: Vec<Array>,
    session: Option<Session>,
}

impl Server {
    /// Open the job of a request, which is one line of JSON.
    pub fn open(line: &str) -> Outcome<Server> {
        let request: Request = serde_json::from_str(line).map_err(|error| {
            Fault::input(format!("the request is not valid: {}", first_line(error)))
        })?;
        if !(1..=MOST_THREADS).contains(&request.threads) {
            return Err(Fault::input(format!(
                "threads must be from 1 to {MOST_THREADS}, got {}",
                request.threads
            )));
        }
        // Threads inherit the processor mask, so it is set before any thread starts.
        if let Some(cpus) = &request.cpus {
            system::pin(cpus)?;
        }
        let job = Job::open(Path::new(&request.artifact), &request.program)?;
        let inputs = tensors::inputs_of(&job, request.size)?;
        Ok(Server { job, threads: request.threads, inputs, session: None })
    }

    /// Execute an order, and return the answer.
    pub fn answer(&mut self, order: &str) -> Outcome<Value> {
        let (verb, rest) = order.split_once(' ').unwrap_or((order, ""));
        match (verb, rest) {
            ("load", "") => self.load(),
            ("run", count) => self.runs(count),
            ("memory", "") => self.memory(),
            ("outputs", path) if !path.is_empty() => self.write_outputs(path),
            _ => Err(Fault::input(format!(
                "the order {:?} is unknown; the orders are load, run N, memory and outputs PATH",
                first_line(order)
            ))),
        }
    }

    fn load(&mut self) -> Outcome<Value> {
        let start = Instant::now();
        self.session = Some(Session::load(&self.job, self.threads)?);
        let elapsed = nanoseconds(start);
        // The engine is part of the executable, so there is nothing to import.
        Ok(json!({"import_ns": 0, "init_ns": elapsed, "versions": versions()}))
    }

    fn run(&mut self) -> Outcome<(u64, i64)> {
        let session = self.session.as_ref();
        let session = session.ok_or_else(|| Fault::runtime("the order run came before load"))?;
        let before = system::preemptions();
        let start = Instant::now();
        session.run(&self.job, &self.inputs)?;
        let elapsed = nanoseconds(start);
        Ok((elapsed, system::preemptions() - before))
    }

    fn runs(&mut self, count: &str) -> Outcome<Value> {
        let count = count.parse().ok().filter(|count| (1..=MOST_RUNS).contains(count));
        let count = count.ok_or_else(|| {
            Fault::input(format!("expected a number of runs from 1 to {MOST_RUNS} after run"))
        })?;
        let runs = (0..count).map(|_| self.run()).collect::<Outcome<Vec<_>>>()?;
        Ok(json!({"runs": runs}))
    }

    fn memory(&mut self) -> Outcome<Value> {
        let baseline = system::resident_bytes()?;
        let reset = system::reset_peak();
        self.load()?;
        for _ in 0..RUNS_TO_PEAK {
            self.run()?;
        }
        let peak = system::peak_bytes()?;
        let method = if reset { "VmHWM, reset after" } else { "VmHWM since" };
        Ok(json!({"memory": {
            "baseline_bytes": baseline,
            "runtime_bytes": 0,
            "program_bytes": peak.saturating_sub(baseline),
            "peak_rss_bytes": peak,
            "method": format!("{method} the start of edge_runner, which contains its engine"),
        }}))
    }

    /// Run the program on the artifact's reference input, and write its outputs.
    fn write_outputs(&mut self, path: &str) -> Outcome<Value> {
        let session = self.session.as_ref();
        let session =
            session.ok_or_else(|| Fault::runtime("the order outputs came before load"))?;
        let inputs = tensors::inputs_of(&self.job, None)?;
        let values = session.run(&self.job, &inputs)?;
        let arrays = engine::checked(&self.job, &inputs, values)?;
        tensors::write(&arrays, Path::new(path))?;
        Ok(json!({"outputs": path}))
    }
}

/// Return the versions of the program and of the engine that computes.
pub fn versions() -> Value {
    json!({
        "edge_runner": env!("CARGO_PKG_VERSION"),
        "rten": engine::version(),
        "target": format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
    })
}

fn nanoseconds(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
