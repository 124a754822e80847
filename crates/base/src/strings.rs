//! Byte strings as people write them and read them: quoting, splitting, comparing, guessing.

/// Whether two byte strings are equal but for the case of ASCII letters.
#[inline]
#[must_use]
pub fn eq_ignore_case(a: &[u8], b: &[u8]) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// The part of `bytes` before its first NUL. Error texts quote what clients sent so far and no
/// further, as `printf` does.
#[must_use]
pub fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Escapes that [`repr`] writes and [`split_args`] reads: the byte and the letter after the
/// backslash.
const ESCAPES: [(u8, u8); 5] = [
    (b'\n', b'n'),
    (b'\r', b'r'),
    (b'\t', b't'),
    (0x07, b'a'),
    (0x08, b'b'),
];

/// Appends `bytes` in double quotes and with escapes, so that any bytes become printable ASCII and
/// [`split_args`] gives them back: MONITOR, CONFIG REWRITE, error texts that quote an argument.
pub fn append_repr(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    for &byte in bytes {
        if let Some(&(_, letter)) = ESCAPES.iter().find(|&&(escaped, _)| escaped == byte) {
            out.extend_from_slice(&[b'\\', letter]);
            continue;
        }
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            _ => out.extend_from_slice(&[b'\\', b'x', hex_digit(byte >> 4), hex_digit(byte & 15)]),
        }
    }
    out.push(b'"');
}

/// [`append_repr`] into a buffer of its own.
#[must_use]
pub fn repr(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    append_repr(bytes, &mut out);
    out
}

/// The lower-case digit of a number below 16.
fn hex_digit(nibble: u8) -> u8 {
    b"0123456789abcdef"[usize::from(nibble & 15)]
}

/// A line with a quote that is not closed, or with something other than white space right after a
/// closing one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnbalancedQuotes;

impl std::fmt::Display for UnbalancedQuotes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("unbalanced quotes")
    }
}

impl std::error::Error for UnbalancedQuotes {}

/// Splits a line into words: redis.conf and inline commands. White space separates; a quote may
/// begin anywhere in a word and ends it. In double quotes `\n \r \t \a \b`, `\xHH` and `\` before
/// any other byte have their meaning; in single quotes only `\'` has. A zero byte ends the line.
///
/// Compat: vertical tab and form feed are skipped before a word and after a quote, but are part of
/// a word like any other byte.
///
/// # Errors
/// [`UnbalancedQuotes`], whatever came before.
pub fn split_args(line: &[u8]) -> Result<Vec<Vec<u8>>, UnbalancedQuotes> {
    let end = line
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(line.len());
    let mut rest = &line[..end];
    let mut words = Vec::new();
    loop {
        let blanks = rest
            .iter()
            .position(|&byte| !is_space(byte))
            .unwrap_or(rest.len());
        rest = &rest[blanks..];
        if rest.is_empty() {
            return Ok(words);
        }
        let mut word = Vec::new();
        rest = take_word(rest, &mut word)?;
        words.push(word);
    }
}

/// Reads one word off the front of `rest` (not empty, not blank); returns what follows it.
fn take_word<'a>(rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    let ends = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b'"' | b'\'');
    let bare = rest.iter().position(ends).unwrap_or(rest.len());
    word.extend_from_slice(&rest[..bare]);
    let rest = match &rest[bare..] {
        [b'"', quoted @ ..] => take_quoted(quoted, b'"', unescape_double, word)?,
        [b'\'', quoted @ ..] => take_quoted(quoted, b'\'', unescape_single, word)?,
        rest => return Ok(rest),
    };
    match rest {
        [after, ..] if !is_space(*after) => Err(UnbalancedQuotes),
        _ => Ok(rest),
    }
}

/// Reads up to and over the closing `quote`; `unescape` says what an escape at the front of its
/// argument stands for and how long it is.
fn take_quoted<'a>(
    mut rest: &'a [u8],
    quote: u8,
    unescape: fn(&[u8]) -> Option<(u8, usize)>,
    word: &mut Vec<u8>,
) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        let (byte, length) = match (unescape(rest), rest) {
            (Some(escaped), _) => escaped,
            (None, [byte, after @ ..]) if *byte == quote => return Ok(after),
            (None, [byte, ..]) => (*byte, 1),
            (None, []) => return Err(UnbalancedQuotes),
        };
        word.push(byte);
        rest = &rest[length..];
    }
}

/// The escapes of double quotes.
fn unescape_double(text: &[u8]) -> Option<(u8, usize)> {
    let hex = |digit: u8| (digit as char).to_digit(16).map(|value| value as u8);
    let [b'\\', letter, tail @ ..] = text else {
        return None;
    };
    if let (b'x', [high, low, ..]) = (letter, tail)
        && let (Some(high), Some(low)) = (hex(*high), hex(*low))
    {
        return Some((high << 4 | low, 4));
    }
    let known = ESCAPES.iter().find(|(_, name)| name == letter);
    Some((known.map_or(*letter, |&(byte, _)| byte), 2))
}

/// The one escape of single quotes.
fn unescape_single(text: &[u8]) -> Option<(u8, usize)> {
    text.starts_with(b"\\'").then_some((b'\'', 2))
}

