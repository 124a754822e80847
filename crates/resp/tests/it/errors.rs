//! Odd requests and what becomes of them. Every row was sent to Redis 8.2.3 over a raw socket and
//! agrees with it.

use resp::{Limits, ProtocolError};

use crate::support::{LIMITS, feed};

const UNAUTHENTICATED: Limits = Limits {
    authenticated: false,
    ..LIMITS
};

/// A request and its commands: words joined by `|`, commands by `;` (a command without words is
/// empty).
const ACCEPTED: &[(&[u8], &[u8])] = &[
    (b"*1\r\n$4\r\nPING\r\n", b"PING"),
    (b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", b"ECHO|"),
    (b"*1\r\n$0\r\n\r\n", b""),
    // Line ends are skipped, not checked.
    (b"*1\rX$4\rYPING__", b"PING"),
    // Counts of zero and less.
    (b"*0\r\n*1\r\n$4\r\nPING\r\n", b";PING"),
    (b"*-1\r\n*1\r\n$4\r\nPING\r\n", b";PING"),
    (b"*-9223372036854775808\r\nPING\r\n", b";PING"),
    // Inline.
    (b"PING\n", b"PING"),
    (b"PING\r\n", b"PING"),
    (b"\r\n\n\r\r\nPING\n", b";;;PING"),
    (b"   \r\n\x0b\r\nPING\n", b";;PING"),
    (b"  ECHO \t hi  \r\n", b"ECHO|hi"),
    (b"\x0bECHO \x0b\x0ca\x0bb\r\n", b"ECHO|a\x0bb"),
    (b"ECHO a\rb\r\n", b"ECHO|a|b"),
    (b"ECHO a\\x41\r\n", b"ECHO|a\\x41"),
    (b"$4\r\n", b"$4"),
    (b"ECHO \xff\xfe\r\n", b"ECHO|\xff\xfe"),
    // Quotes.
    (b"ECHO \"a b\"\r\n", b"ECHO|a b"),
    (
        b"ECHO \"a\\x41\\n\\t\\r\\b\\a\\q\\\"z\"\r\n",
        b"ECHO|aA\n\t\r\x08\x07q\"z",
    ),
    (b"ECHO \"a\\xZZ\\x4\"\r\n", b"ECHO|axZZx4"),
    (b"ECHO \"\\x00\"\r\n", b"ECHO|\0"),
    (b"ECHO 'a\\'b\\n'\r\n", b"ECHO|a'b\\n"),
    (b"ECHO a\"b c\"\r\n", b"ECHO|ab c"),
    (b"ECHO a'b c'\r\n", b"ECHO|ab c"),
    (b"ECHO \"a'b\"\r\n", b"ECHO|a'b"),
    (b"ECHO \"a\"\x0b''\r\n", b"ECHO|a|"),
    (b"ECHO \"a\rb\"\r\n", b"ECHO|a\rb"),
    (b"\"PING\"\r\n", b"PING"),
];

/// A request and the text that follows `-ERR Protocol error: `.
const REFUSED: &[(&[u8], &[u8])] = &[
    (b"*\r\n", b"invalid multibulk length"),
    (b"*x\r\n", b"invalid multibulk length"),
    (b"*01\r\n", b"invalid multibulk length"),
    (b"*+1\r\n", b"invalid multibulk length"),
    (b"*-0\r\n", b"invalid multibulk length"),
    (b"*-\r\n", b"invalid multibulk length"),
    (b"* 1\r\n", b"invalid multibulk length"),
    (b"*1 \r\n", b"invalid multibulk length"),
    (b"*1\nX$4\r\nPING\r\n", b"invalid multibulk length"),
    (b"*2147483648\r\n", b"invalid multibulk length"),
    (b"*18446744073709551616\r\n", b"invalid multibulk length"),
    (b"*-9223372036854775809\r\n", b"invalid multibulk length"),
    (b"*1\r\n:4\r\n", b"expected '$', got ':'"),
    (b"*1\r\nPING\r\n", b"expected '$', got 'P'"),
    (b"*1\r\n\r\n", b"expected '$', got ' '"),
    (b"*1\r\n\n\r\n", b"expected '$', got ' '"),
    (b"*1\r\n\x01abc\r\n", b"expected '$', got '\x01'"),
    (b"*1\r\n\xff\r\n", b"expected '$', got '\xff'"),
    (b"*2\r\n$3\r\nGET\r\n*1\r\n", b"expected '$', got '*'"),
    (b"*1\r\n$\r\n", b"invalid bulk length"),
    (b"*1\r\n$-1\r\n", b"invalid bulk length"),
    (b"*1\r\n$-0\r\n", b"invalid bulk length"),
    (b"*1\r\n$00\r\n", b"invalid bulk length"),
    (b"*1\r\n$04\r\nPING\r\n", b"invalid bulk length"),
    (b"*1\r\n$+4\r\nPING\r\n", b"invalid bulk length"),
    (b"*1\r\n$4x\r\nPING\r\n", b"invalid bulk length"),
    (b"*1\r\n$4\nPING\r\n*1\r\n", b"invalid bulk length"),
    (b"*1\r\n$536870913\r\n", b"invalid bulk length"),
    (
        b"*1\r\n$99999999999999999999999\r\n",
        b"invalid bulk length",
    ),
    (b"ECHO \"abc\r\n", b"unbalanced quotes in request"),
    (b"ECHO 'abc\r\n", b"unbalanced quotes in request"),
    (b"ECHO \"a\"b\r\n", b"unbalanced quotes in request"),
    (b"ECHO 'a'b\r\n", b"unbalanced quotes in request"),
    (b"ECHO a\"b\"c\r\n", b"unbalanced quotes in request"),
    (b"ECHO \"a\\\"\r\n", b"unbalanced quotes in request"),
    (b"ECHO \"\\\r\n", b"unbalanced quotes in request"),
];

/// Prefixes at which the server still waits, although the end of some is already wrong.
const WAITING: &[&[u8]] = &[
    b"",
    b"*",
    b"*x",
    b"*1\r",
    b"*1\r\n\r",
    b"*1\r\nA",
    b"*1\r\n$x",
    b"*1\r\n$4\r\nPING\r",
    b"*1\r\n$536870912\r\n",
    b"*2147483647\r\n",
    b"*1048577\r\n",
    b"PING",
    b"\"",
];

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[test]
fn odd_requests_are_accepted() {
    for (request, expected) in ACCEPTED {
        let outcome = feed(request, &[], &LIMITS);
        let commands: Vec<Vec<u8>> = outcome.commands.iter().map(|c| c.join(&b'|')).collect();
        assert_eq!(
            shown(&commands.join(&b';')),
            shown(expected),
            "{}",
            shown(request)
        );
        assert_eq!(outcome.error, None, "{}", shown(request));
        assert_eq!(outcome.consumed, request.len());
    }
}

#[test]
fn broken_requests_are_refused_with_the_exact_text() {
    for (request, text) in REFUSED {
        let error = feed(request, &[], &LIMITS)
            .error
            .map(|error| shown(&error.text()));
        assert_eq!(error, Some(shown(text)), "{}", shown(request));
    }
}

#[test]
fn unfinished_requests_wait() {
    for request in WAITING {
        let outcome = feed(request, &[], &LIMITS);
        assert_eq!(
            (outcome.consumed, outcome.error),
            (0, None),
            "{}",
            shown(request)
        );
    }
}

#[test]
fn lines_end_within_64_kib() {
    let max = 64 * 1024;
    let cases: [(&[u8], &[u8], u8); 4] = [
        (b"", b"too big inline request", b'\n'),
        (b"*", b"too big mbulk count string", b'\r'),
        (b"*1\r\n", b"too big bulk count string", b'\r'),
        (b"*1\r\n$1\r\na\r\n", b"", 0), // a body is no line
    ];
    for (start, text, end) in cases {
        let line_start = if start == b"*" { 0 } else { start.len() };
        let mut request = start.to_vec();
        request.resize(line_start + max, b'1');
        let waiting = feed(&request, &[], &LIMITS);
        assert_eq!(waiting.error, None);
        if text.is_empty() {
            continue;
        }
        let mut ended = request.clone();
        ended.extend([end, b'\n']);
        let error = feed(&ended, &[], &LIMITS).error.map(|error| error.text());
        assert_ne!(
            error.as_deref(),
            Some(text),
            "65536 bytes before the end are not too many"
        );
        request.push(b'1');
        let error = feed(&request, &[], &LIMITS).error.map(|error| error.text());
        assert_eq!(error.as_deref(), Some(text));
        request.extend(b"\r\n");
        let error = feed(&request, &[], &LIMITS).error.map(|error| error.text());
        assert_eq!(error.as_deref(), Some(text), "however it arrives");
    }
}

#[test]
fn before_login_requests_are_small() {
    let cases: [(&[u8], Option<ProtocolError>); 4] = [
        (b"*10\r\n", None),
        (
            b"*11\r\n",
            Some(ProtocolError::UnauthenticatedMultibulkLength),
        ),
        (b"*1\r\n$16384\r\n", None),
        (
            b"*1\r\n$16385\r\n",
            Some(ProtocolError::UnauthenticatedBulkLength),
        ),
    ];
    for (request, error) in cases {
        assert_eq!(
            feed(request, &[], &UNAUTHENTICATED).error,
            error,
            "{}",
            shown(request)
        );
        assert_eq!(
            feed(request, &[], &LIMITS).error,
            None,
            "{}",
            shown(request)
        );
    }
    // The limit of every client comes first.
    let error = feed(b"*1\r\n$536870913\r\n", &[], &UNAUTHENTICATED).error;
    assert_eq!(error, Some(ProtocolError::BulkLength));
    let error = feed(b"*2147483648\r\n", &[], &UNAUTHENTICATED).error;
    assert_eq!(error, Some(ProtocolError::MultibulkLength));
}

#[test]
fn a_command_beyond_4_gib_is_refused() {
    let limits = Limits {
        bulk_bytes_max: u64::MAX,
        ..LIMITS
    };
    assert_eq!(feed(b"*1\r\n$4294960000\r\n", &[], &limits).error, None);
    for length in ["4294967296", "999999999999999999", "9223372036854775807"] {
        let request = format!("*1\r\n${length}\r\n");
        let error = feed(request.as_bytes(), &[], &limits).error;
        assert_eq!(error, Some(ProtocolError::BulkLength), "{length}");
    }
}

/// What a command leaves behind must not reach the next one: every row after every accepted row, in
/// single bytes.
#[test]
fn rows_arrive_in_any_pieces() {
    let rows = ACCEPTED.iter().chain(REFUSED).map(|(request, _)| request);
    for (second, (first, _)) in rows.flat_map(|row| ACCEPTED.iter().map(move |first| (row, first)))
    {
        let stream = [*first, *second].concat();
        let bytes: Vec<usize> = (0..stream.len()).collect();
        let whole = feed(&stream, &[], &LIMITS);
        assert_eq!(feed(&stream, &bytes, &LIMITS), whole, "{}", shown(&stream));
        for cut in 0..stream.len() {
            assert_eq!(
                feed(&stream, &[cut], &LIMITS),
                whole,
                "{} at {cut}",
                shown(&stream)
            );
        }
    }
}
