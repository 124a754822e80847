//! `cmsgpack`: MessagePack. Source: msgpack.org, "MessagePack specification"; what is left open
//! there (which tables are arrays, how deep tables may nest, which numbers are integers) as Redis
//! 8.2.3 answers.

use mlua::{Lua, LuaString, MultiValue, Result, Table, Value};

use crate::native;
use crate::thrown::{Given, Thrown, at_call, bad_argument};

/// Tables nested deeper are packed as nil.
const DEPTH_MAX: usize = 16;
/// Tables nested deeper are refused when they are read.
const READ_DEPTH_MAX: usize = 190;

pub(super) fn table(lua: &Lua) -> Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("pack", native::function(lua, pack)?)?;
    table.raw_set("unpack", native::function(lua, unpack)?)?;
    table.raw_set("unpack_one", native::function(lua, unpack_one)?)?;
    table.raw_set("unpack_limit", native::function(lua, unpack_limit)?)?;
    table.raw_set("_NAME", "cmsgpack")?;
    table.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    table.raw_set("_DESCRIPTION", "MessagePack implementation for Lua")?;
    Ok(table)
}

fn pack(lua: &Lua, values: MultiValue) -> Result<LuaString> {
    if values.is_empty() {
        return Err(bad_argument(lua, 0, "MessagePack pack needs input."));
    }
    let mut out = Vec::new();
    for value in &values {
        write(value, 0, &mut out)?;
    }
    lua.create_string(out)
}

