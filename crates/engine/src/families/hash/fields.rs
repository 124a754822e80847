//! FIELDS, a number, and so many fields: how the newer commands name fields. And times for them.

use base::num::parse_i64;
use base::strings::eq_ignore_case;
use base::time::UnixMillis;

use crate::args::Args;
use crate::failure::Failure;
use crate::families::expiry::TimeForm;

/// FIELDS is not where it must be.
pub(super) const MISPLACED: Failure =
    Failure::fixed("ERR Mandatory argument FIELDS is missing or not at the right position");
/// The number is not a positive one.
pub(super) const NOT_POSITIVE: Failure =
    Failure::fixed("ERR Number of fields must be a positive integer");
/// The same, as HEXPIRE and its kin say it.
pub(super) const NOT_ABOVE_ZERO: Failure =
    Failure::fixed("ERR Parameter `numFields` should be greater than 0");
const WRONG_NUMBER: Failure =
    Failure::fixed("ERR The `numfields` parameter must match the number of arguments");

/// Reads FIELDS and the number, which must be that of the words that are left.
///
/// # Errors
/// What is wrong with them; `bad_number` if the number is none or not above 0.
pub(super) fn take_fields(args: &mut Args<'_>, bad_number: Failure) -> Result<(), Failure> {
    if !args.accept("FIELDS") {
        return Err(MISPLACED);
    }
    let number = parse_i64(args.bytes()).filter(|&number| number > 0);
    let number = number.ok_or(bad_number)?;
    if number != args.left() as i64 {
        return Err(WRONG_NUMBER);
    }
    args.check()
}

/// The last moment at which a field can be due: 46 bits.
const LATEST: i64 = (1 << 46) - 1;
const NEGATIVE: Failure = Failure::fixed("ERR invalid expire time, must be >= 0");

/// The moment that `text` says in this form. 0 is a time that has passed.
///
/// # Errors
/// Not an integer, negative, or too late (`command` is named then).
pub(super) fn moment(
    form: TimeForm,
    text: &[u8],
    now: UnixMillis,
    command: &[u8],
) -> Result<UnixMillis, Failure> {
    let number = parse_i64(text).ok_or(Failure::NOT_INTEGER)?;
    if number < 0 {
        return Err(NEGATIVE);
    }
    let (unit, start) = match form {
        TimeForm::Seconds => (1000, now.0),
        TimeForm::Millis => (1, now.0),
        TimeForm::UnixSeconds => (1000, 0),
        TimeForm::UnixMillis => (1, 0),
    };
    let millis = number
        .checked_mul(unit)
        .and_then(|millis| millis.checked_add(start))
        .filter(|&millis| millis <= LATEST);
    millis.map(UnixMillis).ok_or_else(|| {
        let name = command.to_ascii_lowercase();
        Failure::owned([b"ERR invalid expire time in '", &name[..], b"' command"].concat())
    })
}

/// The row of a table of words that the next word is, if any; takes it then.
pub(super) fn take_word<T: Copy>(args: &mut Args<'_>, table: &[(&str, T)]) -> Option<T> {
    let word = args.peek()?;
    let known = |(name, _): &&(&str, T)| eq_ignore_case(word, name.as_bytes());
    let &(_, value) = table.iter().find(known)?;
    args.skip(1);
    Some(value)
}
