//! Replies as the tests see them: an enum with one variant per wire type, its decoder and its
//! printer.
//!
//! Deliberately not the server's own codec: a test that decodes with the code under test proves
//! nothing. Invariant: two different wire replies never print alike (`$-1`, `*-1` and `_` are three
//! texts), so comparing printed lines is comparing replies. Source: the RESP2 and RESP3
//! specifications; the printed form follows `redis-cli` wherever that is unambiguous.

use std::fmt::Write as _;

/// One reply of a server, RESP2 or RESP3. Numbers that have more than one spelling keep the
/// server's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reply {
    /// `+text`
    Status(Vec<u8>),
    /// `-text`
    Error(Vec<u8>),
    /// `:number`
    Int(i64),
    /// `$length` and that many bytes.
    Bulk(Vec<u8>),
    /// `$-1`
    NilBulk,
    /// `*-1`
    NilArray,
    /// `_` (RESP3)
    Null,
    /// `*count`
    Array(Vec<Reply>),
    /// `%count` (RESP3), in the order of the wire.
    Map(Vec<(Reply, Reply)>),
    /// `~count` (RESP3), in the order of the wire.
    Set(Vec<Reply>),
    /// `>count` (RESP3)
    Push(Vec<Reply>),
    /// `,text` (RESP3)
    Double(String),
    /// `#t` or `#f` (RESP3)
    Bool(bool),
    /// `(digits` (RESP3)
    BigNumber(String),
    /// `=length` (RESP3): three letters of format, and the text.
    Verbatim(String, Vec<u8>),
    /// `!length` (RESP3)
    BulkError(Vec<u8>),
}

/// The bytes are not RESP. Holds what was wrong and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

/// Nesting beyond this is a broken server, not a reply.
const DEPTH_MAX: usize = 32;

impl Reply {
    /// Decodes the reply at the front of `bytes`: the reply and its length, or `None` when it is
    /// incomplete.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Reply, usize)>, Malformed> {
        let mut cursor = Cursor { bytes, at: 0 };
        Ok(cursor.reply(0)?.map(|reply| (reply, cursor.at)))
    }

    /// The reply as `redis-cli` would show it, one string per line, without ambiguity.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Reply::Array(items) => aggregate(items, ')', "(empty array)"),
            Reply::Set(items) => aggregate(items, '~', "(empty set)"),
            Reply::Push(items) => aggregate(items, '>', "(empty push)"),
            Reply::Map(pairs) => map(pairs),
            scalar => vec![scalar.scalar_text()],
        }
    }

    /// The elements of the outermost aggregate sorted by their printed form; scalars as they are.
    pub fn sorted(mut self) -> Reply {
        match &mut self {
            Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => {
                items.sort_by_cached_key(Reply::lines);
            }
            Reply::Map(pairs) => pairs.sort_by_cached_key(|(key, _)| key.lines()),
            _ => {}
        }
        self
    }

    /// Whether this is an error of either kind.
    pub fn is_error(&self) -> bool {
        matches!(self, Reply::Error(_) | Reply::BulkError(_))
    }

    /// The bytes of a string-like reply, if it is one.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Reply::Status(b) | Reply::Error(b) | Reply::Bulk(b) | Reply::Verbatim(_, b) => Some(b),
            _ => None,
        }
    }

    /// The elements of an array, set or push, if it is one.
    pub fn items(&self) -> Option<&[Reply]> {
        match self {
            Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => Some(items),
            _ => None,
        }
    }

    fn scalar_text(&self) -> String {
        match self {
            Reply::Status(text) => status(text),
            Reply::Error(text) => format!("(error) {}", plain(text)),
            Reply::BulkError(text) => format!("(bulk error) {}", plain(text)),
            Reply::Int(number) => format!("(integer) {number}"),
            Reply::Bulk(bytes) => quoted(bytes),
            Reply::NilBulk => "(nil)".to_owned(),
            Reply::NilArray => "(nil array)".to_owned(),
            Reply::Null => "(null)".to_owned(),
            Reply::Double(text) => format!("(double) {text}"),
            Reply::Bool(value) => format!("({value})"),
            Reply::BigNumber(digits) => format!("(big number) {digits}"),
            Reply::Verbatim(format, text) => format!("(verbatim {format}) {}", quoted(text)),
            Reply::Array(_) | Reply::Set(_) | Reply::Push(_) | Reply::Map(_) => {
                self.lines().join("\n")
            }
        }
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

/// Bytes between double quotes, escaped as `redis-cli` does: printable ASCII as it is, the rest as
/// `\xHH`.
pub fn quoted(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(byte as char);
            }
            _ => push_escaped(&mut out, byte),
        }
    }
    out.push('"');
    out
}

