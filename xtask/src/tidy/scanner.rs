//! Just enough of Rust's lexical grammar to tell code from comments and strings, and to find where
//! functions end. Not a parser: it knows quotes, comments and brackets, which is all that counting
//! lines needs.

/// A copy of the source in which comments, strings and character literals are blanks. Line breaks
/// stay.
pub(super) fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let length = match &bytes[at..] {
            [b'/', b'/', ..] => line_comment(&bytes[at..]),
            [b'/', b'*', ..] => block_comment(&bytes[at..]),
            [b'"', ..] => string(&bytes[at..]),
            [b'r', b'"' | b'#', ..] if !follows_word(bytes, at) => raw_string(&bytes[at..]),
            [b'b', b'r', b'"' | b'#', ..] if !follows_word(bytes, at) => {
                1 + raw_string(&bytes[at + 1..])
            }
            [b'\'', ..] => character(&bytes[at..]),
            _ => 0,
        };
        for byte in &mut out[at..at + length] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at += length.max(1);
    }
    // Every literal was blanked whole, so what is left is valid UTF-8.
    String::from_utf8_lossy(&out).into_owned()
}

fn line_comment(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|b| *b == b'\n')
        .unwrap_or(bytes.len())
}

fn block_comment(bytes: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

fn string(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// `r"..."`, `r#"..."#` and so on; 0 when it is a raw identifier.
fn raw_string(bytes: &[u8]) -> usize {
    let hashes = bytes[1..].iter().take_while(|b| **b == b'#').count();
    if bytes.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let end = [&b"\""[..], &b"#".repeat(hashes)].concat();
    let body = 2 + hashes;
    let close = bytes[body..]
        .windows(end.len())
        .position(|window| window == end);
    close.map_or(bytes.len(), |close| body + close + end.len())
}

/// A character literal; 0 when the quote starts a lifetime.
fn character(bytes: &[u8]) -> usize {
    let end = match bytes.get(1) {
        Some(b'\\') => bytes
            .iter()
            .skip(3)
            .position(|b| *b == b'\'')
            .map(|end| end + 3),
        Some(first) => {
            let width = match first {
                0xF0.. => 4,
                0xE0.. => 3,
                0xC0.. => 2,
                _ => 1,
            };
            (bytes.get(1 + width) == Some(&b'\'')).then_some(1 + width)
        }
        None => None,
    };
    end.map_or(0, |end| end + 1)
}

fn follows_word(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

/// A function's name, the line it starts on (from 1), and how many lines it has.
pub(super) struct Function {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) lines: usize,
}

/// The functions that have a body, in order. `code` is what [`code_only`] returned.
pub(super) fn functions(code: &str) -> Vec<Function> {
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        if follows_word(bytes, at) {
            continue;
        }
        let rest = code[at + 3..].trim_start();
        let name: String = rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        if let (false, Some(end)) = (name.is_empty(), body_end(&bytes[at..])) {
            let line = 1 + code[..at].matches('\n').count();
            let lines = 1 + code[at..at + end].matches('\n').count();
            found.push(Function { name, line, lines });
        }
    }
    found
}

/// Offset of the brace that closes the body; `None` for a declaration without one.
fn body_end(bytes: &[u8]) -> Option<usize> {
    let mut nesting = 0_usize;
    let mut braces = 0_usize;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'(' | b'[' => nesting += 1,
            b')' | b']' => nesting = nesting.saturating_sub(1),
            b';' if nesting == 0 && braces == 0 => return None,
            b'{' => braces += 1,
            b'}' if braces == 1 => return Some(at),
            b'}' => braces = braces.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked() {
        let code =
            code_only("a // b\n\"c{\\\"\" 'd' '\\n' 'e r#\"f\"# /* g /* h */ i */ j br\"k\"");
        let words: Vec<&str> = code.split_whitespace().collect();
        assert_eq!(words, ["a", "'e", "j"]);
        assert_eq!(code.matches('\n').count(), 1);
    }

    #[test]
    fn functions_are_measured_from_fn_to_brace() {
        let code = code_only(
            "fn one(a: [u8; 2]) {\n let f: fn(u8) = g;\n if x { '{'; }\n}\ntrait T { fn two(); }\n\
             impl X { fn three() -> u8 {\n 1 } }",
        );
        let found: Vec<_> = functions(&code)
            .into_iter()
            .map(|f| (f.name, f.line, f.lines))
            .collect();
        assert_eq!(
            found,
            [("one".to_owned(), 1, 4), ("three".to_owned(), 6, 2)]
        );
    }
}
