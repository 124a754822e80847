//! How long a blocking command waits.

use base::num::{parse_f64, parse_i64};

use crate::env::Env;
use crate::failure::Failure;

const NOT_FLOAT: Failure = Failure::fixed("ERR timeout is not a float or out of range");
const NOT_INTEGER: Failure = Failure::fixed("ERR timeout is not an integer or out of range");
const NEGATIVE: Failure = Failure::fixed("ERR timeout is negative");
const OUT_OF_RANGE: Failure = Failure::fixed("ERR timeout is out of range");

/// A timeout in seconds, as milliseconds; `None` = for ever. What is not zero is at least one.
///
/// # Errors
/// It is none, is negative, or ends after the largest time.
pub(super) fn of_seconds(word: &[u8], env: &Env) -> Result<Option<i64>, Failure> {
    let millis = (parse_f64(word).ok_or(NOT_FLOAT)? * 1000.0).ceil();
    if millis >= i64::MAX as f64 {
        return Err(OUT_OF_RANGE);
    }
    // Saturates: all of that is negative.
    check(millis as i64, env)
}

/// A timeout in milliseconds; `None` = for ever.
///
/// # Errors
/// As [`of_seconds`].
pub(super) fn of_millis(word: &[u8], env: &Env) -> Result<Option<i64>, Failure> {
    check(parse_i64(word).ok_or(NOT_INTEGER)?, env)
}

fn check(millis: i64, env: &Env) -> Result<Option<i64>, Failure> {
    if millis < 0 {
        return Err(NEGATIVE);
    }
    if millis.checked_add(env.now.0).is_none() {
        return Err(OUT_OF_RANGE);
    }
    Ok((millis > 0).then_some(millis))
}
