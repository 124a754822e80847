//! The command line: `ruddle [FILE|-] [--directive value ...]`.
//!
//! Directives among the arguments are lines after the end of the file. Compat: the word after a
//! directive's name is its value whatever it looks like (`--requirepass --x`), except that `--save`
//! may stand without one; further words belong to it up to the next one that begins with `--`.
//! Words between the file and the first `--` are a directive too.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use super::one_line;
use super::source::{ConfigError, Line, Origin, Sources, split};
use super::words::path_of;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Print the version.
    Version,
    /// Print [`HELP`].
    Help,
    /// Check this file, and cut a torn end off if `fix`.
    Check {
        /// The file.
        file: PathBuf,
        /// `--fix`.
        fix: bool,
    },
    /// Take the append-only files in this directory back to this moment.
    Restore {
        /// The directory.
        dir: PathBuf,
        /// The time, as it was written.
        to: String,
    },
    /// Serve, configured from these sources.
    Serve(Sources),
}

/// The answer to `--help`.
pub const HELP: &str = "\
Ruddle, an in-memory data store that speaks the Redis protocol

Usage:
  ruddle [FILE | -] [--DIRECTIVE VALUE ...]
  ruddle check [--fix] FILE
  ruddle restore --to TIME DIR
  ruddle --version
  ruddle --help

  FILE           configuration in the syntax of redis.conf
  -              read (more of) the configuration from standard input
  check FILE     read a snapshot or an append-only file, or all that a manifest names, to the end;
                 say what is in it, or where it is broken; --fix cuts a torn end off
  restore        take the append-only files in DIR back to TIME: seconds since 1970, or
                 '2026-11-22 20:00:00' (UTC). Needs aof-timestamp-enabled yes while they are written
  --DIRECTIVE    any directive of the configuration; wins over the file

Examples:
  ruddle                                      port 6379, one worker per core
  ruddle --port 7000 --maxmemory 2gb          directives without a file
  ruddle /etc/ruddle.conf --loglevel debug    a file, and one directive changed
  ruddle - < ruddle.conf                      the file on standard input

CONFIG GET * on a running server lists the directives and their values.
";

const MARK: &[u8] = b"--";

/// Reads the program's arguments, without the program's name.
pub fn parse_arguments(arguments: Vec<OsString>) -> Result<Invocation, ConfigError> {
    let words: Vec<Vec<u8>> = arguments.into_iter().map(OsString::into_vec).collect();
    if let [word] = words.as_slice() {
        match word.as_slice() {
            b"-v" | b"--version" => return Ok(Invocation::Version),
            b"-h" | b"--help" => return Ok(Invocation::Help),
            _ => {}
        }
    }
    if let Some(invocation) = tool(&words) {
        return Ok(invocation);
    }
    let mut rest = words.as_slice();
    let mut sources = Sources::default();
    if let [file, others @ ..] = rest
        && !file.starts_with(b"-")
    {
        sources.file = Some(path_of(file));
        rest = others;
    }
    if let [b, others @ ..] = rest
        && b == b"-"
    {
        sources.stdin = true;
        rest = others;
    }
    if let [others @ .., b] = rest
        && b == b"-"
    {
        sources.stdin = true;
        rest = others;
    }
    while let [name, others @ ..] = rest {
        let (line, others) = directive(name, others)?;
        sources.arguments.push(line);
        rest = others;
    }
    Ok(Invocation::Serve(sources))
}

/// A subcommand that needs no configuration.
fn tool(words: &[Vec<u8>]) -> Option<Invocation> {
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let check = |file, fix| Invocation::Check {
        file: path_of(file),
        fix,
    };
    match words.as_slice() {
        [b"check", b"--fix", file] | [b"check", file, b"--fix"] => Some(check(file, true)),
        [b"check", file] => Some(check(file, false)),
        [b"restore", b"--to", time, dir] => Some(Invocation::Restore {
            dir: path_of(dir),
            to: String::from_utf8_lossy(time).into_owned(),
        }),
        _ => None,
    }
}

/// One directive from the front of the arguments, and the arguments after it.
fn directive<'a>(name: &[u8], rest: &'a [Vec<u8>]) -> Result<(Line, &'a [Vec<u8>]), ConfigError> {
    let origin = Origin::CommandLine;
    let unknown = || ConfigError {
        origin: Some(Origin::CommandLine),
        text: format!(
            "'{}' is not a directive: they begin with --",
            one_line(name)
        ),
    };
    let is_bare = !name.starts_with(b"-");
    let mut words = match name.strip_prefix(MARK) {
        Some(text) => split(text, &origin)?,
        None if is_bare => vec![name.to_vec()],
        None => return Err(unknown()),
    };
    let first_value = match words.len() {
        _ if is_bare => 0,
        0 => return Err(unknown()),
        1 => usize::from(!(words[0].eq_ignore_ascii_case(b"save") && starts_directive(rest))),
        _ => 0, // Name and value in one argument: "--port 7000".
    };
    let first_value = first_value.min(rest.len());
    let more = rest[first_value..]
        .iter()
        .take_while(|word| !word.starts_with(MARK))
        .count();
    let (values, rest) = rest.split_at(first_value + more);
    words.extend(values.iter().cloned());
    if words.len() == 1 && words[0].eq_ignore_ascii_case(b"save") {
        words.push(Vec::new());
    }
    Ok((Line { origin, words }, rest))
}

/// Whether the arguments go on with another directive.
fn starts_directive(rest: &[Vec<u8>]) -> bool {
    rest.first().is_none_or(|word| word.starts_with(MARK))
}
