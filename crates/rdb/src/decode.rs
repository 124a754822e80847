//! Bytes to values: every encoding that Redis 2 to 8 and Valkey up to 9 write.
//!
//! What is packed in the input stays packed if the limits allow it, else it becomes a table or
//! tree, as in Redis. Everything packed is checked through and through, whoever wrote it: the
//! structures are only safe to use if their bytes are right.

mod packs;
mod pass;
mod stream;

use base::double::{DoubleText, format_double};
use base::num::parse_i64;
use base::time::UnixMillis;
use structs::Packing;
use structs::array::{Array, INDEX_MAX};
use structs::collection::Member;
use structs::hash::{Hash, Until};
use structs::list::{End, List};
use structs::packed::Element;
use structs::set::Set;
use structs::stream::Stream;
use structs::table::Table;
use structs::zset::Zset;

use crate::fault::{Fault, Problem};
use crate::format::{Dialect, FIELD_DEADLINE_MAX, FIELD_FOREVER, Kind, ModuleId, cell};
use crate::input::Input;

pub(crate) use pass::module_items as pass_module_items;
pub use pass::skip;

/// Longest text of an integer.
const INT_TEXT_MAX: usize = 20;

/// A value.
#[derive(Debug)]
pub enum Decoded {
    /// The text of an integer.
    Int(i64),
    /// Any other string.
    Text(Vec<u8>),
    /// A list.
    List(List),
    /// A set.
    Set(Set),
    /// A hash.
    Hash(Hash),
    /// A sorted set.
    Zset(Zset),
    /// A stream.
    Stream(Stream),
    /// An array.
    Array(Array),
    /// A collection without elements, which old versions could leave behind. There is no key.
    Nothing,
}

/// What decoding a value needs.
pub(crate) struct Decoder<'i, 'r> {
    pub(crate) input: &'i mut Input<'r>,
    pub(crate) packing: &'i Packing,
    dialect: Dialect,
    text: Vec<u8>,
    value: Vec<u8>,
}

/// Reads a value of this kind.
///
/// # Errors
/// The bytes are not such a value, or end, or nobody here can read it.
pub fn decode(
    input: &mut Input<'_>,
    kind: Kind,
    dialect: Dialect,
    packing: &Packing,
) -> Result<Decoded, Fault> {
    let mut decoder = Decoder {
        input,
        packing,
        dialect,
        text: Vec::new(),
        value: Vec::new(),
    };
    decoder.value(kind)
}

impl Decoder<'_, '_> {
    fn value(&mut self, kind: Kind) -> Result<Decoded, Fault> {
        match kind {
            Kind::String => self.string(),
            Kind::List => self.list(),
            Kind::Set => self.set(),
            Kind::ZsetText | Kind::Zset => self.zset(kind),
            Kind::Hash => self.hash(),
            Kind::HashTimedPreGa if self.dialect == Dialect::Valkey => self.hash_valkey(),
            Kind::HashTimedPreGa | Kind::HashTimed => self.hash_timed(kind),
            Kind::ListListpacks | Kind::ListZiplists => self.list_of_packs(kind),
            Kind::Stream1 | Kind::Stream2 | Kind::Stream3 | Kind::Stream4 | Kind::Stream5 => {
                self.stream(kind)
            }
            Kind::Array => self.array(),
            Kind::HashZipmap
            | Kind::ListZiplist
            | Kind::SetIntset
            | Kind::SetListpack
            | Kind::ZsetZiplist
            | Kind::ZsetListpack
            | Kind::HashZiplist
            | Kind::HashListpack
            | Kind::HashTimedListpackPreGa
            | Kind::HashTimedListpack => self.pack(kind),
            Kind::Module => {
                let module = ModuleId(self.input.number()?);
                let what = format!("a value of module '{module}', which is not here");
                Err(self.input.fault(Problem::Unsupported(what.into())))
            }
            Kind::ModulePreGa => {
                let what = "a module's value in the format of a pre-release";
                Err(self.input.fault(Problem::Unsupported(what.into())))
            }
        }
    }

    /// A number that room may be made for: no more than the bytes in memory can hold.
    fn room(&self, count: u64) -> usize {
        self.input.justified(count)
    }

    fn string(&mut self) -> Result<Decoded, Fault> {
        let mut text = Vec::new();
        let number = match self.input.string(&mut text)? {
            None if text.len() <= INT_TEXT_MAX => parse_i64(&text),
            number => number,
        };
        Ok(number.map_or(Decoded::Text(text), Decoded::Int))
    }

    fn list(&mut self) -> Result<Decoded, Fault> {
        let mut list = List::default();
        for _ in 0..self.input.number()? {
            self.input.string(&mut self.text)?;
            list.push_one(End::Tail, Element::of(&self.text), self.packing);
        }
        Ok(Decoded::of(list, Decoded::List))
    }

    fn set(&mut self) -> Result<Decoded, Fault> {
        let count = self.input.number()?;
        let mut set = match count > self.packing.set_ints_max as u64 {
            true => Set::Table(Box::new(self.table(count))),
            false => Set::for_integers(),
        };
        for _ in 0..count {
            self.input.string(&mut self.text)?;
            let member = Member::new(&self.text, &self.packing.seed);
            if !set.add(member, self.packing) {
                return Err(self
                    .input
                    .corrupt("a set with a member that is there twice"));
            }
        }
        Ok(Decoded::of(set, Decoded::Set))
    }

    fn table(&self, count: u64) -> Table {
        Table::with_room(self.packing.seed, self.room(count))
    }

