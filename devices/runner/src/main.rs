//! Runs a compiled program of an artifact on a device without Python.
//!
//! Reads orders from stdin, one per line, and writes answers as JSON lines to stdout. The first line
//! is the request: `artifact`, `program`, `size` (packed height and width, or null), `threads` and
//! `cpus` (or null). The orders are `load`, `run`, `run N`, `memory` and `outputs PATH`. An error is
//! answered as `{"error": KIND, "message": SENTENCE}`, and ends the process.

mod artifact;
mod engine;
mod fault;
mod server;
mod shape;
mod system;
mod tensors;

use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;

use fault::{Fault, Outcome};
use serde_json::{Value, json};
use server::Server;

const LONGEST_LINE: u64 = 1 << 20;
const HELP: &str = "usage: edge_runner [--version | --help]

Runs a compiled ONNX program of an edge_pipeline artifact. Reads a request and then orders from
stdin, one per line, and answers with JSON lines:

  {\"artifact\": FOLDER, \"program\": NAME, \"size\": [H, W] or null, \"threads\": N, \"cpus\": [..] or null}
  load          load the program
  run           run it once on the artifact's reference input, and answer the time
  run N         run it N times
  memory        load and run the program, and answer the resident memory
  outputs PATH  write the outputs of the last run to PATH, as safetensors
";

fn main() -> ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    match arguments.iter().map(|argument| argument.to_str()).collect::<Vec<_>>()[..] {
        [] => serve(),
        [Some("--version")] => print(&format!("{}\n", server::versions())),
        [Some("--help")] => print(HELP),
        _ => {
            eprintln!("error: edge_runner takes --version, --help or no arguments");
            ExitCode::from(2)
        }
    }
}

fn print(text: &str) -> ExitCode {
    ExitCode::from(u8::from(io::stdout().write_all(text.as_bytes()).is_err()))
}

fn serve() -> ExitCode {
    // SAFETY: no other thread runs yet. The engine's own pool stays idle, so it gets one thread.
    unsafe {
        for name in ["RTEN_TIMING", "RTEN_USE_POOL", "RTEN_OPTIMIZER_DEBUG"] {
            std::env::remove_var(name);
        }
        std::env::set_var("RTEN_NUM_THREADS", "1");
    }
    // A panic of the engine is answered as an error; its own lines would not help a user.
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = std::panic::catch_unwind(answer_orders)
        .unwrap_or_else(|_| Err(Fault::runtime("edge_runner failed with an internal error")));
    let Err(fault) = outcome else {
        return ExitCode::SUCCESS;
    };
    // If stdout is closed, nobody can be told.
    let _ = send(&fault.answer());
    ExitCode::from(fault.exit_code())
}

fn answer_orders() -> Outcome<()> {
    let mut orders = io::stdin().lock();
    let Some(request) = next_line(&mut orders)? else {
        return Ok(());
    };
    let mut server = Server::open(&request)?;
    send(&json!({"ready": true, "process_id": std::process::id()}))?;
    while let Some(order) = next_line(&mut orders)? {
        send(&server.answer(order.trim_end_matches('\n'))?)?;
    }
    Ok(())
}

fn next_line(orders: &mut impl BufRead) -> Outcome<Option<String>> {
    let mut line = Vec::new();
    let count = orders.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
    match count.map_err(|_| Fault::runtime("stdin cannot be read"))? {
        0 => return Ok(None),
        count if count as u64 == LONGEST_LINE => {
            return Err(Fault::input(format!("a line has {LONGEST_LINE} bytes or more")));
        }
        _ => {}
    }
    String::from_utf8(line).map(Some).map_err(|_| Fault::input("a line is not UTF-8"))
}

fn send(answer: &Value) -> Outcome<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{answer}")
        .and_then(|()| stdout.flush())
        .map_err(|_| Fault::runtime("stdout cannot be written"))
}
