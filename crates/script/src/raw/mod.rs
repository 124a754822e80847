//! How a script is entered and how it asks for commands, by Lua's own interface instead of mlua's:
//! these two ways are most of what a short script costs, and through mlua each value on them takes
//! a reference, a copy, or an allocation.
//!
//! Everything here runs inside of a protected call. Lua leaves a C function that raises an error,
//! or finds no memory, by a jump past the frames above it, so no frame here holds anything to drop
//! while it calls a function of Lua's that may raise: words, texts and replies lie in [`Shared`]
//! and in the host, and `ask`, which needs guards, calls only what cannot raise.

mod push;
mod write;

use std::ffi::c_int;
use std::ptr::null_mut;

use base::double::{DoubleText, format_double};
use mlua::ffi::{
    LUA_ERRMEM, LUA_OK, LUA_REGISTRYINDEX, LUA_TNUMBER, LUA_TSTRING, lua_State, lua_createtable,
    lua_error, lua_gettop, lua_pcall, lua_pop, lua_pushcclosure, lua_pushlightuserdata,
    lua_pushnil, lua_pushvalue, lua_rawgeti_, lua_rawset, lua_rawseti_, lua_settop, lua_tonumber,
    lua_touserdata, lua_type, lua_upvalueindex, luaL_ref,
};
use mlua::{Function, Lua, Result, Table};
use resp::{Reply, Span};

use crate::engine::Input;
use crate::host::{self, Asked, Host, Words};
use crate::sandbox::Shared;

/// Buffers kept from call to call hold at most so many bytes.
const WORDS_BYTES_KEPT: usize = 64 * 1024;

/// Upvalues of [`enter`]: compiled functions by number, the environment's table, the handler of
/// errors, two names.
const FUNCTIONS: c_int = 1;
const GLOBALS: c_int = 2;
const HANDLER: c_int = 3;
const KEYS: c_int = 4;
const ARGV: c_int = 5;

/// Which way a function takes its keys and arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As the globals KEYS and ARGV.
    Script,
    /// As its two arguments.
    Function,
}

/// One run.
pub(crate) struct Task<'a> {
    pub(crate) form: Form,
    pub(crate) function: c_int,
    pub(crate) input: Input<'a>,
    pub(crate) out: &'a mut Reply,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its reply is written.
    Returned,
    /// The handler has seen an error.
    Raised,
    /// There was no memory for it, its arguments or its reply.
    NoMemory,
}

/// The way into scripts.
pub(crate) struct Door {
    /// Keeps the state alive.
    _lua: Lua,
    state: *mut lua_State,
    /// `enter` in the registry.
    entry: c_int,
}

impl Door {
    pub(crate) fn new(
        lua: &Lua,
        functions: &Table,
        globals: &Table,
        handler: &Function,
    ) -> Result<Door> {
        let (mut state, mut entry) = (null_mut(), 0);
        let upvalues = (functions, globals, handler, "KEYS", "ARGV");
        // SAFETY: the five values are on the stack, and the closure takes them; no frame has
        // anything to drop.
        unsafe {
            lua.exec_raw::<()>(upvalues, |raw| {
                lua_pushcclosure(raw, enter, 5);
                entry = luaL_ref(raw, LUA_REGISTRYINDEX);
                state = raw;
            })?;
        }
        let _lua = lua.clone();
        Ok(Door { _lua, state, entry })
    }

    /// Runs a function; its host is lent already.
    pub(crate) fn run(&self, task: Task<'_>) -> Outcome {
        let (state, mut outcome) = (self.state, Outcome::NoMemory);
        let mut task = (task, &mut outcome);
        // SAFETY: the state lives as long as `_lua`, and nothing else runs on it: scripts cannot
        // run scripts. The base level has free slots, and what is pushed needs no memory; all else
        // happens inside of the call. `task` lives until that is over.
        unsafe {
            lua_rawgeti_(state, LUA_REGISTRYINDEX, self.entry);
            lua_pushlightuserdata(state, (&raw mut task).cast());
            if lua_pcall(state, 1, 0, 0) != LUA_OK {
                lua_pop(state, 1);
            }
        }
        outcome
    }
}

