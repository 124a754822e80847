//! Errors as Lua sees them.
//!
//! A Rust function raises an error through mlua, which shows it to Lua as userdata. What the
//! reference raises is a string (with the place of the call before it, as `luaL_error` does) or a
//! table `{err = ...}`; [`Thrown`] says which, and `caught` makes that value when `pcall` and its
//! kind (in `prelude.lua`) get hold of one.

use std::fmt;

use mlua::{Error, Lua, MultiValue, Result, Value};

/// Source name of `prelude.lua`: its frames are not shown to scripts.
pub(crate) const SANDBOX: &str = "sandbox";

/// What a Rust function raised.
#[derive(Clone, Debug)]
pub(crate) enum Thrown {
    /// A string.
    Text(Vec<u8>),
    /// A table with this field `err`; `counted`: INFO's counters have it already.
    Reply { text: Vec<u8>, counted: bool },
    /// The script has to end; cannot be caught.
    End,
}

impl fmt::Display for Thrown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Thrown::Text(text) | Thrown::Reply { text, .. } => {
                f.write_str(&String::from_utf8_lossy(text))
            }
            Thrown::End => f.write_str("the script has to end"),
        }
    }
}

impl std::error::Error for Thrown {}

impl From<Thrown> for Error {
    fn from(thrown: Thrown) -> Error {
        Error::external(thrown)
    }
}

/// A table `{err = "ERR ..."}` that no counter has seen.
pub(crate) fn reply(text: &str) -> Error {
    let text = format!("ERR {text}").into_bytes();
    Thrown::Reply {
        text,
        counted: false,
    }
    .into()
}

/// A string with the place of the call before it.
pub(crate) fn at_call(lua: &Lua, text: impl AsRef<[u8]>) -> Error {
    let mut whole = place(lua, 1).into_bytes();
    whole.extend_from_slice(text.as_ref());
    Thrown::Text(whole).into()
}

/// The wrong argument for the function that Lua has called.
pub(crate) fn bad_argument(lua: &Lua, number: usize, text: &str) -> Error {
    let name = lua.inspect_stack(0, |debug| debug.names().name.map(|name| name.into_owned()));
    let name = name.flatten().unwrap_or_else(|| "?".to_owned());
    at_call(lua, format!("bad argument #{number} to '{name}' ({text})"))
}

/// `user_script:1: ` for the function at this level, nothing for one that is not Lua.
fn place(lua: &Lua, level: usize) -> String {
    let place = lua.inspect_stack(level, |debug| {
        let line = debug.current_line()?;
        let source = debug.source().short_src?.into_owned();
        Some(format!("{source}:{line}: "))
    });
    place.flatten().unwrap_or_default()
}

/// What was raised, if a Rust function raised it.
pub(crate) fn thrown(error: &Error) -> Thrown {
    match error {
        Error::CallbackError { cause, .. } | Error::WithContext { cause, .. } => thrown(cause),
        error => match error.downcast_ref::<Thrown>() {
            Some(thrown) => thrown.clone(),
            None => Thrown::Text(message(error)),
        },
    }
}

/// The text of an error that mlua itself raised.
fn message(error: &Error) -> Vec<u8> {
    match error {
        Error::RuntimeError(text) | Error::MemoryError(text) => text.clone().into_bytes(),
        Error::SyntaxError { message, .. } => message.clone().into_bytes(),
        other => other.to_string().into_bytes(),
    }
}

/// Where an error arose, and what it says.
pub(crate) struct Report {
    pub(crate) text: Vec<u8>,
    pub(crate) counted: bool,
    /// Source and line.
    pub(crate) place: Option<(String, usize)>,
}

/// What becomes of an error that nobody has caught; called where it arose. `None`: [`Thrown::End`].
pub(crate) fn report(lua: &Lua, error: &Value) -> Result<Option<Report>> {
    let place = first_place(lua);
    let (text, counted) = match error {
        Value::Error(error) => match thrown(error) {
            Thrown::End => return Ok(None),
            Thrown::Reply { text, counted } => (text, counted),
            Thrown::Text(text) => (prefixed(&text, &place), false),
        },
        Value::Table(table) => {
            let counted = table.raw_get::<Value>("ignore_error_stats_update")?;
            match as_text(lua, Some(&table.raw_get::<Value>("err")?)) {
                Some(text) => (text, counted == Value::Boolean(true)),
                None => (b"ERR unknown error".to_vec(), false),
            }
        }
        Value::String(text) => (prefixed(&text.as_bytes(), &place), false),
        other => (prefixed(other.to_string()?.as_bytes(), &place), false),
    };
    Ok(Some(Report {
        text,
        counted,
        place,
    }))
}

/// `ERR ` and the text; a place inside the sandbox becomes the script's.
fn prefixed(text: &[u8], place: &Option<(String, usize)>) -> Vec<u8> {
    let mut whole = b"ERR ".to_vec();
    match (without_sandbox(text), place) {
        (Some(rest), Some((source, line))) => {
            let source = source.trim_start_matches(['@', '=']);
            whole.extend_from_slice(format!("{source}:{line}: ").as_bytes());
            whole.extend_from_slice(rest);
        }
        (Some(rest), None) => whole.extend_from_slice(rest),
        (None, _) => whole.extend_from_slice(text),
    }
    whole
}

