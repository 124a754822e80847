//! Reads a transcript file into sections of steps. Pure text work; see the module head for the
//! format.
//!
//! Invariant: every line of the file belongs to exactly one thing, and a line that belongs to none
//! is an error with its number, so that a typo cannot silence a check.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A parsed file.
#[derive(Debug)]
pub struct Transcript {
    /// Where it was read from.
    pub path: PathBuf,
    /// The file's lines, kept for rewriting.
    pub lines: Vec<String>,
    /// The commands named by `# covers:`, upper case.
    pub covers: Vec<String>,
    /// Extra arguments for the server process.
    pub args: Vec<String>,
    /// In order of the file; the first may have no title.
    pub sections: Vec<Section>,
}

/// What follows one `===` line.
#[derive(Clone, Debug)]
pub struct Section {
    /// The text behind `===`.
    pub title: String,
    /// What the expectations are checked with, besides Ruddle.
    pub against: Against,
    /// Whether connections say HELLO 3 first.
    pub resp3: bool,
    /// Parameters to set at the start and to restore at the end.
    pub config: Vec<(String, String)>,
    /// The conversation.
    pub steps: Vec<Step>,
}

/// Which peer confirms a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Against {
    /// The default.
    Redis,
    /// What only Valkey has.
    Valkey,
    /// What no peer here has; holds the reason.
    Nobody(String),
}

/// One exchange.
#[derive(Clone, Debug)]
pub struct Step {
    /// Line number of the step, from 1.
    pub line: usize,
    /// The connection's name, often empty.
    pub connection: String,
    /// What to do.
    pub action: Action,
    /// The lines that hold the expected answer, from 0; empty for steps without one.
    pub expected: Range<usize>,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a command and read the reply.
    Call(Vec<Word>),
    /// Send a command only.
    Send(Vec<Word>),
    /// Read the next reply.
    Receive,
    /// Send raw bytes.
    Raw(Vec<Word>),
    /// Close the connection from our side.
    HangUp,
    /// Repeat the command until the reply's text is this.
    Until(Vec<Word>, String),
}

/// A word of a command: literal bytes and things to fill in at run time.
pub type Word = Vec<Part>;

/// A piece of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Bytes as they are.
    Bytes(Vec<u8>),
    /// The inside of `${...}`.
    Fill(String),
}

/// What a word is filled from.
pub(super) type Captures = HashMap<String, String>;

impl Transcript {
    /// Reads and parses a file. The error names file and line.
    pub fn read(path: &Path) -> Result<Transcript, String> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Transcript::parse(path, &text)
    }

    /// Parses a file's text.
    pub fn parse(path: &Path, text: &str) -> Result<Transcript, String> {
        let mut parser = Parser {
            transcript: Transcript {
                path: path.to_path_buf(),
                lines: text.lines().map(str::to_owned).collect(),
                covers: Vec::new(),
                args: Vec::new(),
                sections: Vec::new(),
            },
            head: Section::new(""),
        };
        for at in 0..parser.transcript.lines.len() {
            let line = parser.transcript.lines[at].clone();
            parser
                .line(at, &line)
                .map_err(|why| format!("{}:{}: {why}", path.display(), at + 1))?;
        }
        Ok(parser.transcript)
    }
}

impl Section {
    fn new(title: &str) -> Section {
        Section {
            title: title.to_owned(),
            against: Against::Redis,
            resp3: false,
            config: Vec::new(),
            steps: Vec::new(),
        }
    }
}

struct Parser {
    transcript: Transcript,
    /// What the head of the file says; sections start as copies of it.
    head: Section,
}

impl Parser {
    fn line(&mut self, at: usize, line: &str) -> Result<(), String> {
        if let Some(title) = line.strip_prefix("===") {
            self.open(title.trim());
            return Ok(());
        }
        if let Some(directive) = line.strip_prefix("@ ") {
            return self.directive(directive);
        }
        if let Some((connection, action)) = step(line)? {
            self.push(Step {
                line: at + 1,
                connection,
                action,
                expected: at + 1..at + 1,
            });
            return Ok(());
        }
        if line.trim().is_empty() {
            return Ok(());
        }
        if let Some(comment) = line.strip_prefix('#') {
            if let Some(names) = comment.trim().strip_prefix("covers:") {
                let names = names.split(',').map(|name| name.trim().to_uppercase());
                self.transcript
                    .covers
                    .extend(names.filter(|name| !name.is_empty()));
            }
            return Ok(());
        }
        self.expect(at)
    }

    /// A line that is nothing else is part of the expected answer of the step right above it.
    fn expect(&mut self, at: usize) -> Result<(), String> {
        let step = self
            .transcript
            .sections
            .last_mut()
            .and_then(|s| s.steps.last_mut());
        match step {
            Some(step) if step.expected.end == at && step.action.has_answer() => {
                step.expected.end = at + 1;
                Ok(())
            }
            _ => Err("this line belongs to no step".to_owned()),
        }
    }

