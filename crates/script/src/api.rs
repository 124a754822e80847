//! The `redis` table, which Valkey calls `server`. Source: redis.io, "Redis Lua API reference";
//! error texts asked from Redis 8.2.3.

use std::rc::Rc;

use base::strings::{eq_ignore_case, until_nul};
use mlua::{Lua, MultiValue, Result, Table, Value};
use resp::Proto;
use sha1::{Digest, Sha1};

use crate::engine::Facts;
use crate::host::{self, Level, Words};
use crate::library;
use crate::native;
use crate::raw;
use crate::sandbox::Shared;
use crate::thrown::{Given, as_text, reply};

const LEVELS: [(&str, Level); 4] = [
    ("LOG_DEBUG", Level::Debug),
    ("LOG_VERBOSE", Level::Verbose),
    ("LOG_NOTICE", Level::Notice),
    ("LOG_WARNING", Level::Warning),
];

const REPLICATION: [(&str, i64); 5] = [
    ("REPL_AOF", 1),
    ("REPL_SLAVE", 2),
    ("REPL_REPLICA", 2),
    ("REPL_ALL", REPLICATE_ALL),
    ("REPL_NONE", REPLICATE_NONE),
];

const REPLICATE_ALL: i64 = 3;
const REPLICATE_NONE: i64 = 0;

/// The hex digits of a script's SHA-1.
pub fn sha1_hex(text: &[u8]) -> [u8; 40] {
    let mut hex = [0; 40];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(Sha1::digest(text)) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    hex
}

/// What a running script sees.
pub(crate) fn table(lua: &Lua, facts: &Facts) -> Result<Table> {
    let table = lua.create_table()?;
    add_common(lua, &table, facts)?;
    raw::add_calls(lua, &table)?;
    let error_reply = |lua: &Lua, values: MultiValue| single_field(lua, &values, "err");
    table.raw_set("error_reply", native::function(lua, error_reply)?)?;
    let status_reply = |lua: &Lua, values: MultiValue| single_field(lua, &values, "ok");
    table.raw_set("status_reply", native::function(lua, status_reply)?)?;
    table.raw_set("sha1hex", native::function(lua, sha1hex)?)?;
    table.raw_set("setresp", native::function(lua, setresp)?)?;
    table.raw_set("set_repl", native::function(lua, set_repl)?)?;
    table.raw_set("acl_check_cmd", native::function(lua, acl_check_cmd)?)?;
    let always = native::function(lua, |_, _: MultiValue| Ok(true))?;
    table.raw_set("replicate_commands", always)?;
    // There is no debugger: as outside of a session of it.
    let no_session = native::function(lua, |_, _: MultiValue| Ok(false))?;
    table.raw_set("breakpoint", no_session)?;
    table.raw_set("debug", native::function(lua, |_, _: MultiValue| Ok(()))?)?;
    for (name, value) in REPLICATION {
        table.raw_set(name, value)?;
    }
    Ok(table)
}

/// What a library sees while it is loaded.
pub(crate) fn loading_table(lua: &Lua, shared: &Rc<Shared>, facts: &Facts) -> Result<Table> {
    let table = lua.create_table()?;
    add_common(lua, &table, facts)?;
    let shared = shared.clone();
    let register = move |lua: &Lua, values: MultiValue| library::register(lua, &shared, &values);
    table.raw_set("register_function", native::function(lua, register)?)?;
    Ok(table)
}

fn add_common(lua: &Lua, table: &Table, facts: &Facts) -> Result<()> {
    table.raw_set("log", native::function(lua, log)?)?;
    for (number, (name, _)) in LEVELS.iter().enumerate() {
        table.raw_set(*name, number)?;
    }
    table.raw_set("REDIS_VERSION", facts.version)?;
    table.raw_set("REDIS_VERSION_NUM", facts.version_number)
}

/// `redis.error_reply` and `redis.status_reply`.
fn single_field(lua: &Lua, values: &MultiValue, field: &str) -> Result<Table> {
    let table = lua.create_table_with_capacity(0, 1)?;
    let text = match values.iter().collect::<Vec<_>>()[..] {
        [Value::String(text)] => text.as_bytes().to_vec(),
        _ => {
            table.raw_set("err", "ERR wrong number or type of arguments")?;
            return Ok(table);
        }
    };
    let text = match field {
        "err" => error_text(&text),
        _ => text,
    };
    table.raw_set(field, lua.create_string(text)?)?;
    Ok(table)
}