fn write(value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<()> {
    match value {
        Value::String(text) => {
            let text = text.as_bytes();
            match text.len() {
                len @ 0..32 => out.push(0xa0 | len as u8),
                len @ 32..0x100 => out.extend_from_slice(&[0xd9, len as u8]),
                len => write_len(len, 0xda, out),
            }
            out.extend_from_slice(&text);
        }
        &Value::Boolean(value) => out.push(if value { 0xc3 } else { 0xc2 }),
        &Value::Integer(value) => write_int(value, out),
        &Value::Number(value) => write_number(value, out),
        Value::Table(table) if depth < DEPTH_MAX => match array_len(table)? {
            Some(len) => {
                write_count(len, 0x90, 0xdc, out);
                for at in 1..=len {
                    write(&table.get(at)?, depth + 1, out)?;
                }
            }
            None => {
                write_count(table.pairs::<Value, Value>().count(), 0x80, 0xde, out);
                for pair in table.pairs::<Value, Value>() {
                    let (key, value) = pair?;
                    write(&key, depth + 1, out)?;
                    write(&value, depth + 1, out)?;
                }
            }
        },
        _ => out.push(0xc0),
    }
    Ok(())
}

/// `small | count` for up to 15, else `wide` with 16 bits or the type after it with 32.
fn write_count(count: usize, small: u8, wide: u8, out: &mut Vec<u8>) {
    match count {
        0..16 => out.push(small | count as u8),
        _ => write_len(count, wide, out),
    }
}

fn write_len(len: usize, wide: u8, out: &mut Vec<u8>) {
    match u16::try_from(len) {
        Ok(len) => {
            out.push(wide);
            out.extend_from_slice(&len.to_be_bytes());
        }
        Err(_) => {
            out.push(wide + 1);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
    }
}

fn write_int(value: i64, out: &mut Vec<u8>) {
    match value {
        0..0x80 => out.push(value as u8),
        0x80..0x100 => out.extend_from_slice(&[0xcc, value as u8]),
        0x100..0x1_0000 => {
            out.push(0xcd);
            out.extend_from_slice(&(value as u16).to_be_bytes());
        }
        0x1_0000..0x1_0000_0000 => {
            out.push(0xce);
            out.extend_from_slice(&(value as u32).to_be_bytes());
        }
        0x1_0000_0000.. => {
            out.push(0xcf);
            out.extend_from_slice(&value.to_be_bytes());
        }
        -32..0 => out.push(value as u8),
        -0x80..-32 => out.extend_from_slice(&[0xd0, value as u8]),
        -0x8000..-0x80 => {
            out.push(0xd1);
            out.extend_from_slice(&(value as i16).to_be_bytes());
        }
        -0x8000_0000..-0x8000 => {
            out.push(0xd2);
            out.extend_from_slice(&(value as i32).to_be_bytes());
        }
        _ => {
            out.push(0xd3);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

fn write_number(value: f64, out: &mut Vec<u8>) {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&value) && value as i64 as f64 == value {
        return write_int(value as i64, out);
    }
    let short = value as f32;
    if f64::from(short) == value {
        out.push(0xca);
        out.extend_from_slice(&short.to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// The length of a table whose keys are 1, 2, ..., n.
fn array_len(table: &Table) -> Result<Option<usize>> {
    let (mut count, mut last) = (0, 0);
    for pair in table.pairs::<Value, Value>() {
        let key = match pair?.0 {
            Value::Integer(key) if key > 0 && key <= i64::from(i32::MAX) => key,
            _ => return Ok(None),
        };
        last = last.max(key);
        count += 1;
    }
    Ok((last == count).then_some(count as usize))
}

const TOO_MANY: &str =
    "stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)";

/// As many values as a function may return: the stack has 8000 slots, of which some are taken.
const RESULTS_MAX: usize = 7950;

/// Packed bytes being read.
struct Input<'a> {
    lua: &'a Lua,
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let Some((part, rest)) = self.bytes.split_at_checked(count) else {
            return Err(at_call(self.lua, "Missing bytes in input."));
        };
        self.bytes = rest;
        Ok(part)
    }

    fn unsigned(&mut self, bytes: usize) -> Result<u64> {
        let part = self.take(bytes)?;
        Ok(part
            .iter()
            .fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    fn len(&mut self, bytes: usize) -> Result<usize> {
        self.unsigned(bytes).map(|len| len as usize)
    }

    fn text(&mut self, len: usize) -> Result<Value> {
        let text = self.take(len)?;
        Ok(Value::String(self.lua.create_string(text)?))
    }

    fn array(&mut self, len: usize, depth: usize) -> Result<Value> {
        let table = self.lua.create_table()?;
        for at in 1..=len {
            table.raw_set(at, self.value(depth)?)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, len: usize, depth: usize) -> Result<Value> {
        let table = self.lua.create_table()?;
        for _ in 0..len {
            let key = self.value(depth)?;
            let value = self.value(depth)?;
            match key {
                Value::Nil => return Err(Thrown::Text(b"table index is nil".to_vec()).into()),
                Value::Number(number) if number.is_nan() => {
                    return Err(Thrown::Text(b"table index is NaN".to_vec()).into());
                }
                key => table.raw_set(key, value)?,
            }
        }
        Ok(Value::Table(table))
    }

    fn value(&mut self, depth: usize) -> Result<Value> {
        if depth == READ_DEPTH_MAX {
            return Err(at_call(self.lua, TOO_MANY));
        }
        let depth = depth + 1;
        let kind = self.take(1)?[0];
        Ok(match kind {
            0x00..0x80 => Value::Number(f64::from(kind)),
            0x80..0x90 => self.map(usize::from(kind & 15), depth)?,
            0x90..0xa0 => self.array(usize::from(kind & 15), depth)?,
            0xa0..0xc0 => self.text(usize::from(kind & 31))?,
            0xc0 => Value::Nil,
            0xc2 => Value::Boolean(false),
            0xc3 => Value::Boolean(true),
            0xca => Value::Number(f64::from(f32::from_bits(self.unsigned(4)? as u32))),
            0xcb => Value::Number(f64::from_bits(self.unsigned(8)?)),
            0xcc => Value::Number(self.unsigned(1)? as f64),
            0xcd => Value::Number(self.unsigned(2)? as f64),
            0xce => Value::Number(self.unsigned(4)? as f64),
            // The reference goes through a signed integer here.
            0xcf => Value::Number(self.unsigned(8)? as i64 as f64),
            0xd0 => Value::Number(f64::from(self.unsigned(1)? as i8)),
            0xd1 => Value::Number(f64::from(self.unsigned(2)? as i16)),
            0xd2 => Value::Number(f64::from(self.unsigned(4)? as i32)),
            0xd3 => Value::Number(self.unsigned(8)? as i64 as f64),
            0xd9 => {
                let len = self.len(1)?;
                self.text(len)?
            }
            0xda => {
                let len = self.len(2)?;
                self.text(len)?
            }
            0xdb => {
                let len = self.len(4)?;
                self.text(len)?
            }
            0xdc => {
                let len = self.len(2)?;
                self.array(len, depth)?
            }
            0xdd => {
                let len = self.len(4)?;
                self.array(len, depth)?
            }
            0xde => {
                let len = self.len(2)?;
                self.map(len, depth)?
            }
            0xdf => {
                let len = self.len(4)?;
                self.map(len, depth)?
            }
            0xe0.. => Value::Number(f64::from(kind as i8)),
            _ => return Err(at_call(self.lua, "Bad data format in input.")),
        })
    }
}

fn unpack(lua: &Lua, values: MultiValue) -> Result<MultiValue> {
    read(lua, &Given::new(lua, values), 0, 0)
}

fn unpack_one(lua: &Lua, values: MultiValue) -> Result<MultiValue> {
    let given = Given::new(lua, values);
    let offset = given.integer_or(2, 0)?;
    read(lua, &given, 1, offset)
}

fn unpack_limit(lua: &Lua, values: MultiValue) -> Result<MultiValue> {
    let given = Given::new(lua, values);
    let limit = given.integer(2)?;
    let offset = given.integer_or(3, 0)?;
    read(lua, &given, limit, offset)
}

/// Reads at most `limit` values from `offset` on, and says where it stopped; all values if both
/// are 0.
fn read(lua: &Lua, given: &Given<'_>, limit: i64, offset: i64) -> Result<MultiValue> {
    let bytes = given.bytes(1)?;
    if offset < 0 || limit < 0 {
        let len = bytes.len();
        return Err(at_call(
            lua,
            format!("Invalid request to unpack with offset of {offset} and limit of {len}."),
        ));
    }
    let Some(rest) = bytes.get(offset as usize..) else {
        let len = bytes.len();
        return Err(at_call(
            lua,
            format!("Start offset {offset} greater than input length {len}."),
        ));
    };
    let all = limit == 0 && offset == 0;
    let mut input = Input { lua, bytes: rest };
    let mut results = Vec::new();
    if !all {
        results.push(Value::Nil);
    }
    let mut count = 0;
    while !input.bytes.is_empty() && (all || count < limit) {
        if results.len() == RESULTS_MAX {
            return Err(at_call(lua, TOO_MANY));
        }
        results.push(input.value(0)?);
        count += 1;
    }
    if !all {
        let stopped = match input.bytes.len() {
            0 => -1.0,
            left => (bytes.len() - left) as f64,
        };
        results[0] = Value::Number(stopped);
    }
    Ok(MultiValue::from_vec(results))
}