/// Bytes without quotes; only what is not printable is escaped.
fn plain(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        push_escaped(&mut out, byte);
    }
    out
}

fn push_escaped(out: &mut String, byte: u8) {
    match byte {
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        0x07 => out.push_str("\\a"),
        0x08 => out.push_str("\\b"),
        b' '..=b'~' => out.push(byte as char),
        // Writing to a String cannot fail.
        _ => _ = write!(out, "\\x{byte:02x}"),
    }
}

/// A status is printed bare when it is plain words (`OK`, `@read`), else marked and quoted.
fn status(text: &[u8]) -> String {
    let word = |b: &u8| b.is_ascii_alphanumeric() || b"_-. ".contains(b);
    let letters = text.strip_prefix(b"@").unwrap_or(text);
    let bare = letters.first().is_some_and(u8::is_ascii_alphabetic)
        && letters.last().is_some_and(|b| *b != b' ')
        && letters.iter().all(word);
    if bare {
        plain(text)
    } else {
        format!("(status) {}", quoted(text))
    }
}

fn aggregate(items: &[Reply], mark: char, empty: &str) -> Vec<String> {
    if items.is_empty() {
        return vec![empty.to_owned()];
    }
    let width = items.len().to_string().len();
    let mut lines = Vec::new();
    for (index, item) in items.iter().enumerate() {
        hang(
            &mut lines,
            &format!("{:>width$}{mark} ", index + 1),
            item.lines(),
        );
    }
    lines
}

fn map(pairs: &[(Reply, Reply)]) -> Vec<String> {
    if pairs.is_empty() {
        return vec!["(empty map)".to_owned()];
    }
    let width = pairs.len().to_string().len();
    let mut lines = Vec::new();
    for (index, (key, value)) in pairs.iter().enumerate() {
        let value = value.lines();
        let key = key.lines().join(" ");
        let head = format!("{:>width$}# {key} =>", index + 1);
        if value.len() == 1 {
            lines.push(format!("{head} {}", value[0]));
        } else {
            lines.push(head);
            lines.extend(value.iter().map(|line| format!("{:width$}   {line}", "")));
        }
    }
    lines
}

/// Appends `body` behind `head`; the lines after the first are indented to the head's width.
fn hang(lines: &mut Vec<String>, head: &str, body: Vec<String>) {
    let indent = " ".repeat(head.len());
    for (index, line) in body.into_iter().enumerate() {
        lines.push(format!("{}{line}", if index == 0 { head } else { &indent }));
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Step<T> = Result<Option<T>, Malformed>;

impl<'a> Cursor<'a> {
    fn reply(&mut self, depth: usize) -> Step<Reply> {
        let Some(line) = self.line()? else {
            return Ok(None);
        };
        let Some((&kind, rest)) = line.split_first() else {
            return Err(self.malformed("an empty line"));
        };
        if depth > DEPTH_MAX {
            return Err(self.malformed("nesting too deep"));
        }
        Ok(Some(match kind {
            b'+' => Reply::Status(rest.to_vec()),
            b'-' => Reply::Error(rest.to_vec()),
            b':' => Reply::Int(self.number(rest)?),
            b',' => Reply::Double(self.text(rest)?),
            b'(' => Reply::BigNumber(self.text(rest)?),
            b'_' if rest.is_empty() => Reply::Null,
            b'#' if rest == b"t" => Reply::Bool(true),
            b'#' if rest == b"f" => Reply::Bool(false),
            b'$' | b'=' | b'!' => return self.blob(kind, rest),
            b'*' | b'~' | b'>' | b'%' | b'|' => return self.many(kind, rest, depth),
            _ => return Err(self.malformed(&format!("unexpected line {}", quoted(line)))),
        }))
    }

    fn blob(&mut self, kind: u8, header: &[u8]) -> Step<Reply> {
        let length = self.number(header)?;
        if length == -1 && kind == b'$' {
            return Ok(Some(Reply::NilBulk));
        }
        let length = usize::try_from(length).map_err(|_| self.malformed("a negative length"))?;
        let Some(body) = self.bytes.get(self.at..self.at + length + 2) else {
            return Ok(None);
        };
        let Some(body) = body.strip_suffix(b"\r\n") else {
            return Err(self.malformed("a blob without CRLF behind it"));
        };
        self.at += length + 2;
        Ok(Some(match kind {
            b'$' => Reply::Bulk(body.to_vec()),
            b'!' => Reply::BulkError(body.to_vec()),
            _ => match body.split_at_checked(4) {
                Some((format, text)) if format[3] == b':' => {
                    Reply::Verbatim(self.text(&format[..3])?, text.to_vec())
                }
                _ => return Err(self.malformed("a verbatim string without its format")),
            },
        }))
    }

    fn many(&mut self, kind: u8, header: &[u8], depth: usize) -> Step<Reply> {
        let count = self.number(header)?;
        if count == -1 && kind == b'*' {
            return Ok(Some(Reply::NilArray));
        }
        let count = usize::try_from(count).map_err(|_| self.malformed("a negative count"))?;
        let total = if matches!(kind, b'%' | b'|') {
            count * 2
        } else {
            count
        };
        let mut items = Vec::new();
        for _ in 0..total {
            let Some(item) = self.reply(depth + 1)? else {
                return Ok(None);
            };
            items.push(item);
        }
        Ok(Some(match kind {
            b'*' => Reply::Array(items),
            b'~' => Reply::Set(items),
            b'>' => Reply::Push(items),
            b'%' => Reply::Map(pairs(items)),
            // An attribute says something about the reply behind it; no test needs it.
            _ => return self.reply(depth),
        }))
    }

    fn line(&mut self) -> Step<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            return Ok(None);
        };
        self.at += end + 2;
        Ok(Some(&rest[..end]))
    }

    fn number(&self, text: &[u8]) -> Result<i64, Malformed> {
        let number = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
        number.ok_or_else(|| self.malformed(&format!("not a number: {}", quoted(text))))
    }

    fn text(&self, text: &[u8]) -> Result<String, Malformed> {
        String::from_utf8(text.to_vec()).map_err(|_| self.malformed("text that is not UTF-8"))
    }

    fn malformed(&self, what: &str) -> Malformed {
        Malformed(format!("{what}, before byte {}", self.at))
    }
}

