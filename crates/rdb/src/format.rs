//! Numbers of the format: types, opcodes, versions.

use std::fmt;

/// Highest version of Redis's files that is read: that of 8.8.
pub const REDIS_VERSION_MAX: u32 = 14;
/// The version of Valkey's own files and payloads, from 9.0 on.
pub const VALKEY_VERSION: u32 = 80;
/// The version that both families load.
pub const COMMON_VERSION: u32 = 11;
/// The version of Redis 7.0.
const REDIS_70_VERSION: u32 = 10;

/// Whose encodings a file or payload has where those of the two families differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Redis 7.4 and later.
    Redis,
    /// Valkey 9 and later.
    Valkey,
}

/// For whom values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Anybody from Redis 7.2 on; what they cannot read, as Redis writes it.
    Common,
    /// Anybody from Redis 7.2 on; what they cannot read, as Valkey writes it.
    Valkey,
    /// Redis 7.0; what it cannot read, as Redis writes it.
    Redis70,
}

impl Reader {
    /// Whose encodings are used where there is no common one.
    #[must_use]
    pub fn dialect(self) -> Dialect {
        match self {
            Reader::Common | Reader::Redis70 => Dialect::Redis,
            Reader::Valkey => Dialect::Valkey,
        }
    }

    /// The version that it reads for certain.
    #[must_use]
    pub fn version(self) -> u32 {
        match self {
            Reader::Common | Reader::Valkey => COMMON_VERSION,
            Reader::Redis70 => REDIS_70_VERSION,
        }
    }

    /// The version of a file or payload with hashes that have deadlines.
    #[must_use]
    pub fn timed_version(self) -> u32 {
        match self.dialect() {
            Dialect::Redis => Kind::HashTimed.version(),
            Dialect::Valkey => VALKEY_VERSION,
        }
    }
}

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// For whom.
    pub reader: Reader,
    /// Whether strings are compressed (`rdbcompression`).
    pub compress: bool,
}

impl Default for Target {
    fn default() -> Target {
        Target {
            reader: Reader::Common,
            compress: true,
        }
    }
}

macro_rules! kinds {
    ($($name:ident = $code:literal, $version:literal, $text:literal;)*) => {
        /// How a value is encoded: the byte before its key.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Kind {
            $(#[doc = $text] $name = $code,)*
        }

        impl Kind {
            /// All, by code.
            pub const ALL: &'static [Kind] = &[$(Kind::$name),*];

            /// The kind with this code.
            #[must_use]
            pub fn of(code: u8) -> Option<Kind> {
                match code {
                    $($code => Some(Kind::$name),)*
                    _ => None,
                }
            }

            /// A name for people.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Kind::$name => $text,)*
                }
            }

            /// First version of Redis's files that has it.
            #[must_use]
            pub fn version(self) -> u32 {
                match self {
                    $(Kind::$name => $version,)*
                }
            }
        }
    };
}

kinds! {
    String = 0, 1, "string";
    List = 1, 1, "list of strings";
    Set = 2, 1, "set of strings";
    ZsetText = 3, 1, "sorted set with scores as text";
    Hash = 4, 1, "hash of strings";
    Zset = 5, 8, "sorted set with binary scores";
    ModulePreGa = 6, 8, "module value of a pre-release";
    Module = 7, 8, "module value";
    HashZipmap = 9, 2, "hash as zipmap";
    ListZiplist = 10, 2, "list as ziplist";
    SetIntset = 11, 2, "set as intset";
    ZsetZiplist = 12, 2, "sorted set as ziplist";
    HashZiplist = 13, 4, "hash as ziplist";
    ListZiplists = 14, 7, "list of ziplists";
    Stream1 = 15, 9, "stream, first form";
    HashListpack = 16, 10, "hash as listpack";
    ZsetListpack = 17, 10, "sorted set as listpack";
    ListListpacks = 18, 10, "list of listpacks";
    Stream2 = 19, 10, "stream, second form";
    SetListpack = 20, 11, "set as listpack";
    Stream3 = 21, 11, "stream";
    HashTimedPreGa = 22, 12, "hash with deadlines of a pre-release, or of Valkey";
    HashTimedListpackPreGa = 23, 12, "hash with deadlines as listpack of a pre-release";
    HashTimed = 24, 12, "hash with deadlines";
    HashTimedListpack = 25, 12, "hash with deadlines as listpack";
    Stream4 = 26, 13, "stream with producers";
    Stream5 = 27, 14, "stream with producers and released entries";
    Array = 28, 14, "array";
}

