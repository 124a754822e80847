//! Passes over values without making them: for those who hand them to somebody else.

use crate::fault::{Fault, Problem};
use crate::format::{Dialect, Kind, cell, module_item};
use crate::input::Input;

/// Passes over a value of this kind, a module's too.
///
/// # Errors
/// The bytes end, or are no such value; only what is needed to find its end is looked at.
pub fn skip(input: &mut Input<'_>, kind: Kind, dialect: Dialect) -> Result<(), Fault> {
    match kind {
        Kind::String
        | Kind::HashZipmap
        | Kind::ListZiplist
        | Kind::SetIntset
        | Kind::SetListpack
        | Kind::ZsetZiplist
        | Kind::ZsetListpack
        | Kind::HashZiplist
        | Kind::HashListpack
        | Kind::HashTimedListpackPreGa => input.pass_string(),
        Kind::HashTimedListpack => {
            input.pass(8)?;
            input.pass_string()
        }
        Kind::List | Kind::Set | Kind::ListZiplists => each(input, |input| input.pass_string()),
        Kind::ZsetText => each(input, |input| {
            input.pass_string()?;
            input.double_text().map(|_| ())
        }),
        Kind::Zset => each(input, |input| {
            input.pass_string()?;
            input.pass(8)
        }),
        Kind::Hash => each(input, pass_pair),
        Kind::HashTimedPreGa if dialect == Dialect::Valkey => each(input, |input| {
            pass_pair(input)?;
            input.pass(8)
        }),
        Kind::HashTimedPreGa => each(input, pass_timed),
        Kind::HashTimed => {
            input.pass(8)?;
            each(input, pass_timed)
        }
        Kind::ListListpacks => each(input, |input| {
            input.number()?;
            input.pass_string()
        }),
        Kind::Stream1 | Kind::Stream2 | Kind::Stream3 | Kind::Stream4 | Kind::Stream5 => {
            stream(input, kind)
        }
        Kind::Array => array(input),
        Kind::Module => {
            input.number()?;
            module_items(input)
        }
        Kind::ModulePreGa => {
            let what = "a module's value in the format of a pre-release";
            Err(input.fault(Problem::Unsupported(what.into())))
        }
    }
}

/// A number, and so many of something.
fn each(
    input: &mut Input<'_>,
    mut pass: impl FnMut(&mut Input<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    for _ in 0..input.number()? {
        pass(input)?;
    }
    Ok(())
}

fn pass_pair(input: &mut Input<'_>) -> Result<(), Fault> {
    input.pass_string()?;
    input.pass_string()
}

fn pass_timed(input: &mut Input<'_>) -> Result<(), Fault> {
    input.number()?;
    pass_pair(input)
}

fn numbers(input: &mut Input<'_>, count: usize) -> Result<(), Fault> {
    (0..count).try_for_each(|_| input.number().map(|_| ()))
}

fn stream(input: &mut Input<'_>, kind: Kind) -> Result<(), Fault> {
    each(input, pass_pair)?;
    numbers(input, if kind >= Kind::Stream2 { 8 } else { 3 })?;
    each(input, |input| {
        input.pass_string()?;
        numbers(input, if kind >= Kind::Stream2 { 3 } else { 2 })?;
        each(input, |input| {
            input.pass(24)?;
            numbers(input, 1)
        })?;
        each(input, |input| {
            input.pass_string()?;
            input.pass(if kind >= Kind::Stream3 { 16 } else { 8 })?;
            each(input, |input| input.pass(16))
        })?;
        match kind {
            Kind::Stream5 => each(input, |input| input.pass(16)),
            _ => Ok(()),
        }
    })?;
    if kind < Kind::Stream4 {
        return Ok(());
    }
    numbers(input, 2)?;
    each(input, |input| {
        input.pass_string()?;
        each(input, |input| {
            input.pass_string()?;
            numbers(input, 2)
        })
    })?;
    numbers(input, 2)
}

fn array(input: &mut Input<'_>) -> Result<(), Fault> {
    let count = input.number()?;
    if input.number()? != 0 {
        input.number()?;
    }
    for _ in 0..count {
        input.number()?;
        match input.number()? {
            cell::INT | cell::FLOAT => input.pass(8)?,
            cell::SHORT | cell::LONG => input.pass_string()?,
            _ => return Err(input.corrupt("an array with an unknown kind of element")),
        }
    }
    Ok(())
}

/// The items of a module's data, to their end.
pub(crate) fn module_items(input: &mut Input<'_>) -> Result<(), Fault> {
    loop {
        match input.number()? {
            module_item::END => return Ok(()),
            module_item::SIGNED | module_item::UNSIGNED => {
                input.number()?;
            }
            module_item::FLOAT => input.pass(4)?,
            module_item::DOUBLE => input.pass(8)?,
            module_item::STRING => input.pass_string()?,
            _ => return Err(input.corrupt("a module's data with an unknown kind of item")),
        }
    }
}
