//! The data plane without Node, for profiling and tests: runs one snapshot until it is killed.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;
use tulle_proxy::Engine;

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        return fail("usage: tulle-bare SNAPSHOT.json");
    };
    let snapshot = match std::fs::read(&path) {
        Ok(snapshot) => snapshot,
        Err(error) => return fail(&format!("{path}: {error}")),
    };
    match Engine::start(&snapshot) {
        Ok(engine) => {
            let mut out = std::io::stdout();
            for (name, address) in engine.addresses() {
                let _nobody_reads = writeln!(out, "{name} {address}");
            }
            loop {
                std::thread::park();
            }
        }
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(text: &str) -> ExitCode {
    let _nobody_reads = writeln!(std::io::stderr(), "{text}");
    ExitCode::FAILURE
}
