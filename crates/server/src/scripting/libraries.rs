//! Libraries of functions, and FUNCTION DUMP's form of them.
//!
//! A dump is, for each library, a byte that says "function" and its text with the length before
//! it, as in RDB files; then the RDB version in two bytes and a CRC-64 of it all.
//! Source: redis.io, "FUNCTION DUMP"; checked against Redis 8.2.3 in both directions.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::failure::Failure;
use script::{Flags, Library as Loaded};

use super::store::Learned;

/// What announces a library.
const OPCODE: u8 = 245;
/// The newest RDB version whose dumps are read, and the version that is written.
const VERSION_READ_MAX: u16 = 12;
const VERSION_WRITTEN: u16 = 12;
/// What announces a string compressed by LZF.
const COMPRESSED: u8 = 0xc3;
/// Version and checksum.
const FOOTER_BYTES: usize = 10;

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
pub struct Metadata {
    /// Its name.
    pub name: Vec<u8>,
    /// Where its code begins.
    pub code: usize,
}

/// Reads a library's first line.
///
/// # Errors
/// What is wrong with it.
pub fn metadata(source: &[u8]) -> Result<Metadata, Failure> {
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

    /// Adds a library that has been loaded.
    ///
    /// # Errors
    /// It has no functions, or names that are taken.
    pub fn add(
        &mut self,
        metadata: &Metadata,
        source: &[u8],
        loaded: Loaded,
        replace: bool,
    ) -> Result<(), Failure> {
        if !replace && self.0.contains_key(&metadata.name) {
            return Err(already(&metadata.name));
        }
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

    /// All of them as FUNCTION DUMP gives them.
    pub fn dump(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for library in self.iter() {
            out.push(OPCODE);
            put_len(library.source.len(), &mut out);
            out.extend_from_slice(&library.source);
        }
        out.extend_from_slice(&VERSION_WRITTEN.to_le_bytes());
        let sum = crc64(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }
}

/// What FUNCTION LOAD answers when the name is taken.
pub fn already(name: &[u8]) -> Failure {
    Failure::owned([b"ERR Library '", name, b"' already exists"].concat())
}

/// The texts of the libraries in a dump.
///
/// # Errors
/// It is not one.
pub fn read_dump(payload: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
    const WRONG: Failure = Failure::fixed("ERR DUMP payload version or checksum are wrong");
    let (body, footer) = payload
        .len()
        .checked_sub(FOOTER_BYTES)
        .map(|at| payload.split_at(at))
        .ok_or(WRONG)?;
    let version = u16::from_le_bytes([footer[0], footer[1]]);
    let sum = u64::from_le_bytes(footer[2..].try_into().unwrap_or_default());
    let summed = &payload[..payload.len() - 8];
    if version > VERSION_READ_MAX || (sum != 0 && sum != crc64(summed)) {
        return Err(WRONG);
    }
    let mut rest = body;
    let mut sources = Vec::new();
    while let [opcode, after @ ..] = rest {
        if *opcode != OPCODE {
            return Err(Failure::fixed("ERR given type is not a function"));
        }
        let (source, after) =
            take_text(after).ok_or(Failure::fixed("ERR Failed loading library data"))?;
        sources.push(source);
        rest = after;
    }
    Ok(sources)
}

/// A length as RDB files have it.
fn put_len(len: usize, out: &mut Vec<u8>) {
    match len {
        0..0x40 => out.push(len as u8),
        0x40..0x4000 => out.extend_from_slice(&(len as u16 | 0x4000).to_be_bytes()),
        0x4000..0x1_0000_0000 => {
            out.push(0x80);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
        _ => {
            out.push(0x81);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

/// A string as RDB files have it, and what follows.
fn take_text(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    if let [COMPRESSED, rest @ ..] = bytes {
        let (packed_len, rest) = take_len(rest)?;
        let (len, rest) = take_len(rest)?;
        let (packed, rest) = rest.split_at_checked(packed_len)?;
        let mut text = Vec::new();
        structs::lzf::decompress(packed, len, &mut text)?;
        return Some((text, rest));
    }
    let (len, rest) = take_len(bytes)?;
    let (text, rest) = rest.split_at_checked(len)?;
    Some((text.to_vec(), rest))
}

fn take_len(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (len, rest) = match first {
        0..0x40 => (u64::from(first), rest),
        0x40..0x80 => {
            let (&second, rest) = rest.split_first()?;
            (u64::from(first & 0x3f) << 8 | u64::from(second), rest)
        }
        0x80 => {
            let (len, rest) = rest.split_first_chunk::<4>()?;
            (u64::from(u32::from_be_bytes(*len)), rest)
        }
        0x81 => {
            let (len, rest) = rest.split_first_chunk::<8>()?;
            (u64::from_be_bytes(*len), rest)
        }
        _ => return None,
    };
    Some((usize::try_from(len).ok()?, rest))
}

/// CRC-64 with Jones's polynomial, reflected.
fn crc64(bytes: &[u8]) -> u64 {
    const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;
    bytes.iter().fold(0, |mut sum, &byte| {
        sum ^= u64::from(byte);
        for _ in 0..8 {
            let carry = sum & 1;
            sum >>= 1;
            if carry == 1 {
                sum ^= POLYNOMIAL;
            }
        }
        sum
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_of_the_reference() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn lengths_survive() {
        for len in [0, 1, 63, 64, 16383, 16384, 70000] {
            let mut out = Vec::new();
            put_len(len, &mut out);
            out.extend(std::iter::repeat_n(b'x', len));
            let (text, rest) = take_text(&out).unwrap();
            assert_eq!((text.len(), rest.len()), (len, 0));
        }
    }
}
