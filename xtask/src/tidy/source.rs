//! Checks the Rust files one by one: head, length of file, lines and functions, unsafe code, banned
//! words.

use super::Source;
use super::scanner::{code_only, functions};
use super::tables::{BANNED, CATALOGUES, FILE_MAX, FUNCTION_MAX, LINE_MAX, Scope, UNSAFE_FILES};

/// Complaints about the files.
pub(super) fn check(sources: &[Source]) -> Vec<String> {
    sources.iter().flat_map(check_file).collect()
}

fn check_file(source: &Source) -> Vec<String> {
    let code = code_only(&source.text);
    let mut complaints = Vec::new();
    let mut complain = |line: usize, what: String| {
        complaints.push(format!("{}:{line}: {what}", source.path));
    };
    if !source.text.starts_with("//!") {
        complain(
            1,
            "a file begins with `//!`: what it is and where it sits".to_owned(),
        );
    }
    let lines = source.text.lines().count();
    if lines > FILE_MAX && !CATALOGUES.contains(&source.path.as_str()) {
        complain(1, format!("{lines} lines; a file ends at {FILE_MAX}"));
    }
    for (index, line) in source.text.lines().enumerate() {
        let width = line.chars().count();
        if width > LINE_MAX && !line.contains("://") {
            complain(
                index + 1,
                format!("{width} characters; a line ends at {LINE_MAX}"),
            );
        }
    }
    for function in functions(&code).iter().filter(|f| f.lines > FUNCTION_MAX) {
        let (name, lines) = (&function.name, function.lines);
        complain(
            function.line,
            format!("`{name}` has {lines} lines; {FUNCTION_MAX} is the limit"),
        );
    }
    for (line, what) in unsafe_code(source, &code)
        .into_iter()
        .chain(banned(source, &code))
    {
        complain(line, what);
    }
    complaints
}

/// `unsafe` outside the listed files, and unsafe blocks or impls without SAFETY right above.
fn unsafe_code(source: &Source, code: &str) -> Vec<(usize, String)> {
    let text: Vec<&str> = source.text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let Some(rest) = line
            .split_once("unsafe ")
            .map(|(_, rest)| rest.trim_start())
        else {
            continue;
        };
        if !UNSAFE_FILES.contains(&source.path.as_str()) {
            found.push((
                index + 1,
                "unsafe code outside the files listed for it".to_owned(),
            ));
        }
        let needs_reason = rest.starts_with('{') || rest.starts_with("impl");
        if needs_reason && !has_safety_above(&text[..index]) {
            found.push((index + 1, "say `// SAFETY:` right above".to_owned()));
        }
    }
    found
}

/// Whether the comment that ends right above (attributes and the head of a statement in between)
/// says SAFETY.
fn has_safety_above(above: &[&str]) -> bool {
    let is_comment = |line: &str| line.trim_start().starts_with("//");
    let mut lines = above.iter().rev().skip_while(|line| {
        !is_comment(line) && !line.trim_end().ends_with([';', '{', '}']) && !line.trim().is_empty()
    });
    lines
        .by_ref()
        .take_while(|line| is_comment(line))
        .any(|line| line.contains("SAFETY:"))
}

fn banned(source: &Source, code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let under = |prefixes: &[&str]| {
        prefixes
            .iter()
            .any(|prefix| source.path.starts_with(prefix))
    };
    for rule in BANNED
        .iter()
        .filter(|rule| under(rule.within) && !under(rule.except))
    {
        let text = if rule.scope == Scope::Code {
            code
        } else {
            &source.text
        };
        for (index, line) in text.lines().enumerate() {
            if line.contains(rule.word) {
                found.push((index + 1, format!("`{}`: {}", rule.word, rule.instead)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<String> {
        check_file(&Source {
            path: path.to_owned(),
            text: text.to_owned(),
        })
    }

    #[test]
    fn a_tidy_file_has_no_complaints() {
        assert!(complaints("crates/x/src/a.rs", "//! A.\nfn f() {}\n").is_empty());
    }

    #[test]
    fn each_rule_complains_once() {
        let long_line = format!("//! A.\n// {}\n", "x".repeat(LINE_MAX));
        let long_function = format!("//! A.\nfn f() {{\n{}}}\n", "x();\n".repeat(FUNCTION_MAX));
        let long_file = format!("//! A.\n{}", "\n".repeat(FILE_MAX));
        let banned = ["//! A.\nto", "do!();\n"].concat();
        let rows = [
            ("crates/x/src/a.rs", "fn f() {}\n"),
            ("crates/x/src/a.rs", &long_line),
            ("crates/x/src/a.rs", &long_function),
            ("crates/x/src/a.rs", &long_file),
            ("crates/x/src/a.rs", &banned),
            (
                "crates/engine/src/a.rs",
                "//! A.\nuse std::net::TcpStream;\n",
            ),
            (
                "crates/engine/src/entry.rs",
                "//! A.\nlet a = unsafe { b };\n",
            ),
            (
                "crates/x/src/a.rs",
                "//! A.\n// SAFETY: c.\nlet a =\n    unsafe { b };\n",
            ),
        ];
        for (path, text) in rows {
            assert_eq!(
                complaints(path, text).len(),
                1,
                "{path} {text}: {:?}",
                complaints(path, text)
            );
        }
    }
}
