//! `ruddle check FILE`: reads a snapshot file to its end and says what is in it, or where it is
//! broken. Every value is decoded, as loading would.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

use base::hash::Seed;
use base::strings::repr;
use base::units::format_human;
use engine::env::Packing;
use rdb::file::{Item, Reader};
use rdb::format::Kind;
use rdb::{Decoded, Fault, Input};

/// So many of the largest keys are named.
const LARGEST_MAX: usize = 10;
/// Longest part of a key that is shown, in bytes.
const KEY_SHOWN_BYTES_MAX: usize = 60;

/// What was found of one kind of values.
#[derive(Clone, Copy, Debug, Default)]
struct OfKind {
    keys: u64,
    /// In the file.
    bytes: u64,
}

/// A large key: bytes in the file, then what it is.
type Large = Reverse<(u64, String)>;

/// What was found up to the end or the first fault.
#[derive(Default)]
struct Findings {
    head: String,
    facts: Vec<(String, String)>,
    /// By database: keys, and keys with a deadline.
    databases: BTreeMap<u64, (u64, u64)>,
    kinds: BTreeMap<&'static str, OfKind>,
    libraries: u64,
    modules: BTreeMap<String, u64>,
    empty: u64,
    largest: BinaryHeap<Large>,
    /// The checksum, if the file has one.
    sum: Option<u64>,
    bytes: u64,
}

/// Checks the file; the report, and whether the file is sound.
///
/// # Errors
/// The file cannot be opened.
pub fn check(path: &Path) -> Result<(String, bool), String> {
    let name = path.display();
    let file = File::open(path).map_err(|error| format!("{name}: {error}"))?;
    let mut findings = Findings::default();
    let outcome = findings.read(Input::of_reader(file));
    let mut text = findings.text();
    let sound = match &outcome {
        Ok(()) => {
            text.push_str("The file is sound.\n");
            true
        }
        Err((fault, place)) => {
            let _ = writeln!(text, "The file is broken {fault}{place}.");
            text.push_str("What is said above is what comes before that.\n");
            false
        }
    };
    Ok((format!("{name}\n{text}"), sound))
}

/// A fault and what was being read.
type Broken = (Fault, String);

fn outside(fault: Fault) -> Broken {
    (fault, String::new())
}

impl Findings {
    fn read(&mut self, input: Input<'_>) -> Result<(), Broken> {
        let mut reader = Reader::open(input).map_err(outside)?;
        self.head = format!("version {}, of {:?}", reader.version(), reader.dialect());
        loop {
            match reader.next_item().map_err(outside)? {
                Item::Fact(name, value) => self.facts.push((shown(&name), shown(&value))),
                Item::Database(_) | Item::Sizes(..) => {}
                Item::Library(_) => self.libraries += 1,
                Item::ModuleData(module) => {
                    *self.modules.entry(module.to_string()).or_default() += 1
                }
                Item::End(sum) => {
                    (self.sum, self.bytes) = (sum, reader.offset());
                    return Ok(());
                }
                Item::Key(head) => {
                    let db = self.databases.entry(head.db).or_default();
                    db.0 += 1;
                    db.1 += u64::from(head.deadline.is_some());
                    let key = shown(&head.key);
                    let value = self.value(&mut reader, head.kind).map_err(|fault| {
                        let (kind, db, begin) = (head.kind.name(), head.db, head.offset);
                        let place = format!(
                            ", in key {key} of database {db}, a {kind} that begins at {begin}"
                        );
                        (fault, place)
                    })?;
                    self.note(head.kind, value, reader.offset() - head.offset, &key);
                }
            }
        }
    }

    /// Reads a value; how many elements it has, if it has any. Those of modules are passed over.
    fn value(&mut self, reader: &mut Reader<'_>, kind: Kind) -> Result<Option<usize>, Fault> {
        if kind == Kind::Module {
            reader.raw_value(kind, &mut Vec::new())?;
            *self
                .modules
                .entry("(values of keys)".to_owned())
                .or_default() += 1;
            return Ok(None);
        }
        let packing = Packing::with_seed(Seed::from_u64(0));
        let value = reader.value(kind, &packing)?;
        Ok(match value {
            Decoded::Int(_) | Decoded::Text(_) => None,
            Decoded::Nothing => {
                self.empty += 1;
                None
            }
            Decoded::List(list) => Some(structs_len(&list)),
            Decoded::Set(set) => Some(structs_len(&set)),
            Decoded::Hash(hash) => Some(structs_len(&hash)),
            Decoded::Zset(zset) => Some(structs_len(&zset)),
            Decoded::Stream(stream) => Some(structs_len(&stream)),
            Decoded::Array(array) => Some(structs_len(&array)),
        })
    }

    fn note(&mut self, kind: Kind, elements: Option<usize>, bytes: u64, key: &str) {
        let of_kind = self.kinds.entry(kind.name()).or_default();
        of_kind.keys += 1;
        of_kind.bytes += bytes;
        let is_large = self.largest.len() < LARGEST_MAX
            || self
                .largest
                .peek()
                .is_some_and(|Reverse((least, _))| *least < bytes);
        if is_large {
            let elements = elements.map_or(String::new(), |count| format!(", {count} elements"));
            let line = format!("{key} ({}{elements})", kind.name());
            self.largest.push(Reverse((bytes, line)));
            if self.largest.len() > LARGEST_MAX {
                self.largest.pop();
            }
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a text does not fail.
        let mut line = |part: String| {
            text.push_str(&part);
            text.push('\n');
        };
        if !self.head.is_empty() {
            line(format!("Snapshot file, {}", self.head));
        }
        for (name, value) in &self.facts {
            line(format!("  {name} = {value}"));
        }
        for (db, (keys, volatile)) in &self.databases {
            line(format!(
                "Database {db}: {keys} keys, {volatile} with a deadline"
            ));
        }
        for (kind, found) in &self.kinds {
            let bytes = format_human(found.bytes);
            line(format!("  {kind}: {} keys, {bytes}", found.keys));
        }
        if self.empty > 0 {
            line(format!(
                "  {} of them are empty and will not be loaded",
                self.empty
            ));
        }
        if self.libraries > 0 {
            line(format!("Libraries of functions: {}", self.libraries));
        }
        for (module, count) in &self.modules {
            line(format!(
                "Data of module {module}: {count}; no module can be loaded here"
            ));
        }
        let mut largest: Vec<&(u64, String)> = self.largest.iter().map(|Reverse(it)| it).collect();
        largest.sort_by_key(|(bytes, _)| Reverse(*bytes));
        if !largest.is_empty() {
            line("Largest in the file:".to_owned());
        }
        for (bytes, what) in largest {
            line(format!("  {} {what}", format_human(*bytes)));
        }
        match self.sum {
            Some(sum) => line(format!("Checksum {sum:016x}, {} bytes", self.bytes)),
            None if self.bytes > 0 => line(format!("No checksum, {} bytes", self.bytes)),
            None => {}
        }
        text
    }
}

fn structs_len(collection: &impl engine::object::Kept) -> usize {
    collection.len()
}

fn shown(bytes: &[u8]) -> String {
    let part = bytes.get(..KEY_SHOWN_BYTES_MAX).unwrap_or(bytes);
    let mut text = String::from_utf8_lossy(&repr(part)).into_owned();
    if part.len() < bytes.len() {
        text.push_str("...");
    }
    text
}