/// An error's text: `ERR` before it if it is one word.
///
/// Compat: only the end of the whole and both ends of what follows the first word lose line ends.
fn error_text(text: &[u8]) -> Vec<u8> {
    let text = until_nul(text);
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let end = text.iter().rposition(|byte| !is_line_end(byte));
    let text = &text[..end.map_or(0, |end| end + 1)];
    let (kind, rest) = match text.iter().position(|&byte| byte == b' ') {
        Some(space) => (&text[..space], &text[space + 1..]),
        None => (&b"ERR"[..], text),
    };
    let start = rest.iter().take_while(|byte| is_line_end(byte)).count();
    [kind, b" ", &rest[start..]].concat()
}

fn sha1hex(lua: &Lua, values: MultiValue) -> Result<mlua::LuaString> {
    if values.len() != 1 {
        return Err(reply("wrong number of arguments"));
    }
    let text = as_text(lua, values.front()).unwrap_or_default();
    lua.create_string(sha1_hex(&text))
}

fn log(lua: &Lua, values: MultiValue) -> Result<()> {
    if values.len() < 2 {
        return Err(reply("redis.log() requires two arguments or more."));
    }
    let level = match values.front() {
        Some(&Value::Integer(level)) => level,
        Some(&Value::Number(level)) => level as i64,
        _ => return Err(reply("First argument must be a number (log level).")),
    };
    let level = usize::try_from(level)
        .ok()
        .and_then(|level| LEVELS.get(level));
    let Some((_, level)) = level else {
        return Err(reply("Invalid log level."));
    };
    let parts: Vec<Vec<u8>> = values
        .iter()
        .skip(1)
        .filter_map(|value| as_text(lua, Some(value)))
        .collect();
    host::with(|host, _| host.log(*level, &parts.join(&b' ')));
    Ok(())
}

fn setresp(lua: &Lua, values: MultiValue) -> Result<()> {
    if values.len() != 1 {
        return Err(reply("redis.setresp() requires one argument."));
    }
    let proto = match Given::new(lua, values).maybe_number(1).map(|n| n as i64) {
        Some(2) => Proto::Resp2,
        Some(3) => Proto::Resp3,
        _ => return Err(reply("RESP version must be 2 or 3.")),
    };
    host::with(|host, _| host.set_proto(proto));
    Ok(())
}

/// One log feeds the append-only file and the replicas, so an effect goes to both or to neither.
fn set_repl(lua: &Lua, values: MultiValue) -> Result<()> {
    if values.len() != 1 {
        return Err(reply("redis.set_repl() requires one argument."));
    }
    let flags = Given::new(lua, values).maybe_number(1).unwrap_or(0.0) as i64;
    let recorded = match flags {
        REPLICATE_NONE => false,
        REPLICATE_ALL => true,
        1..REPLICATE_ALL => {
            return Err(reply(
                "redis.set_repl() takes only REPL_ALL or REPL_NONE here: the append-only file and \
                 the replicas are fed by one log.",
            ));
        }
        _ => {
            return Err(reply(
                "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
            ));
        }
    };
    host::with(|host, _| host.set_recorded(recorded));
    Ok(())
}

fn acl_check_cmd(_: &Lua, values: MultiValue) -> Result<bool> {
    let mut words = Words::default();
    for value in &values {
        match value {
            Value::String(text) => words.push(|buffer| buffer.extend_from_slice(&text.as_bytes())),
            &Value::Integer(number) => raw::push_number(number as f64, &mut words),
            &Value::Number(number) => raw::push_number(number, &mut words),
            _ => {
                return Err(reply(
                    "Lua redis lib command arguments must be strings or integers",
                ));
            }
        }
    }
    if values.is_empty() {
        return Err(reply(
            "Please specify at least one argument for this redis lib call",
        ));
    }
    host::with(|host, _| host.may_run(&words))
        .flatten()
        .ok_or_else(|| reply("Invalid command passed to redis.acl_check_cmd()"))
}

/// Whether a name in a table of options is this one, as the reference compares them.
pub(crate) fn is_named(name: &[u8], wanted: &str) -> bool {
    eq_ignore_case(name, wanted.as_bytes())
}
