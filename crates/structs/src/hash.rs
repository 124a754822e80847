//! Hashes: fields with values, each with a deadline of its own if wanted.
//!
//! | form | layout | Redis's name |
//! | --- | --- | --- |
//! | `Pairs` | packed: field, value | listpack |
//! | `Timed` | packed: field, value, deadline; the soonest first | listpackex |
//! | `Table` | hash table | hashtable |
//!
//! A hash starts as pairs, gets room for deadlines when a command asks for one, and becomes a table
//! when it passes the [`Packing`] limits; there is no way back. These rules are Redis 8.2's, as
//! OBJECT ENCODING shows them.
//!
//! Who reads brings the time, and fields that are due do not exist for him. They stay in the hash,
//! and in its length, until [`Hash::expire`] removes them. Changes do not look at the time: a
//! caller who names a field removes it first with [`Hash::expire_field`] if it is due.

mod pairs;
mod timed;
mod view;

use base::memory::size_class;
use base::num::I64_TEXT_MAX;
use base::time::UnixMillis;

use crate::collection::{Collection, Form, Member, form_encoding};
use crate::packed;
use crate::packing::Packing;
use crate::shared::{Passed, Release};
use crate::table::Table;

pub use view::{HashRef, Text};

/// Packed bytes beyond which a hash is a table whatever the limits say. Redis has the same bound.
const PACKED_BYTES_MAX: usize = 1 << 30;
/// A field takes at least this many packed bytes for each of its elements.
const ELEMENT_BYTES_MIN: usize = 2;

/// A hash. See the module's head.
#[derive(Debug)]
pub enum Hash {
    /// Packed, without deadlines.
    Pairs(Vec<u8>),
    /// Packed, with deadlines.
    Timed(Vec<u8>),
    /// Large.
    Table(Box<Table>),
}

/// What becomes of a field's deadline when it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// It has none.
    Forever,
    /// As before; none if the field is new.
    Kept,
    /// This moment.
    At(UnixMillis),
}

impl Default for Hash {
    fn default() -> Hash {
        Hash::Pairs(Vec::new())
    }
}

impl Hash {
    /// Becomes a table if a command is about to set so many fields, or a field or value so long,
    /// that Redis would not try to pack them. Equal fields count as often as they are named.
    #[inline]
    pub fn prepare(&mut self, fields: usize, longest: usize, packing: &Packing) {
        if fields > packing.hash_entries_max || longest > packing.hash_value_max {
            self.make_table(packing);
        }
    }

    /// Sets a field; whether it is new.
    #[inline]
    pub fn set(
        &mut self,
        field: Member<'_>,
        value: &[u8],
        until: Until,
        packing: &Packing,
    ) -> bool {
        if matches!(until, Until::At(_)) {
            self.make_timed();
        }
        if field.bytes.len().max(value.len()) > packing.hash_value_max {
            self.make_table(packing);
        }
        let (new, body, width) = match self {
            Hash::Pairs(body) => (pairs::set(body, field.bytes, value), body, pairs::WIDTH),
            Hash::Timed(body) => (
                timed::set(body, field.bytes, value, until),
                body,
                timed::WIDTH,
            ),
            Hash::Table(table) => return set_in_table(table, field, value, until),
        };
        if new && exceeds(body, width, packing.hash_entries_max) {
            self.make_table(packing);
        }
        new
    }

    /// Removes a field; whether it was there.
    #[inline]
    pub fn remove(&mut self, field: Member<'_>) -> bool {
        match self {
            Hash::Pairs(body) => pairs::remove(body, field.bytes),
            Hash::Timed(body) => timed::remove(body, field.bytes),
            Hash::Table(table) => match table.find(field) {
                Some(place) => {
                    table.remove(place);
                    true
                }
                None => false,
            },
        }
    }

