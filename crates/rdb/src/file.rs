//! What is around the keys of a snapshot: written by functions, read by [`Reader`].
//!
//! ```text
//! file   magic version(digits)  fact*  (database sizes key*)*  library*  0xff checksum(8)
//! key    deadline? idle? frequency?  kind  name  value
//! ```

use base::time::UnixMillis;
use structs::Packing;

use crate::decode::{Decoded, decode, pass_module_items, skip};
use crate::encode::Encoder;
use crate::fault::{Fault, Problem};
use crate::format::opcode;
use crate::format::{Dialect, Kind, ModuleId, REDIS_VERSION_MAX, VALKEY_VERSION, module_item};
use crate::input::Input;
use crate::put;

const REDIS_MAGIC: &[u8; 5] = b"REDIS";
const VALKEY_MAGIC: &[u8; 6] = b"VALKEY";
/// Magic and version.
const HEAD_BYTES: usize = 9;
/// The first version with a checksum behind the end.
const SUMMED_VERSION: u32 = 5;

/// How much a key was used, if the eviction policy asks for that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Usage {
    /// Nobody knows.
    #[default]
    Unknown,
    /// Seconds since it was used.
    Idle(u64),
    /// How often, on the scale of OBJECT FREQ.
    Frequency(u8),
}

/// Writes how a file of this version begins.
pub fn put_head(version: u32, out: &mut Vec<u8>) {
    let head = match version {
        VALKEY_VERSION => format!("VALKEY{version:03}"),
        _ => format!("REDIS{version:04}"),
    };
    out.extend_from_slice(head.as_bytes());
}

/// Writes a named fact.
pub fn put_fact(name: &[u8], value: &[u8], encoder: &mut Encoder, out: &mut Vec<u8>) {
    out.push(opcode::AUX);
    encoder.string(name, out);
    encoder.string(value, out);
}

/// Writes that the keys that follow are in this database, which has so many, of which so many have
/// a deadline.
pub fn put_database(db: u32, keys: u64, with_deadline: u64, out: &mut Vec<u8>) {
    out.push(opcode::DATABASE);
    put::number(db.into(), out);
    out.push(opcode::SIZES);
    put::number(keys, out);
    put::number(with_deadline, out);
}

/// Writes a library of functions: its source text.
pub fn put_library(code: &[u8], encoder: &mut Encoder, out: &mut Vec<u8>) {
    out.push(opcode::FUNCTION);
    encoder.string(code, out);
}

/// Writes what comes before a value.
pub fn put_key(
    key: &[u8],
    kind: Kind,
    deadline: Option<UnixMillis>,
    usage: Usage,
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
) {
    if let Some(deadline) = deadline {
        out.push(opcode::DEADLINE_MS);
        put::millis(deadline.0, out);
    }
    match usage {
        Usage::Unknown => {}
        Usage::Idle(seconds) => {
            out.push(opcode::IDLE);
            put::number(seconds, out);
        }
        Usage::Frequency(frequency) => out.extend([opcode::FREQUENCY, frequency]),
    }
    out.push(kind as u8);
    encoder.string(key, out);
}

/// Writes the end mark. The checksum of everything up to here follows, as [`put_sum`] writes it.
pub fn put_end(out: &mut Vec<u8>) {
    out.push(opcode::END);
}

/// Writes the checksum; 0 = none was made.
pub fn put_sum(sum: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&sum.to_le_bytes());
}

/// What comes before a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHead {
    /// The key.
    pub key: Vec<u8>,
    /// Its database.
    pub db: u64,
    /// How its value is encoded.
    pub kind: Kind,
    /// When it ends.
    pub deadline: Option<UnixMillis>,
    /// How much it was used.
    pub usage: Usage,
    /// Where its kind is in the file.
    pub offset: u64,
}

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A named fact.
    Fact(Vec<u8>, Vec<u8>),
    /// The keys that follow are in this database.
    Database(u64),
    /// The database has so many keys, and so many with a deadline: a hint.
    Sizes(u64, u64),
    /// A key. Its value must be read next, or passed over.
    Key(KeyHead),
    /// The source text of a library of functions.
    Library(Vec<u8>),
    /// Data of a module that is about no key; they are passed over.
    ModuleData(ModuleId),
    /// The end, and the checksum if there is one and it was made; it is right.
    End(Option<u64>),
}

/// Reads a file part by part.
pub struct Reader<'r> {
    input: Input<'r>,
    version: u32,
    dialect: Dialect,
    db: u64,
}

