//! `bit`: operations on 32-bit integers. Source: bitop.luajit.org.

use mlua::{Lua, MultiValue, Result, Table};

use crate::native;
use crate::thrown::Given;

/// Adding this leaves a double's value modulo 2^32 in its low bits (2^52 + 2^51).
const SHIFT_TO_INTEGER: f64 = 6_755_399_441_055_744.0;

/// `tohex` without a second argument.
const HEX_DIGITS: i32 = 8;

type Shift = fn(u32, u32) -> u32;
type Fold = fn(u32, u32) -> u32;

const SHIFTS: [(&str, Shift); 5] = [
    ("lshift", |value, by| value << by),
    ("rshift", |value, by| value >> by),
    ("arshift", |value, by| (value as i32 >> by) as u32),
    ("rol", u32::rotate_left),
    ("ror", u32::rotate_right),
];

const FOLDS: [(&str, Fold); 3] = [
    ("band", |a, b| a & b),
    ("bor", |a, b| a | b),
    ("bxor", |a, b| a ^ b),
];

type Single = fn(u32) -> u32;

const SINGLE: [(&str, Single); 3] = [
    ("tobit", |value| value),
    ("bnot", |value| !value),
    ("bswap", u32::swap_bytes),
];

pub(super) fn table(lua: &Lua) -> Result<Table> {
    let table = lua.create_table()?;
    for (name, run) in SHIFTS {
        let function = move |lua: &Lua, values: MultiValue| {
            let given = Given::new(lua, values);
            Ok(run(bits(&given, 1)?, bits(&given, 2)? & 31) as i32)
        };
        table.raw_set(name, native::function(lua, function)?)?;
    }
    for (name, run) in FOLDS {
        let function = move |lua: &Lua, values: MultiValue| {
            let given = Given::new(lua, values);
            let mut value = bits(&given, 1)?;
            for number in (2..=given.count()).rev() {
                value = run(value, bits(&given, number)?);
            }
            Ok(value as i32)
        };
        table.raw_set(name, native::function(lua, function)?)?;
    }
    for (name, run) in SINGLE {
        let function =
            move |lua: &Lua, values: MultiValue| Ok(run(bits(&Given::new(lua, values), 1)?) as i32);
        table.raw_set(name, native::function(lua, function)?)?;
    }
    table.raw_set("tohex", native::function(lua, tohex)?)?;
    Ok(table)
}

fn bits(given: &Given<'_>, number: usize) -> Result<u32> {
    Ok((given.number(number)? + SHIFT_TO_INTEGER).to_bits() as u32)
}

fn tohex(lua: &Lua, values: MultiValue) -> Result<String> {
    let given = Given::new(lua, values);
    let value = bits(&given, 1)?;
    let digits = match given.get(2) {
        None => HEX_DIGITS,
        Some(_) => bits(&given, 2)? as i32,
    };
    let text = match digits < 0 {
        true => format!("{value:08X}"),
        false => format!("{value:08x}"),
    };
    let shown = digits.unsigned_abs().min(HEX_DIGITS as u32) as usize;
    Ok(text[text.len() - shown..].to_owned())
}