    /// Gives a field another deadline, or none; whether it is there.
    pub fn set_deadline(&mut self, field: Member<'_>, deadline: Option<UnixMillis>) -> bool {
        if deadline.is_some() {
            self.make_timed();
        }
        match self {
            Hash::Pairs(body) => pairs::find(body, field.bytes).is_some(),
            Hash::Timed(body) => timed::set_deadline(body, field.bytes, deadline),
            Hash::Table(table) => match table.find(field) {
                Some(place) => {
                    table.set_deadline(place, deadline);
                    true
                }
                None => false,
            },
        }
    }

    /// Gets room for deadlines, if it is packed without.
    #[inline]
    pub fn make_timed(&mut self) {
        if let Hash::Pairs(body) = self {
            *self = Hash::Timed(timed::from_pairs(body));
        }
    }

    /// Removes up to `max` fields that are due, handing each to `removed`; how many.
    pub fn expire(&mut self, now: UnixMillis, max: usize, mut removed: impl FnMut(&[u8])) -> usize {
        match self {
            Hash::Pairs(_) => 0,
            Hash::Timed(body) => timed::expire(body, now, max, removed),
            Hash::Table(table) => table.remove_expired(now, max, |entry| removed(entry.key)),
        }
    }

    /// Removes a field if it is due; whether it was.
    pub fn expire_field(&mut self, field: Member<'_>, now: UnixMillis) -> bool {
        let deadline = self.borrow().get_timed(field, BEGINNING);
        let due = deadline
            .and_then(|(_, deadline)| deadline)
            .is_some_and(|deadline| deadline <= now);
        due && self.remove(field)
    }

    fn make_table(&mut self, packing: &Packing) {
        if let Hash::Table(_) = self {
            return;
        }
        let mut table = Table::new(packing.seed);
        let mut buffers = [[0; I64_TEXT_MAX]; 2];
        let [field_digits, value_digits] = &mut buffers;
        self.borrow()
            .each_timed(BEGINNING, |field, value, deadline| {
                let field = Member::new(field.bytes(field_digits), &packing.seed);
                table.insert(field, Some(value.bytes(value_digits)), deadline);
            });
        *self = Hash::Table(Box::new(table));
    }
}

/// A time at which nothing is due.
const BEGINNING: UnixMillis = UnixMillis(i64::MIN);

#[inline]
fn set_in_table(table: &mut Table, field: Member<'_>, value: &[u8], until: Until) -> bool {
    let deadline = match until {
        Until::Forever | Until::Kept => None,
        Until::At(deadline) => Some(deadline),
    };
    let Some(place) = table.find(field) else {
        table.insert(field, Some(value), deadline);
        return true;
    };
    let old = table.at(place).deadline;
    table.set_value(place, value);
    if until != Until::Kept && old != deadline {
        // The first place is void: the value may have moved.
        if let Some(place) = table.find(field) {
            table.set_deadline(place, deadline);
        }
    }
    false
}

/// Whether a body has more fields than `max`. Counts only if its length allows so many.
#[inline]
fn exceeds(body: &[u8], width: usize, max: usize) -> bool {
    body.len() > PACKED_BYTES_MAX
        || (body.len() / (ELEMENT_BYTES_MIN * width) > max && packed::count(body) > max * width)
}

impl Collection for Hash {
    type Ref<'a> = HashRef<'a>;

    fn has_form(form: Form) -> bool {
        matches!(form, Form::Hash | Form::TimedHash)
    }

