//! Replies as Lua values, pushed onto the stack. Source: redis.io, "Redis Lua API reference", "Data
//! type conversion"; checked against the reference by transcripts.
//!
//! Any call here may leave by a jump of Lua's (no memory), past the frames below: none of them
//! holds anything that would have to be dropped.

use std::ffi::{CStr, c_int};

use mlua::ffi::{
    lua_State, lua_checkstack, lua_createtable, lua_pop, lua_pushboolean, lua_pushlstring_,
    lua_pushnil, lua_pushnumber, lua_rawset, lua_rawseti_, lua_setfield,
};

/// The field of an error's table which says that INFO's counters have it already.
pub(super) const COUNTED: &CStr = c"ignore_error_stats_update";

/// Stack slots that one level of a reply takes.
const SLOTS: c_int = 4;

/// Reads RESP that this server has written.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// The type byte and the rest of the line.
    #[inline]
    fn line(&mut self) -> (u8, &'a [u8]) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|&byte| byte == b'\r');
        let end = end.unwrap_or(rest.len());
        self.at += end + 2;
        match rest[..end] {
            [kind, ref text @ ..] => (kind, text),
            // Not RESP: nil.
            [] => (b'_', b""),
        }
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

/// Pushes the reply in `bytes`.
///
/// # Safety
/// Called from a function that Lua has called on `state`, by frames without anything to drop.
pub(super) unsafe fn reply(state: *mut lua_State, bytes: &[u8]) {
    // SAFETY: as the caller promises.
    unsafe { value(state, &mut Reader { bytes, at: 0 }) }
}

/// Pushes a table with a field `err`.
///
/// # Safety
/// As for [`reply`].
pub(super) unsafe fn error(state: *mut lua_State, text: &[u8], counted: bool) {
    // SAFETY: a C function has 20 free slots, and each level below asks for its own.
    unsafe {
        field(state, c"err", text);
        if counted {
            lua_pushboolean(state, 1);
            lua_setfield(state, -2, COUNTED.as_ptr());
        }
    }
}

/// Pushes a string.
///
/// # Safety
/// As for [`reply`]; there is a free slot.
#[inline]
pub(super) unsafe fn string(state: *mut lua_State, text: &[u8]) {
    // SAFETY: Lua copies that many bytes.
    unsafe { lua_pushlstring_(state, text.as_ptr().cast(), text.len()) }
}

/// Pushes a table with this one field.
unsafe fn field(state: *mut lua_State, name: &CStr, text: &[u8]) {
    // SAFETY: as the caller promises; the table has no metatable.
    unsafe {
        lua_createtable(state, 0, 1);
        string(state, text);
        lua_setfield(state, -2, name.as_ptr());
    }
}

/// Puts the value on top into a table with this one field, in its place.
unsafe fn wrap(state: *mut lua_State, name: &CStr) {
    // SAFETY: as the caller promises; the value is moved above the table.
    unsafe {
        lua_createtable(state, 0, 1);
        mlua::ffi::lua_insert(state, -2);
        lua_setfield(state, -2, name.as_ptr());
    }
}

unsafe fn value(state: *mut lua_State, reader: &mut Reader<'_>) {
    // SAFETY: the slots are there, or this is nil; every branch pushes one value.
    unsafe {
        if lua_checkstack(state, SLOTS) == 0 {
            return lua_pushnil(state);
        }
        let (kind, text) = reader.line();
        match (kind, length(text)) {
            (b'$', Some(len)) => string(state, reader.body(len)),
            (b'$' | b'*', None) => lua_pushboolean(state, 0),
            (b':', _) => lua_pushnumber(state, base::num::parse_i64(text).unwrap_or(0) as f64),
            (b'+', _) => field(state, c"ok", text),
            (b'-', _) => error(state, text, true),
            (b'*' | b'>', Some(len)) => sequence(state, reader, len),
            (b'#', _) => lua_pushboolean(state, c_int::from(text == b"t")),
            (b',', _) => {
                let number = std::str::from_utf8(text).map(str::parse::<f64>);
                lua_pushnumber(state, number.ok().and_then(Result::ok).unwrap_or(0.0));
                wrap(state, c"double");
            }
            (b'(', _) => field(state, c"big_number", text),
            (b'=', Some(len)) => {
                let body = reader.body(len);
                let (format, text) = body.split_at_checked(4).unwrap_or((b"txt:", body));
                field(state, c"format", &format[..3]);
                string(state, text);
                lua_setfield(state, -2, c"string".as_ptr());
                wrap(state, c"verbatim_string");
            }
            (b'%', Some(len)) => pairs(state, reader, len),
            (b'~', Some(len)) => members(state, reader, len),
            // Attributes are not shown to scripts.
            (b'|', Some(len)) => {
                for _ in 0..2 * len {
                    value(state, reader);
                    lua_pop(state, 1);
                }
                value(state, reader);
            }
            // Null of RESP3; there is nothing else.
            _ => lua_pushnil(state),
        }
    }
}

unsafe fn sequence(state: *mut lua_State, reader: &mut Reader<'_>, len: usize) {
    // SAFETY: as for `value`.
    unsafe {
        lua_createtable(state, len as c_int, 0);
        for at in 1..=len {
            value(state, reader);
            lua_rawseti_(state, -2, at as c_int);
        }
    }
}

unsafe fn pairs(state: *mut lua_State, reader: &mut Reader<'_>, len: usize) {
    // SAFETY: as for `value`.
    unsafe {
        lua_createtable(state, 0, len as c_int);
        for _ in 0..len {
            value(state, reader);
            value(state, reader);
            lua_rawset(state, -3);
        }
        wrap(state, c"map");
    }
}

unsafe fn members(state: *mut lua_State, reader: &mut Reader<'_>, len: usize) {
    // SAFETY: as for `value`.
    unsafe {
        lua_createtable(state, 0, len as c_int);
        for _ in 0..len {
            value(state, reader);
            lua_pushboolean(state, 1);
            lua_rawset(state, -3);
        }
        wrap(state, c"set");
    }
}