    fn zset(&mut self, kind: Kind) -> Result<Decoded, Fault> {
        let count = self.input.number()?;
        let mut zset = Zset::default();
        for nth in 0..count {
            self.input.string(&mut self.text)?;
            let score = match kind {
                Kind::ZsetText => self.input.double_text()?,
                _ => self.input.double()?,
            };
            if nth == 0 {
                zset.reserve(self.room(count), self.text.len(), self.packing);
            }
            add_score(&mut zset, &self.text, score, self.packing)
                .map_err(|what| self.input.corrupt(what))?;
        }
        Ok(Decoded::of(zset, Decoded::Zset))
    }

    fn hash(&mut self) -> Result<Decoded, Fault> {
        let count = self.input.number()?;
        let mut hash = self.empty_hash(count);
        for _ in 0..count {
            self.input.string(&mut self.text)?;
            self.set_field(&mut hash, Until::Forever)?;
        }
        Ok(Decoded::of(hash, Decoded::Hash))
    }

    fn empty_hash(&self, count: u64) -> Hash {
        match count > self.packing.hash_entries_max as u64 {
            true => Hash::Table(Box::new(self.table(count))),
            false => Hash::default(),
        }
    }

    /// Reads the value of the field in `text`, and sets it.
    fn set_field(&mut self, hash: &mut Hash, until: Until) -> Result<(), Fault> {
        self.input.string(&mut self.value)?;
        self.store_field(hash, until)
    }

    fn store_field(&mut self, hash: &mut Hash, until: Until) -> Result<(), Fault> {
        let field = Member::new(&self.text, &self.packing.seed);
        if hash.set(field, &self.value, until, self.packing) {
            return Ok(());
        }
        Err(self
            .input
            .corrupt("a hash with a field that is there twice"))
    }

    /// Deadline, field, value; the deadline in the final form as distance from the first one.
    fn hash_timed(&mut self, kind: Kind) -> Result<Decoded, Fault> {
        let soonest = match kind {
            Kind::HashTimed => self.input.millis()?.max(0) as u64,
            _ => 1,
        };
        let count = self.input.number()?;
        let mut hash = self.empty_hash(count);
        hash.make_timed();
        for _ in 0..count {
            let until = match self.input.number()? {
                0 => Until::Forever,
                distance => self.until((distance - 1).saturating_add(soonest))?,
            };
            self.input.string(&mut self.text)?;
            self.set_field(&mut hash, until)?;
        }
        Ok(Decoded::of(hash, Decoded::Hash))
    }

    fn until(&self, deadline: u64) -> Result<Until, Fault> {
        if deadline > FIELD_DEADLINE_MAX {
            return Err(self.input.corrupt("a field with a deadline out of range"));
        }
        // In packed hashes zero stands for none. A millisecond later is over just as long.
        Ok(Until::At(UnixMillis(deadline.max(1) as i64)))
    }

    /// Field, value, deadline.
    fn hash_valkey(&mut self) -> Result<Decoded, Fault> {
        let count = self.input.number()?;
        let mut hash = self.empty_hash(count);
        for _ in 0..count {
            self.input.string(&mut self.text)?;
            self.input.string(&mut self.value)?;
            let until = match self.input.millis()? {
                FIELD_FOREVER => Until::Forever,
                deadline => match u64::try_from(deadline) {
                    Ok(deadline) => self.until(deadline)?,
                    Err(_) => return Err(self.input.corrupt("a field with a negative deadline")),
                },
            };
            self.store_field(&mut hash, until)?;
        }
        Ok(Decoded::of(hash, Decoded::Hash))
    }

    fn array(&mut self) -> Result<Decoded, Fault> {
        let count = self.input.number()?;
        let cursor = match self.input.number()? {
            0 => None,
            1 => Some(self.input.number()?),
            _ => return Err(self.input.corrupt("an array with a strange cursor")),
        };
        let mut array = Array::default();
        for _ in 0..count {
            let index = self.input.number()?;
            self.cell()?;
            if index > INDEX_MAX || !array.set(index, &self.text) {
                return Err(self.input.corrupt("an array with an index that cannot be"));
            }
        }
        if cursor.is_some_and(|cursor| cursor > INDEX_MAX) {
            return Err(self.input.corrupt("an array with a cursor that cannot be"));
        }
        array.set_cursor(cursor);
        Ok(Decoded::of(array, Decoded::Array))
    }

    /// Reads an element of an array into `text`.
    fn cell(&mut self) -> Result<(), Fault> {
        let tag = self.input.number()?;
        match tag {
            cell::INT => {
                self.text.clear();
                base::num::append_i64(self.input.millis()?, &mut self.text);
            }
            cell::FLOAT => {
                let mut digits = DoubleText::default();
                self.text.clear();
                let number = self.input.double()?;
                self.text
                    .extend_from_slice(format_double(number, &mut digits));
            }
            cell::SHORT | cell::LONG => {
                self.input.string(&mut self.text)?;
            }
            _ => {
                return Err(self
                    .input
                    .corrupt("an array with an unknown kind of element"));
            }
        }
        Ok(())
    }
}

/// Adds an entry; what is wrong with it, if something is.
fn add_score(
    zset: &mut Zset,
    member: &[u8],
    score: f64,
    packing: &Packing,
) -> Result<(), &'static str> {
    if score.is_nan() {
        return Err("a sorted set with a score that is no number");
    }
    let mut is_new = true;
    zset.upsert(Member::new(member, &packing.seed), packing, |old| {
        is_new = old.is_none();
        is_new.then_some(score)
    });
    match is_new {
        true => Ok(()),
        false => Err("a sorted set with a member that is there twice"),
    }
}

impl Decoded {
    /// The value, or nothing if the collection is empty.
    fn of<C: structs::Collection>(collection: C, wrap: impl FnOnce(C) -> Decoded) -> Decoded {
        match collection.is_empty() {
            true => Decoded::Nothing,
            false => wrap(collection),
        }
    }
}
