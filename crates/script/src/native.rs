//! Rust functions for Lua to call.
//!
//! A state has a limit of memory, but not while one of these runs: mlua would then protect each of
//! its steps against Lua's running out of memory, which takes longer than the steps. What they make
//! is bounded by what they are given.

use mlua::{FromLuaMulti, Function, IntoLuaMulti, Lua, Result};

/// A function that runs `run`.
pub(crate) fn function<A: FromLuaMulti, R: IntoLuaMulti>(
    lua: &Lua,
    run: impl Fn(&Lua, A) -> Result<R> + 'static,
) -> Result<Function> {
    lua.create_function(move |lua, given| {
        let limit = lua.set_memory_limit(0)?;
        let result = run(lua, given);
        lua.set_memory_limit(limit)?;
        result
    })
}