    fn open(&mut self, title: &str) {
        let section = Section {
            title: title.to_owned(),
            steps: Vec::new(),
            ..self.head.clone()
        };
        self.transcript.sections.push(section);
    }

    fn push(&mut self, step: Step) {
        if self.transcript.sections.is_empty() {
            self.open("");
        }
        // `open` has just made sure that there is one.
        self.transcript
            .sections
            .last_mut()
            .expect("a section")
            .steps
            .push(step);
    }

    fn directive(&mut self, text: &str) -> Result<(), String> {
        let in_head = self.transcript.sections.is_empty();
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim();
        if name == "args" {
            if !in_head {
                return Err("`@ args` belongs to the head of the file".to_owned());
            }
            for word in words(rest)? {
                self.transcript.args.push(literal(&word)?);
            }
            return Ok(());
        }
        let section = self
            .transcript
            .sections
            .last_mut()
            .unwrap_or(&mut self.head);
        if !section.steps.is_empty() {
            return Err("directives come before the steps of a section".to_owned());
        }
        match (name, rest) {
            ("resp3", "") => section.resp3 = true,
            ("peer", "redis") => section.against = Against::Redis,
            ("peer", "valkey") => section.against = Against::Valkey,
            ("only", _) => {
                let reason = rest
                    .strip_prefix("ruddle:")
                    .map(str::trim)
                    .unwrap_or_default();
                if reason.is_empty() {
                    return Err("say `@ only ruddle: why`".to_owned());
                }
                section.against = Against::Nobody(reason.to_owned());
            }
            ("config", _) => match &words(rest)?[..] {
                [name, value] => section.config.push((literal(name)?, literal(value)?)),
                _ => return Err("say `@ config name value`".to_owned()),
            },
            _ => return Err(format!("unknown directive `{text}`")),
        }
        Ok(())
    }
}

impl Action {
    /// Whether lines with an expected answer follow.
    pub fn has_answer(&self) -> bool {
        matches!(self, Action::Call(_) | Action::Receive)
    }

    /// Whether this needs a real connection, so that an in-process target cannot do it.
    pub fn needs_socket(&self) -> bool {
        !matches!(self, Action::Call(_) | Action::Until(..))
    }
}

/// Parses a step line: connection name, one mark, and the command. `None` when it is no step.
fn step(line: &str) -> Result<Option<(String, Action)>, String> {
    if let Some(rest) = line.strip_prefix("until ") {
        let (command, reply) = rest
            .rsplit_once(" = ")
            .ok_or("say `until COMMAND = reply`")?;
        let action = Action::Until(words(command)?, reply.to_owned());
        return Ok(Some((String::new(), action)));
    }
    let mark_at = line
        .find(|c: char| !c.is_ascii_lowercase())
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(mark_at);
    let mut chars = rest.chars();
    let mark = chars.next();
    let action = match (mark, chars.as_str()) {
        (Some('<'), "") => Action::Receive,
        (Some('^'), "") => Action::HangUp,
        (Some('>'), rest) if rest.starts_with(' ') => Action::Call(words(rest)?),
        (Some('&'), rest) if rest.starts_with(' ') => Action::Send(words(rest)?),
        (Some('!'), rest) if rest.starts_with(" \"") => Action::Raw(words(rest)?),
        _ => return Ok(None),
    };
    Ok(Some((name.to_owned(), action)))
}

fn literal(word: &Word) -> Result<String, String> {
    let bytes = fill(word, &Captures::new(), 0)?;
    String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())
}

/// Splits a command into words, as `redis-cli` does, and finds the `${...}` in them.
pub(super) fn words(text: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = text.as_bytes();
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Ok(words);
        }
        let mut lexer = Lexer {
            rest,
            word: Vec::new(),
        };
        lexer.word()?;
        rest = lexer.rest;
        words.push(lexer.word);
    }
}

