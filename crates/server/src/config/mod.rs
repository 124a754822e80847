//! The configuration: read once at start, changed by CONFIG SET, written back by CONFIG REWRITE.
//!
//! ```text
//! arguments, file, stdin --(source)--> lines --(catalogue, kinds)--> Settings + printed texts
//! ```
//! [`Config`] holds both forms of every value: the typed field in [`Settings`] that the server
//! reads and the text that CONFIG GET prints. They are only ever changed together, by the row of
//! the catalogue ([`PARAMS`]) and after the whole change has been checked, so they agree and hold
//! no nonsense. The syntax, names and error texts follow Redis 8.2.3.

mod catalogue;
pub mod cli;
mod kinds;
pub mod params;
mod rewrite;
pub mod settings;
pub mod source;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;
use std::path::{Path, PathBuf};

use base::glob::glob_match;
use base::strings::nearest;

pub use catalogue::PARAMS;
use catalogue::{FILE_ONLY, RETIRED};
pub use kinds::Fault;
use params::{Apply, Change, Param, Standing};
pub use rewrite::{Extent, RewriteError};
use settings::{ClientPlace, Primary, Settings};
pub use source::ConfigError;
use source::{INCLUDE, Line, Origin, Sources};
pub(crate) use words::io_text;

/// The configuration of a server.
#[derive(Clone, Debug)]
pub struct Config {
    settings: Settings,
    /// Parallel to [`PARAMS`].
    values: Vec<Value>,
    /// Absolute; `None` when the server was started without a file.
    file: Option<PathBuf>,
    /// About retired directives; see [`Config::notices`].
    retired: Vec<String>,
}

#[derive(Clone, Debug)]
struct Value {
    /// As CONFIG GET prints it.
    text: Vec<u8>,
    /// Where it was set at start, if it was.
    origin: Option<Origin>,
}

/// Why CONFIG SET changed nothing. Its text is the error reply without the `ERR ` before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// No parameter has this name.
    Unknown(String),
    /// This parameter cannot be set, or not to this value.
    Refused {
        /// The parameter, by the name that was used for it.
        name: String,
        /// The reason.
        fault: Fault,
    },
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::Unknown(name) => {
                write!(
                    f,
                    "Unknown option or number of arguments for CONFIG SET - '{name}'"
                )
            }
            SetError::Refused { name, fault } => {
                write!(
                    f,
                    "CONFIG SET failed (possibly related to argument '{name}') - {fault}"
                )
            }
        }
    }
}

impl std::error::Error for SetError {}

impl Default for Config {
    /// Every parameter at its default.
    fn default() -> Self {
        let mut settings = Settings::blank();
        let value = |param: &Param| {
            let default = param.default.as_bytes();
            let words = match param.kind.takes_words() {
                true => words_of(default),
                false => vec![default.to_vec()],
            };
            match param.kind.assign(&mut settings, &words) {
                Ok(text) => Value { text, origin: None },
                // The catalogue is a constant, and a test builds a `Config` from it.
                Err(fault) => unreachable!("default of {}: {fault}", param.name),
            }
        };
        let values = PARAMS.iter().map(value).collect();
        Config {
            settings,
            values,
            file: None,
            retired: Vec::new(),
        }
    }
}

