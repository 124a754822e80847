//! Values to bytes, in pieces.
//!
//! A value is written by calling [`Encoder::value`] until it is done. Between two calls the value
//! must not change, but nothing is borrowed: a [`Cursor`] remembers how far it is. So whoever walks
//! through a data set under locks can let go of them within a large collection, if he sees to it
//! that the collection stays as it is.

mod stream;

use std::ops::ControlFlow;

use structs::Passed;
use structs::array::{self, Array};
use structs::hash::{HashRef, Text};
use structs::intset;
use structs::list::{ListRef, Piece};
use structs::packed::{self, Element, IntText};
use structs::set::SetRef;
use structs::stream::Stream;
use structs::table::{Resume, Table};
use structs::zset::ZsetRef;

use base::num::I64_TEXT_MAX;
use base::time::UnixMillis;

use crate::format::{Dialect, FIELD_FOREVER, HASH_VALKEY, Kind, Reader, Target};
use crate::format::{VALKEY_VERSION, cell, node};
use crate::put::{self, KEPT_BYTES_MAX, Strings};

/// A value, borrowed.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// The text of an integer.
    Int(i64),
    /// Any string.
    Text(&'a [u8]),
    /// A list.
    List(ListRef<'a>),
    /// A set.
    Set(SetRef<'a>),
    /// A hash.
    Hash(HashRef<'a>),
    /// A sorted set.
    Zset(ZsetRef<'a>),
    /// A stream.
    Stream(&'a Stream),
    /// An array.
    Array(&'a Array),
}

impl Value<'_> {
    /// How it is encoded for `reader`.
    #[must_use]
    pub fn kind(self, reader: Reader) -> Kind {
        let is_old = reader == Reader::Redis70;
        match self {
            Value::Int(_) | Value::Text(_) => Kind::String,
            Value::List(_) => Kind::ListListpacks,
            Value::Set(SetRef::Ints(_)) => Kind::SetIntset,
            Value::Set(SetRef::Packed(_)) if !is_old => Kind::SetListpack,
            Value::Set(SetRef::Packed(_) | SetRef::Table(_)) => Kind::Set,
            Value::Zset(zset) if zset.is_packed() => Kind::ZsetListpack,
            Value::Zset(_) => Kind::Zset,
            Value::Hash(hash) => hash_kind(hash, reader.dialect()),
            Value::Stream(stream) => stream::kind(stream, reader),
            Value::Array(_) => Kind::Array,
        }
    }

    /// The version of a payload or file that has it.
    #[must_use]
    pub fn version(self, reader: Reader) -> u32 {
        let kind = self.kind(reader);
        match kind {
            HASH_VALKEY => VALKEY_VERSION,
            _ => kind.version().max(reader.version()),
        }
    }
}

fn hash_kind(hash: HashRef<'_>, dialect: Dialect) -> Kind {
    let timed = match hash {
        HashRef::Pairs(_) => false,
        HashRef::Timed(body) => structs::hash::packed_soonest(body).is_some(),
        HashRef::Table(table) => table.volatile() > 0,
    };
    match (timed, hash, dialect) {
        (false, HashRef::Table(_), _) => Kind::Hash,
        (false, HashRef::Pairs(_) | HashRef::Timed(_), _) => Kind::HashListpack,
        (true, _, Dialect::Valkey) => HASH_VALKEY,
        (true, HashRef::Table(_), Dialect::Redis) => Kind::HashTimed,
        (true, HashRef::Pairs(_) | HashRef::Timed(_), Dialect::Redis) => Kind::HashTimedListpack,
    }
}

/// How far a value is written.
#[derive(Clone, Debug, Default)]
pub struct Cursor(At);

#[derive(Clone, Debug, Default)]
enum At {
    #[default]
    Start,
    /// Bytes of a string.
    Bytes(usize),
    /// Pieces of a list.
    Piece(usize),
    /// Entries of a table.
    Entry(Resume),
    /// Entries of a sorted set that are left.
    Rank(usize),
    /// The next index of an array.
    Index(u64),
    Stream(stream::Place),
}

impl Cursor {
    /// What will not be looked at again.
    #[must_use]
    pub fn passed(&self) -> Passed {
        match &self.0 {
            At::Start | At::Bytes(_) => Passed::Nothing,
            At::Piece(next) => Passed::Parts(*next),
            At::Entry(place) => Passed::Entries(*place),
            At::Rank(left) => Passed::Down(*left),
            At::Index(next) => Passed::Index(*next),
            At::Stream(place) => Passed::Parts(place.nodes_passed()),
        }
    }
}

/// Whether a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Call again.
    More,
    /// All of it is.
    Done,
}

/// Writes values. One serves for many: it keeps buffers.
#[derive(Debug)]
pub struct Encoder {
    target: Target,
    strings: Strings,
    listpack: Vec<u8>,
    piece: Vec<u8>,
}

/// Where a piece goes, and how long it may become.
struct Output<'o> {
    out: &'o mut Vec<u8>,
    full_at: usize,
}

impl Output<'_> {
    fn is_full(&self) -> bool {
        self.out.len() >= self.full_at
    }
}

impl Encoder {
    /// An encoder for this target.
    #[must_use]
    pub fn new(target: Target) -> Encoder {
        Encoder {
            target,
            strings: Strings::new(target.compress),
            listpack: Vec::new(),
            piece: Vec::new(),
        }
    }

    /// How it writes.
    #[must_use]
    pub fn target(&self) -> Target {
        self.target
    }

    /// Compresses what is written from now on, or does not.
    pub fn set_compress(&mut self, compress: bool) {
        self.target.compress = compress;
        self.strings.set_compress(compress);
    }

    /// Writes a string: a key, a name.
    pub fn string(&mut self, text: &[u8], out: &mut Vec<u8>) {
        self.strings.put(text, out);
    }

    /// Writes the whole of a value (without its kind).
    pub fn whole(&mut self, value: Value<'_>, out: &mut Vec<u8>) {
        let mut cursor = Cursor::default();
        while self.value(value, &mut cursor, out, usize::MAX) == Progress::More {}
    }

    /// Writes the next part of a value (without its kind): elements until there are `bytes_max`
    /// bytes or more, at least one. The value is the one that the cursor began with, unchanged.
    pub fn value(
        &mut self,
        value: Value<'_>,
        cursor: &mut Cursor,
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Progress {
        let full_at = out.len().saturating_add(bytes_max);
        let mut output = Output { out, full_at };
        let out = &mut output;
        let next = match (value, std::mem::take(&mut cursor.0)) {
            (Value::Int(number), _) => {
                Strings::put_i64(number, out.out);
                None
            }
            (Value::Text(text), at) => self.text(text, at, out),
            (Value::List(list), at) => self.list(list, at, out),
            (Value::Set(set), at) => self.set(set, at, out),
            (Value::Hash(hash), at) => self.hash(hash, at, out),
            (Value::Zset(zset), at) => self.zset(zset, at, out),
            (Value::Stream(stream), At::Stream(place)) => self.stream(stream, place, out),
            (Value::Stream(stream), _) => self.stream(stream, stream::Place::default(), out),
            (Value::Array(array), at) => self.array(array, at, out),
        };
        match next {
            Some(at) => {
                cursor.0 = at;
                Progress::More
            }
            None => Progress::Done,
        }
    }

    /// A long text that is not compressed goes out in pieces.
    fn text(&mut self, text: &[u8], at: At, output: &mut Output<'_>) -> Option<At> {
        let from = match at {
            At::Bytes(from) => from,
            _ if self.target.compress || text.len() <= output.full_at - output.out.len() => {
                self.strings.put(text, output.out);
                return None;
            }
            _ => {
                put::number(text.len() as u64, output.out);
                0
            }
        };
        let room = output.full_at.saturating_sub(output.out.len()).max(1);
        let rest = text.get(from..).unwrap_or_default();
        let part = rest.get(..room).unwrap_or(rest);
        output.out.extend_from_slice(part);
        (part.len() < rest.len()).then_some(At::Bytes(from + part.len()))
    }

    fn listpack(&mut self, body: &[u8], count: usize, out: &mut Vec<u8>) {
        self.listpack.clear();
        packed::to_listpack(body, count, &mut self.listpack);
        self.strings.put_bytes(&self.listpack, out);
        if self.listpack.capacity() > KEPT_BYTES_MAX {
            self.listpack = Vec::new();
        }
    }

    fn list(&mut self, list: ListRef<'_>, at: At, output: &mut Output<'_>) -> Option<At> {
        let first = match at {
            At::Piece(next) => next,
            _ => {
                put::number(list.piece_count() as u64, output.out);
                0
            }
        };
        let mut buffer = std::mem::take(&mut self.piece);
        let mut next = None;
        for index in first..list.piece_count() {
            if index > first && output.is_full() {
                next = Some(At::Piece(index));
                break;
            }
            match list.piece(index, &mut buffer) {
                Some(Piece::Run(body, count)) => {
                    put::number(node::PACKED, output.out);
                    self.listpack(body, count, output.out);
                }
                Some(Piece::Single(text)) => {
                    put::number(node::SINGLE, output.out);
                    self.strings.put(text, output.out);
                }
                None => {}
            }
        }
        self.piece = buffer;
        next
    }

    fn set(&mut self, set: SetRef<'_>, at: At, output: &mut Output<'_>) -> Option<At> {
        match set {
            SetRef::Ints(ints) => {
                self.listpack.clear();
                intset::view_to_intset(ints, &mut self.listpack);
                self.strings.put_bytes(&self.listpack, output.out);
                None
            }
            SetRef::Packed(body) if self.target.reader == Reader::Redis70 => {
                put::number(packed::count(body) as u64, output.out);
                let mut digits = IntText::default();
                for element in packed::iter(body) {
                    self.strings.put(element.text(&mut digits), output.out);
                }
                None
            }
            SetRef::Packed(body) => {
                self.listpack(body, packed::count(body), output.out);
                None
            }
            SetRef::Table(table) => entries(table, at, output, |entry, out| {
                self.strings.put(entry.key, out);
            }),
        }
    }

    fn hash(&mut self, hash: HashRef<'_>, at: At, output: &mut Output<'_>) -> Option<At> {
        let kind = hash_kind(hash, self.target.reader.dialect());
        match (hash, kind) {
            (HashRef::Table(table), Kind::HashTimed) => self.hash_timed(table, at, output),
            (HashRef::Table(table), HASH_VALKEY) => entries(table, at, output, |entry, out| {
                self.strings.put(entry.key, out);
                self.strings.put(entry.value, out);
                put::millis(entry.deadline.map_or(FIELD_FOREVER, |at| at.0), out);
            }),
            (HashRef::Table(table), _) => entries(table, at, output, |entry, out| {
                self.strings.put(entry.key, out);
                self.strings.put(entry.value, out);
            }),
            (HashRef::Timed(_), HASH_VALKEY) => {
                self.hash_valkey(hash, output.out);
                None
            }
            (HashRef::Timed(body), Kind::HashTimedListpack) => {
                let soonest = structs::hash::packed_soonest(body);
                put::millis(soonest.map_or(0, |at| at.0), output.out);
                self.listpack(body, packed::count(body), output.out);
                None
            }
            (HashRef::Timed(_), _) => {
                self.without_deadlines(hash, output.out);
                None
            }
            (HashRef::Pairs(body), _) => {
                self.listpack(body, packed::count(body), output.out);
                None
            }
        }
    }

    /// Redis's table with deadlines: each as the distance from the first, and one more; 0 = none.
    fn hash_timed(&mut self, table: &Table, at: At, output: &mut Output<'_>) -> Option<At> {
        let soonest = table.soonest().0.max(0);
        if matches!(at, At::Start) {
            put::millis(soonest, output.out);
        }
        entries(table, at, output, |entry, out| {
            let distance = entry.deadline.map_or(0, |at| at.0.max(0) - soonest + 1);
            put::number(distance.max(0) as u64, out);
            self.strings.put(entry.key, out);
            self.strings.put(entry.value, out);
        })
    }

    /// A packed hash with deadlines as Valkey has it, which has no packed form for it.
    fn hash_valkey(&mut self, hash: HashRef<'_>, out: &mut Vec<u8>) {
        put::number(hash.len() as u64, out);
        hash.each_timed(BEGINNING, |field, value, deadline| {
            self.hash_text(field, out);
            self.hash_text(value, out);
            put::millis(deadline.map_or(FIELD_FOREVER, |at| at.0), out);
        });
    }

    fn hash_text(&mut self, text: Text<'_>, out: &mut Vec<u8>) {
        self.strings.put(text.bytes(&mut [0; I64_TEXT_MAX]), out);
    }

    /// A packed hash that has room for deadlines and none.
    fn without_deadlines(&mut self, hash: HashRef<'_>, out: &mut Vec<u8>) {
        let mut body = std::mem::take(&mut self.piece);
        body.clear();
        let mut digits = IntText::default();
        let count = hash.each_timed(BEGINNING, |field, value, _| {
            for text in [field, value] {
                packed::push_back(&mut body, Element::of(text.bytes(&mut digits)));
            }
        });
        self.listpack(&body, 2 * count, out);
        self.piece = body;
    }

    /// Large ones from the last to the first, as Redis does: so it inserts each at the beginning.
    fn zset(&mut self, zset: ZsetRef<'_>, at: At, output: &mut Output<'_>) -> Option<At> {
        if let Some(body) = zset.packed() {
            self.listpack(body, packed::count(body), output.out);
            return None;
        }
        let mut left = match at {
            At::Rank(left) => left,
            _ => {
                put::number(zset.len() as u64, output.out);
                zset.len()
            }
        };
        if left == 0 {
            return None;
        }
        for (member, score) in zset.range_back(0..left) {
            self.strings
                .put(member.text(&mut IntText::default()), output.out);
            put::double(score, output.out);
            left -= 1;
            if left > 0 && output.is_full() {
                return Some(At::Rank(left));
            }
        }
        None
    }

    fn array(&mut self, array: &Array, at: At, output: &mut Output<'_>) -> Option<At> {
        let first = match at {
            At::Index(index) => index,
            _ => {
                put::number(array.count(), output.out);
                put::number(array.cursor().is_some().into(), output.out);
                if let Some(cursor) = array.cursor() {
                    put::number(cursor, output.out);
                }
                0
            }
        };
        let mut next = None;
        let mut is_first = true;
        // Breaks when the piece is full, which `next` says.
        let _ = array.visit(first, u64::MAX, |index, value| {
            if !is_first && output.is_full() {
                next = Some(At::Index(index));
                return ControlFlow::Break(());
            }
            is_first = false;
            put::number(index, output.out);
            self.cell(value, output.out);
            ControlFlow::Continue(())
        });
        next
    }

    fn cell(&mut self, value: array::Value<'_>, out: &mut Vec<u8>) {
        if let array::Value::Int(number) = value
            && number.unsigned_abs().leading_zeros() > u64::BITS - cell::INT_BITS
        {
            put::number(cell::INT, out);
            return put::millis(number, out);
        }
        let mut digits = [0; I64_TEXT_MAX];
        let text = value.bytes(&mut digits);
        let short = text.len() <= cell::SHORT_BYTES_MAX;
        put::number(if short { cell::SHORT } else { cell::LONG }, out);
        self.strings.put(text, out);
    }
}

/// A time at which nothing is due: what is written is what is there.
const BEGINNING: UnixMillis = UnixMillis(i64::MIN);

/// Writes the entries of a table, after their number.
fn entries<'t>(
    table: &'t Table,
    at: At,
    output: &mut Output<'_>,
    mut put: impl FnMut(structs::table::Entry<'t>, &mut Vec<u8>),
) -> Option<At> {
    let mut entries = match at {
        At::Entry(place) => table.resume(place),
        _ => {
            put::number(table.len() as u64, output.out);
            table.iter()
        }
    };
    while let Some(entry) = entries.next() {
        put(entry, output.out);
        if output.is_full() && entries.len() > 0 {
            return Some(At::Entry(entries.place(table)));
        }
    }
    None
}
