//! Where directives come from: files, what they include, standard input, the command line.
//!
//! Everything is brought into one list of [`Line`]s in the order in which they take effect, each
//! with its [`Origin`] for error messages. What the words mean is not known here, except `include`.
//! The syntax is redis.conf's: a directive per line, words separated by blanks, quotes as in
//! redis-cli, `#` begins a comment line. Relative names of included files are taken from the
//! working directory at start.
//! Compat: upstream takes them from the latest `dir` above the line.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::strings::split_args;

use super::words::{io_text, path_of};

/// Files may include files this deep; a file that includes itself ends here.
pub const INCLUDE_DEPTH_MAX: usize = 16;
/// A larger file is not a configuration.
pub const FILE_BYTES_MAX: u64 = 16 << 20;

/// Where a directive stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a file, at a line counted from one.
    File(Arc<Path>, usize),
    /// On standard input, at a line counted from one.
    Stdin(usize),
    /// Among the program's arguments.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path, line) => write!(f, "{}:{line}", path.display()),
            Origin::Stdin(line) => write!(f, "stdin:{line}"),
            Origin::CommandLine => write!(f, "command line"),
        }
    }
}

/// Why there is no configuration: one clear line for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The directive at fault, if there is one.
    pub origin: Option<Origin>,
    /// What is wrong with it.
    pub text: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{origin}: {}", self.text),
            None => write!(f, "{}", self.text),
        }
    }
}

impl std::error::Error for ConfigError {}

/// A directive: its name and its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where it stands.
    pub origin: Origin,
    /// Never empty; the first is the name as it was written.
    pub words: Vec<Vec<u8>>,
}

/// What the command line names as sources of the configuration, in the order in which they are
/// read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// Whether standard input is read too.
    pub stdin: bool,
    /// The directives among the arguments; they win over the files.
    pub arguments: Vec<Line>,
}

impl Sources {
    /// Reads everything, standard input to its end.
    pub fn read(&self) -> Result<Vec<Line>, ConfigError> {
        let mut lines = Vec::new();
        if let Some(file) = &self.file {
            read_file(file, None, 0, &mut lines)?;
        }
        if self.stdin {
            let content = bounded(std::io::stdin().lock()).map_err(|text| ConfigError {
                origin: None,
                text: format!("cannot read the configuration from standard input: {text}"),
            })?;
            parse(&content, Origin::Stdin, 0, &mut lines)?;
        }
        for line in &self.arguments {
            push_or_include(line.clone(), 0, &mut lines)?;
        }
        Ok(lines)
    }
}

/// Reads `path`, which `asked_by` includes, `depth` files below the first.
fn read_file(
    path: &Path,
    asked_by: Option<&Origin>,
    depth: usize,
    lines: &mut Vec<Line>,
) -> Result<(), ConfigError> {
    let content = std::fs::File::open(path)
        .map_err(|error| io_text(&error).into_owned())
        .and_then(bounded)
        .map_err(|text| ConfigError {
            origin: asked_by.cloned(),
            text: format!(
                "cannot read configuration file '{}': {text}",
                path.display()
            ),
        })?;
    let shared: Arc<Path> = Arc::from(path);
    parse(
        &content,
        |number| Origin::File(shared.clone(), number),
        depth,
        lines,
    )
}

/// All of `source`, or what is wrong with it.
fn bounded(source: impl Read) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    source
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut content)
        .map_err(|error| io_text(&error).into_owned())?;
    if content.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is larger than {} MiB", FILE_BYTES_MAX >> 20));
    }
    Ok(content)
}

/// Splits `content` into directives; `origin` names a line by its number.
fn parse(
    content: &[u8],
    origin: impl Fn(usize) -> Origin,
    depth: usize,
    lines: &mut Vec<Line>,
) -> Result<(), ConfigError> {
    for (index, raw) in content.split(|byte| *byte == b'\n').enumerate() {
        let raw = raw.trim_ascii();
        if raw.is_empty() || raw.starts_with(b"#") {
            continue;
        }
        let origin = origin(index + 1);
        let words = split(raw, &origin)?;
        if !words.is_empty() {
            push_or_include(Line { origin, words }, depth, lines)?;
        }
    }
    Ok(())
}

/// The directives of a text that stands for standard input.
#[cfg(test)]
pub(super) fn parse_text(content: &[u8]) -> Result<Vec<Line>, ConfigError> {
    let mut lines = Vec::new();
    parse(content, Origin::Stdin, 0, &mut lines)?;
    Ok(lines)
}

/// Splits a directive into words, which may be quoted.
pub(super) fn split(text: &[u8], origin: &Origin) -> Result<Vec<Vec<u8>>, ConfigError> {
    split_args(text).map_err(|_| ConfigError {
        origin: Some(origin.clone()),
        text: "unbalanced quotes".to_owned(),
    })
}

/// Adds `line`, or the lines of the files that it includes.
fn push_or_include(line: Line, depth: usize, lines: &mut Vec<Line>) -> Result<(), ConfigError> {
    if !line.words[0].eq_ignore_ascii_case(INCLUDE.as_bytes()) {
        lines.push(line);
        return Ok(());
    }
    let fail = |text: String| ConfigError {
        origin: Some(line.origin.clone()),
        text,
    };
    let [_, pattern] = line.words.as_slice() else {
        return Err(fail("'include' takes one file name".to_owned()));
    };
    if depth == INCLUDE_DEPTH_MAX {
        return Err(fail(format!(
            "files include each other more than {INCLUDE_DEPTH_MAX} deep"
        )));
    }
    if !pattern.iter().any(|byte| b"*?[".contains(byte)) {
        return read_file(&path_of(pattern), Some(&line.origin), depth + 1, lines);
    }
    // A pattern that matches nothing is no error: an empty conf.d is fine.
    let matches = std::str::from_utf8(pattern)
        .map_err(|error| error.to_string())
        .and_then(|pattern| glob::glob(pattern).map_err(|error| error.to_string()))
        .map_err(|error| fail(format!("bad pattern in 'include': {error}")))?;
    for path in matches {
        let path = path.map_err(|error| fail(error.to_string()))?;
        read_file(&path, Some(&line.origin), depth + 1, lines)?;
    }
    Ok(())
}

/// The directive that is replaced by the lines of other files.
pub(super) const INCLUDE: &str = "include";
