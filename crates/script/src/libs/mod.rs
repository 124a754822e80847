//! The libraries that scripts find beside Lua's own. Written anew; behaviour asked from Redis
//! 8.2.3 and held to it by the transcripts of EVAL and by random scripts that must give the same
//! there and here (`testkit::differential::lua`, `cargo xtask differential --lua`).

mod bit;
mod cjson;
mod cmsgpack;
mod json_reader;
mod packing;

use mlua::{Lua, Result, Table};

/// Adds all libraries.
pub(crate) fn add(lua: &Lua, tables: &Table) -> Result<()> {
    tables.raw_set("bit", bit::table(lua)?)?;
    tables.raw_set("cjson", cjson::table(lua)?)?;
    tables.raw_set("cmsgpack", cmsgpack::table(lua)?)?;
    tables.raw_set("struct", packing::table(lua)?)
}
