//! `cargo xtask tidy --fix`: wraps comment lines that are too long. The formatter leaves comments
//! alone.
//!
//! Only the paragraph that holds a long line is touched: its end flows into the next line when that
//! continues the same paragraph. Tables, drawings (anything indented behind the marker) and code in
//! comments stay as they are.

use std::fs;

use testkit::peers;

use super::Source;
use super::tables::LINE_MAX;

/// Rewrites the files that need it.
pub(super) fn fix(sources: &[Source]) -> Result<(), String> {
    for source in sources {
        let wrapped = wrap(&source.text);
        if wrapped != source.text {
            let path = peers::root().join(&source.path);
            fs::write(&path, wrapped).map_err(|error| format!("{}: {error}", path.display()))?;
            println!("wrapped {}", source.path);
        }
    }
    Ok(())
}

fn wrap(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut carried: Option<(String, String)> = None;
    for line in text.lines() {
        let line = match carried.take() {
            Some((marker, words)) => match comment(line) {
                Some((same, rest)) if same == marker && is_prose(rest) => {
                    format!("{marker}{words} {rest}")
                }
                _ => {
                    out.push(format!("{marker}{words}"));
                    line.to_owned()
                }
            },
            None => line.to_owned(),
        };
        carried = push_wrapped(&mut out, line);
    }
    out.extend(carried.map(|(marker, words)| marker + &words));
    out.join("\n") + "\n"
}

/// Pushes what fits; returns the marker and the words that do not.
fn push_wrapped(out: &mut Vec<String>, line: String) -> Option<(String, String)> {
    let mut line = line;
    loop {
        let Some((marker, _)) = comment(&line).filter(|_| line.chars().count() > LINE_MAX) else {
            out.push(line);
            return None;
        };
        let marker = marker.to_owned();
        let limit = line
            .char_indices()
            .nth(LINE_MAX)
            .map_or(line.len(), |(at, _)| at);
        let cut = line[..=limit.min(line.len() - 1)]
            .rfind(' ')
            .filter(|cut| *cut > marker.len());
        let Some(cut) = cut else {
            out.push(line);
            return None;
        };
        let rest = line[cut + 1..].to_owned();
        out.push(line[..cut].trim_end().to_owned());
        // A list item's next line is indented under its text.
        let hanging = line[marker.len()..].starts_with("- ");
        let marker = if hanging {
            format!("{marker}  ")
        } else {
            marker
        };
        if marker.len() + rest.chars().count() <= LINE_MAX {
            return Some((marker, rest));
        }
        line = marker + &rest;
    }
}

/// A comment line's marker (with its indentation and one space) and the text behind it.
fn comment(line: &str) -> Option<(&str, &str)> {
    let start = line.len() - line.trim_start().len();
    let body = &line[start..];
    let marker = ["//! ", "/// ", "// "]
        .into_iter()
        .find(|marker| body.starts_with(marker))?;
    let text = &body[marker.len()..];
    (!text.starts_with([' ', '|', '#'])).then(|| line.split_at(start + marker.len()))
}

/// Whether a line continues a paragraph, rather than starting an item of its own.
fn is_prose(text: &str) -> bool {
    let item = [
        '-', '*', '#', '|', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9',
    ];
    !text.starts_with(item) && !text.starts_with("```") && !text.contains("]: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_comments_flow_into_the_next_line_and_the_rest_stays() {
        let words = "word ".repeat(24);
        let long = format!("    /// {}\n    /// tail.\n    code();\n", words.trim_end());
        let wrapped = wrap(&long);
        assert!(
            wrapped.lines().all(|line| line.len() <= LINE_MAX),
            "{wrapped}"
        );
        assert!(wrapped.contains(" word tail.\n    code();\n"), "{wrapped}");
        let table = format!("//! | {} |\n", "x ".repeat(60));
        assert_eq!(wrap(&table), table);
    }
}
