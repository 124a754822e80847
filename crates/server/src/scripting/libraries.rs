//! Libraries of functions: their texts, and what is known of the functions in them.
//!
//! They come from FUNCTION LOAD, FUNCTION RESTORE and snapshot files, always as source texts, and
//! all of these end in [`Libraries::load`].

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::failure::Failure;
use script::{Flags, Library as Loaded};

use super::load_library;
use super::store::Learned;

/// What FUNCTION LIST says of a function.
#[derive(Clone, Debug)]
pub struct About {
    /// Its name.
    pub name: Vec<u8>,
    /// Its description.
    pub description: Option<Vec<u8>>,
    /// Its flags.
    pub flags: Flags,
    /// Which keys it touches.
    pub learned: Arc<Learned>,
}

/// One library.
#[derive(Clone, Debug)]
pub struct Library {
    name: Vec<u8>,
    source: Arc<[u8]>,
    code: usize,
    functions: Vec<About>,
}

impl Library {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Its name, for the log.
    pub fn name_text(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }

    /// All of its text.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// Its text without the first line.
    pub fn code(&self) -> &[u8] {
        &self.source[self.code..]
    }

    /// Its functions.
    pub fn functions(&self) -> &[About] {
        &self.functions
    }

    /// What is known of a function's keys.
    pub fn learned(&self, name: &[u8]) -> Option<Arc<Learned>> {
        let found = self.functions.iter().find(|about| about.name == name);
        found.map(|about| about.learned.clone())
    }
}

/// The first line of a library.
pub(crate) struct Metadata {
    /// Its name.
    pub(crate) name: Vec<u8>,
    /// Where its code begins.
    code: usize,
}

/// Reads a library's first line.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn metadata(source: &[u8]) -> Result<Metadata, Failure> {
    let end = source.iter().position(|&byte| byte == b'\n');
    let Some(end) = end.filter(|_| source.starts_with(b"#!")) else {
        return Err(match source.starts_with(b"#!") {
            true => Failure::fixed("ERR Invalid library metadata"),
            false => Failure::fixed("ERR Missing library metadata"),
        });
    };
    const INVALID: Failure = Failure::fixed("ERR Invalid library metadata");
    let words = base::strings::split_args(&source[..end]).map_err(|_| INVALID)?;
    let mut words = words.iter().map(Vec::as_slice);
    let engine = words.next().unwrap_or_default();
    let engine = engine.strip_prefix(b"#!").unwrap_or(engine);
    let mut name = None;
    for word in words {
        if let Some(value) = strip_ignoring_case(word, b"name=") {
            if name.is_some() {
                return Err(Failure::fixed(
                    "ERR Invalid metadata value, name argument was given multiple times",
                ));
            }
            name = Some(value.to_vec());
        } else {
            return Err(Failure::owned(
                [b"ERR Invalid metadata value given: ", word].concat(),
            ));
        }
    }
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err(Failure::owned(
            [b"ERR Engine '", engine, b"' not found"].concat(),
        ));
    }
    let Some(name) = name else {
        return Err(Failure::fixed("ERR Library name was not given"));
    };
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if name.is_empty() || !name.iter().all(allowed) {
        return Err(Failure::fixed(
            "ERR Library names can only contain letters, numbers, or underscores(_) and must be at \
             least one character long",
        ));
    }
    Ok(Metadata { name, code: end })
}

fn strip_ignoring_case<'a>(word: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = word.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// All libraries, by name.
#[derive(Clone, Debug, Default)]
pub struct Libraries(BTreeMap<Vec<u8>, Library>);

impl Libraries {
    /// The libraries, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Library> {
        self.0.values()
    }

    /// The library with this name.
    pub fn get(&self, name: &[u8]) -> Option<&Library> {
        self.0.get(name)
    }

    /// Number of libraries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of functions in all of them.
    pub fn function_count(&self) -> usize {
        self.iter().map(|library| library.functions.len()).sum()
    }

    /// Bytes that they take, outside of Lua.
    pub fn bytes(&self) -> u64 {
        let each = |library: &Library| library.source.len() + size_of::<Library>();
        self.iter().map(each).sum::<usize>() as u64
    }

    /// Takes a library out.
    pub fn remove(&mut self, name: &[u8]) -> Option<Library> {
        self.0.remove(name)
    }

    /// Loads a library and adds it; its name. With `replace` it may take the place of the one that
    /// has its name.
    ///
    /// # Errors
    /// It is none, it has no functions, or names that are taken.
    pub fn load(&mut self, source: &[u8], replace: bool) -> Result<Vec<u8>, Failure> {
        let metadata = metadata(source)?;
        if !replace && self.0.contains_key(&metadata.name) {
            return Err(already(&metadata.name));
        }
        let loaded = load_library(&source[metadata.code..])?;
        self.add(&metadata, source, loaded)?;
        Ok(metadata.name)
    }

    /// Adds a library that has been loaded.
    fn add(&mut self, metadata: &Metadata, source: &[u8], loaded: Loaded) -> Result<(), Failure> {
        if loaded.functions.is_empty() {
            return Err(Failure::fixed("ERR No functions registered"));
        }
        let others = self.iter().filter(|other| other.name != metadata.name);
        for other in others {
            let taken = loaded.functions.iter().find(|function| {
                let same = |about: &About| about.name == function.name;
                other.functions.iter().any(same)
            });
            if let Some(function) = taken {
                return Err(Failure::owned(
                    [b"ERR Function ", &function.name[..], b" already exists"].concat(),
                ));
            }
        }
        let functions = loaded.functions.into_iter().map(|function| About {
            name: function.name,
            description: function.description,
            flags: function.flags,
            learned: Arc::default(),
        });
        let library = Library {
            name: metadata.name.clone(),
            source: source.into(),
            code: metadata.code,
            functions: functions.collect(),
        };
        self.0.insert(library.name.clone(), library);
        Ok(())
    }
}

/// What FUNCTION LOAD answers when the name is taken.
fn already(name: &[u8]) -> Failure {
    Failure::owned([b"ERR Library '", name, b"' already exists"].concat())
}
