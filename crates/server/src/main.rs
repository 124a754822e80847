//! The program: reads the configuration, builds the server, runs it until a signal ends it.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match server::run::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ruddle: {error}");
            ExitCode::FAILURE
        }
    }
}
