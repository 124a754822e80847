//! Sets: sorted integers, a packed run of members, or a table.
//!
//! A set begins as integers if its first member is one, turns into a packed run with the first
//! member that is not, and into a table when it gets too large or a member too long for its form;
//! it never turns back by itself. The limits and the order of the checks are Redis 8.2's
//! (`t_set.c`), so that OBJECT ENCODING answers the same.
//!
//! Contains, add, remove: O(1) in a table, O(log n) or O(n) in the packed forms, which are short.

pub mod algebra;
mod random;
#[cfg(test)]
mod tests;

use base::hash::Seed;
use base::memory::size_class;
use base::num::{digits_of_i64, parse_i64};

use crate::collection::{Collection, Form, Member, form_encoding};
use crate::intset::{self, Ints};
use crate::packed::{self, Element, IntText};
use crate::packing::Packing;
use crate::shared::{Passed, Release};
use crate::table::{self, Table};

/// The shortest element of a packed run: that many bytes hold at most half as many members.
const PACKED_MEMBER_BYTES_MIN: usize = 2;

/// A set.
#[derive(Debug)]
pub enum Set {
    /// Integers only: the body of `intset`.
    Ints(Vec<u8>),
    /// A packed run.
    Packed(Vec<u8>),
    /// A table of members without values.
    Table(Box<Table>),
}

impl Default for Set {
    fn default() -> Set {
        Set::Packed(Vec::new())
    }
}

/// A view of a set in any form.
#[derive(Clone, Copy, Debug)]
pub enum SetRef<'a> {
    /// Integers only.
    Ints(Ints<'a>),
    /// A packed run.
    Packed(&'a [u8]),
    /// A table.
    Table(&'a Table),
}

/// A member as its set keeps it. `Text` may be the text of an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// An integer, which stands for its canonical text.
    Int(i64),
    /// A text.
    Text(&'a [u8]),
}

impl<'a> Item<'a> {
    /// Its text; an integer's is written into `digits`.
    #[inline]
    #[must_use]
    pub fn text<'b>(self, digits: &'b mut IntText) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Item::Int(value) => Element::Int(value).text(digits),
            Item::Text(text) => text,
        }
    }

    /// The integer whose canonical text it is.
    #[inline]
    #[must_use]
    pub fn int(self) -> Option<i64> {
        match self {
            Item::Int(value) => Some(value),
            Item::Text(text) => parse_i64(text),
        }
    }

    /// As it is kept in a packed run.
    #[inline]
    fn element(self) -> Element<'a> {
        match self {
            Item::Int(value) => Element::Int(value),
            Item::Text(text) => Element::of(text),
        }
    }
}

impl<'a> From<Element<'a>> for Item<'a> {
    #[inline]
    fn from(element: Element<'a>) -> Item<'a> {
        match element {
            Element::Int(value) => Item::Int(value),
            Element::Bytes(text) => Item::Text(text),
        }
    }
}

