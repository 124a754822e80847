//! Libraries of functions: what their code registers while it is loaded.

use mlua::{Lua, MultiValue, Result, Table, Value};

use crate::api::is_named;
use crate::engine::{Compiled, Engine};
use crate::header::Flags;
use crate::sandbox::Shared;
use crate::thrown::{Given, as_text, reply};

/// One registered function.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: Vec<u8>,
    /// What FUNCTION LIST says of it.
    pub description: Option<Vec<u8>>,
    /// What it says of itself.
    pub flags: Flags,
    /// How to run it, in the engine that has loaded it.
    pub code: Compiled,
}

/// A loaded library.
#[derive(Clone, Debug)]
pub struct Library {
    /// Its functions, in the order in which they were registered.
    pub functions: Vec<Function>,
}

/// What a library has registered so far.
#[derive(Default)]
pub(crate) struct Registering {
    functions: Vec<Registered>,
}

struct Registered {
    name: Vec<u8>,
    description: Option<Vec<u8>>,
    flags: Flags,
    callback: mlua::Function,
}

impl Registering {
    pub(crate) fn into_library(self, engine: &mut Engine) -> Result<Library> {
        let mut functions = Vec::new();
        for registered in self.functions {
            functions.push(Function {
                name: registered.name,
                description: registered.description,
                flags: registered.flags,
                code: engine.keep(registered.callback)?,
            });
        }
        Ok(Library { functions })
    }
}

/// A name as functions and libraries may have it.
pub(crate) fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// `redis.register_function`.
pub(crate) fn register(lua: &Lua, shared: &Shared, values: &MultiValue) -> Result<()> {
    let registered = match (values.front(), values.len()) {
        (Some(Value::Table(table)), 1) => from_table(lua, table)?,
        (Some(_), 1) => {
            return Err(reply(
                "calling redis.register_function with a single argument is only applicable to Lua \
                 table (representing named arguments).",
            ));
        }
        (_, 2) => from_pair(lua, values)?,
        _ => {
            return Err(reply(
                "wrong number of arguments to redis.register_function",
            ));
        }
    };
    if !is_name(&registered.name) {
        return Err(reply(
            "Library names can only contain letters, numbers, or underscores(_) and must be at \
             least one character long",
        ));
    }
    let mut registering = shared.registering.borrow_mut();
    let Some(registering) = &mut *registering else {
        return Err(reply(
            "redis.register_function can only be called on FUNCTION LOAD command",
        ));
    };
    let known = registering
        .functions
        .iter()
        .any(|function| function.name == registered.name);
    if known {
        return Err(reply("Function already exists in the library"));
    }
    registering.functions.push(registered);
    Ok(())
}

fn from_pair(lua: &Lua, values: &MultiValue) -> Result<Registered> {
    let given = Given::new(lua, values.clone());
    let Some(name) = as_text(lua, given.get(1)) else {
        return Err(reply(
            "first argument to redis.register_function must be a string",
        ));
    };
    let Some(Value::Function(callback)) = given.get(2) else {
        return Err(reply(
            "second argument to redis.register_function must be a function",
        ));
    };
    Ok(Registered {
        name,
        description: None,
        flags: Flags::default(),
        callback: callback.clone(),
    })
}

fn from_table(lua: &Lua, table: &Table) -> Result<Registered> {
    let (mut name, mut callback, mut description) = (None, None, None);
    let mut flags = Flags::default();
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let Value::String(key) = key else {
            return Err(reply(
                "named argument key given to redis.register_function is not a string",
            ));
        };
        let key = key.as_bytes();
        match value {
            value if is_named(&key, "function_name") => {
                name = Some(as_text(lua, Some(&value)).ok_or_else(|| {
                    reply(
                        "function_name argument given to redis.register_function must be a string",
                    )
                })?);
            }
            value if is_named(&key, "description") => {
                description = Some(as_text(lua, Some(&value)).ok_or_else(|| {
                    reply("description argument given to redis.register_function must be a string")
                })?);
            }
            Value::Function(function) if is_named(&key, "callback") => callback = Some(function),
            _ if is_named(&key, "callback") => {
                return Err(reply(
                    "callback argument given to redis.register_function must be a function",
                ));
            }
            Value::Table(list) if is_named(&key, "flags") => flags = read_flags(&list)?,
            _ if is_named(&key, "flags") => {
                return Err(reply(
                    "flags argument to redis.register_function must be a table representing \
                     function flags",
                ));
            }
            _ => {
                return Err(reply("unknown argument given to redis.register_function"));
            }
        }
    }
    let Some(name) = name else {
        return Err(reply(
            "redis.register_function must get a function name argument",
        ));
    };
    let Some(callback) = callback else {
        return Err(reply(
            "redis.register_function must get a callback argument",
        ));
    };
    Ok(Registered {
        name,
        description,
        flags,
        callback,
    })
}

fn read_flags(list: &Table) -> Result<Flags> {
    let mut flags = Flags::default();
    for at in 1.. {
        match list.raw_get::<Value>(at)? {
            Value::Nil => break,
            Value::String(name) => match Flags::named(&name.as_bytes()) {
                Some(flag) => flags = flags.or(flag),
                None => return Err(reply("unknown flag given")),
            },
            _ => return Err(reply("unknown flag given")),
        }
    }
    Ok(flags)
}
