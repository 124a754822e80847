//! The expiry options that commands share: EX, PX, EXAT, PXAT, KEEPTTL, PERSIST.
//!
//! A handler reads them with its other options and asks for the deadline afterwards: upstream
//! complains about any other option before it looks at the number.

use base::num::parse_i64;
use base::time::UnixMillis;

use crate::args::Args;
use crate::failure::Failure;
use crate::spec::{Arg, ArgKind};
use crate::tx::Deadline;

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeForm {
    /// Seconds from now (EX).
    Seconds,
    /// Milliseconds from now (PX).
    Millis,
    /// Unix time in seconds (EXAT).
    UnixSeconds,
    /// Unix time in milliseconds (PXAT).
    UnixMillis,
}

/// The options by name; a command lists those that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExpiryWord {
    /// A time follows.
    Due(TimeForm),
    /// KEEPTTL.
    Keep,
    /// PERSIST.
    Persist,
}

impl ExpiryWord {
    pub(super) const EX: ExpiryWord = ExpiryWord::Due(TimeForm::Seconds);
    pub(super) const PX: ExpiryWord = ExpiryWord::Due(TimeForm::Millis);
    pub(super) const EXAT: ExpiryWord = ExpiryWord::Due(TimeForm::UnixSeconds);
    pub(super) const PXAT: ExpiryWord = ExpiryWord::Due(TimeForm::UnixMillis);
}

/// What a command's words say about expiry; the number is not looked at yet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Expiry<'a> {
    /// Nothing.
    #[default]
    Unsaid,
    /// KEEPTTL.
    Keep,
    /// PERSIST.
    Persist,
    /// A time, as sent.
    Due(TimeForm, &'a [u8]),
}

impl<'a> Expiry<'a> {
    /// Takes an option that the cursor has just passed, with its number if it has one. Two
    /// different ones are a syntax error.
    ///
    /// Compat: the same one twice is fine and the last counts (`SET k v EX 1 EX 2`).
    pub(super) fn read(&mut self, word: ExpiryWord, args: &mut Args<'a>) {
        let said = match word {
            ExpiryWord::Keep => Expiry::Keep,
            ExpiryWord::Persist => Expiry::Persist,
            ExpiryWord::Due(form) => Expiry::Due(form, args.bytes()),
        };
        let agrees = match (*self, said) {
            (Expiry::Unsaid, _)
            | (Expiry::Keep, Expiry::Keep)
            | (Expiry::Persist, Expiry::Persist) => true,
            (Expiry::Due(before, _), Expiry::Due(now, _)) => before == now,
            _ => false,
        };
        if !agrees {
            args.fail(Failure::SYNTAX);
        }
        *self = said;
    }

    /// Like [`Expiry::read`], but saying anything twice is a syntax error.
    pub(super) fn read_once(&mut self, word: ExpiryWord, args: &mut Args<'a>) {
        if !matches!(self, Expiry::Unsaid) {
            args.fail(Failure::SYNTAX);
        }
        self.read(word, args);
    }

    /// What becomes of the deadline when a value is put: no word about it clears it.
    ///
    /// # Errors
    /// Those of [`deadline`].
    pub(super) fn for_put(self, now: UnixMillis, command: &str) -> Result<Deadline, Failure> {
        Ok(match self {
            Expiry::Unsaid | Expiry::Persist => Deadline::Clear,
            Expiry::Keep => Deadline::Keep,
            Expiry::Due(form, text) => Deadline::At(deadline(form, text, now, command)?),
        })
    }
}

/// The deadline that `text` says in this form; it may be in the past for the absolute forms.
///
/// # Errors
/// Not an integer; not positive or beyond 64 bits of milliseconds (`command` is named then).
pub(super) fn deadline(
    form: TimeForm,
    text: &[u8],
    now: UnixMillis,
    command: &str,
) -> Result<UnixMillis, Failure> {
    let number = parse_i64(text).ok_or(Failure::NOT_INTEGER)?;
    let millis = match form {
        _ if number <= 0 => None,
        TimeForm::UnixMillis => Some(number),
        TimeForm::UnixSeconds => number.checked_mul(1000),
        TimeForm::Millis => number.checked_add(now.0),
        TimeForm::Seconds => number
            .checked_mul(1000)
            .and_then(|millis| millis.checked_add(now.0)),
    };
    millis
        .map(UnixMillis)
        .ok_or_else(|| Failure::owned(format!("ERR invalid expire time in '{command}' command")))
}

/// EX, PX, EXAT, PXAT in the documentation of a command that had them from its start.
pub(super) const DUE_ARGS: [Arg; 4] = [
    Arg::new("seconds", ArgKind::Integer).token("EX"),
    Arg::new("milliseconds", ArgKind::Integer).token("PX"),
    Arg::new("unix-time-seconds", ArgKind::UnixTime).token("EXAT"),
    Arg::new("unix-time-milliseconds", ArgKind::UnixTime).token("PXAT"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_at_the_edges_of_the_number_range() {
        let now = UnixMillis(1_000_000);
        let at = |form, text: &str| deadline(form, text.as_bytes(), now, "set").ok();
        assert_eq!(at(TimeForm::Seconds, "2"), Some(UnixMillis(1_002_000)));
        assert_eq!(at(TimeForm::Millis, "2"), Some(UnixMillis(1_000_002)));
        assert_eq!(at(TimeForm::UnixSeconds, "2"), Some(UnixMillis(2000)));
        assert_eq!(at(TimeForm::UnixMillis, "2"), Some(UnixMillis(2)));
        let largest = i64::MAX.to_string();
        assert_eq!(
            at(TimeForm::UnixMillis, &largest),
            Some(UnixMillis(i64::MAX))
        );
        for form in [TimeForm::Seconds, TimeForm::Millis, TimeForm::UnixSeconds] {
            assert_eq!(at(form, &largest), None, "{form:?}");
        }
        let last = (i64::MAX - now.0).to_string();
        assert_eq!(at(TimeForm::Millis, &last), Some(UnixMillis(i64::MAX)));
        for text in ["0", "-1", "", "1.5", " 1", "9223372036854775808"] {
            assert_eq!(at(TimeForm::UnixMillis, text), None, "{text:?}");
        }
    }
}
