//! Replies to Lua values and back. Source: redis.io, "Redis Lua API reference", "Data type
//! conversion"; checked against the reference by transcripts.

use mlua::{Error, Lua, Result, Table, Value};
use resp::{Proto, Reply};

use crate::thrown::error_table;

/// Deepest nesting of tables in a script's reply.
const DEPTH_MAX: usize = 1000;

/// What a reply is for Lua.
pub(crate) enum Answer {
    /// A value.
    Value(Value),
    /// An error, with its text.
    Error(Vec<u8>),
}

/// Reads RESP that this server has written.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// The type byte and the rest of the line.
    #[inline]
    fn line(&mut self) -> Result<(u8, &'a [u8])> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|&byte| byte == b'\r');
        let (Some(end), Some(&kind)) = (end, rest.first()) else {
            return Err(Error::runtime("a reply that is none"));
        };
        self.at += end + 2;
        Ok((kind, rest.get(1..end).unwrap_or_default()))
    }

    #[inline]
    fn body(&mut self, len: usize) -> &'a [u8] {
        let body = self.bytes.get(self.at..self.at + len).unwrap_or_default();
        self.at += len + 2;
        body
    }
}

fn length(text: &[u8]) -> Option<usize> {
    let number = base::num::parse_i64(text).unwrap_or(-1);
    usize::try_from(number).ok()
}

/// The reply in `bytes` as a Lua value.
pub(crate) fn from_reply(lua: &Lua, bytes: &[u8]) -> Result<Answer> {
    let mut reader = Reader { bytes, at: 0 };
    if let [b'-', rest @ ..] = bytes {
        let end = rest.len().saturating_sub(2);
        return Ok(Answer::Error(rest[..end].to_vec()));
    }
    value(lua, &mut reader).map(Answer::Value)
}

fn value(lua: &Lua, reader: &mut Reader<'_>) -> Result<Value> {
    let (kind, text) = reader.line()?;
    Ok(match kind {
        b'$' => match length(text) {
            Some(len) => Value::String(lua.create_string(reader.body(len))?),
            None => Value::Boolean(false),
        },
        b':' => Value::Number(base::num::parse_i64(text).unwrap_or(0) as f64),
        b'+' => Value::Table(field(lua, "ok", text)?),
        b'-' => Value::Table(error_table(lua, text, true)?),
        b'*' | b'>' => match length(text) {
            Some(len) => {
                let table = lua.create_table_with_capacity(len, 0)?;
                for at in 1..=len {
                    table.raw_set(at, value(lua, reader)?)?;
                }
                Value::Table(table)
            }
            None => Value::Boolean(false),
        },
        b'_' => Value::Nil,
        b'#' => Value::Boolean(text == b"t"),
        b',' => {
            let number = std::str::from_utf8(text)
                .ok()
                .and_then(|text| text.parse().ok());
            wrap(lua, "double", Value::Number(number.unwrap_or(0.0)))?
        }
        b'(' => Value::Table(field(lua, "big_number", text)?),
        b'=' => {
            let body = reader.body(length(text).unwrap_or(0));
            let (format, text) = body.split_at_checked(4).unwrap_or((b"txt:", body));
            let inner = field(lua, "format", &format[..3])?;
            inner.raw_set("string", lua.create_string(text)?)?;
            wrap(lua, "verbatim_string", Value::Table(inner))?
        }
        b'%' => {
            let len = length(text).unwrap_or(0);
            let inner = lua.create_table_with_capacity(0, len)?;
            for _ in 0..len {
                let key = value(lua, reader)?;
                inner.raw_set(key, value(lua, reader)?)?;
            }
            wrap(lua, "map", Value::Table(inner))?
        }
        b'~' => {
            let len = length(text).unwrap_or(0);
            let inner = lua.create_table_with_capacity(0, len)?;
            for _ in 0..len {
                inner.raw_set(value(lua, reader)?, true)?;
            }
            wrap(lua, "set", Value::Table(inner))?
        }
        _ => return Err(Error::runtime("a reply of an unknown type")),
    })
}