impl Config {
    /// Reads the configuration at start. Nothing else happens: no directory is changed, no file
    /// made.
    pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        if let Some(file) = &sources.file {
            // Fails for an empty name only, which then cannot be read either.
            config.file = std::path::absolute(file).ok();
        }
        for line in sources.read()? {
            config.apply_line(line)?;
        }
        Ok(config)
    }

    /// The values that the server reads.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether checksums are passed over: DEBUG's business, no parameter.
    pub fn set_skip_checksums(&mut self, skip: bool) {
        self.settings.skip_checksums = skip;
    }

    /// Changes a setting that is no parameter, see `Packing` (DEBUG).
    pub fn set_list_single_bytes_min(&mut self, bytes: usize) {
        self.settings.packing.list_single_bytes_min = bytes;
    }

    /// What REPLICAOF has said: CONFIG GET shows it, and CONFIG REWRITE keeps it.
    pub fn set_primary(&mut self, primary: Option<&Primary>) {
        let port = primary.map(|primary| primary.port.to_string().into_bytes());
        let host = primary.map(|primary| primary.host.clone());
        let words: Vec<Vec<u8>> = host.into_iter().chain(port).collect();
        if let Some(index) = find(b"replicaof") {
            // Invariant: a host and a port, or nothing, is what the row takes.
            let _ = self.assign(index, &words);
        }
    }

    /// The configuration file, absolute.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The value of one parameter as CONFIG GET prints it, by any of its names in any letter case.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        find(name).map(|index| self.values[index].text.as_slice())
    }

    /// CONFIG GET: the parameters that match one of `patterns`, each name once, with their values.
    ///
    /// Compat: a name without wildcard is answered as it was spelt, and finds hidden parameters; a
    /// parameter with several names is found by pattern under each of them.
    pub fn matching(&self, patterns: &[&[u8]]) -> Vec<(Vec<u8>, &[u8])> {
        let mut found: Vec<(Vec<u8>, &[u8])> = Vec::new();
        let mut add = |name: &[u8], index: usize| {
            if !found
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(name))
            {
                found.push((name.to_vec(), &self.values[index].text));
            }
        };
        for pattern in patterns {
            if !pattern.iter().any(|byte| b"[*?".contains(byte)) {
                if let Some(index) = find(pattern) {
                    add(pattern, index);
                }
                continue;
            }
            for (index, param) in PARAMS.iter().enumerate().filter(|(_, param)| !param.hidden) {
                for name in param
                    .names()
                    .filter(|name| glob_match(pattern, name.as_bytes(), true))
                {
                    add(name.as_bytes(), index);
                }
            }
        }
        found
    }

    /// CONFIG SET: changes all of `pairs` (name, value) or nothing. Answers what the server has to
    /// do now, each thing once. A caller that fails to do it puts back a clone taken before.
    pub fn set(
        &mut self,
        pairs: &[(&[u8], &[u8])],
        place: ClientPlace,
    ) -> Result<Vec<Apply>, SetError> {
        let rows = self.settable(pairs, place)?;
        let mut next = self.clone();
        let mut applies = Vec::new();
        for (index, (name, value)) in rows.into_iter().zip(pairs) {
            let param = &PARAMS[index];
            let words = match param.kind.takes_words() {
                true => words_of(value),
                false => vec![value.to_vec()],
            };
            let name = || String::from_utf8_lossy(&name.to_ascii_lowercase()).into_owned();
            let changed = next
                .assign(index, &words)
                .map_err(|fault| SetError::Refused {
                    name: name(),
                    fault,
                })?;
            if changed && param.apply != Apply::OnRead && !applies.contains(&param.apply) {
                applies.push(param.apply);
            }
        }
        *self = next;
        Ok(applies)
    }

    /// The rows that `pairs` name, if a client connected from `place` may set them.
    fn settable(
        &self,
        pairs: &[(&[u8], &[u8])],
        place: ClientPlace,
    ) -> Result<Vec<usize>, SetError> {
        let mut rows = Vec::new();
        for (position, (name, _)) in pairs.iter().enumerate() {
            let spelt = || one_line(name);
            let refused = |fault: &'static str| {
                Err(SetError::Refused {
                    name: spelt(),
                    fault: fault.into(),
                })
            };
            let index = find(name).ok_or_else(|| SetError::Unknown(spelt()))?;
            match PARAMS[index].change {
                Change::Immutable => return refused("can't set immutable config"),
                Change::Protected if !self.settings.enable_protected_configs.allows(place) => {
                    return refused("can't set protected config");
                }
                Change::Mutable | Change::Protected => {}
            }
            // Compat: two names of one parameter are not noticed, the later value wins.
            if pairs[..position]
                .iter()
                .any(|(earlier, _)| earlier.eq_ignore_ascii_case(name))
            {
                return refused("duplicate parameter");
            }
            rows.push(index);
        }
        Ok(rows)
    }

    /// Sets one parameter; answers whether its text changed. On failure `self` is not to be used.
    fn assign(&mut self, index: usize, words: &[Vec<u8>]) -> Result<bool, Fault> {
        let param = &PARAMS[index];
        let text = param.kind.assign(&mut self.settings, words)?;
        if let Standing::Refused(capability) = param.standing
            && text != param.default.as_bytes()
        {
            return Err(format!("{capability} is not yet supported").into());
        }
        let changed = self.values[index].text != text;
        self.values[index].text = text;
        Ok(changed)
    }

    /// One directive at start.
    fn apply_line(&mut self, line: Line) -> Result<(), ConfigError> {
        let Line { origin, mut words } = line;
        let name = one_line(&words.remove(0).to_ascii_lowercase());
        let fail = |text: String| ConfigError {
            origin: Some(origin.clone()),
            text,
        };
        let Some(index) = find(name.as_bytes()) else {
            if RETIRED.contains(&name.as_str()) {
                self.retired
                    .push(format!("'{name}' ({origin}) is retired and has no effect"));
                return Ok(());
            }
            return Err(fail(unknown_directive(&name)));
        };
        let param = &PARAMS[index];
        // `--save "60 1"` is `--save 60 1`.
        if param.kind.takes_words()
            && let [word] = words.as_slice()
            && !word.is_empty()
        {
            words = source::split(word, &origin)?;
        }
        let before = &self.values[index];
        let empties = words.iter().all(Vec::is_empty);
        if param.adds_up && before.origin.is_some() && !before.text.is_empty() && !empties {
            let known = before.text.split(|&byte| byte == b' ').map(<[u8]>::to_vec);
            words.splice(0..0, known);
        }
        self.assign(index, &words).map_err(|fault| {
            let value = match param.secret {
                true => "(hidden)".to_owned(),
                false => one_line(&words.join(&b' ')),
            };
            fail(format!("'{name} {value}': {fault}"))
        })?;
        self.values[index].origin = Some(origin);
        Ok(())
    }

    /// What the log should say once at start about directives that were set and do nothing (yet). A
    /// directive that only repeats the default is passed over in silence: stock files have dozens.
    pub fn notices(&self) -> Vec<String> {
        let notice = |(param, value): (&Param, &Value)| {
            let origin = value.origin.as_ref()?;
            if value.text == param.default.as_bytes() {
                return None;
            }
            let name = param.name;
            match param.standing {
                Standing::Live | Standing::Refused(_) => None,
                Standing::Moot(instead) => {
                    Some(format!("'{name}' ({origin}) has no effect here: {instead}"))
                }
                Standing::Ahead(capability) => Some(format!(
                    "'{name}' ({origin}) has no effect yet: {capability} is not supported yet"
                )),
            }
        };
        let own = PARAMS.iter().zip(&self.values).filter_map(notice);
        self.retired.iter().cloned().chain(own).collect()
    }
}

