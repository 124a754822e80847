//! Lua 5.1 as Redis gives it to scripts and functions: the sandbox, the `redis` table, the
//! libraries cjson, cmsgpack, struct and bit, and the conversions between replies and Lua values.
//!
//! Knows nothing of sockets, threads or the keyspace: a [`Host`] runs the commands. One [`Engine`]
//! is one Lua state; a worker has one for scripts and one for functions.
//!
//! Read in this order: `host` (what a script may ask of the outside), `engine` (a state, compiled
//! scripts, running them), `sandbox` and `prelude.lua` (what a script sees), `api` (the `redis`
//! table), `raw` (how a script is entered, its commands, replies to values and back), `thrown`
//! (errors as Lua sees them), `header` (`#!lua` lines), `libs`.

pub mod api;
mod engine;
mod header;
mod host;
mod library;
mod libs;
mod native;
mod raw;
mod sandbox;
mod thrown;

pub use engine::{Compiled, Ended, Engine, Facts, Input};
pub use header::{Flags, Header};
pub use host::{Asked, Host, Level, Words};
pub use library::{Function, Library};
