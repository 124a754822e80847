//! The load generator as a program of its own: `cargo run --release -p bench --example bench --
//! --help`.
fn main() -> std::process::ExitCode {
    bench::main(std::env::args_os())
}