fn field(lua: &Lua, name: &str, text: &[u8]) -> Result<Table> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(name, lua.create_string(text)?)?;
    Ok(table)
}

fn wrap(lua: &Lua, name: &str, value: Value) -> Result<Value> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(name, value)?;
    Ok(Value::Table(table))
}

/// Writes what a script has returned; `proto` is what the script has chosen for itself.
pub(crate) fn to_reply(value: &Value, proto: Proto, out: &mut Reply) {
    write(value, proto, out, DEPTH_MAX);
}

fn write(value: &Value, proto: Proto, out: &mut Reply, depth: usize) {
    match value {
        Value::String(text) => out.bulk(&text.as_bytes()),
        &Value::Integer(number) => out.int(number),
        &Value::Number(number) => out.int(truncated(number)),
        Value::Boolean(value) => match proto {
            Proto::Resp3 => out.boolean(*value),
            Proto::Resp2 if *value => out.int(1),
            Proto::Resp2 => out.null(),
        },
        Value::Table(table) => {
            if depth == 0 {
                out.error(b"ERR reached lua stack limit");
            } else if !write_special(table, proto, out, depth - 1) {
                write_array(table, proto, out, depth - 1);
            }
        }
        _ => out.null(),
    }
}

/// As the processor of the reference converts a double to a 64-bit integer: what does not fit is
/// the least one.
fn truncated(number: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&number) {
        number as i64
    } else {
        i64::MIN
    }
}

/// A table with one of the fields that stand for a type; whether it was one.
fn write_special(table: &Table, proto: Proto, out: &mut Reply, depth: usize) -> bool {
    let get = |name: &str| table.raw_get::<Value>(name).unwrap_or(Value::Nil);
    if let Value::String(text) = get("err") {
        out.error(&text.as_bytes());
        return true;
    }
    if let Value::String(text) = get("ok") {
        out.simple(&text.as_bytes());
        return true;
    }
    match get("double") {
        Value::Number(number) => {
            out.double(number);
            return true;
        }
        Value::Integer(number) => {
            out.double(number as f64);
            return true;
        }
        _ => {}
    }
    if let Value::Table(map) = get("map") {
        let later = out.map_later();
        let mut count = 0;
        for (key, value) in map.pairs::<Value, Value>().flatten() {
            write(&key, proto, out, depth);
            write(&value, proto, out, depth);
            count += 1;
        }
        out.finish(later, count);
        return true;
    }
    if let Value::Table(set) = get("set") {
        let later = out.set_later();
        let mut count = 0;
        for (key, _) in set.pairs::<Value, Value>().flatten() {
            write(&key, proto, out, depth);
            count += 1;
        }
        out.finish(later, count);
        return true;
    }
    if let Value::String(digits) = get("big_number") {
        let digits: Vec<u8> = digits
            .as_bytes()
            .iter()
            .map(|&byte| {
                if matches!(byte, b'\r' | b'\n') {
                    b' '
                } else {
                    byte
                }
            })
            .collect();
        out.big_number(&digits);
        return true;
    }
    if let Value::Table(verbatim) = get("verbatim_string")
        && let (Ok(Value::String(format)), Ok(Value::String(text))) =
            (verbatim.raw_get("format"), verbatim.raw_get("string"))
    {
        let mut kind = *b"   ";
        for (to, from) in kind.iter_mut().zip(format.as_bytes().iter()) {
            *to = *from;
        }
        out.verbatim(&kind, &text.as_bytes());
        return true;
    }
    false
}

/// The elements from 1 up to the first that is not there.
fn write_array(table: &Table, proto: Proto, out: &mut Reply, depth: usize) {
    let later = out.array_later();
    let mut count = 0;
    while let Ok(value) = table.raw_get::<Value>(count + 1)
        && value != Value::Nil
    {
        write(&value, proto, out, depth);
        count += 1;
    }
    out.finish(later, count);
}
