//! Reading a hash, whatever form it has.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::num::{I64_TEXT_MAX, format_i64, parse_i64};
use base::time::UnixMillis;

use super::{pairs, timed};
use crate::collection::Member;
use crate::packed::{self, Element};
use crate::table::{Entry, Table};

/// A view of a hash.
#[derive(Clone, Copy, Debug)]
pub enum HashRef<'a> {
    /// Packed, without deadlines.
    Pairs(&'a [u8]),
    /// Packed, with deadlines.
    Timed(&'a [u8]),
    /// Large.
    Table(&'a Table),
}

/// A field's name or value.
#[derive(Clone, Copy, Debug)]
pub enum Text<'a> {
    /// The canonical text of an integer.
    Int(i64),
    /// Any text.
    Bytes(&'a [u8]),
    /// A long one; clone the `Arc` to keep it.
    Shared(&'a Arc<Vec<u8>>),
}

impl<'a> Text<'a> {
    /// The field of an entry of a table.
    #[inline]
    pub fn key_of(entry: Entry<'a>) -> Text<'a> {
        match entry.shared_key {
            Some(shared) => Text::Shared(shared),
            None => Text::Bytes(entry.key),
        }
    }

    /// The value of an entry of a table.
    #[inline]
    pub fn value_of(entry: Entry<'a>) -> Text<'a> {
        match entry.shared_value {
            Some(shared) => Text::Shared(shared),
            None => Text::Bytes(entry.value),
        }
    }

    /// The text; the digits of an integer are written to `digits`.
    #[inline]
    pub fn bytes<'b>(self, digits: &'b mut [u8; I64_TEXT_MAX]) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Text::Int(number) => format_i64(number, digits),
            Text::Bytes(bytes) => bytes,
            Text::Shared(shared) => shared,
        }
    }

    /// The integer that it is the canonical text of.
    #[inline]
    pub fn int(self) -> Option<i64> {
        match self {
            Text::Int(number) => Some(number),
            Text::Bytes(bytes) => parse_i64(bytes),
            // No integer is that long.
            Text::Shared(_) => None,
        }
    }

    /// Length in bytes.
    #[inline]
    #[expect(
        clippy::len_without_is_empty,
        reason = "nobody asks whether a value is empty"
    )]
    pub fn len(self) -> usize {
        match self {
            Text::Int(number) => Element::Int(number).text_len(),
            Text::Bytes(bytes) => bytes.len(),
            Text::Shared(shared) => shared.len(),
        }
    }
}

impl<'a> From<Element<'a>> for Text<'a> {
    #[inline]
    fn from(element: Element<'a>) -> Text<'a> {
        match element {
            Element::Int(number) => Text::Int(number),
            Element::Bytes(bytes) => Text::Bytes(bytes),
        }
    }
}

#[inline]
fn is_live(deadline: Option<UnixMillis>, now: UnixMillis) -> bool {
    deadline.is_none_or(|deadline| deadline > now)
}

#[inline]
fn each_pair<'a>(body: &'a [u8], mut visit: impl FnMut(Text<'a>, Text<'a>)) -> usize {
    let mut count = 0;
    let mut rest = packed::iter(body);
    while let Some((field, value)) = rest.next_pair() {
        visit(field.into(), value.into());
        count += 1;
    }
    count
}

impl<'a> HashRef<'a> {
    /// Number of fields, with those that are due and not yet removed.
    pub fn len(self) -> usize {
        match self {
            HashRef::Pairs(body) => packed::count(body) / pairs::WIDTH,
            HashRef::Timed(body) => packed::count(body) / timed::WIDTH,
            HashRef::Table(table) => table.len(),
        }
    }

    /// Whether there is no field.
    pub fn is_empty(self) -> bool {
        match self {
            HashRef::Pairs(body) | HashRef::Timed(body) => body.is_empty(),
            HashRef::Table(table) => table.is_empty(),
        }
    }

    /// Whether some field is due, perhaps. If not, `len` is the number of live fields.
    #[inline]
    pub fn may_have_due(self, now: UnixMillis) -> bool {
        match self {
            HashRef::Pairs(_) => false,
            HashRef::Timed(body) => timed::soonest(body).is_some_and(|soonest| soonest <= now),
            HashRef::Table(table) => table.soonest() <= now,
        }
    }