/// C's `isspace` in the C locale.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The candidate that `name` most likely meant, for "did you mean": the fewest edits (insert,
/// delete, replace a character; case does not count), the first of equals. `None` when even that
/// one is further away than a third of `name`.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let edits_max = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|&(edits, _)| edits <= edits_max)
        .min_by_key(|&(edits, _)| edits)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, by the usual table of which one row is kept. O(len x len).
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    // row[j]: edits from the part of `a` seen so far to the first j characters of `b`.
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(!from.eq_ignore_ascii_case(to));
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An argument as MONITOR on Redis 8.2.3 shows it.
    #[test]
    fn repr_as_upstream() {
        for (bytes, expected) in [
            (&b""[..], r#""""#),
            (b"abc ~", r#""abc ~""#),
            (b"a\"b\\c'd", r#""a\"b\\c'd""#),
            (b"\n\r\t\x07\x08", r#""\n\r\t\a\b""#),
            (
                b"\0\x01\x0b\x0c\x1b\x7f\x80\xff",
                r#""\x00\x01\x0b\x0c\x1b\x7f\x80\xff""#,
            ),
        ] {
            assert_eq!(String::from_utf8_lossy(&repr(bytes)), expected);
        }
    }

    /// `RPUSH L <line>` sent inline to Redis 8.2.3.
    #[test]
    fn lines_split_as_upstream() {
        let cases: &[(&[u8], &[&[u8]])] = &[
            (b"", &[]),
            (b" \t\r\n\x0b\x0c", &[]),
            (b"a b", &[b"a", b"b"]),
            (br#""a b" c"#, &[b"a b", b"c"]),
            (b"'a b' c", &[b"a b", b"c"]),
            (
                br#""a\n\r\t\b\a\x41\x4g\q\\\"""#,
                &[b"a\n\r\t\x08\x07Ax4gq\\\""],
            ),
            (br#"a"b c""#, &[b"ab c"]),
            (b"a'b'", &[b"ab"]),
            (br#""""#, &[b""]),
            (b"''", &[b""]),
            (br#""" x"#, &[b"", b"x"]),
            (b"a\tb", &[b"a", b"b"]),
            (b"a\x0bb", &[b"a\x0bb"]),
            (b"\x0ba", &[b"a"]),
            (b"a\x0cb", &[b"a\x0cb"]),
            (b"\"a\"\x0bb", &[b"a", b"b"]),
            (br"\x41", &[br"\x41"]),
            (br#""\X41""#, &[b"X41"]),
            (br#""\xAf\xaF""#, &[b"\xaf\xaf"]),
            (br#""a'b""#, &[b"a'b"]),
            (br#"'a"b'"#, &[b"a\"b"]),
            (br"'a\'b\n'", &[br"a'b\n"]),
            (b"a\0b", &[b"a"]),
        ];
        for &(line, expected) in cases {
            let words = split_args(line).unwrap_or_else(|_| panic!("{}", line.escape_ascii()));
            assert_eq!(words, expected, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn unbalanced_quotes_as_upstream() {
        for line in [
            r#""a"#, "'a", r#""a"b"#, "'a'b", r#"a"b"c"#, r#""a\"#, r#""a\""#, r"'a\'", r#"\"a"#,
            r#""""""#, r#"#c "d"#, "\"a\0\"",
        ] {
            assert_eq!(
                split_args(line.as_bytes()),
                Err(UnbalancedQuotes),
                "{line:?}"
            );
        }
    }

    #[test]
    fn nearest_guesses_typing_errors_only() {
        let names = [
            "maxmemory",
            "maxmemory-policy",
            "maxclients",
            "port",
            "save",
        ];
        for (name, expected) in [
            ("maxmemry", Some("maxmemory")),
            ("MAXMEMORY", Some("maxmemory")),
            ("maxmemory_policy", Some("maxmemory-policy")),
            ("max-clients", Some("maxclients")),
            ("prot", None),
            ("ports", Some("port")),
            ("xyz", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, names), expected, "{name}");
        }
        assert_eq!(nearest("saves", ["save", "saved"]), Some("save"));
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }

    #[test]
    fn case_is_ignored_for_ascii_only() {
        assert!(eq_ignore_case(b"GeT", b"gEt"));
        assert!(!eq_ignore_case(b"get", b"gets"));
        assert!(!eq_ignore_case("Ä".as_bytes(), "ä".as_bytes()));
    }

    proptest! {
        #[test]
        fn split_undoes_repr(words: Vec<Vec<u8>>) {
            let quoted: Vec<Vec<u8>> = words.iter().map(|word| repr(word)).collect();
            prop_assert!(quoted.iter().flatten().all(|byte| (b' '..=b'~').contains(byte)));
            prop_assert_eq!(split_args(&quoted.join(&b' ')), Ok(words));
        }

        #[test]
        fn any_line_is_safe(line in "[a-c \\\\x'\"0-9]{0,20}") {
            let _ = split_args(line.as_bytes());
        }

        #[test]
        fn distance_is_symmetric(a in "[ab]{0,8}", b in "[ab]{0,8}") {
            prop_assert_eq!(edit_distance(&a, &b), edit_distance(&b, &a));
            prop_assert_eq!(edit_distance(&a, &b) == 0, a == b);
        }
    }
}
