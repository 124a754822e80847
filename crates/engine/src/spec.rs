//! The row that declares a command: everything that is known about it, once.
//!
//! From these rows come dispatch, arity errors, COMMAND and its subcommands, ACL categories, the
//! keys to lease and prefetch, `COMPATIBILITY.md`, and the check that every command has a
//! transcript. Facts that follow from others are not written: `write` and `readonly` follow from
//! the kind of handler, the ACL categories from group and flags, the legacy key triple from the key
//! specs.

use crate::args::Args;
use crate::env::Env;
use crate::failure::Failure;
use crate::tx::{Effect, ReadTx, Walk, WriteTx};
use crate::waiters::Wait;
use resp::Reply;

/// A row of a command table. `R` is what runs it: [`DataRun`] here, the server's own kind there.
pub struct Spec<R: 'static> {
    /// Lower case; the subcommand's own word inside a container.
    pub name: &'static str,
    /// Number of words, the name included; negative = at least so many.
    pub arity: i16,
    /// See [`Flags`].
    pub flags: Flags,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// Index of the word that is looked up inside the first key's collection, so that the look-up
    /// can be prefetched; 0 = there is none (or several, of which the first is no better than
    /// none).
    pub member: u8,
    /// The group it is documented in.
    pub group: Group,
    /// ACL categories beyond those that follow from group and flags.
    pub categories: &'static [&'static str],
    /// First version that had it: Redis's where Redis has it, else Valkey's.
    pub since: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Big O, in words.
    pub complexity: &'static str,
    /// Replacement and version, for deprecated commands.
    pub deprecated: Option<Deprecated>,
    /// For the servers' own use, not for clients (`syscmd`).
    pub internal: bool,
    /// Hints for proxies and clients.
    pub tips: &'static [&'static str],
    /// Changes since the first version: version and what changed.
    pub history: &'static [(&'static str, &'static str)],
    /// Its arguments, for COMMAND DOCS.
    pub args: &'static [Arg],
    /// What runs it.
    pub run: Run<R>,
}