/// The text after `sandbox:12: `.
fn without_sandbox(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(SANDBOX.as_bytes())?.strip_prefix(b":")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    rest[digits..].strip_prefix(b": ")
}

/// The innermost Lua function that is not the sandbox's own.
fn first_place(lua: &Lua) -> Option<(String, usize)> {
    for level in 1.. {
        let found = lua.inspect_stack(level, |debug| {
            let source = debug.source();
            let line = debug.current_line();
            (
                source.what == "C",
                source.source.map(|name| name.into_owned()),
                line,
            )
        });
        let (is_c, source, line) = found?;
        let own = source.as_deref().is_some_and(|name| name[1..] == *SANDBOX);
        if !own && !is_c {
            return Some((source?, line?));
        }
    }
    None
}

/// The value that a script gets for a caught error. `flat`: as `pcall` gives it, which shows only
/// the text of a table.
pub(crate) fn caught(lua: &Lua, error: Value, flat: bool) -> Result<Value> {
    Ok(match error {
        Value::Error(error) => match thrown(&error) {
            Thrown::End => return Err(Thrown::End.into()),
            Thrown::Text(text) => Value::String(lua.create_string(text)?),
            Thrown::Reply { text, .. } if flat => Value::String(lua.create_string(text)?),
            Thrown::Reply { text, counted } => Value::Table(error_table(lua, &text, counted)?),
        },
        Value::Table(table) if flat => match table.raw_get::<Value>("err")? {
            Value::Nil => Value::Table(table),
            err => err,
        },
        Value::String(text) => match without_sandbox(&text.as_bytes()) {
            Some(rest) => Value::String(lua.create_string(rest)?),
            None => Value::String(text),
        },
        other => other,
    })
}

/// `{err = text}` as `pcall` of the `redis` table gives it.
pub(crate) fn error_table(lua: &Lua, text: &[u8], counted: bool) -> Result<mlua::Table> {
    let table = lua.create_table_with_capacity(0, 2)?;
    table.raw_set("err", lua.create_string(text)?)?;
    if counted {
        table.raw_set("ignore_error_stats_update", true)?;
    }
    Ok(table)
}

/// Arguments of a function, read as Lua's auxiliary library does.
pub(crate) struct Given<'l> {
    lua: &'l Lua,
    values: MultiValue,
}

impl<'l> Given<'l> {
    pub(crate) fn new(lua: &'l Lua, values: MultiValue) -> Given<'l> {
        Given { lua, values }
    }

    pub(crate) fn count(&self) -> usize {
        self.values.len()
    }

    /// The argument with this number, counted from 1.
    pub(crate) fn get(&self, number: usize) -> Option<&Value> {
        self.values.get(number - 1)
    }

    pub(crate) fn wrong(&self, number: usize, text: &str) -> Error {
        bad_argument(self.lua, number, text)
    }

    fn wrong_type(&self, number: usize, expected: &str) -> Error {
        let got = match self.get(number) {
            None => "no value",
            Some(Value::LightUserData(_)) => "userdata",
            Some(Value::Integer(_)) => "number",
            Some(value) => value.type_name(),
        };
        self.wrong(number, &format!("{expected} expected, got {got}"))
    }

    pub(crate) fn bytes(&self, number: usize) -> Result<Vec<u8>> {
        match self.get(number) {
            Some(Value::String(text)) => Ok(text.as_bytes().to_vec()),
            Some(Value::Integer(_) | Value::Number(_)) => {
                Ok(as_text(self.lua, self.get(number)).unwrap_or_default())
            }
            _ => Err(self.wrong_type(number, "string")),
        }
    }

    pub(crate) fn number(&self, number: usize) -> Result<f64> {
        self.maybe_number(number)
            .ok_or_else(|| self.wrong_type(number, "number"))
    }

    pub(crate) fn maybe_number(&self, number: usize) -> Option<f64> {
        match self.get(number)? {
            &Value::Integer(value) => Some(value as f64),
            &Value::Number(value) => Some(value),
            value @ Value::String(_) => self.lua.coerce_number(value.clone()).ok().flatten(),
            _ => None,
        }
    }

    /// As C converts a double to an integer.
    pub(crate) fn integer(&self, number: usize) -> Result<i64> {
        self.number(number).map(|value| value as i64)
    }

    pub(crate) fn integer_or(&self, number: usize, otherwise: i64) -> Result<i64> {
        match self.get(number) {
            None | Some(Value::Nil) => Ok(otherwise),
            Some(_) => self.integer(number),
        }
    }
}

/// A string, or a number as Lua prints it; `None` for anything else.
pub(crate) fn as_text(lua: &Lua, value: Option<&Value>) -> Option<Vec<u8>> {
    let text = lua.coerce_string(value?.clone()).ok().flatten()?;
    let text = text.as_bytes().to_vec();
    Some(text)
}
