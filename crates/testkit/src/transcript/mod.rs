//! Transcripts: conversations with a server as data files, checked against Ruddle and against a
//! real peer.
//!
//! One file per command (or container), `crates/{engine,server}/tests/commands/<name>.txt`. The
//! format is meant to be typed from a `redis-cli` session:
//!
//! ```text
//! # covers: SETRANGE                  comments; this one names the commands the file answers for
//! @ args --databases 4                extra server arguments (head of the file only)
//!
//! > SET k "Hello World"               a command on the default connection; quotes as in redis-cli
//! OK                                  the reply as `Reply::lines` prints it
//! > SETRANGE k -1 x
//! (error) ERR offset is out of range
//!
//! === with RESP3                      a new section: all databases empty, all connections new
//! @ resp3                             connections of this section say HELLO 3 first
//! @ config maxmemory-policy noeviction   CONFIG SET for this section, undone at its end
//! a> GET k                            a connection named `a`
//! (null)
//! ```
//!
//! | line | meaning |
//! | --- | --- |
//! | `a> CMD` | send and read the reply |
//! | `a& CMD` | send only (the reply comes later, or never) |
//! | `a<` | read the next reply or push; `(closed)` when the server has hung up |
//! | `a! "bytes"` | send raw bytes |
//! | `a^` | hang up: the name's next use is a new connection |
//! | `until CMD = reply` | repeat the command until its reply is this line (10 s at most) |
//! | `@ peer valkey` | file or section: Valkey is the peer, not Redis |
//! | `@ only ruddle: why` | file or section: no peer here has it |
//!
//! In words: `${x*1000}` is x repeated; `${now_ms+5000}` and `${now_s-1}` are Unix times; `${name}`
//! is a captured text; single quotes keep all of this literal.
//!
//! In expected lines: `<any>`, `<int>`, `<10..20>` (a whole number in that range), and
//! `<any:name>`, `<int:name>` which capture; `...` alone stands for any number of lines.
//! `(unordered)` as first line: the outermost elements are sorted by their text before comparing.
//! When every line begins with `~ `, each is a regular expression that must be found somewhere in
//! the printed reply.
//!
//! `UPDATE_EXPECT=redis` (or `valkey`) rewrites the expectations that this peer does not meet.

mod expect;
mod parse;
mod run;
mod target;

pub use parse::{Action, Against, Part, Section, Step, Transcript, Word};
pub use run::{Failure, Outcome, Who, kinds_for, run_against, run_file, update_requested};
pub use target::{Answer, ServerTarget, Sockets, Target};

/// The directories that hold transcripts, relative to the repository.
pub const DIRECTORIES: &[&str] = &[
    "crates/engine/tests/commands",
    "crates/server/tests/commands",
    "crates/testkit/tests/format",
];