struct Lexer<'a> {
    rest: &'a [u8],
    word: Word,
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn word(&mut self) -> Result<(), String> {
        let quote = match self.rest.first() {
            Some(quote @ (b'"' | b'\'')) => Some(*quote),
            _ => None,
        };
        if quote.is_some() {
            self.next();
            // An empty quoted word is a word.
            self.word.push(Part::Bytes(Vec::new()));
        }
        loop {
            if quote.is_none() && self.rest.first().is_none_or(u8::is_ascii_whitespace) {
                return Ok(());
            }
            let byte = self.next().ok_or("unbalanced quotes")?;
            match (byte, quote) {
                (b'$', None | Some(b'"')) if self.rest.starts_with(b"{") => self.fill()?,
                (_, Some(quote)) if byte == quote => return self.behind_quote(),
                (b'\\', Some(b'"')) => {
                    let byte = self.escape()?;
                    self.push(byte);
                }
                (b'\\', Some(b'\'')) if self.rest.starts_with(b"'") => {
                    self.next();
                    self.push(b'\'');
                }
                _ => self.push(byte),
            }
        }
    }

    fn behind_quote(&self) -> Result<(), String> {
        match self.rest.first() {
            Some(byte) if !byte.is_ascii_whitespace() => {
                Err("text right behind a quote".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn escape(&mut self) -> Result<u8, String> {
        Ok(match self.next().ok_or("unbalanced quotes")? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 0x08,
            b'a' => 0x07,
            b'x' => {
                let digits = self.rest.get(..2).and_then(|d| std::str::from_utf8(d).ok());
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                self.rest = self.rest.get(2..).unwrap_or_default();
                byte.ok_or("`\\x` needs two hexadecimal digits")?
            }
            other => other,
        })
    }

    fn fill(&mut self) -> Result<(), String> {
        let end = self
            .rest
            .iter()
            .position(|b| *b == b'}')
            .ok_or("`${` without `}`")?;
        let inside = String::from_utf8_lossy(&self.rest[1..end]).into_owned();
        self.rest = &self.rest[end + 1..];
        self.word.push(Part::Fill(inside));
        Ok(())
    }

    fn push(&mut self, byte: u8) {
        match self.word.last_mut() {
            Some(Part::Bytes(bytes)) => bytes.push(byte),
            _ => self.word.push(Part::Bytes(vec![byte])),
        }
    }
}

/// The bytes of a word, with captured texts, repetitions and times (around `now_ms`) filled in.
pub(super) fn fill(word: &Word, captures: &Captures, now_ms: i64) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    for part in word {
        match part {
            Part::Bytes(bytes) => out.extend_from_slice(bytes),
            Part::Fill(inside) => out.extend(filled(inside, captures, now_ms)?),
        }
    }
    Ok(out)
}

fn filled(inside: &str, captures: &Captures, now_ms: i64) -> Result<Vec<u8>, String> {
    if let Some(text) = captures.get(inside) {
        return Ok(text.clone().into_bytes());
    }
    if let Some((text, count)) = inside.rsplit_once('*')
        && let Ok(count) = count.parse()
    {
        return Ok(text.as_bytes().repeat(count));
    }
    for (name, now) in [("now_ms", now_ms), ("now_s", now_ms / 1000)] {
        let shift = match inside.strip_prefix(name) {
            Some("") => Some(0),
            Some(rest) => rest.parse::<i64>().ok(),
            None => None,
        };
        if let Some(shift) = shift {
            return Ok((now + shift).to_string().into_bytes());
        }
    }
    Err(format!("nothing known as `${{{inside}}}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<Vec<u8>> {
        let captures = Captures::from([("id".to_owned(), "7".to_owned())]);
        words(text)
            .unwrap()
            .iter()
            .map(|word| fill(word, &captures, 5000).unwrap())
            .collect()
    }

    #[test]
    fn words_are_split_as_redis_cli_does() {
        assert_eq!(
            split(r#"SET k "a \"b\"\x00\n" '' 'it\'s ${x}'"#),
            [&b"SET"[..], b"k", b"a \"b\"\0\n", b"", b"it's ${x}"]
        );
        assert_eq!(
            split("k${id} ${ab*3} ${now_ms+1} ${now_s} ${now_s-10}"),
            [&b"k7"[..], b"ababab", b"5001", b"5", b"-5"]
        );
        assert!(words("\"open").is_err());
        assert!(words("\"a\"b").is_err());
    }

    #[test]
    fn sections_inherit_the_head_and_lines_find_their_step() {
        let text = "# covers: get, CLIENT LIST\n@ peer valkey\n\n> GET k\n(nil)\n\n\
            === two\n@ resp3\n@ config a b\na& PING\na<\nPONG\nuntil PING = PONG\n";
        let parsed = Transcript::parse(Path::new("t"), text).unwrap();
        assert_eq!(parsed.covers, ["GET", "CLIENT LIST"]);
        let [one, two] = &parsed.sections[..] else {
            panic!("two sections")
        };
        assert_eq!(one.steps[0].expected, 4..5);
        assert_eq!(
            (&one.against, &two.against),
            (&Against::Valkey, &Against::Valkey)
        );
        assert!(two.resp3 && !one.resp3);
        assert_eq!(two.steps[1].action, Action::Receive);
        assert_eq!(two.steps[1].expected, 11..12);
        assert!(matches!(&two.steps[2].action, Action::Until(_, reply) if reply == "PONG"));
    }

    #[test]
    fn a_stray_line_is_an_error() {
        for text in [
            "OK\n",
            "> PING\n\nPONG\n",
            "a& PING\nPONG\n",
            "@ only ruddle\n",
            "@ what\n",
        ] {
            assert!(Transcript::parse(Path::new("t"), text).is_err(), "{text}");
        }
    }
}