/// The members of a set, each once: integers ascending, a packed run in the order in which they
/// came, a table in any order.
#[derive(Clone, Debug)]
pub enum Iter<'a> {
    /// Of integers.
    Ints(intset::Iter<'a>),
    /// Of a packed run.
    Packed(packed::Iter<'a>),
    /// Of a table.
    Table(table::Keys<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        match self {
            Iter::Ints(ints) => ints.next().map(Item::Int),
            Iter::Packed(elements) => elements.next().map(Item::from),
            Iter::Table(keys) => keys.next().map(Item::Text),
        }
    }
}

impl<'a> SetRef<'a> {
    /// How many members there are. O(n) for a packed run.
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            SetRef::Ints(ints) => ints.len(),
            SetRef::Packed(body) => packed::count(body),
            SetRef::Table(table) => table.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        match self {
            SetRef::Ints(ints) => ints.is_empty(),
            SetRef::Packed(body) => body.is_empty(),
            SetRef::Table(table) => table.is_empty(),
        }
    }

    /// Whether `member` is in it.
    #[inline]
    #[must_use]
    pub fn contains(self, member: Member<'_>) -> bool {
        match self {
            SetRef::Ints(ints) => parse_i64(member.bytes).is_some_and(|value| ints.contains(value)),
            SetRef::Packed(body) => packed::find(body, 0, Element::of(member.bytes), 0).is_some(),
            SetRef::Table(table) => table.contains(member),
        }
    }

    /// Whether another set's member is in it. `seed` is [`Packing::seed`].
    #[inline]
    #[must_use]
    pub fn contains_item(self, item: Item<'_>, seed: &Seed) -> bool {
        match self {
            SetRef::Ints(ints) => item.int().is_some_and(|value| ints.contains(value)),
            SetRef::Packed(body) => packed::find(body, 0, item.element(), 0).is_some(),
            SetRef::Table(table) => {
                let mut digits = IntText::default();
                table.contains(Member::new(item.text(&mut digits), seed))
            }
        }
    }

    /// Its members.
    #[must_use]
    pub fn iter(self) -> Iter<'a> {
        match self {
            SetRef::Ints(ints) => Iter::Ints(ints.iter()),
            SetRef::Packed(body) => Iter::Packed(packed::iter(body)),
            SetRef::Table(table) => Iter::Table(table.keys()),
        }
    }

    /// Redis's name of its form.
    #[must_use]
    pub fn encoding(self) -> &'static str {
        match self {
            SetRef::Ints(_) => form_encoding(Form::Ints),
            SetRef::Packed(_) => form_encoding(Form::Set),
            SetRef::Table(_) => "hashtable",
        }
    }
}

impl Set {
    /// Chooses the form before `count` members are added, of which `first` is the first: an empty
    /// set takes the form that suits them, a packed one that they might overfill becomes a table.
    pub fn prepare(&mut self, first: &[u8], count: usize, packing: &Packing) {
        if !self.is_empty() {
            let too_many = match self {
                Set::Ints(_) => count > packing.set_ints_max,
                Set::Packed(_) => count > packing.set_entries_max,
                Set::Table(_) => false,
            };
            if too_many {
                self.make_table(packing);
            }
        } else if count <= packing.set_ints_max && parse_i64(first).is_some() {
            *self = Set::Ints(self.take_buffer());
        } else if count <= packing.set_entries_max {
            *self = Set::Packed(self.take_buffer());
        } else {
            *self = Set::Table(Box::new(Table::with_room(packing.seed, count)));
        }
    }

    /// An empty set for members that are not known yet: integers, as long as that will do.
    #[must_use]
    pub fn for_integers() -> Set {
        Set::Ints(Vec::new())
    }

