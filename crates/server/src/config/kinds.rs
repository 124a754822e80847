//! The types a parameter can have: from the words of a directive to a checked value.
//!
//! A kind parses, checks the bounds, stores the value into [`Settings`] and answers the text that
//! CONFIG GET prints. It changes nothing when it fails. The texts of the failures are Redis
//! 8.2.3's, because clients and test suites match on them.

use std::borrow::Cow;

use base::num::parse_i64;
use base::units::{MemoryLimit, parse_memory, parse_memory_limit};

use super::settings::Settings;

/// Why a value was refused: the part of the error after `name - `.
pub type Fault = Cow<'static, str>;

/// The type, the bounds and the destination of a parameter.
pub(super) enum Kind {
    /// `yes` or `no`.
    Bool(fn(&mut Settings, bool)),
    /// An integer that may be negative somewhere in its range.
    Int {
        min: i64,
        max: i64,
        store: fn(&mut Settings, i64),
    },
    /// An integer that cannot be negative; a negative one has an error text of its own.
    Uint {
        min: u64,
        max: u64,
        store: fn(&mut Settings, u64),
    },
    /// Permission bits in octal.
    Octal {
        max: u64,
        store: fn(&mut Settings, u64),
    },
    /// Bytes, with an optional unit.
    Memory {
        min: u64,
        overflow: Overflow,
        store: fn(&mut Settings, u64),
    },
    /// Bytes, or a share of `maxmemory` from 0 to 100 %.
    MemoryOrPercent(fn(&mut Settings, MemoryLimit)),
    /// One of a list of names.
    Choice {
        names: &'static [&'static str],
        store: fn(&mut Settings, usize),
    },
    /// Any bytes that the reader accepts; it answers the text to print.
    Text(fn(&mut Settings, &[u8]) -> Result<Vec<u8>, Fault>),
    /// Several words; the reader answers the text to print.
    Words {
        read: ReadWords,
        lines: fn(&[u8]) -> Vec<Vec<u8>>,
    },
}

/// Reads the words of a directive of [`Kind::Words`]; must leave the settings alone when it fails.
pub(super) type ReadWords = fn(&mut Settings, &[Vec<u8>]) -> Result<Vec<u8>, Fault>;

/// What is said of a number of bytes above `i64::MAX`.
/// Compat: upstream keeps some sizes in signed and some in unsigned variables, and it shows here.
#[derive(Clone, Copy)]
pub(super) enum Overflow {
    /// Outside the range.
    OutOfRange,
    /// Taken for a negative number.
    Negative,
}

const NOT_YES_NO: &str = "argument must be 'yes' or 'no'";
const NOT_INTEGER: &str = "argument couldn't be parsed into an integer";
const NOT_OCTAL: &str = "argument couldn't be parsed as an octal number";
const NOT_MEMORY: &str = "argument must be a memory value";
const NOT_MEMORY_OR_PERCENT: &str = "argument must be a memory or percent value";
const NEGATIVE: &str = "argument must be greater or equal to 0";
const PERCENT_TOO_LARGE: &str = "percentage argument must be less or equal to 100";
/// Also what a directive in a file gets when its kind takes one word and it has none or more.
pub(super) const WRONG_WORD_COUNT: &str = "wrong number of arguments";

impl Kind {
    /// Whether a directive may have any number of words; otherwise it has exactly one.
    pub(super) fn takes_words(&self) -> bool {
        matches!(self, Kind::Words { .. })
    }

