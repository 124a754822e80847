//! The server's log: Redis-shaped lines to standard output or a file.
//!
//! ```text
//! 4711:M 22 Nov 2026 12:35:40.123 * Ready to accept connections
//! pid  role  local time            level  message
//! ```
//! Code logs through the `log` crate, so that libraries reach the same file. Its levels map to
//! ours: `trace!` is debug (`.`), `debug!` verbose (`-`), `info!` notice (`*`), `warn!` and
//! `error!` warning (`#`). Lines are written whole, one `write` each, under one lock; a line that
//! cannot be written is dropped, because there is nobody left to tell.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Mutex;

use chrono::{DateTime, Local};
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::config::settings::LogLevel;

/// Compat: the upstream cuts messages at this length too.
const MESSAGE_BYTES_MAX: usize = 1024;

/// Crates of this workspace that log. Libraries are heard from `warn!` up: their debugging (a line
/// per socket from `mio`) is not what `loglevel debug` asks for.
const OWN_CRATES: [&str; 3] = ["ruddle", "server", "engine"];

/// Where lines go.
enum Sink {
    Stdout,
    File(File),
}

struct Logger {
    sink: Mutex<Sink>,
}

/// Starts logging to `file`, or to standard output, at `level`. Call once, before the first line
/// and after any fork. The file is created if need be and appended to.
///
/// # Errors
/// The file cannot be opened. A second call is an error too (`AlreadyExists`).
pub fn start(file: Option<&Path>, level: LogLevel) -> io::Result<()> {
    let sink = match file {
        None => Sink::Stdout,
        Some(path) => Sink::File(OpenOptions::new().create(true).append(true).open(path)?),
    };
    log::set_boxed_logger(Box::new(Logger {
        sink: Mutex::new(sink),
    }))
    .map_err(|error| io::Error::new(io::ErrorKind::AlreadyExists, error))?;
    set_level(level);
    Ok(())
}

/// Changes the level from now on, for all threads.
pub fn set_level(level: LogLevel) {
    log::set_max_level(match level {
        LogLevel::Debug => LevelFilter::Trace,
        LogLevel::Verbose => LevelFilter::Debug,
        LogLevel::Notice => LevelFilter::Info,
        LogLevel::Warning => LevelFilter::Warn,
        LogLevel::Nothing => LevelFilter::Off,
    });
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let origin = metadata.target().split("::").next().unwrap_or_default();
        metadata.level() <= log::max_level()
            && (metadata.level() <= Level::Warn || OWN_CRATES.contains(&origin))
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = line(
            std::process::id(),
            Local::now(),
            record.level(),
            &record.args().to_string(),
        );
        // A panic while the lock was held cannot have left anything half done here.
        let mut sink = self
            .sink
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = match &mut *sink {
            Sink::Stdout => io::stdout().lock().write_all(line.as_bytes()),
            Sink::File(file) => file.write_all(line.as_bytes()),
        };
    }

    fn flush(&self) {
        // Lines end in a newline, at which standard output is flushed; files are not buffered.
    }
}

/// One line of the log with its newline. Line breaks in `message` are escaped: a client's bytes
/// cannot forge a line.
fn line(pid: u32, time: DateTime<Local>, level: Level, message: &str) -> String {
    let sign = match level {
        Level::Trace => '.',
        Level::Debug => '-',
        Level::Info => '*',
        Level::Warn | Level::Error => '#',
    };
    let mut line = String::with_capacity(48 + message.len());
    // Writing to a String cannot fail.
    let _ = write!(
        line,
        "{pid}:{ROLE} {} {sign} ",
        time.format("%d %b %Y %H:%M:%S%.3f")
    );
    let cut = message.floor_char_boundary(MESSAGE_BYTES_MAX);
    for character in message[..cut].chars() {
        match character {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            other => line.push(other),
        }
    }
    line.push('\n');
    line
}

/// A primary.
/// Compat: upstream writes `S` on a replica and `X` in a Sentinel, which do not exist yet.
const ROLE: char = 'M';

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;

    #[test]
    fn a_line_has_the_shape_of_redis() {
        let time = Local.with_ymd_and_hms(2026, 11, 2, 3, 4, 5).unwrap();
        let time = time + chrono::TimeDelta::milliseconds(6);
        assert_eq!(
            line(7, time, Level::Info, "Ready\nnow"),
            "7:M 02 Nov 2026 03:04:05.006 * Ready\\nnow\n"
        );
        for (level, sign) in [
            (Level::Trace, '.'),
            (Level::Debug, '-'),
            (Level::Error, '#'),
        ] {
            assert!(line(1, time, level, "x").ends_with(&format!(" {sign} x\n")));
        }
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let time = Local.with_ymd_and_hms(2026, 11, 2, 3, 4, 5).unwrap();
        let long = "é".repeat(MESSAGE_BYTES_MAX);
        let line = line(1, time, Level::Warn, &long);
        assert_eq!(line.matches('é').count(), MESSAGE_BYTES_MAX / 2);
    }

    #[test]
    fn lines_reach_the_file_whole_from_all_threads_and_obey_the_level() {
        let path = std::env::temp_dir().join(format!("ruddle-log-{}", std::process::id()));
        start(Some(&path), LogLevel::Notice).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| log::info!("whole line")));
            }
        });
        log::debug!("below the level");
        log::info!(target: "mio::poll", "chatter");
        set_level(LogLevel::Verbose);
        log::debug!("above the level");
        set_level(LogLevel::Nothing);
        log::error!("silence");
        let content = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            content
                .lines()
                .filter(|line| line.ends_with(" * whole line"))
                .count(),
            200
        );
        assert_eq!(content.lines().count(), 201);
        assert!(content.ends_with(" - above the level\n"));
        assert!(start(None, LogLevel::Notice).is_err());
    }
}