fn pairs(items: Vec<Reply>) -> Vec<(Reply, Reply)> {
    let mut pairs = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        pairs.push((key, value));
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(wire: &[u8]) -> String {
        let (reply, used) = Reply::decode(wire).unwrap().unwrap();
        assert_eq!(used, wire.len());
        reply.to_string()
    }

    #[test]
    fn every_wire_type_has_its_own_text() {
        let rows: &[(&[u8], &str)] = &[
            (b"+OK\r\n", "OK"),
            (b"+\r\n", "(status) \"\""),
            (b"+(nil)\r\n", "(status) \"(nil)\""),
            (b"-ERR no\r\n", "(error) ERR no"),
            (b":-7\r\n", "(integer) -7"),
            (b"$2\r\nOK\r\n", "\"OK\""),
            (b"$5\r\na\"\\\n\xff\r\n", "\"a\\\"\\\\\\n\\xff\""),
            (b"$-1\r\n", "(nil)"),
            (b"*-1\r\n", "(nil array)"),
            (b"_\r\n", "(null)"),
            (b"*0\r\n", "(empty array)"),
            (
                b"*2\r\n:1\r\n*2\r\n:2\r\n:3\r\n",
                "1) (integer) 1\n2) 1) (integer) 2\n   2) (integer) 3",
            ),
            (b"%1\r\n+a\r\n:1\r\n", "1# a => (integer) 1"),
            (b"%1\r\n+a\r\n*1\r\n:1\r\n", "1# a => 1) (integer) 1"),
            (b"~1\r\n:1\r\n", "1~ (integer) 1"),
            (b">1\r\n+x\r\n", "1> x"),
            (b",1.5\r\n", "(double) 1.5"),
            (b"#t\r\n", "(true)"),
            (b"(12\r\n", "(big number) 12"),
            (b"=6\r\ntxt:hi\r\n", "(verbatim txt) \"hi\""),
            (b"!3\r\nERR\r\n", "(bulk error) ERR"),
            (b"|1\r\n+a\r\n:1\r\n:5\r\n", "(integer) 5"),
        ];
        for (wire, text) in rows {
            assert_eq!(printed(wire), *text);
        }
    }

    #[test]
    fn every_prefix_is_incomplete() {
        let wire = b"*3\r\n%1\r\n+k\r\n$3\r\nabc\r\n=6\r\ntxt:hi\r\n~1\r\n_\r\n";
        for cut in 0..wire.len() {
            assert_eq!(Reply::decode(&wire[..cut]), Ok(None), "cut at {cut}");
        }
    }

    #[test]
    fn nonsense_is_malformed() {
        for wire in [
            &b"hello\r\n"[..],
            b":x\r\n",
            b"$-2\r\n",
            b"$1\r\nabc",
            b"=3\r\nabc\r\n",
        ] {
            assert!(Reply::decode(wire).is_err(), "{}", quoted(wire));
        }
    }
}