    /// A set of members that are all different, begun as `empty` and filled in their order.
    #[must_use]
    pub fn of_items(mut empty: Set, items: &[Item<'_>], packing: &Packing) -> Set {
        if items.len() <= packing.set_ints_max.max(packing.set_entries_max) {
            for item in items {
                empty.add_item(*item, packing);
            }
            return empty;
        }
        // It will be a table, whatever they are.
        let mut table = Box::new(Table::with_room(packing.seed, items.len()));
        for item in items {
            let mut digits = IntText::default();
            let member = Member::new(item.text(&mut digits), &packing.seed);
            table.insert(member, None, None);
        }
        Set::Table(table)
    }

    /// Turns into integers, if that is what all members are and there are not too many.
    pub fn pack_integers(&mut self, packing: &Packing) {
        if matches!(self, Set::Ints(_)) || self.len() > packing.set_ints_max {
            return;
        }
        let mut body = Vec::new();
        for item in self.borrow().iter() {
            let Some(value) = item.int() else {
                return;
            };
            intset::insert(&mut body, value);
        }
        *self = Set::Ints(body);
    }

    fn take_buffer(&mut self) -> Vec<u8> {
        let mut buffer = match self {
            Set::Ints(body) | Set::Packed(body) => std::mem::take(body),
            Set::Table(_) => Vec::new(),
        };
        buffer.clear();
        buffer
    }

    /// Adds a member; returns whether it was not there.
    #[inline]
    pub fn add(&mut self, member: Member<'_>, packing: &Packing) -> bool {
        match self {
            Set::Table(table) => {
                let new = !table.contains(member);
                if new {
                    table.insert(member, None, None);
                }
                new
            }
            Set::Ints(body) => match parse_i64(member.bytes) {
                Some(value) => {
                    let new = intset::insert(body, value);
                    if new && Ints::new(body).len() > packing.set_ints_max {
                        self.make_table(packing);
                    }
                    new
                }
                None => self.add_to_ints(member, packing),
            },
            Set::Packed(body) => {
                let element = Element::of(member.bytes);
                if packed::find(body, 0, element, 0).is_some() {
                    return false;
                }
                if member.bytes.len() <= packing.set_value_max && has_room(body, packing) {
                    packed::push_back(body, element);
                } else {
                    self.insert_into_table(member, packing);
                }
                true
            }
        }
    }

    /// Adds another set's member; returns whether it was not there.
    pub fn add_item(&mut self, item: Item<'_>, packing: &Packing) -> bool {
        if let (Set::Ints(body), Item::Int(value)) = (&mut *self, item)
            && Ints::new(body).len() < packing.set_ints_max
        {
            return intset::insert(body, value);
        }
        let mut digits = IntText::default();
        self.add(Member::new(item.text(&mut digits), &packing.seed), packing)
    }

    /// Adds a member that is no integer to integers.
    fn add_to_ints(&mut self, member: Member<'_>, packing: &Packing) -> bool {
        let Set::Ints(body) = self else {
            return false;
        };
        let ints = Ints::new(body);
        let longest = match ints.len() {
            0 => 0,
            len => digits_of_i64(ints.at(0)).max(digits_of_i64(ints.at(len - 1))),
        };
        if ints.len() < packing.set_entries_max
            && member.bytes.len().max(longest) <= packing.set_value_max
        {
            let mut run = Vec::new();
            ints.iter()
                .for_each(|value| packed::push_back(&mut run, Element::Int(value)));
            packed::push_back(&mut run, Element::of(member.bytes));
            *self = Set::Packed(run);
        } else {
            self.insert_into_table(member, packing);
        }
        true
    }

    /// Turns into a table with one more member.
    fn insert_into_table(&mut self, member: Member<'_>, packing: &Packing) {
        self.make_table(packing).insert(member, None, None);
    }

    fn make_table(&mut self, packing: &Packing) -> &mut Table {
        if !matches!(self, Set::Table(_)) {
            // It grew to this, and will go on.
            let room = 2 * self.len();
            let mut table = Box::new(Table::with_room(packing.seed, room));
            for item in self.borrow().iter() {
                let mut digits = IntText::default();
                let text = item.text(&mut digits);
                table.insert(Member::new(text, &packing.seed), None, None);
            }
            *self = Set::Table(table);
        }
        match self {
            Set::Table(table) => table,
            // Invariant: it was made one just above.
            Set::Ints(_) | Set::Packed(_) => unreachable!("set is a table"),
        }
    }

    /// Removes a member; returns whether it was there.
    #[inline]
    pub fn remove(&mut self, member: Member<'_>) -> bool {
        match self {
            Set::Table(table) => {
                let place = table.find(member);
                place.map(|place| table.remove(place)).is_some()
            }
            Set::Ints(body) => {
                parse_i64(member.bytes).is_some_and(|value| intset::remove(body, value))
            }
            Set::Packed(body) => {
                let position = packed::find(body, 0, Element::of(member.bytes), 0);
                position
                    .map(|position| packed::remove(body, position, 1))
                    .is_some()
            }
        }
    }
}

/// Whether a packed run may have one more member.
fn has_room(body: &[u8], packing: &Packing) -> bool {
    body.len() < PACKED_MEMBER_BYTES_MIN * packing.set_entries_max
        || packed::count(body) < packing.set_entries_max
}

/// How many members packed bytes of a form have, if they are a set: of the form, and no member
/// twice. For bytes from outside.
#[must_use]
pub fn validate(form: Form, bytes: &[u8]) -> Option<usize> {
    match form {
        Form::Ints => intset::validate(bytes),
        Form::Set => {
            let count = packed::validate(bytes)?;
            let mut texts: Vec<Vec<u8>> = packed::iter(bytes)
                .map(|element| element.text(&mut IntText::default()).to_vec())
                .collect();
            texts.sort_unstable();
            texts.dedup();
            (texts.len() == count).then_some(count)
        }
        Form::List | Form::Hash | Form::TimedHash | Form::Zset => None,
    }
}

impl Collection for Set {
    type Ref<'a> = SetRef<'a>;