/// A handler, or the rows of a container's subcommands.
pub enum Run<R: 'static> {
    /// Runs the command.
    Do(R),
    /// A container: the second word chooses.
    Container(&'static [Spec<R>]),
    /// Runs alone; with a second word it is a container (COMMAND).
    Both(R, &'static [Spec<R>]),
}

/// Since when a command is deprecated, and in favour of what.
#[derive(Clone, Copy, Debug)]
pub struct Deprecated {
    /// Version.
    pub since: &'static str,
    /// What to use instead.
    pub replaced_by: &'static str,
}

/// Reads a walk's arguments and makes the walk.
pub type StartWalk = fn(&Env, &mut Args<'_>) -> Result<Box<dyn Walk>, Failure>;

/// A handler that changes nothing.
pub type ReadRun = fn(&ReadTx<'_, '_>, &mut Args<'_>, &mut Reply) -> Result<(), Failure>;

/// A handler that may change things.
pub type WriteRun = fn(&mut WriteTx<'_, '_>, &mut Args<'_>, &mut Reply) -> Result<Effect, Failure>;

/// How a blocking command's handler ended.
pub enum Served {
    /// The reply is written.
    Done(Effect),
    /// There is nothing for it (yet): it is to be run again when one of its keys changes. The reply
    /// that is written is for those who may not wait. The effect is what the attempt has done.
    Wait(Effect, Box<Wait>),
}

/// A handler that may change things, and may have to wait.
pub type BlockRun = fn(&mut WriteTx<'_, '_>, &mut Args<'_>, &mut Reply) -> Result<Served, Failure>;

/// A handler that changes nothing, and may have to wait.
pub type BlockReadRun = fn(&ReadTx<'_, '_>, &mut Args<'_>, &mut Reply) -> Result<Served, Failure>;

/// What a data command's handler may do, by its type.
#[derive(Clone, Copy)]
pub enum DataRun {
    /// Changes nothing; leases its keys.
    Read(ReadRun),
    /// May change its keys.
    Write(WriteRun),
    /// Like `Write`, but may have to wait for its keys.
    Block(BlockRun),
    /// Like `Read`, but may have to wait for its keys.
    BlockRead(BlockReadRun),
    /// Like `Read`, but leases every stripe if the words ask for it (SORT_RO with patterns).
    ReadWide(ReadRun, fn(&Args<'_>) -> bool),
    /// Like `Write`, but leases every stripe if the words ask for it (SORT with patterns).
    WriteWide(WriteRun, fn(&Args<'_>) -> bool),
    /// Answers a question and may keep the answer beside the value it is about (PFCOUNT).
    Refresh(WriteRun),
    /// Leases every stripe and changes nothing (RANDOMKEY).
    ReadAll(WriteRun),
    /// Leases every stripe (FLUSHALL, SWAPDB).
    WriteAll(WriteRun),
    /// Goes through the database in bounded steps, stripe by stripe.
    Walk(StartWalk),
    /// Touches no data (PFSELFTEST).
    Bare(fn(&Env, &mut Args<'_>, &mut Reply) -> Result<(), Failure>),
    /// Answers these lines: the HELP of a container. Touches no data.
    Help(&'static [&'static str]),
}

impl DataRun {
    /// Whether the command may change data.
    pub fn writes(self) -> bool {
        matches!(
            self,
            DataRun::Write(_) | DataRun::Block(_) | DataRun::WriteWide(..) | DataRun::WriteAll(_)
        )
    }

    /// Whether the command looks at data without changing any.
    pub fn reads(self) -> bool {
        !self.writes() && !matches!(self, DataRun::Help(_) | DataRun::Bare(_))
    }
}

impl<R> Spec<R> {
    /// A row with what every row must say; write the rest with struct update syntax.
    pub const fn new(name: &'static str, arity: i16, group: Group, run: Run<R>) -> Spec<R> {
        Spec {
            name,
            arity,
            flags: Flags::NONE,
            keys: &[],
            member: 0,
            group,
            categories: &[],
            since: "1.0.0",
            summary: "",
            complexity: "O(1)",
            deprecated: None,
            internal: false,
            tips: &[],
            history: &[],
            args: &[],
            run,
        }
    }

    /// Whether `count` words (name included) are the right number.
    #[inline]
    pub fn accepts(&self, count: usize) -> bool {
        let arity = usize::from(self.arity.unsigned_abs());
        if self.arity >= 0 {
            count == arity
        } else {
            count >= arity
        }
    }

    /// The subcommands of a container.
    pub fn subcommands(&self) -> &'static [Spec<R>] {
        match self.run {
            Run::Do(_) => &[],
            Run::Container(rows) | Run::Both(_, rows) => rows,
        }
    }
}

/// A set of command flags, named as COMMAND INFO names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

macro_rules! flags {
    ($($name:ident = $bit:literal, $text:literal, $doc:literal;)*) => {
        impl Flags {
            /// No flag.
            pub const NONE: Flags = Flags(0);
            $(#[doc = $doc] pub const $name: Flags = Flags(1 << $bit);)*

            /// Every flag with its name on the wire, in the order in which they are reported.
            pub const NAMES: &'static [(Flags, &'static str)] = &[$((Flags::$name, $text)),*];
        }
    };
}

flags! {
    WRITE = 0, "write", "May change data. Follows from the handler's kind.";
    READONLY = 1, "readonly", "Reads data. Follows from the handler's kind.";
    DENYOOM = 2, "denyoom", "Refused when memory is full.";
    ADMIN = 3, "admin", "For operators.";
    PUBSUB = 4, "pubsub", "Concerns channels.";
    NOSCRIPT = 5, "noscript", "Not from scripts.";
    BLOCKING = 6, "blocking", "May wait.";
    LOADING = 7, "loading", "Allowed while loading.";
    STALE = 8, "stale", "Allowed on a replica with stale data.";
    SKIP_MONITOR = 9, "skip_monitor", "Not shown by MONITOR.";
    SKIP_SLOWLOG = 10, "skip_slowlog", "Not logged when slow.";
    ASKING = 11, "asking", "Implies ASKING in a cluster.";
    FAST = 12, "fast", "Constant or logarithmic time.";
    NO_AUTH = 13, "no_auth", "Allowed before AUTH.";
    MAY_REPLICATE = 14, "may_replicate", "May be sent to replicas though it is no write.";
    NO_MANDATORY_KEYS = 15, "no_mandatory_keys", "May be called without keys.";
    NO_ASYNC_LOADING = 16, "no_async_loading", "Refused while loading in the background.";
    NO_MULTI = 17, "no_multi", "Not inside MULTI.";
    MOVABLEKEYS = 18, "movablekeys", "Its words say where keys are. Follows from the key specs.";
    ALLOW_BUSY = 19, "allow_busy", "Allowed while a script runs too long.";
    PROTECTED = 20, "protected", "Off unless enabled (DEBUG).";
}

impl Flags {
    /// Both sets.
    #[must_use]
    pub const fn or(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// This set less the other.
    #[must_use]
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// Whether all of `other` are in this set.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The group a command is documented in; it implies an ACL category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Keys of any type.
    Generic,
    /// Documented as generic, but only for certain types (SORT).
    GenericOfTypes,
    /// Strings.
    String,
    /// Lists.
    List,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// Hashes.
    Hash,
    /// Streams.
    Stream,
    /// Strings as arrays of bits.
    Bitmap,
    /// Strings as estimators of set sizes.
    HyperLogLog,
    /// Sorted sets of places.
    Geo,
    /// Arrays.
    Array,
    /// The connection itself.
    Connection,
    /// The server.
    Server,
    /// Transactions.
    Transactions,
    /// Channels.
    PubSub,
    /// Scripts and functions.
    Scripting,
}

impl Group {
    /// The name in COMMAND DOCS.
    pub fn name(self) -> &'static str {
        match self {
            Group::Generic | Group::GenericOfTypes => "generic",
            Group::String => "string",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Hash => "hash",
            Group::Stream => "stream",
            Group::Bitmap => "bitmap",
            Group::HyperLogLog => "hyperloglog",
            Group::Geo => "geo",
            Group::Array => "array",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Transactions => "transactions",
            Group::PubSub => "pubsub",
            Group::Scripting => "scripting",
        }
    }

    /// The ACL category that all commands of the group have.
    pub fn category(self) -> Option<&'static str> {
        match self {
            Group::Generic => Some("keyspace"),
            Group::String => Some("string"),
            Group::List => Some("list"),
            Group::Set => Some("set"),
            Group::SortedSet => Some("sortedset"),
            Group::Hash => Some("hash"),
            Group::Stream => Some("stream"),
            Group::Bitmap => Some("bitmap"),
            Group::HyperLogLog => Some("hyperloglog"),
            Group::Geo => Some("geo"),
            Group::Array => Some("array"),
            Group::Connection => Some("connection"),
            Group::Server | Group::GenericOfTypes => None,
            Group::Transactions => Some("transaction"),
            Group::Scripting => Some("scripting"),
            // From the flag: PUBSUB and its HELP are in the group, not in the category.
            Group::PubSub => None,
        }
    }
}

/// Where some keys of a command are, and what it does with them.
/// Source: redis.io, "Command key specifications".
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// Access: RO, RW, OW, RM and what it does: access, update, insert, delete, ...
    pub flags: &'static [&'static str],
    /// Where to start looking.
    pub begin: Begin,
    /// Which words from there on.
    pub find: Find,
    /// A remark, if any.
    pub notes: Option<&'static str>,
}

/// Where a key spec starts.
#[derive(Clone, Copy, Debug)]
pub enum Begin {
    /// At this word.
    Index(i16),
    /// After this word, searched from a position on (negative: from the end backwards).
    Keyword(&'static str, i16),
    /// Where this function says, given the number of words and the words; clients are told that it
    /// is unknown.
    Unknown(FindKey),
}

/// The index of the word where a key spec starts, if it applies.
pub type FindKey = for<'a> fn(usize, &dyn Fn(usize) -> &'a [u8]) -> Option<usize>;

/// Which words are keys, from the start of a key spec.
#[derive(Clone, Copy, Debug)]
pub enum Find {
    /// To `last` (relative to the start; negative: from the end of the command), every `step`th
    /// word. `limit`: with `last` = -1, only the first 1/limit of the rest (0 and 1: all).
    Range {
        /// Relative to the start; negative counts from the end.
        last: i16,
        /// Distance between keys.
        step: i16,
        /// See above.
        limit: i16,
    },
    /// A word tells the number of keys.
    KeyNum {
        /// Where that word is, relative to the start.
        at: i16,
        /// Where the first key is, relative to the start.
        first: i16,
        /// Distance between keys.
        step: i16,
    },
    /// The one where the spec starts; clients are told that it is unknown.
    Unknown,
}

impl KeySpec {
    /// The word after the name.
    pub const fn first(flags: &'static [&'static str]) -> KeySpec {
        KeySpec::at(1, flags)
    }

    /// The word at `index`.
    pub const fn at(index: i16, flags: &'static [&'static str]) -> KeySpec {
        KeySpec::range(index, 0, 1, flags)
    }

    /// Words from `index` to `last` (see [`Find::Range`]), every `step`th.
    pub const fn range(
        index: i16,
        last: i16,
        step: i16,
        flags: &'static [&'static str],
    ) -> KeySpec {
        let find = Find::Range {
            last,
            step,
            limit: 0,
        };
        KeySpec {
            flags,
            begin: Begin::Index(index),
            find,
            notes: None,
        }
    }

    /// The word indexes of the keys in a command of `count` words, in order; `None` when the
    /// command's words make no sense (its handler will say why).
    pub fn words<'a>(
        &self,
        count: usize,
        word: impl Fn(usize) -> &'a [u8],
    ) -> Option<std::iter::StepBy<std::ops::RangeInclusive<usize>>> {
        let count = count as i64;
        let start = match self.begin {
            Begin::Index(at) => i64::from(at),
            Begin::Keyword(keyword, from) => find_keyword(keyword, from, count, &word)? + 1,
            Begin::Unknown(find) => find(count as usize, &word)? as i64,
        };
        let (first, last, step) = match self.find {
            Find::Range { last, step, limit } => {
                let last = match (last, limit) {
                    (-1, 2..) => start + (count - start) / i64::from(limit) - 1,
                    (..0, _) => count + i64::from(last),
                    _ => start + i64::from(last),
                };
                (start, last, step)
            }
            Find::KeyNum { at, first, step } => {
                let number = start + i64::from(at);
                let number = (number < count).then(|| word(number as usize))?;
                let number = base::num::parse_i64(number).filter(|&n| n > 0 && n < count)?;
                let first = start + i64::from(first);
                (first, first + (number - 1) * i64::from(step), step)
            }
            Find::Unknown => (start, start, 1),
        };
        if first < 1 || last < first || last >= count || step < 1 {
            return None;
        }
        Some((first as usize..=last as usize).step_by(step as usize))
    }
}

fn find_keyword<'a>(
    keyword: &str,
    from: i16,
    count: i64,
    word: &impl Fn(usize) -> &'a [u8],
) -> Option<i64> {
    let is_it = |&at: &i64| base::strings::eq_ignore_case(word(at as usize), keyword.as_bytes());
    if from >= 0 {
        (i64::from(from)..count).find(is_it)
    } else {
        (1..=count + i64::from(from)).rev().find(is_it)
    }
}

/// One argument, for COMMAND DOCS. Source: redis.io, "Command arguments".
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// Its name.
    pub name: &'static str,
    /// What is expected there.
    pub kind: ArgKind,
    /// The word that announces it.
    pub token: Option<&'static str>,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
    /// Its token is repeated with it.
    pub multiple_token: bool,
    /// First version that had it, if later than the command.
    pub since: Option<&'static str>,
    /// Which key spec describes it, for keys.
    pub key_spec: Option<u8>,
    /// The alternatives of a choice, the parts of a block.
    pub parts: &'static [Arg],
}