/// What Lua calls to run a [`Task`], its only argument.
unsafe extern "C-unwind" fn enter(state: *mut lua_State) -> c_int {
    // SAFETY: the argument is what `Door::run` has pushed, and the upvalues what `Door::new` has.
    // No frame has anything to drop; 20 slots are free, of which this takes fewer than 10.
    unsafe {
        let (task, outcome) = &mut *lua_touserdata(state, 1).cast::<(Task<'_>, &mut Outcome)>();
        let input = task.input;
        lua_pushvalue(state, lua_upvalueindex(HANDLER));
        lua_rawgeti_(state, lua_upvalueindex(FUNCTIONS), task.function);
        let given = match task.form {
            Form::Script => {
                for (name, words) in [(KEYS, input.keys), (ARGV, input.args)] {
                    lua_pushvalue(state, lua_upvalueindex(name));
                    sequence(state, input.buffer, words);
                    lua_rawset(state, lua_upvalueindex(GLOBALS));
                }
                0
            }
            Form::Function => {
                sequence(state, input.buffer, input.keys);
                sequence(state, input.buffer, input.args);
                2
            }
        };
        let handler = 2;
        match lua_pcall(state, given, 1, handler) {
            LUA_OK => {}
            // The handler is not called then; the outcome is that already.
            LUA_ERRMEM => return 0,
            _ => {
                **outcome = Outcome::Raised;
                return 0;
            }
        }
        let (ending, proto) =
            host::with(|host, shared| (shared.ending.get(), host.proto())).unwrap_or_default();
        if !ending {
            write::reply(state, proto, task.out);
        }
        **outcome = Outcome::Returned;
    }
    0
}

/// Pushes a sequence of strings.
unsafe fn sequence(state: *mut lua_State, buffer: &[u8], words: &[Span]) {
    // SAFETY: as for the caller; two slots are free.
    unsafe {
        lua_createtable(state, words.len() as c_int, 0);
        for (at, word) in words.iter().enumerate() {
            push::string(state, word.of(buffer));
            lua_rawseti_(state, -2, at as c_int + 1);
        }
    }
}

/// Adds `call` and `pcall` to the `redis` table.
pub(crate) fn add_calls(lua: &Lua, table: &Table) -> Result<()> {
    // SAFETY: both keep to the rules for C functions: see the module's head.
    let (call, pcall) = unsafe { (lua.create_c_function(call)?, lua.create_c_function(pcall)?) };
    table.raw_set("call", call)?;
    table.raw_set("pcall", pcall)
}

/// `redis.call`.
///
/// # Safety
/// For Lua to call.
unsafe extern "C-unwind" fn call(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its arguments on the stack; no frame has anything to drop.
    unsafe {
        match answer(state) {
            true => 1,
            false => lua_error(state),
        }
    }
}

/// `redis.pcall`.
///
/// # Safety
/// For Lua to call.
unsafe extern "C-unwind" fn pcall(state: *mut lua_State) -> c_int {
    // SAFETY: as for `call`.
    unsafe {
        if !answer(state) && lua_type(state, -1) != mlua::ffi::LUA_TTABLE {
            lua_error(state);
        }
    }
    1
}

/// What became of a command. The bytes lie in the host or in [`Shared`] until the next one.
enum Answer {
    Reply(*const [u8]),
    /// With `true`: INFO's counters have it already.
    Error(*const [u8], bool),
    End,
}

/// Runs the command in the arguments and pushes its reply; `false`: an error, as a table, or the
/// script's end, as nil.
unsafe fn answer(state: *mut lua_State) -> bool {
    // SAFETY: as for `call`; the host's guards are gone when `with` returns, and nobody writes to
    // the bytes while they are copied: what Lua frees meanwhile runs nothing of ours.
    unsafe {
        let answer = host::with(|host, shared| ask(state, host, shared));
        lua_settop(state, 0);
        match answer {
            Some(Answer::Reply(bytes)) => match &*bytes {
                [b'-', text @ ..] => {
                    push::error(state, &text[..text.len().saturating_sub(2)], true);
                    return false;
                }
                bytes => push::reply(state, bytes),
            },
            Some(Answer::Error(text, counted)) => {
                push::error(state, &*text, counted);
                return false;
            }
            Some(Answer::End) => {
                lua_pushnil(state);
                return false;
            }
            None => {
                push::error(state, OUTSIDE, false);
                return false;
            }
        }
        true
    }
}

const OUTSIDE: &[u8] = b"ERR redis.call/pcall can only be called inside a script invocation";
const NO_WORDS: &[u8] = b"ERR Please specify at least one argument for this redis lib call";
const BAD_WORD: &[u8] = b"ERR Lua redis lib command arguments must be strings or integers";

unsafe fn ask(state: *mut lua_State, host: &mut dyn Host, shared: &Shared) -> Answer {
    let mut words = shared.words.borrow_mut();
    // SAFETY: as for `call`.
    if let Err(text) = unsafe { read_words(state, &mut words) } {
        return Answer::Error(text, false);
    }
    let answer = match host.run(&words) {
        Asked::Ran => Answer::Reply(host.reply()),
        Asked::Refused { text, counted } => {
            let mut refusal = shared.refusal.borrow_mut();
            *refusal = text;
            Answer::Error(&raw const refusal[..], counted)
        }
        Asked::End => {
            shared.ending.set(true);
            Answer::End
        }
    };
    if words.buffer.capacity() > WORDS_BYTES_KEPT {
        *words = Words::default();
    }
    answer
}

/// Reads the words of a command from the stack.
unsafe fn read_words(
    state: *mut lua_State,
    words: &mut Words,
) -> std::result::Result<(), &'static [u8]> {
    words.clear();
    // SAFETY: the arguments of a function are on its stack; none of these calls can raise, since
    // only what is a string is read as one.
    unsafe {
        let count = lua_gettop(state);
        if count == 0 {
            return Err(NO_WORDS);
        }
        for at in 1..=count {
            match lua_type(state, at) {
                LUA_TSTRING => {
                    let text = write::bytes(state, at);
                    words.push(|buffer| buffer.extend_from_slice(text));
                }
                LUA_TNUMBER => push_number(lua_tonumber(state, at), words),
                _ => return Err(BAD_WORD),
            }
        }
    }
    Ok(())
}

/// A number as a word.
pub(crate) fn push_number(number: f64, words: &mut Words) {
    // Up to here the reference takes whole numbers as integers.
    const WHOLE: f64 = 4_611_686_018_427_387_904.0;
    words.push(|buffer| {
        if number.abs() <= WHOLE && number.trunc() == number {
            base::num::append_i64(number as i64, buffer);
        } else if number.is_nan() && number.is_sign_negative() {
            buffer.extend_from_slice(b"-nan");
        } else {
            let mut text = DoubleText::default();
            buffer.extend_from_slice(format_double(number, &mut text));
        }
    });
}