    fn has_form(form: Form) -> bool {
        matches!(form, Form::Ints | Form::Set)
    }

    #[inline]
    fn view(form: Form, bytes: &[u8]) -> SetRef<'_> {
        match form {
            Form::Ints => SetRef::Ints(Ints::new(bytes)),
            _ => SetRef::Packed(bytes),
        }
    }

    #[inline]
    fn from_packed(form: Form, bytes: Vec<u8>) -> Set {
        match form {
            Form::Ints => Set::Ints(bytes),
            _ => Set::Packed(bytes),
        }
    }

    fn with_buffer(buffer: Vec<u8>) -> Set {
        Set::Packed(buffer)
    }

    #[inline]
    fn packed(&self) -> Option<(Form, &[u8])> {
        match self {
            Set::Ints(body) => Some((Form::Ints, body)),
            Set::Packed(body) => Some((Form::Set, body)),
            Set::Table(_) => None,
        }
    }

    #[inline]
    fn take_packed(&mut self) -> Option<(Form, Vec<u8>)> {
        match self {
            Set::Ints(body) => Some((Form::Ints, std::mem::take(body))),
            Set::Packed(body) => Some((Form::Set, std::mem::take(body))),
            Set::Table(_) => None,
        }
    }

    #[inline]
    fn borrow(&self) -> SetRef<'_> {
        match self {
            Set::Ints(body) => SetRef::Ints(Ints::new(body)),
            Set::Packed(body) => SetRef::Packed(body),
            Set::Table(table) => SetRef::Table(table),
        }
    }

    fn len(&self) -> usize {
        self.borrow().len()
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.borrow().is_empty()
    }

    fn encoding(&self) -> &'static str {
        self.borrow().encoding()
    }

    fn allocated(&self) -> usize {
        match self {
            Set::Ints(body) | Set::Packed(body) => size_class(body.capacity()),
            Set::Table(table) => size_class(size_of::<Table>()) + table.allocated(),
        }
    }

    fn free_effort(&self) -> usize {
        match self {
            Set::Ints(_) | Set::Packed(_) => 1,
            Set::Table(table) => 1 + table.free_effort(),
        }
    }

    /// The table, the bucket in it, the entry.
    #[inline]
    fn address(&self, hash: u64, depth: u8) -> Option<*const u8> {
        match self {
            Set::Table(table) => table.address(hash, depth),
            Set::Ints(_) | Set::Packed(_) => None,
        }
    }

    fn duplicate(&self) -> Set {
        match self {
            Set::Ints(body) => Set::Ints(body.clone()),
            Set::Packed(body) => Set::Packed(body.clone()),
            Set::Table(table) => Set::Table(table.clone()),
        }
    }

    fn release(&mut self, passed: Passed, release: &mut Release) -> usize {
        match (self, passed) {
            (Set::Table(table), Passed::Entries(place)) => table.release(place, release),
            _ => 0,
        }
    }
}
