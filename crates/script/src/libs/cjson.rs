//! `cjson`: JSON. Source: the manual of Lua CJSON 2.1.0 (kyne.au); texts and corner cases as Redis
//! 8.2.3 answers.

use std::cell::Cell;
use std::rc::Rc;

use base::double::append_digits;
use mlua::{Lua, LuaString, MultiValue, Result, Table, Value};

use super::json_reader;
use crate::native;
use crate::thrown::{Given, at_call};

/// What is done with numbers that JSON does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Invalid {
    Refused,
    Written,
    Null,
}

/// The settings of one `cjson` table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    sparse_convert: bool,
    sparse_ratio: i32,
    sparse_safe: i32,
    encode_depth: i32,
    pub(super) decode_depth: i32,
    encode_invalid: Invalid,
    pub(super) decode_invalid: bool,
    keep_buffer: bool,
    precision: i32,
}

const DEFAULTS: Options = Options {
    sparse_convert: false,
    sparse_ratio: 2,
    sparse_safe: 10,
    encode_depth: 1000,
    decode_depth: 1000,
    encode_invalid: Invalid::Refused,
    decode_invalid: true,
    keep_buffer: true,
    precision: 14,
};

/// Most digits after which a number is cut off.
const PRECISION_MAX: i32 = 14;

type Shared = Rc<Cell<Options>>;

pub(super) fn table(lua: &Lua) -> Result<Table> {
    let options: Shared = Rc::new(Cell::new(DEFAULTS));
    let table = lua.create_table()?;
    let with = |run: fn(&Lua, &Shared, Given<'_>) -> Result<MultiValue>| {
        let options = options.clone();
        native::function(lua, move |lua, values| {
            run(lua, &options, Given::new(lua, values))
        })
    };
    table.raw_set("encode", with(encode)?)?;
    table.raw_set("decode", with(decode)?)?;
    table.raw_set("encode_sparse_array", with(sparse_array)?)?;
    table.raw_set("encode_max_depth", with(encode_max_depth)?)?;
    table.raw_set("decode_max_depth", with(decode_max_depth)?)?;
    table.raw_set("encode_number_precision", with(number_precision)?)?;
    table.raw_set("encode_keep_buffer", with(keep_buffer)?)?;
    table.raw_set("encode_invalid_numbers", with(encode_invalid)?)?;
    table.raw_set("decode_invalid_numbers", with(decode_invalid)?)?;
    table.raw_set("new", native::function(lua, |lua, ()| self::table(lua))?)?;
    table.raw_set("null", Value::NULL)?;
    table.raw_set("_NAME", "cjson")?;
    table.raw_set("_VERSION", "2.1.0")?;
    Ok(table)
}

fn one(value: Value) -> Result<MultiValue> {
    Ok(MultiValue::from_vec(vec![value]))
}

fn encode(lua: &Lua, options: &Shared, given: Given<'_>) -> Result<MultiValue> {
    if given.count() != 1 {
        return Err(given.wrong(1, "expected 1 argument"));
    }
    let mut writer = Writer {
        lua,
        options: options.get(),
        out: Vec::new(),
    };
    writer.value(given.get(1).unwrap_or(&Value::Nil), 0)?;
    one(Value::String(lua.create_string(writer.out)?))
}

fn decode(lua: &Lua, options: &Shared, given: Given<'_>) -> Result<MultiValue> {
    if given.count() != 1 {
        return Err(given.wrong(1, "expected 1 argument"));
    }
    let text = given.bytes(1)?;
    one(json_reader::read(lua, &text, options.get())?)
}

