//! The program: chooses between serving and the subcommands, and ends with one line if it cannot.

use std::ffi::OsString;
use std::process::ExitCode;

use server::allocator::Counting;
use server::check_log;
use server::config::Config;
use server::config::cli::{HELP, Invocation, parse_arguments};
use server::version::{REDIS_VERSION, VERSION};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "bench") {
        arguments[0] = "ruddle bench".into();
        return bench::main(arguments.into_iter());
    }
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("ruddle: {why}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: Vec<OsString>) -> Result<(), String> {
    match parse_arguments(arguments).map_err(|error| error.to_string())? {
        Invocation::Version => {
            println!("Ruddle server v={VERSION} (speaks Redis {REDIS_VERSION})");
            Ok(())
        }
        Invocation::Help => {
            print!("{HELP}");
            Ok(())
        }
        Invocation::Check { file, fix } => {
            let (report, is_sound) = match check_log::concerns(&file) {
                true => check_log::check(&file, fix)?,
                false => server::check::check(&file)?,
            };
            print!("{report}");
            match is_sound {
                true => Ok(()),
                false => Err("the file is broken".to_owned()),
            }
        }
        Invocation::Restore { dir, to } => {
            let moment = check_log::read_time(&to);
            let moment = moment.ok_or_else(|| format!("'{to}' is no time"))?;
            print!("{}", check_log::restore(&dir, moment)?);
            Ok(())
        }
        Invocation::Serve(sources) => {
            let config = Config::load(&sources).map_err(|error| error.to_string())?;
            server::run::serve(config)
        }
    }
}