    /// The value of a live field.
    #[inline]
    pub fn get(self, field: Member<'_>, now: UnixMillis) -> Option<Text<'a>> {
        match self {
            HashRef::Pairs(body) => {
                let at = pairs::find(body, field.bytes)?;
                Some(pairs::value(body, at).into())
            }
            _ => self.get_timed(field, now).map(|(value, _)| value),
        }
    }

    /// Value and deadline of a live field.
    #[inline]
    pub fn get_timed(
        self,
        field: Member<'_>,
        now: UnixMillis,
    ) -> Option<(Text<'a>, Option<UnixMillis>)> {
        let (value, deadline) = match self {
            HashRef::Pairs(body) => {
                let at = pairs::find(body, field.bytes)?;
                (pairs::value(body, at).into(), None)
            }
            HashRef::Timed(body) => {
                let at = timed::find(body, field.bytes)?;
                let (value, deadline, _) = timed::value(body, at);
                (value.into(), deadline)
            }
            HashRef::Table(table) => {
                let entry = table.at(table.find(field)?);
                (Text::value_of(entry), entry.deadline)
            }
        };
        is_live(deadline, now).then_some((value, deadline))
    }

    /// Hands every live field with its value to `visit`; how many there were. Packed forms in
    /// order.
    #[inline]
    pub fn each(self, now: UnixMillis, mut visit: impl FnMut(Text<'a>, Text<'a>)) -> usize {
        if let HashRef::Pairs(body) = self {
            return each_pair(body, visit);
        }
        self.each_timed(now, |field, value, _| visit(field, value))
    }

    /// As [`HashRef::each`], with the deadlines.
    pub fn each_timed(
        self,
        now: UnixMillis,
        mut visit: impl FnMut(Text<'a>, Text<'a>, Option<UnixMillis>),
    ) -> usize {
        let mut count = 0;
        match self {
            HashRef::Pairs(body) => {
                count = each_pair(body, |field, value| visit(field, value, None))
            }
            HashRef::Timed(body) => {
                let mut at = timed::first_live(body, now);
                while at < body.len() {
                    let (value, deadline, after) = timed::value(body, at);
                    visit(packed::get(body, at).into(), value.into(), deadline);
                    at = after;
                    count += 1;
                }
            }
            HashRef::Table(table) => {
                for entry in table.iter() {
                    if is_live(entry.deadline, now) {
                        visit(Text::key_of(entry), Text::value_of(entry), entry.deadline);
                        count += 1;
                    }
                }
            }
        }
        count
    }

    /// Number of live fields. O(n) if some may be due, else as [`HashRef::len`].
    pub fn live_len(self, now: UnixMillis) -> usize {
        if self.may_have_due(now) {
            self.each(now, |_, _| ())
        } else {
            self.len()
        }
    }

    /// A live field with its value by chance, each with the same probability. `below` draws a
    /// number below its argument.
    pub fn sample(
        self,
        now: UnixMillis,
        mut below: impl FnMut(u64) -> u64,
    ) -> Option<(Text<'a>, Text<'a>)> {
        if let HashRef::Table(table) = self
            && !self.may_have_due(now)
        {
            let entry = table.sample(below(u64::MAX))?;
            return Some((Text::key_of(entry), Text::value_of(entry)));
        }
        let mut drawn = None;
        self.choose(now, 1, below, |field, value| drawn = Some((field, value)));
        drawn
    }

    /// Hands `wanted` different live fields with their values, or all if there are fewer, to
    /// `visit`: every choice of so many has the same probability. `below` draws a number below its
    /// argument. Returns how many. O(wanted) if few are wanted of a table, else O(n).
    pub fn choose(
        self,
        now: UnixMillis,
        wanted: usize,
        mut below: impl FnMut(u64) -> u64,
        mut visit: impl FnMut(Text<'a>, Text<'a>),
    ) -> usize {
        if let HashRef::Table(table) = self
            && !self.may_have_due(now)
            && wanted < table.len() / SPARSE_SHARE
        {
            let mut chosen = BTreeSet::new();
            while chosen.len() < wanted {
                let Some(entry) = table.sample(below(u64::MAX)) else {
                    break;
                };
                if chosen.insert(entry.key) {
                    visit(Text::key_of(entry), Text::value_of(entry));
                }
            }
            return chosen.len();
        }
        // Selection sampling: each field is taken with the share of what is still wanted in what
        // is still to come.
        let mut left = self.live_len(now);
        let count = wanted.min(left);
        let mut wanted = count;
        self.each(now, |field, value| {
            if wanted == left || wanted > 0 && below(left as u64) < wanted as u64 {
                visit(field, value);
                wanted -= 1;
            }
            left -= 1;
        });
        count
    }
}

/// Up to one in so many fields of a table is drawn singly; beyond, all are gone through.
const SPARSE_SHARE: usize = 4;