/// The type of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgKind {
    /// Any bytes.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Double,
    /// A key.
    Key,
    /// A glob pattern.
    Pattern,
    /// Seconds or milliseconds since 1970.
    UnixTime,
    /// Just its token.
    PureToken,
    /// One of its parts.
    OneOf,
    /// All of its parts, in order.
    Block,
}

impl ArgKind {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            ArgKind::String => "string",
            ArgKind::Integer => "integer",
            ArgKind::Double => "double",
            ArgKind::Key => "key",
            ArgKind::Pattern => "pattern",
            ArgKind::UnixTime => "unix-time",
            ArgKind::PureToken => "pure-token",
            ArgKind::OneOf => "oneof",
            ArgKind::Block => "block",
        }
    }
}

impl Arg {
    /// An argument without token.
    pub const fn new(name: &'static str, kind: ArgKind) -> Arg {
        Arg {
            name,
            kind,
            token: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            since: None,
            key_spec: None,
            parts: &[],
        }
    }

    /// The key of the first key spec.
    pub const KEY: Arg = Arg {
        key_spec: Some(0),
        ..Arg::new("key", ArgKind::Key)
    };

    /// A bare word.
    pub const fn word(name: &'static str, token: &'static str) -> Arg {
        Arg {
            token: Some(token),
            ..Arg::new(name, ArgKind::PureToken)
        }
    }

    /// One of several.
    pub const fn one_of(name: &'static str, parts: &'static [Arg]) -> Arg {
        Arg {
            parts,
            ..Arg::new(name, ArgKind::OneOf)
        }
    }

    /// Several in a row.
    pub const fn block(name: &'static str, parts: &'static [Arg]) -> Arg {
        Arg {
            parts,
            ..Arg::new(name, ArgKind::Block)
        }
    }

    /// Announced by a word.
    pub const fn token(self, token: &'static str) -> Arg {
        Arg {
            token: Some(token),
            ..self
        }
    }

    /// May be left out.
    pub const fn optional(self) -> Arg {
        Arg {
            optional: true,
            ..self
        }
    }

    /// May be repeated.
    pub const fn multiple(self) -> Arg {
        Arg {
            multiple: true,
            ..self
        }
    }

    /// Came later than the command.
    pub const fn since(self, since: &'static str) -> Arg {
        Arg {
            since: Some(since),
            ..self
        }
    }

    /// The key of another key spec than the first.
    pub const fn of_key_spec(self, index: u8) -> Arg {
        Arg {
            key_spec: Some(index),
            ..self
        }
    }
}