impl<'r> Reader<'r> {
    /// Reads the head.
    ///
    /// # Errors
    /// It is no such file, or of a version that is not read here.
    pub fn open(mut input: Input<'r>) -> Result<Reader<'r>, Fault> {
        let head: [u8; HEAD_BYTES] = input.bytes()?;
        let (dialect, digits) = if let Some(digits) = head.strip_prefix(VALKEY_MAGIC) {
            (Dialect::Valkey, digits)
        } else if let Some(digits) = head.strip_prefix(REDIS_MAGIC) {
            (Dialect::Redis, digits)
        } else {
            return Err(input.corrupt("the file begins neither with REDIS nor with VALKEY"));
        };
        let digits = std::str::from_utf8(digits).ok();
        let version = digits.and_then(|digits| digits.parse::<u32>().ok());
        let known = match dialect {
            Dialect::Redis => 1..=REDIS_VERSION_MAX,
            Dialect::Valkey => VALKEY_VERSION..=VALKEY_VERSION,
        };
        match version {
            Some(version) if known.contains(&version) => Ok(Reader {
                input,
                version,
                dialect,
                db: 0,
            }),
            Some(version) => {
                let what = format!(
                    "version {version} of the format (up to {REDIS_VERSION_MAX} of Redis's and \
                     {VALKEY_VERSION} of Valkey's are)"
                );
                Err(input.fault(Problem::Unsupported(what.into())))
            }
            None => Err(input.corrupt("the file has no version in its head")),
        }
    }

    /// The file's version.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Whose encodings it has.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.input.offset()
    }

    /// What is behind the end: an append-only file's commands.
    pub fn into_input(self) -> Input<'r> {
        self.input
    }

    /// The next part.
    ///
    /// # Errors
    /// The file is damaged or ends too early, or what comes is not known here.
    pub fn next_item(&mut self) -> Result<Item, Fault> {
        let (mut deadline, mut usage) = (None, Usage::Unknown);
        loop {
            let offset = self.input.offset();
            let code = self.input.byte()?;
            match code {
                opcode::DEADLINE_MS => deadline = Some(UnixMillis(self.input.millis()?)),
                opcode::DEADLINE_S => {
                    let seconds = i32::from_le_bytes(self.input.bytes()?);
                    deadline = Some(UnixMillis(i64::from(seconds) * 1000));
                }
                opcode::IDLE => usage = Usage::Idle(self.input.number()?),
                opcode::FREQUENCY => usage = Usage::Frequency(self.input.byte()?),
                opcode::SLOT_SIZES => {
                    for _ in 0..3 {
                        self.input.number()?;
                    }
                }
                opcode::IMPORT_OR_METADATA if self.dialect == Dialect::Valkey => {
                    self.input.pass_string()?;
                    for _ in 0..self.input.number()? {
                        self.input.number()?;
                        self.input.number()?;
                    }
                }
                ..opcode::IMPORT_OR_METADATA => {
                    return self.key(code, offset, deadline, usage).map(Item::Key);
                }
                _ => return self.part(code),
            }
        }
    }

    fn key(
        &mut self,
        code: u8,
        offset: u64,
        deadline: Option<UnixMillis>,
        usage: Usage,
    ) -> Result<KeyHead, Fault> {
        let Some(kind) = Kind::of(code) else {
            let what = format!("{code} is neither a kind of values nor anything else");
            return Err(self.input.corrupt(what));
        };
        Ok(KeyHead {
            key: self.input.owned_string()?,
            db: self.db,
            kind,
            deadline,
            usage,
            offset,
        })
    }

    fn part(&mut self, code: u8) -> Result<Item, Fault> {
        Ok(match code {
            opcode::AUX => Item::Fact(self.input.owned_string()?, self.input.owned_string()?),
            opcode::DATABASE => {
                self.db = self.input.number()?;
                Item::Database(self.db)
            }
            opcode::SIZES => Item::Sizes(self.input.number()?, self.input.number()?),
            opcode::FUNCTION => Item::Library(self.input.owned_string()?),
            opcode::END => Item::End(self.end()?),
            opcode::MODULE_AUX => {
                let module = ModuleId(self.input.number()?);
                // When it is to be loaded.
                if self.input.number()? != module_item::UNSIGNED {
                    return Err(self.input.corrupt("a module's data that begin strangely"));
                }
                self.input.number()?;
                pass_module_items(&mut self.input)?;
                Item::ModuleData(module)
            }
            opcode::FUNCTION_PRE_GA => {
                let what = "functions in the format of a pre-release of Redis 7";
                return Err(self.input.fault(Problem::Unsupported(what.into())));
            }
            _ => {
                let what = "data of a module about a key (Redis 8.6), which is not here";
                return Err(self.input.fault(Problem::Unsupported(what.into())));
            }
        })
    }

    fn end(&mut self) -> Result<Option<u64>, Fault> {
        if self.version < SUMMED_VERSION {
            return Ok(None);
        }
        let computed = self.input.sum();
        let stated = u64::from_le_bytes(self.input.bytes()?);
        if stated == 0 || computed == 0 {
            return Ok(None);
        }
        if stated != computed {
            return Err(self.input.fault(Problem::Checksum { stated, computed }));
        }
        Ok(Some(stated))
    }

    /// Reads the value of the key that came last.
    ///
    /// # Errors
    /// As [`decode`].
    pub fn value(&mut self, kind: Kind, packing: &Packing) -> Result<Decoded, Fault> {
        decode(&mut self.input, kind, self.dialect, packing)
    }

    /// Passes over the value of the key that came last, and appends its bytes to `copy`.
    ///
    /// # Errors
    /// As [`skip`].
    pub fn raw_value(&mut self, kind: Kind, copy: &mut Vec<u8>) -> Result<(), Fault> {
        self.input.begin_copy(std::mem::take(copy));
        let skipped = skip(&mut self.input, kind, self.dialect);
        *copy = self.input.end_copy();
        skipped
    }
}
