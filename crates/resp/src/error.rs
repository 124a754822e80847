//! What a client is told before it is disconnected for breaking the protocol.
//!
//! The texts are those of Redis 8.2.3, each asked over a raw socket (see `tests/it/errors.rs`).

use std::borrow::Cow;
use std::fmt;

/// A request that cannot be understood. The connection ends after this error has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// An inline request of more than 65536 bytes before its line feed.
    BigInline,
    /// `*` followed by more than 65536 bytes without a carriage return.
    BigMultibulkCount,
    /// The number after `*` is none, or larger than 2^31 - 1.
    MultibulkLength,
    /// More than 10 arguments before the client has logged in.
    UnauthenticatedMultibulkLength,
    /// More than 65536 bytes without a carriage return where a bulk header should stand.
    BigBulkCount,
    /// A bulk header starts with this byte instead of `$`.
    ExpectedDollar(u8),
    /// The number after `$` is none, negative, or larger than the limit.
    BulkLength,
    /// An argument of more than 16384 bytes before the client has logged in.
    UnauthenticatedBulkLength,
    /// An inline request with an open quote, or with a closing quote inside a word.
    UnbalancedQuotes,
}

impl ProtocolError {
    /// The text that follows `-ERR Protocol error: ` on the wire. Bytes, because the offending byte
    /// is quoted in it; a carriage return or line feed there shows as a space.
    pub fn text(&self) -> Cow<'static, [u8]> {
        let fixed: &'static str = match *self {
            Self::BigInline => "too big inline request",
            Self::BigMultibulkCount => "too big mbulk count string",
            Self::MultibulkLength => "invalid multibulk length",
            Self::UnauthenticatedMultibulkLength => "unauthenticated multibulk length",
            Self::BigBulkCount => "too big bulk count string",
            Self::BulkLength => "invalid bulk length",
            Self::UnauthenticatedBulkLength => "unauthenticated bulk length",
            Self::UnbalancedQuotes => "unbalanced quotes in request",
            Self::ExpectedDollar(got) => {
                let got = if matches!(got, b'\r' | b'\n') {
                    b' '
                } else {
                    got
                };
                return Cow::Owned([b"expected '$', got '", &[got][..], b"'"].concat());
            }
        };
        Cow::Borrowed(fixed.as_bytes())
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text()))
    }
}

impl std::error::Error for ProtocolError {}
