//! Builds a Lua state's sandbox: the native functions that `prelude.lua` works with, the libraries,
//! and the environment that comes out of it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use mlua::chunk::ChunkMode;
use mlua::state::{GcIncParams, GcMode};
use mlua::{Function, Lua, LuaOptions, MultiValue, Result, StdLib, Table, Value};

use crate::api;
use crate::engine::Facts;
use crate::host::Words;
use crate::library::Registering;
use crate::libs;
use crate::native;
use crate::thrown::{self, Given, Report, SANDBOX, Thrown};

/// The reference's generator of random numbers starts here (POSIX `lrand48` without a seed).
const FIRST_RANDOM: u64 = 0x1234_abcd_330e;

/// A collection of garbage begins when there is so much of what the last one left. Less than Lua's
/// own 200: it costs nothing that could be measured, since a state is small.
const PAUSE_PERCENT: i32 = 130;

/// What the native functions of one state share.
#[derive(Default)]
pub(crate) struct Shared {
    /// The error that ended the run.
    pub(crate) report: RefCell<Option<Report>>,
    /// The script has to end: nothing it catches may keep it going.
    pub(crate) ending: Cell<bool>,
    /// Functions registered by the library that is being loaded.
    pub(crate) registering: RefCell<Option<Registering>>,
    /// The words of the command that a script asks for.
    pub(crate) words: RefCell<Words>,
    /// Why the last command was refused.
    pub(crate) refusal: RefCell<Vec<u8>>,
    random: Cell<u64>,
}

/// What a sandbox consists of.
pub(crate) struct Sandbox {
    pub(crate) lua: Lua,
    pub(crate) shared: Rc<Shared>,
    /// What the environment of scripts reads from; KEYS and ARGV are set here.
    pub(crate) globals: Table,
    /// Sees an error where it arose.
    pub(crate) handler: Function,
    /// Runs a library's own code.
    pub(crate) load_library: Function,
    /// What libraries see.
    pub(crate) libraries: Table,
}

/// A fresh sandbox.
pub(crate) fn build(facts: &Facts) -> Result<Sandbox> {
    let parts = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::OS;
    let lua = Lua::new_with(parts, LuaOptions::new().catch_rust_panics(false))?;
    lua.gc_set_mode(GcMode::Incremental(
        GcIncParams::default().pause(PAUSE_PERCENT),
    ));
    let shared = Rc::new(Shared {
        random: Cell::new(FIRST_RANDOM),
        ..Shared::default()
    });
    let natives = natives(&lua, &shared)?;
    natives.raw_set("loading", api::loading_table(&lua, &shared, facts)?)?;
    let tables = lua.create_table()?;
    tables.raw_set("redis", api::table(&lua, facts)?)?;
    libs::add(&lua, &tables)?;
    let prelude = lua
        .load(&include_bytes!("prelude.lua")[..])
        .set_name(format!("={SANDBOX}"))
        .set_mode(ChunkMode::Text)
        .into_function()?;
    let handler = natives.raw_get("handler")?;
    let (scripts, globals, load_library, libraries) =
        prelude.call::<(Table, Table, Function, Table)>((natives, tables))?;
    lua.set_globals(scripts)?;
    lua.set_memory_limit(facts.bytes_max)?;
    Ok(Sandbox {
        lua,
        shared,
        globals,
        handler,
        load_library,
        libraries,
    })
}

fn natives(lua: &Lua, shared: &Rc<Shared>) -> Result<Table> {
    let natives = lua.create_table()?;
    let state = shared.clone();
    let caught = move |lua: &Lua, (error, flat): (Value, bool)| {
        end_if_due(&state)?;
        thrown::caught(lua, error, flat)
    };
    natives.raw_set("caught", native::function(lua, caught)?)?;
    let state = shared.clone();
    let check = move |_: &Lua, ()| end_if_due(&state);
    natives.raw_set("check", native::function(lua, check)?)?;
    let state = shared.clone();
    let handler = move |lua: &Lua, error: Value| {
        *state.report.borrow_mut() = thrown::report(lua, &error)?;
        Ok(())
    };
    natives.raw_set("handler", native::function(lua, handler)?)?;
    natives.raw_set("loadstring", native::function(lua, loadstring)?)?;
    let state = shared.clone();
    let random = move |lua: &Lua, values: MultiValue| random(lua, &state.random, values);
    natives.raw_set("random", native::function(lua, random)?)?;
    let state = shared.clone();
    let seed = move |lua: &Lua, values: MultiValue| {
        let seed = Given::new(lua, values).integer(1)? as i32 as u32;
        state.random.set(u64::from(seed) << 16 | 0x330e);
        Ok(())
    };
    natives.raw_set("randomseed", native::function(lua, seed)?)?;
    Ok(natives)
}

fn end_if_due(shared: &Shared) -> Result<()> {
    match shared.ending.get() {
        true => Err(Thrown::End.into()),
        false => Ok(()),
    }
}

/// Only text: a made-up binary chunk can do anything to the process.
fn loadstring(lua: &Lua, values: MultiValue) -> Result<(Value, Value)> {
    let given = Given::new(lua, values);
    let source = given.bytes(1)?;
    let name = match given.get(2) {
        None | Some(Value::Nil) => source.clone(),
        Some(_) => given.bytes(2)?,
    };
    let name = String::from_utf8_lossy(base::strings::until_nul(&name)).into_owned();
    let refused = |text: &str| Ok((Value::Nil, Value::String(lua.create_string(text)?)));
    if source.first() == Some(&0x1b) {
        let shown = name.split('\n').next().unwrap_or_default();
        return refused(&format!(
            "[string \"{shown}\"]:1: unexpected symbol near 'char(27)'"
        ));
    }
    let chunk = lua.load(source).set_name(name).set_mode(ChunkMode::Text);
    match chunk.into_function() {
        Ok(function) => Ok((Value::Function(function), Value::Nil)),
        Err(mlua::Error::SyntaxError { message, .. }) => refused(&message),
        Err(error) => Err(error),
    }
}

/// Linear congruence over 48 bits, of which the upper 31 are given (POSIX `lrand48`).
fn random(lua: &Lua, state: &Cell<u64>, values: MultiValue) -> Result<f64> {
    const RANGE: u64 = i32::MAX as u64;
    let next = state.get().wrapping_mul(0x5_deec_e66d).wrapping_add(0xb) & ((1 << 48) - 1);
    state.set(next);
    let fraction = ((next >> 17) % RANGE) as f64 / RANGE as f64;
    let given = Given::new(lua, values);
    match given.count() {
        0 => Ok(fraction),
        1 => match given.integer(1)? {
            ..1 => Err(given.wrong(1, "interval is empty")),
            upper => Ok((fraction * upper as f64).floor() + 1.0),
        },
        2 => {
            let (lower, upper) = (given.integer(1)?, given.integer(2)?);
            if lower > upper {
                return Err(given.wrong(2, "interval is empty"));
            }
            let count = (upper as i32).wrapping_sub(lower as i32).wrapping_add(1);
            Ok((fraction * f64::from(count)).floor() + lower as f64)
        }
        _ => Err(thrown::at_call(lua, "wrong number of arguments")),
    }
}