/// The encoding of hashes with deadlines in Valkey's files has the code of this one.
pub const HASH_VALKEY: Kind = Kind::HashTimedPreGa;

/// What a file has besides keys: the byte in the place of a kind.
pub mod opcode {
    /// Valkey: a slot that was being imported. Redis 8.6: data of a module about the next key.
    pub const IMPORT_OR_METADATA: u8 = 243;
    /// Sizes of a cluster slot.
    pub const SLOT_SIZES: u8 = 244;
    /// A library of functions.
    pub const FUNCTION: u8 = 245;
    /// The same in pre-releases.
    pub const FUNCTION_PRE_GA: u8 = 246;
    /// Data of a module that is about no key.
    pub const MODULE_AUX: u8 = 247;
    /// Seconds since the next key was used.
    pub const IDLE: u8 = 248;
    /// How often the next key is used.
    pub const FREQUENCY: u8 = 249;
    /// A named fact.
    pub const AUX: u8 = 250;
    /// Numbers of keys in the database.
    pub const SIZES: u8 = 251;
    /// Deadline of the next key in milliseconds.
    pub const DEADLINE_MS: u8 = 252;
    /// The same in seconds.
    pub const DEADLINE_S: u8 = 253;
    /// Keys of this database follow.
    pub const DATABASE: u8 = 254;
    /// The end.
    pub const END: u8 = 255;
}

/// Kinds of items that a module's data are made of.
pub(crate) mod module_item {
    pub(crate) const END: u64 = 0;
    pub(crate) const SIGNED: u64 = 1;
    pub(crate) const UNSIGNED: u64 = 2;
    pub(crate) const FLOAT: u64 = 3;
    pub(crate) const DOUBLE: u64 = 4;
    pub(crate) const STRING: u64 = 5;
}

/// What the first two bits of a length say, and the special bytes.
pub(crate) mod length {
    pub(crate) const SIX: u8 = 0;
    pub(crate) const FOURTEEN: u8 = 1;
    pub(crate) const ENCODED: u8 = 3;
    pub(crate) const WORD: u8 = 0x80;
    pub(crate) const DOUBLE_WORD: u8 = 0x81;
}

/// Encodings of strings that are not plain bytes.
pub(crate) mod text {
    pub(crate) const INT8: u8 = 0;
    pub(crate) const INT16: u8 = 1;
    pub(crate) const INT32: u8 = 2;
    pub(crate) const LZF: u8 = 3;
}

/// What a node of a list holds.
pub(crate) mod node {
    pub(crate) const SINGLE: u64 = 1;
    pub(crate) const PACKED: u64 = 2;
}

/// What an element of an array is.
pub(crate) mod cell {
    pub(crate) const LONG: u64 = 0;
    pub(crate) const INT: u64 = 1;
    pub(crate) const FLOAT: u64 = 2;
    pub(crate) const SHORT: u64 = 3;
    /// Integers of up to so many bits are written as such; Redis keeps two bits for itself.
    pub(crate) const INT_BITS: u32 = 62;
    /// Longest short text.
    pub(crate) const SHORT_BYTES_MAX: usize = 7;
}

/// The number that a group's unknown count of read entries is written as.
pub(crate) const READ_UNKNOWN: u64 = u64::MAX;
/// Largest deadline of a hash's field: Redis keeps 48 bits.
pub(crate) const FIELD_DEADLINE_MAX: u64 = 0xffff_ffff_ffff;
/// What Valkey writes for a field without deadline.
pub(crate) const FIELD_FOREVER: i64 = -1;

/// The name of a module, which the upper 54 bits of its number are: nine characters of 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleId(pub u64);

impl fmt::Display for ModuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHARACTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        for nth in (0..9).rev() {
            let character = self.0 >> (10 + 6 * nth) & 63;
            write!(f, "{}", char::from(CHARACTERS[character as usize]))?;
        }
        Ok(())
    }
}
