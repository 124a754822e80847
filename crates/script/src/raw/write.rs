//! What a script has returned, as a reply. Source: as `push`.
//!
//! Only reads the stack and writes the reply; Lua may still leave by a jump (no memory for more
//! stack), past frames that hold nothing to drop. What the reply has by then is dropped by those
//! who see the error.

use std::ffi::{CStr, c_int};

use base::strings::until_nul;
use mlua::ffi::{
    LUA_TBOOLEAN, LUA_TNIL, LUA_TNUMBER, LUA_TSTRING, LUA_TTABLE, lua_State, lua_checkstack,
    lua_next, lua_pop, lua_pushnil, lua_pushvalue, lua_rawget_, lua_rawgeti_, lua_toboolean,
    lua_tolstring, lua_tonumber, lua_type,
};
use resp::{Proto, Reply};

use super::push::{self, COUNTED};
use crate::host;

/// Deepest nesting of tables in a script's reply.
const DEPTH_MAX: usize = 1000;

/// Stack slots that one level takes.
const SLOTS: c_int = 6;

/// Writes the value on top of the stack; `proto` is what the script has chosen for itself.
///
/// # Safety
/// Called from a function that Lua has called on `state`, by frames without anything to drop.
pub(super) unsafe fn reply(state: *mut lua_State, proto: Proto, out: &mut Reply) {
    // SAFETY: as the caller promises.
    unsafe { value(state, proto, out, DEPTH_MAX) }
}

/// The bytes of the string at `index`.
///
/// # Safety
/// It is a string, and it stays where it is for as long as the bytes are used.
#[inline]
pub(super) unsafe fn bytes<'a>(state: *mut lua_State, index: c_int) -> &'a [u8] {
    let mut len = 0;
    // SAFETY: a string is not converted, so this gives its own bytes and their number.
    unsafe {
        let text = lua_tolstring(state, index, &mut len);
        std::slice::from_raw_parts(text.cast(), len)
    }
}