impl Param {
    /// Its name and its aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// The row of `name`, which may be an alias, in any letter case.
    pub fn find(name: &[u8]) -> Option<&'static Param> {
        find(name).map(|index| &PARAMS[index])
    }
}

/// The index of a row in [`PARAMS`]. Linear: it serves CONFIG and start-up only.
fn find(name: &[u8]) -> Option<usize> {
    let is_it = |own: &str| own.as_bytes().eq_ignore_ascii_case(name);
    PARAMS
        .iter()
        .position(|param| is_it(param.name) || param.aliases.iter().copied().any(is_it))
}

/// The words of a value in CONFIG SET. Compat: separated by exactly one space each, no quotes.
fn words_of(value: &[u8]) -> Vec<Vec<u8>> {
    if value.is_empty() {
        return Vec::new();
    }
    value
        .split(|byte| *byte == b' ')
        .map(<[u8]>::to_vec)
        .collect()
}

/// Bytes from outside as part of an error: control characters, line breaks above all, become
/// blanks.
fn one_line(bytes: &[u8]) -> String {
    let blank = |character: char| {
        if character.is_control() {
            ' '
        } else {
            character
        }
    };
    String::from_utf8_lossy(bytes).chars().map(blank).collect()
}

/// The error for a directive that is no parameter.
fn unknown_directive(name: &str) -> String {
    if let Some((_, capability)) = FILE_ONLY.iter().find(|(own, _)| *own == name) {
        return format!("'{name}': {capability} is not yet supported");
    }
    let names = PARAMS.iter().flat_map(Param::names).chain([INCLUDE]);
    match nearest(name, names) {
        Some(near) => format!("unknown directive '{name}'; did you mean '{near}'?"),
        None => format!("unknown directive '{name}'"),
    }
}
