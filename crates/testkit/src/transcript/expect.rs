//! Decides whether an answer is the expected one; see the module head for the pattern language.

use regex_lite::Regex;

use super::parse::Captures;

/// How to present the answer before comparing.
pub(super) const UNORDERED: &str = "(unordered)";

/// Compares an answer's printed lines with the expected ones. On success the captures are added.
pub(super) fn matches(
    expected: &[String],
    actual: &[String],
    captures: &mut Captures,
) -> Result<bool, String> {
    if !expected.is_empty() && expected.iter().all(|line| line.starts_with("~ ")) {
        let text = actual.join("\n");
        for line in expected {
            if !regex(&line[2..])?.is_match(&text) {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    let mut found = captures.clone();
    let matched = lines_match(expected, actual, &mut found)?;
    if matched {
        *captures = found;
    }
    Ok(matched)
}

/// `...` takes the fewest lines with which the rest matches.
fn lines_match(
    expected: &[String],
    actual: &[String],
    captures: &mut Captures,
) -> Result<bool, String> {
    let Some((first, rest)) = expected.split_first() else {
        return Ok(actual.is_empty());
    };
    if first.trim() == "..." {
        for skipped in 0..=actual.len() {
            if lines_match(rest, &actual[skipped..], captures)? {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    match actual.split_first() {
        Some((line, more)) if line_matches(first, line, captures)? => {
            lines_match(rest, more, captures)
        }
        _ => Ok(false),
    }
}

fn line_matches(expected: &str, actual: &str, captures: &mut Captures) -> Result<bool, String> {
    if !expected.contains(['<', '$']) {
        return Ok(expected == actual);
    }
    let pattern = Pattern::of(expected, captures);
    let Some(found) = regex(&pattern.regex)?.captures(actual) else {
        return Ok(false);
    };
    let group = |index: usize| found.get(index + 1).map_or("", |group| group.as_str());
    for (index, hole) in pattern.holes.iter().enumerate() {
        let text = group(index);
        if let Some((low, high)) = hole.range
            && !text
                .parse::<i64>()
                .is_ok_and(|number| (low..=high).contains(&number))
        {
            return Ok(false);
        }
        if let Some(name) = &hole.name {
            captures.insert(name.clone(), text.to_owned());
        }
    }
    Ok(true)
}

fn regex(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|error| format!("bad pattern `{pattern}`: {error}"))
}

/// An expected line as a regular expression with one group per hole.
struct Pattern {
    regex: String,
    holes: Vec<Hole>,
}

struct Hole {
    name: Option<String>,
    range: Option<(i64, i64)>,
}

impl Pattern {
    fn of(line: &str, captures: &Captures) -> Pattern {
        let mut pattern = Pattern {
            regex: "^".to_owned(),
            holes: Vec::new(),
        };
        let mut rest = line;
        while let Some(at) = rest.find(['<', '$']) {
            pattern.literal(&rest[..at]);
            rest = &rest[at..];
            let length = pattern.hole(rest).or_else(|| pattern.fill(rest, captures));
            let length = length.unwrap_or_else(|| {
                pattern.literal(&rest[..1]);
                1
            });
            rest = &rest[length..];
        }
        pattern.literal(rest);
        pattern.regex.push('$');
        pattern
    }

    fn literal(&mut self, text: &str) {
        self.regex.push_str(&regex_lite::escape(text));
    }

    /// A `<...>` at the front of `text`; returns its length.
    fn hole(&mut self, text: &str) -> Option<usize> {
        let end = text.find('>')?;
        let inside = text.strip_prefix('<')?.get(..end - 1)?;
        let (kind, name) = match inside.split_once(':') {
            Some((kind, name)) => (kind, Some(name.to_owned())),
            None => (inside, None),
        };
        let (regex, range) = match kind {
            "any" => ("(.*?)", None),
            "int" => (r"(-?\d+)", None),
            _ => {
                let (low, high) = kind.split_once("..")?;
                (r"(-?\d+)", Some((low.parse().ok()?, high.parse().ok()?)))
            }
        };
        self.regex.push_str(regex);
        self.holes.push(Hole { name, range });
        Some(end + 1)
    }

    /// A `${name}` at the front of `text`; returns its length.
    fn fill(&mut self, text: &str, captures: &Captures) -> Option<usize> {
        let end = text.find('}')?;
        let value = captures.get(text.strip_prefix("${")?.get(..end - 2)?)?;
        self.literal(value);
        Some(end + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: &str, actual: &str) -> bool {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let mut captures = Captures::from([("id".to_owned(), "7".to_owned())]);
        matches(&lines(expected), &lines(actual), &mut captures).unwrap()
    }

    #[test]
    fn patterns_match_what_they_say() {
        let rows = [
            ("OK", "OK", true),
            ("OK", "OK2", false),
            ("(integer) <90..100>", "(integer) 95", true),
            ("(integer) <90..100>", "(integer) 101", false),
            ("(integer) <int>", "(integer) -1", true),
            ("\"id=${id} <any>\"", "\"id=7 addr=x\"", true),
            ("\"id=${id} <any>\"", "\"id=8 addr=x\"", false),
            ("\"a<b $\"", "\"a<b $\"", true),
            ("1) a\n...\n3) c", "1) a\n2) b\n3) c", true),
            ("1) a\n...\n3) c", "1) a\n3) d", false),
            ("...", "", true),
            ("~ b+\n~ ^a", "abbc", true),
            ("~ b+\n~ ^c", "abbc", false),
        ];
        for (expected, actual, same) in rows {
            assert_eq!(check(expected, actual), same, "{expected} / {actual}");
        }
    }

    #[test]
    fn captures_are_kept_only_when_the_whole_answer_matches() {
        let mut captures = Captures::new();
        let expected = ["(integer) <int:id>".to_owned(), "x".to_owned()];
        let actual = ["(integer) 12".to_owned(), "x".to_owned()];
        assert!(!matches(&expected, &actual[..1], &mut captures).unwrap());
        assert!(captures.is_empty());
        assert!(matches(&expected, &actual, &mut captures).unwrap());
        assert_eq!(captures["id"], "12");
    }
}
