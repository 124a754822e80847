//! Inline requests: a line of words, as typed into telnet.
//!
//! Words are separated by blanks. A word may contain quoted parts: in double quotes `\xHH`, `\n`,
//! `\r`, `\t`, `\b`, `\a` and `\` before any other byte are escapes, in single quotes only `\'`. A
//! closing quote must end its word. Outside of quotes a backslash is an ordinary byte.
//!
//! Source: behaviour of Redis 8.2.3 (see `tests/it/errors.rs`). One difference, on purpose: a NUL
//! byte is an ordinary byte here, where Redis stops understanding the connection until 64 KiB have
//! come.

use crate::error::ProtocolError;
use crate::parse::Span;

/// Blank between words (C's `isspace`).
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Ends an unquoted word. Vertical tab and form feed are skipped between words but do not end one.
fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Appends the words of a line without quotes to `spans`. `line` starts the command and is at most
/// 64 KiB long.
pub(crate) fn split_plain(line: &[u8], spans: &mut Vec<Span>) {
    let mut at = 0;
    while let Some(skipped) = line[at..].iter().position(|&b| !is_blank(b)) {
        let start = at + skipped;
        let len = line[start..]
            .iter()
            .position(|&b| ends_word(b))
            .unwrap_or(line.len() - start);
        spans.push(Span {
            start: start as u32,
            len: len as u32,
        });
        at = start + len;
    }
}

/// The words of a line with quotes, unquoted.
pub(crate) fn split_quoted(line: &[u8]) -> Result<Vec<Vec<u8>>, ProtocolError> {
    let mut words = Vec::new();
    let mut rest = line;
    while let Some(skipped) = rest.iter().position(|&b| !is_blank(b)) {
        let mut word = Vec::new();
        rest = take_word(&rest[skipped..], &mut word)?;
        words.push(word);
    }
    Ok(words)
}

/// Moves the first word of `rest` to `word`; returns what follows it. A word ends behind its first
/// quoted part.
fn take_word<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    while let [first, tail @ ..] = rest {
        match *first {
            b'"' => return after_quote(take_double_quoted(tail, word)?),
            b'\'' => return after_quote(take_single_quoted(tail, word)?),
            byte if ends_word(byte) => break,
            byte => word.push(byte),
        }
        rest = tail;
    }
    Ok(rest)
}

/// Behind a closing quote only a blank or the end of the line may follow.
fn after_quote(rest: &[u8]) -> Result<&[u8], ProtocolError> {
    match rest.first() {
        Some(&byte) if !is_blank(byte) => Err(ProtocolError::UnbalancedQuotes),
        _ => Ok(rest),
    }
}

fn take_single_quoted<'a>(
    mut rest: &'a [u8],
    word: &mut Vec<u8>,
) -> Result<&'a [u8], ProtocolError> {
    loop {
        rest = match rest {
            [b'\\', b'\'', tail @ ..] => {
                word.push(b'\'');
                tail
            }
            [b'\'', tail @ ..] => return Ok(tail),
            [byte, tail @ ..] => {
                word.push(*byte);
                tail
            }
            [] => return Err(ProtocolError::UnbalancedQuotes),
        }
    }
}

fn take_double_quoted<'a>(
    mut rest: &'a [u8],
    word: &mut Vec<u8>,
) -> Result<&'a [u8], ProtocolError> {
    loop {
        let (byte, tail) = match rest {
            [b'\\', b'x', high, low, tail @ ..] if hex(*high).is_some() && hex(*low).is_some() => {
                (hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0), tail)
            }
            [b'\\', escaped, tail @ ..] => (unescape(*escaped), tail),
            [b'"', tail @ ..] => return Ok(tail),
            [byte, tail @ ..] => (*byte, tail),
            [] => return Err(ProtocolError::UnbalancedQuotes),
        };
        word.push(byte);
        rest = tail;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}