    /// Checks `words`, stores the value and answers the text that CONFIG GET prints from now on.
    pub(super) fn assign(
        &self,
        settings: &mut Settings,
        words: &[Vec<u8>],
    ) -> Result<Vec<u8>, Fault> {
        if let Kind::Words { read, .. } = self {
            return read(settings, words);
        }
        let [word] = words else {
            return Err(WRONG_WORD_COUNT.into());
        };
        match *self {
            Kind::Bool(store) => {
                let on = parse_yes_no(word)?;
                store(settings, on);
                Ok(if on { b"yes".to_vec() } else { b"no".to_vec() })
            }
            Kind::Int { min, max, store } => {
                let value = parse_i64(word).ok_or(NOT_INTEGER)?;
                if !(min..=max).contains(&value) {
                    return Err(out_of_range(min, max));
                }
                store(settings, value);
                Ok(value.to_string().into_bytes())
            }
            Kind::Uint { min, max, store } => {
                let value = parse_i64(word).ok_or(NOT_INTEGER)?;
                let value = u64::try_from(value).map_err(|_| NEGATIVE)?;
                if !(min..=max).contains(&value) {
                    return Err(out_of_range(min, max));
                }
                store(settings, value);
                Ok(value.to_string().into_bytes())
            }
            Kind::Octal { max, store } => {
                let value = parse_octal(word, max)?;
                store(settings, value);
                Ok(format!("{value:o}").into_bytes())
            }
            Kind::Memory {
                min,
                overflow,
                store,
            } => {
                let value = parse_memory(word).ok_or(NOT_MEMORY)?;
                check_memory(value, min, overflow)?;
                store(settings, value);
                Ok(value.to_string().into_bytes())
            }
            Kind::MemoryOrPercent(store) => {
                let (limit, text) = memory_or_percent(word)?;
                store(settings, limit);
                Ok(text)
            }
            Kind::Choice { names, store } => {
                let index = find_name(names, word).ok_or_else(|| not_one_of(names))?;
                store(settings, index);
                Ok(names[index].as_bytes().to_vec())
            }
            Kind::Text(read) => read(settings, word),
            Kind::Words { .. } => unreachable!("handled above"),
        }
    }
}

/// The position of `word` among `names`, in any letter case.
pub(super) fn find_name(names: &[&str], word: &[u8]) -> Option<usize> {
    names
        .iter()
        .position(|name| name.as_bytes().eq_ignore_ascii_case(word))
}

/// The text for a word that is not one of `names`.
pub(super) fn not_one_of(names: &[&str]) -> Fault {
    format!(
        "argument(s) must be one of the following: {}",
        names.join(", ")
    )
    .into()
}

fn out_of_range(min: impl std::fmt::Display, max: impl std::fmt::Display) -> Fault {
    format!("argument must be between {min} and {max} inclusive").into()
}

fn parse_yes_no(word: &[u8]) -> Result<bool, Fault> {
    if word.eq_ignore_ascii_case(b"yes") {
        Ok(true)
    } else if word.eq_ignore_ascii_case(b"no") {
        Ok(false)
    } else {
        Err(NOT_YES_NO.into())
    }
}

/// Compat: the text has the bounds in octal, as the argument is.
fn parse_octal(word: &[u8], max: u64) -> Result<u64, Fault> {
    let text = std::str::from_utf8(word).map_err(|_| NOT_OCTAL)?;
    let value = i64::from_str_radix(text, 8).map_err(|_| NOT_OCTAL)?;
    let value = u64::try_from(value).map_err(|_| NEGATIVE)?;
    if value > max {
        return Err(out_of_range(0, format_args!("{max:o}")));
    }
    Ok(value)
}

fn check_memory(value: u64, min: u64, overflow: Overflow) -> Result<(), Fault> {
    const MAX: u64 = i64::MAX as u64;
    match overflow {
        Overflow::Negative if value > MAX => Err(NEGATIVE.into()),
        _ if (min..=MAX).contains(&value) => Ok(()),
        _ => Err(out_of_range(min, MAX)),
    }
}

/// Compat: `0%` prints as `0`, which means the same: off.
fn memory_or_percent(word: &[u8]) -> Result<(MemoryLimit, Vec<u8>), Fault> {
    let limit = parse_memory_limit(word).ok_or(NOT_MEMORY_OR_PERCENT)?;
    let text = match limit {
        MemoryLimit::Bytes(bytes) => {
            check_memory(bytes, 0, Overflow::OutOfRange)?;
            bytes.to_string()
        }
        MemoryLimit::Percent(0) => "0".to_owned(),
        MemoryLimit::Percent(percent @ 1..=100) => format!("{percent}%"),
        MemoryLimit::Percent(_) => return Err(PERCENT_TOO_LARGE.into()),
    };
    Ok((limit, text.into_bytes()))
}

/// For rows that nothing reads: their value is kept for CONFIG GET only.
pub(super) fn unread<T>(_: &mut Settings, _: T) {}

/// For texts that nothing reads.
pub(super) fn any_text(_: &mut Settings, text: &[u8]) -> Result<Vec<u8>, Fault> {
    Ok(text.to_vec())
}
