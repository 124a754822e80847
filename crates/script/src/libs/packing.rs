//! `struct`: numbers and strings as bytes in a given layout.
//! Source: redis.io, "Redis Lua API reference", "struct library".

use mlua::{Lua, LuaString, MultiValue, Result, Table, Value};

use crate::native;
use crate::thrown::{Given, at_call};

const INTEGER_BYTES_MAX: usize = 32;
const INTEGER_BYTES: usize = 4;
const ALIGNMENT: usize = 8;

pub(super) fn table(lua: &Lua) -> Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("pack", native::function(lua, pack)?)?;
    table.raw_set("unpack", native::function(lua, unpack)?)?;
    table.raw_set("size", native::function(lua, size)?)?;
    Ok(table)
}

/// A format string being read.
struct Format<'a> {
    lua: &'a Lua,
    text: &'a [u8],
    at: usize,
    big_endian: bool,
    alignment: usize,
}

/// One letter of a format, with its size.
struct Field {
    letter: u8,
    size: usize,
}

impl<'a> Format<'a> {
    fn new(lua: &'a Lua, text: &'a [u8]) -> Format<'a> {
        Format {
            lua,
            text: base::strings::until_nul(text),
            at: 0,
            big_endian: false,
            alignment: 1,
        }
    }

    fn next(&mut self) -> Result<Option<Field>> {
        let Some(&letter) = self.text.get(self.at) else {
            return Ok(None);
        };
        self.at += 1;
        let size = match letter {
            b'B' | b'b' | b'x' => 1,
            b'H' | b'h' => 2,
            b'L' | b'l' | b'T' | b'd' => 8,
            b'f' => 4,
            b'c' => self.number(1)?,
            b'i' | b'I' => {
                let size = self.number(INTEGER_BYTES)?;
                if size > INTEGER_BYTES_MAX {
                    return Err(at_call(
                        self.lua,
                        format!("integral size {size} is larger than limit of {INTEGER_BYTES_MAX}"),
                    ));
                }
                size
            }
            _ => 0,
        };
        Ok(Some(Field { letter, size }))
    }

    fn number(&mut self, otherwise: usize) -> Result<usize> {
        let digits = self.text[self.at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if digits == 0 {
            return Ok(otherwise);
        }
        let text = &self.text[self.at..self.at + digits];
        self.at += digits;
        base::num::parse_u64(trim_zeros(text))
            .and_then(|number| i32::try_from(number).ok())
            .map(|number| number as usize)
            .ok_or_else(|| at_call(self.lua, "integral size overflow"))
    }

    fn padding(&self, position: usize, field: &Field) -> usize {
        if field.size == 0 || field.letter == b'c' {
            return 0;
        }
        let size = field.size.min(self.alignment);
        size.wrapping_sub(position & (size.wrapping_sub(1))) & (size.wrapping_sub(1))
    }

    /// A letter that is no field.
    fn control(&mut self, letter: u8) -> Result<()> {
        match letter {
            b' ' => {}
            b'>' => self.big_endian = true,
            b'<' => self.big_endian = false,
            b'!' => {
                let alignment = self.number(ALIGNMENT)?;
                if !alignment.is_power_of_two() {
                    return Err(at_call(
                        self.lua,
                        format!("alignment {alignment} is not a power of 2"),
                    ));
                }
                self.alignment = alignment;
            }
            _ => {
                let mut text = b"invalid format option '".to_vec();
                text.extend_from_slice(&[letter, b'\'']);
                let text = String::from_utf8_lossy(&text).into_owned();
                return Err(crate::thrown::bad_argument(self.lua, 1, &text));
            }
        }
        Ok(())
    }

    fn ordered<const N: usize>(&self, mut bytes: [u8; N]) -> [u8; N] {
        if self.big_endian {
            bytes.reverse();
        }
        bytes
    }
}

fn trim_zeros(text: &[u8]) -> &[u8] {
    let zeros = text.iter().take_while(|&&byte| byte == b'0').count();
    &text[zeros.min(text.len() - 1)..]
}

fn pack(lua: &Lua, mut values: MultiValue) -> Result<LuaString> {
    // Compat: the reference has a nil behind the arguments when it reads those after the format.
    if !values.is_empty() {
        values.push_back(Value::Nil);
    }
    let given = Given::new(lua, values);
    let text = given.bytes(1)?;
    let mut format = Format::new(lua, &text);
    let mut out = Vec::new();
    let mut argument = 2;
    while let Some(mut field) = format.next()? {
        out.resize(out.len() + format.padding(out.len(), &field), 0);
        match field.letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                put_integer(given.number(argument)?, &field, &format, &mut out);
                argument += 1;
            }
            b'x' => out.push(0),
            b'f' => {
                let value = given.number(argument)? as f32;
                out.extend_from_slice(&format.ordered(value.to_le_bytes()));
                argument += 1;
            }
            b'd' => {
                let value = given.number(argument)?;
                out.extend_from_slice(&format.ordered(value.to_le_bytes()));
                argument += 1;
            }
            b'c' | b's' => {
                let value = given.bytes(argument)?;
                argument += 1;
                if field.size == 0 {
                    field.size = value.len();
                }
                let Some(part) = value.get(..field.size) else {
                    return Err(given.wrong(argument, "string too short"));
                };
                out.extend_from_slice(part);
                if field.letter == b's' {
                    out.push(0);
                }
            }
            letter => format.control(letter)?,
        }
    }
    lua.create_string(out)
}