struct Writer<'l> {
    lua: &'l Lua,
    options: Options,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn refuse(&self, kind: &str, why: &str) -> mlua::Error {
        at_call(self.lua, format!("Cannot serialise {kind}: {why}"))
    }

    fn value(&mut self, value: &Value, depth: i32) -> Result<()> {
        match value {
            Value::String(text) => self.text(text),
            &Value::Integer(number) => self.number(number as f64)?,
            &Value::Number(number) => self.number(number)?,
            Value::Boolean(true) => self.out.extend_from_slice(b"true"),
            Value::Boolean(false) => self.out.extend_from_slice(b"false"),
            Value::Nil => self.out.extend_from_slice(b"null"),
            Value::LightUserData(pointer) if pointer.0.is_null() => {
                self.out.extend_from_slice(b"null");
            }
            Value::Table(table) => return self.table(table, depth + 1),
            Value::Function(_) => return Err(self.refuse("function", "type not supported")),
            Value::Thread(_) => return Err(self.refuse("thread", "type not supported")),
            _ => return Err(self.refuse("userdata", "type not supported")),
        }
        Ok(())
    }

    fn table(&mut self, table: &Table, depth: i32) -> Result<()> {
        if depth > self.options.encode_depth.min(json_reader::DEPTH_MAX) {
            return Err(at_call(
                self.lua,
                format!("Cannot serialise, excessive nesting ({depth})"),
            ));
        }
        match self.array_len(table)? {
            Some(len) => {
                self.out.push(b'[');
                for at in 1..=len {
                    if at > 1 {
                        self.out.push(b',');
                    }
                    self.value(&table.raw_get(at)?, depth)?;
                }
                self.out.push(b']');
            }
            None => self.object(table, depth)?,
        }
        Ok(())
    }

    fn object(&mut self, table: &Table, depth: i32) -> Result<()> {
        self.out.push(b'{');
        let mut first = true;
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            if !first {
                self.out.push(b',');
            }
            first = false;
            match key {
                Value::String(text) => self.text(&text),
                Value::Integer(_) | Value::Number(_) => {
                    let number = match key {
                        Value::Integer(number) => number as f64,
                        Value::Number(number) => number,
                        _ => 0.0,
                    };
                    self.out.push(b'"');
                    self.number(number)?;
                    self.out.push(b'"');
                }
                other => {
                    let kind = kind_of(&other);
                    return Err(self.refuse(kind, "table key must be a number or string"));
                }
            }
            self.out.push(b':');
            self.value(&value, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    /// The length of a table that is written as an array.
    fn array_len(&self, table: &Table) -> Result<Option<i32>> {
        let (mut last, mut count) = (0_i32, 0_i32);
        for pair in table.pairs::<Value, Value>() {
            let key = match pair?.0 {
                Value::Integer(key) => key as f64,
                Value::Number(key) if key.floor() == key => key,
                _ => return Ok(None),
            };
            if key < 1.0 {
                return Ok(None);
            }
            if key > f64::from(last) {
                // Compat: what is no 32-bit integer becomes the least one, as the processor of the
                // reference converts it.
                let fits = key <= f64::from(i32::MAX);
                last = if fits { key as i32 } else { i32::MIN };
            }
            count += 1;
        }
        let options = &self.options;
        if options.sparse_ratio > 0
            && last > count.saturating_mul(options.sparse_ratio)
            && last > options.sparse_safe
        {
            if !options.sparse_convert {
                return Err(self.refuse("table", "excessively sparse array"));
            }
            return Ok(None);
        }
        Ok((last > 0).then_some(last))
    }

    fn number(&mut self, number: f64) -> Result<()> {
        if !number.is_finite() {
            match self.options.encode_invalid {
                Invalid::Refused => {
                    return Err(self.refuse("number", "must not be NaN or Inf"));
                }
                Invalid::Written => {}
                Invalid::Null => {
                    self.out.extend_from_slice(b"null");
                    return Ok(());
                }
            }
        }
        append_digits(number, self.options.precision as usize, &mut self.out);
        Ok(())
    }

    fn text(&mut self, text: &LuaString) {
        self.out.push(b'"');
        for &byte in text.as_bytes().iter() {
            let short = match byte {
                b'"' | b'\\' | b'/' => byte,
                8 => b'b',
                9 => b't',
                10 => b'n',
                12 => b'f',
                13 => b'r',
                0..32 | 127 => {
                    self.out
                        .extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                    continue;
                }
                _ => {
                    self.out.push(byte);
                    continue;
                }
            };
            self.out.extend_from_slice(&[b'\\', short]);
        }
        self.out.push(b'"');
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::LightUserData(_) => "userdata",
        other => other.type_name(),
    }
}

fn check_count(given: &Given<'_>, most: usize) -> Result<()> {
    if given.count() <= most {
        return Ok(());
    }
    Err(given.wrong(most + 1, "found too many arguments"))
}

/// An integer setting: the argument if there is one, within its limits.
fn integer(given: &Given<'_>, number: usize, now: i32, limits: (i32, i32)) -> Result<i32> {
    match given.get(number) {
        None | Some(Value::Nil) => Ok(now),
        Some(_) => {
            let (least, most) = limits;
            let value = given.integer(number)? as i32;
            if !(least..=most).contains(&value) {
                // Compat: the reference blames the first argument whichever it is.
                let text = format!("expected integer between {least} and {most}");
                return Err(given.wrong(1, &text));
            }
            Ok(value)
        }
    }
}

/// A boolean setting, which may be said as `on` and `off`.
fn switch(given: &Given<'_>, number: usize, now: bool) -> Result<bool> {
    match given.get(number) {
        None | Some(Value::Nil) => Ok(now),
        Some(&Value::Boolean(value)) => Ok(value),
        Some(_) => match &given.bytes(number)?[..] {
            b"off" => Ok(false),
            b"on" => Ok(true),
            other => {
                let other = String::from_utf8_lossy(other);
                Err(given.wrong(number, &format!("invalid option '{other}'")))
            }
        },
    }
}

fn sparse_array(_: &Lua, shared: &Shared, given: Given<'_>) -> Result<MultiValue> {
    check_count(&given, 3)?;
    let mut options = shared.get();
    options.sparse_convert = switch(&given, 1, options.sparse_convert)?;
    options.sparse_ratio = integer(&given, 2, options.sparse_ratio, (0, i32::MAX))?;
    options.sparse_safe = integer(&given, 3, options.sparse_safe, (0, i32::MAX))?;
    shared.set(options);
    Ok(MultiValue::from_vec(vec![
        Value::Boolean(options.sparse_convert),
        Value::Number(f64::from(options.sparse_ratio)),
        Value::Number(f64::from(options.sparse_safe)),
    ]))
}

fn encode_max_depth(_: &Lua, shared: &Shared, given: Given<'_>) -> Result<MultiValue> {
    check_count(&given, 1)?;
    let mut options = shared.get();
    options.encode_depth = integer(&given, 1, options.encode_depth, (1, i32::MAX))?;
    shared.set(options);
    one(Value::Number(f64::from(options.encode_depth)))
}

fn decode_max_depth(_: &Lua, shared: &Shared, given: Given<'_>) -> Result<MultiValue> {
    check_count(&given, 1)?;
    let mut options = shared.get();
    options.decode_depth = integer(&given, 1, options.decode_depth, (1, i32::MAX))?;
    shared.set(options);
    one(Value::Number(f64::from(options.decode_depth)))
}

fn number_precision(_: &Lua, shared: &Shared, given: Given<'_>) -> Result<MultiValue> {
    check_count(&given, 1)?;
    let mut options = shared.get();
    options.precision = integer(&given, 1, options.precision, (1, PRECISION_MAX))?;
    shared.set(options);
    one(Value::Number(f64::from(options.precision)))
}

/// The buffer is never kept; the setting is remembered for those who ask.
fn keep_buffer(_: &Lua, shared: &Shared, given: Given<'_>) -> Result<MultiValue> {
    check_count(&given, 1)?;
    let mut options = shared.get();
    options.keep_buffer = switch(&given, 1, options.keep_buffer)?;
    shared.set(options);
    one(Value::Boolean(options.keep_buffer))
}

fn encode_invalid(lua: &Lua, shared: &Shared, given: Given<'_>) -> Result<MultiValue> {
    check_count(&given, 1)?;
    let mut options = shared.get();
    options.encode_invalid = match given.get(1) {
        Some(Value::String(text)) if &*text.as_bytes() == b"null" => Invalid::Null,
        _ => match switch(&given, 1, options.encode_invalid == Invalid::Written)? {
            _ if matches!(given.get(1), None | Some(Value::Nil)) => options.encode_invalid,
            true => Invalid::Written,
            false => Invalid::Refused,
        },
    };
    shared.set(options);
    one(match options.encode_invalid {
        Invalid::Refused => Value::Boolean(false),
        Invalid::Written => Value::Boolean(true),
        Invalid::Null => Value::String(lua.create_string("null")?),
    })
}

fn decode_invalid(_: &Lua, shared: &Shared, given: Given<'_>) -> Result<MultiValue> {
    check_count(&given, 1)?;
    let mut options = shared.get();
    options.decode_invalid = switch(&given, 1, options.decode_invalid)?;
    shared.set(options);
    one(Value::Boolean(options.decode_invalid))
}