    #[inline]
    fn view(form: Form, bytes: &[u8]) -> HashRef<'_> {
        match form {
            Form::TimedHash => HashRef::Timed(bytes),
            _ => HashRef::Pairs(bytes),
        }
    }

    #[inline]
    fn from_packed(form: Form, bytes: Vec<u8>) -> Hash {
        match form {
            Form::TimedHash => Hash::Timed(bytes),
            _ => Hash::Pairs(bytes),
        }
    }

    #[inline]
    fn with_buffer(buffer: Vec<u8>) -> Hash {
        Hash::Pairs(buffer)
    }

    #[inline]
    fn packed(&self) -> Option<(Form, &[u8])> {
        match self {
            Hash::Pairs(body) => Some((Form::Hash, body)),
            Hash::Timed(body) => Some((Form::TimedHash, body)),
            Hash::Table(_) => None,
        }
    }

    #[inline]
    fn take_packed(&mut self) -> Option<(Form, Vec<u8>)> {
        match self {
            Hash::Pairs(body) => Some((Form::Hash, std::mem::take(body))),
            Hash::Timed(body) => Some((Form::TimedHash, std::mem::take(body))),
            Hash::Table(_) => None,
        }
    }

    #[inline]
    fn borrow(&self) -> HashRef<'_> {
        match self {
            Hash::Pairs(body) => HashRef::Pairs(body),
            Hash::Timed(body) => HashRef::Timed(body),
            Hash::Table(table) => HashRef::Table(table),
        }
    }

    fn len(&self) -> usize {
        self.borrow().len()
    }

    #[inline]
    fn is_empty(&self) -> bool {
        match self {
            Hash::Pairs(body) | Hash::Timed(body) => body.is_empty(),
            Hash::Table(table) => table.is_empty(),
        }
    }

    fn encoding(&self) -> &'static str {
        self.packed()
            .map_or("hashtable", |(form, _)| form_encoding(form))
    }

    fn soonest(&self) -> Option<UnixMillis> {
        match self {
            Hash::Pairs(_) => None,
            Hash::Timed(body) => timed::soonest(body),
            Hash::Table(table) => (table.volatile() > 0).then(|| table.soonest()),
        }
    }

    fn allocated(&self) -> usize {
        match self {
            Hash::Pairs(body) | Hash::Timed(body) => size_class(body.capacity()),
            Hash::Table(table) => size_class(size_of::<Table>()) + table.allocated(),
        }
    }

    fn free_effort(&self) -> usize {
        match self {
            Hash::Pairs(_) | Hash::Timed(_) => 1,
            Hash::Table(table) => 1 + table.free_effort(),
        }
    }

    /// The table, the bucket in it, the entry.
    #[inline]
    fn address(&self, hash: u64, depth: u8) -> Option<*const u8> {
        match self {
            Hash::Pairs(_) | Hash::Timed(_) => None,
            Hash::Table(table) => table.address(hash, depth),
        }
    }

    fn duplicate(&self) -> Hash {
        match self {
            Hash::Pairs(body) => Hash::Pairs(body.clone()),
            Hash::Timed(body) => Hash::Timed(body.clone()),
            Hash::Table(table) => Hash::Table(table.clone()),
        }
    }

    fn release(&mut self, passed: Passed, release: &mut Release) -> usize {
        match (self, passed) {
            (Hash::Table(table), Passed::Entries(place)) => table.release(place, release),
            _ => 0,
        }
    }
}

/// When the first field of a packed hash with deadlines is due.
#[inline]
#[must_use]
pub fn packed_soonest(body: &[u8]) -> Option<UnixMillis> {
    timed::soonest(body)
}

/// Whether these bytes from outside are the packed bytes of a hash: whole fields, none of them
/// twice, at least one, those with deadlines in order. O(n log n).
#[must_use]
pub fn validate(form: Form, bytes: &[u8]) -> bool {
    let width = match form {
        Form::Hash => pairs::WIDTH,
        Form::TimedHash => timed::WIDTH,
        Form::List | Form::Ints | Form::Set | Form::Zset => return false,
    };
    let Some(count) = packed::validate(bytes) else {
        return false;
    };
    if count == 0 || !count.is_multiple_of(width) {
        return false;
    }
    let mut fields: Vec<&[u8]> = Vec::with_capacity(count / width);
    let mut at = 0;
    while at < bytes.len() {
        let after = packed::next(bytes, at);
        fields.push(&bytes[at..after]);
        at = (1..width).fold(after, |at, _| packed::next(bytes, at));
    }
    // Equal texts have equal bytes.
    fields.sort_unstable();
    let twice = fields.windows(2).any(|pair| pair[0] == pair[1]);
    !twice && (form == Form::Hash || timed::is_ordered(bytes))
}

#[cfg(test)]
mod tests;