/// As C converts a double to a 64-bit integer, of whose bytes the lower ones are kept; what is
/// beyond them is zero.
fn put_integer(number: f64, field: &Field, format: &Format<'_>, out: &mut Vec<u8>) {
    let value = to_integer(number);
    let start = out.len();
    let bytes = value.to_le_bytes().into_iter().chain(std::iter::repeat(0));
    out.extend(bytes.take(field.size));
    if format.big_endian {
        out[start..].reverse();
    }
}

fn to_integer(number: f64) -> u64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    const TOO_LARGE: f64 = LIMIT * 2.0;
    if number < 0.0 {
        return match number >= -LIMIT {
            true => number as i64 as u64,
            false => i64::MIN as u64,
        };
    }
    match number {
        ..TOO_LARGE => number as u64,
        TOO_LARGE.. => 0,
        // Not a number.
        _ => i64::MIN as u64,
    }
}

fn get_integer(bytes: &[u8], signed: bool, big_endian: bool) -> f64 {
    let mut value: u64 = 0;
    let mut add = |byte: &u8| value = value << 8 | u64::from(*byte);
    match big_endian {
        true => bytes.iter().for_each(&mut add),
        false => bytes.iter().rev().for_each(&mut add),
    }
    if !signed {
        return value as f64;
    }
    // What is wider than 64 bits has its sign where the processor's shift leaves it.
    let sign = u64::MAX << ((bytes.len() * 8).wrapping_sub(1) & 63);
    if value & sign != 0 {
        value |= sign;
    }
    value as i64 as f64
}

fn unpack(lua: &Lua, values: MultiValue) -> Result<MultiValue> {
    let given = Given::new(lua, values);
    let text = given.bytes(1)?;
    let data = given.bytes(2)?;
    let position = given.integer_or(3, 1)?;
    if position == 0 {
        return Err(given.wrong(3, "offset must be 1 or greater"));
    }
    let mut at = (position as usize).wrapping_sub(1);
    let mut format = Format::new(lua, &text);
    let mut results = Vec::new();
    let short = || given.wrong(2, "data string too short");
    while let Some(mut field) = format.next()? {
        at = at.wrapping_add(format.padding(at, &field));
        if field.size > data.len() || at > data.len() - field.size {
            return Err(short());
        }
        let bytes = &data[at..at + field.size];
        match field.letter {
            b'b' | b'B' | b'h' | b'H' | b'l' | b'L' | b'T' | b'i' | b'I' => {
                let signed = field.letter.is_ascii_lowercase();
                results.push(Value::Number(get_integer(bytes, signed, format.big_endian)));
            }
            b'x' => {}
            b'f' => {
                let value = bytes.try_into().map(|bytes| format.ordered(bytes));
                let value = f32::from_le_bytes(value.unwrap_or_default());
                results.push(Value::Number(f64::from(value)));
            }
            b'd' => {
                let value = bytes.try_into().map(|bytes| format.ordered(bytes));
                results.push(Value::Number(f64::from_le_bytes(value.unwrap_or_default())));
            }
            b'c' => {
                if field.size == 0 {
                    let Some(&Value::Number(size)) = results.last() else {
                        return Err(at_call(lua, "format 'c0' needs a previous size"));
                    };
                    results.pop();
                    field.size = to_integer(size) as usize;
                    if field.size > data.len() || at > data.len() - field.size {
                        return Err(short());
                    }
                }
                let part = &data[at..at + field.size];
                results.push(Value::String(lua.create_string(part)?));
            }
            b's' => {
                let Some(len) = data[at..].iter().position(|&byte| byte == 0) else {
                    return Err(at_call(lua, "unfinished string in data"));
                };
                results.push(Value::String(lua.create_string(&data[at..at + len])?));
                field.size = len + 1;
            }
            letter => format.control(letter)?,
        }
        at += field.size;
    }
    results.push(Value::Number(at.wrapping_add(1) as i64 as f64));
    Ok(MultiValue::from_vec(results))
}

fn size(lua: &Lua, values: MultiValue) -> Result<usize> {
    let given = Given::new(lua, values);
    let text = given.bytes(1)?;
    let mut format = Format::new(lua, &text);
    let mut position: usize = 0;
    while let Some(field) = format.next()? {
        position += format.padding(position, &field);
        match field.letter {
            b's' => return Err(given.wrong(1, "option 's' has no fixed size")),
            b'c' if field.size == 0 => {
                return Err(given.wrong(1, "option 'c0' has no fixed size"));
            }
            letter if !letter.is_ascii_alphanumeric() => format.control(letter)?,
            _ => {}
        }
        position += field.size;
    }
    Ok(position)
}