/// Writes the value on top of the stack and leaves the stack as it was.
unsafe fn value(state: *mut lua_State, proto: Proto, out: &mut Reply, depth: usize) {
    // SAFETY: the kind of the value is known before it is read.
    unsafe {
        match lua_type(state, -1) {
            LUA_TSTRING => out.bulk(bytes(state, -1)),
            LUA_TNUMBER => out.int(truncated(lua_tonumber(state, -1))),
            LUA_TBOOLEAN => match (proto, lua_toboolean(state, -1) != 0) {
                (Proto::Resp3, value) => out.boolean(value),
                (Proto::Resp2, true) => out.int(1),
                (Proto::Resp2, false) => out.null(),
            },
            LUA_TTABLE => {
                if depth == 0 || lua_checkstack(state, SLOTS) == 0 {
                    out.error(b"ERR reached lua stack limit");
                } else if !special(state, proto, out, depth - 1) {
                    array(state, proto, out, depth - 1);
                }
            }
            _ => out.null(),
        }
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

/// Pushes a field of the table on top; whether it is of this kind.
unsafe fn field(state: *mut lua_State, name: &CStr, kind: c_int) -> bool {
    // SAFETY: there is a table on top and a free slot.
    unsafe {
        push::string(state, name.to_bytes());
        lua_rawget_(state, -2);
        lua_type(state, -1) == kind
    }
}

/// How a field that stands for a type is written; it is on top of the stack.
type Write = unsafe fn(*mut lua_State, Proto, &mut Reply, usize) -> bool;

/// The fields that stand for a type, in the order in which they are looked for.
const SPECIAL: [(&CStr, c_int, Write); 7] = [
    (c"err", LUA_TSTRING, error),
    (c"ok", LUA_TSTRING, status),
    (c"double", LUA_TNUMBER, double),
    (c"map", LUA_TTABLE, map),
    (c"set", LUA_TTABLE, set),
    (c"big_number", LUA_TSTRING, big_number),
    (c"verbatim_string", LUA_TTABLE, verbatim),
];

/// A table with one of the fields that stand for a type; whether it was one.
unsafe fn special(state: *mut lua_State, proto: Proto, out: &mut Reply, depth: usize) -> bool {
    for (name, kind, write) in SPECIAL {
        // SAFETY: the field is pushed, written if it is of its kind, and popped.
        unsafe {
            let found = field(state, name, kind) && write(state, proto, out, depth);
            lua_pop(state, 1);
            if found {
                return true;
            }
        }
    }
    false
}

unsafe fn error(state: *mut lua_State, _: Proto, out: &mut Reply, _: usize) -> bool {
    // SAFETY: a string is on top, its table below; the host's guards are gone before the next call
    // that may raise.
    unsafe {
        let text = bytes(state, -1);
        push::string(state, COUNTED.to_bytes());
        lua_rawget_(state, -3);
        let counted = lua_type(state, -1) == LUA_TBOOLEAN && lua_toboolean(state, -1) != 0;
        lua_pop(state, 1);
        host::with(|host, _| host.note_error(text, counted));
        let is_line_end = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        let mut text = until_nul(text);
        text = &text[..text.len() - text.iter().rev().take_while(is_line_end).count()];
        // Compat: line ends go from the end, but from the start they become spaces.
        match text.iter().take_while(is_line_end).count() {
            0 => out.error(text),
            blanks => out.error(&[&vec![b' '; blanks], &text[blanks..]].concat()),
        }
    }
    true
}

unsafe fn status(state: *mut lua_State, _: Proto, out: &mut Reply, _: usize) -> bool {
    // SAFETY: a string is on top.
    out.simple(until_nul(unsafe { bytes(state, -1) }));
    true
}

unsafe fn double(state: *mut lua_State, _: Proto, out: &mut Reply, _: usize) -> bool {
    // SAFETY: a number is on top.
    out.double(unsafe { lua_tonumber(state, -1) });
    true
}

unsafe fn map(state: *mut lua_State, proto: Proto, out: &mut Reply, depth: usize) -> bool {
    let later = out.map_later();
    let mut count = 0;
    // SAFETY: a table is on top; `lua_next` finds its key again, since nothing changes the table
    // and no key is converted.
    unsafe {
        lua_pushnil(state);
        while lua_next(state, -2) != 0 {
            lua_pushvalue(state, -2);
            value(state, proto, out, depth);
            lua_pop(state, 1);
            value(state, proto, out, depth);
            lua_pop(state, 1);
            count += 1;
        }
    }
    out.finish(later, count);
    true
}

unsafe fn set(state: *mut lua_State, proto: Proto, out: &mut Reply, depth: usize) -> bool {
    let later = out.set_later();
    let mut count = 0;
    // SAFETY: as in `map`.
    unsafe {
        lua_pushnil(state);
        while lua_next(state, -2) != 0 {
            lua_pop(state, 1);
            value(state, proto, out, depth);
            count += 1;
        }
    }
    out.finish(later, count);
    true
}

unsafe fn big_number(state: *mut lua_State, _: Proto, out: &mut Reply, _: usize) -> bool {
    // SAFETY: a string is on top.
    let digits = unsafe { bytes(state, -1) }.iter();
    let blank = |&byte: &u8| match byte {
        b'\r' | b'\n' => b' ',
        other => other,
    };
    out.big_number(&digits.map(blank).collect::<Vec<_>>());
    true
}

unsafe fn verbatim(state: *mut lua_State, _: Proto, out: &mut Reply, _: usize) -> bool {
    // SAFETY: a table is on top; its two fields stay on the stack while their bytes are used.
    unsafe {
        let whole = field(state, c"format", LUA_TSTRING);
        mlua::ffi::lua_insert(state, -2);
        let whole = field(state, c"string", LUA_TSTRING) && whole;
        mlua::ffi::lua_insert(state, -2);
        // Now: format, string, table.
        if whole {
            let mut kind = *b"   ";
            for (to, from) in kind.iter_mut().zip(bytes(state, -3)) {
                *to = *from;
            }
            out.verbatim(&kind, bytes(state, -2));
        }
        mlua::ffi::lua_insert(state, -3);
        lua_pop(state, 2);
        whole
    }
}

/// The elements from 1 up to the first that is not there.
unsafe fn array(state: *mut lua_State, proto: Proto, out: &mut Reply, depth: usize) {
    let later = out.array_later();
    let mut count = 0;
    // SAFETY: a table is on top.
    unsafe {
        loop {
            lua_rawgeti_(state, -1, count as c_int + 1);
            if lua_type(state, -1) == LUA_TNIL {
                lua_pop(state, 1);
                break;
            }
            value(state, proto, out, depth);
            lua_pop(state, 1);
            count += 1;
        }
    }
    out.finish(later, count);
}
