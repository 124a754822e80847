//! The elements of a collection, loaded and put in order.

use std::cmp::Ordering;

use base::num::I64_TEXT_MAX;
use structs::list::{End, List};
use structs::packed::Element;
use structs::set::{Item as SetItem, Set};
use structs::zset::Zset;

use crate::entry::Entry;
use crate::failure::Failure;
use crate::keyspace::Key;
use crate::object::Type;
use crate::tx::{ReadTx, view_of};

use super::Options;
use super::pattern::Pattern;

/// The elements to be answered, in order.
pub(super) struct Sorted {
    /// The texts of all that are not integers, and of what they are sorted by.
    texts: Vec<u8>,
    elements: Vec<Stored>,
    /// What BY found for each element, when texts are compared.
    by: Vec<Option<Stored>>,
    /// Texts are compared up to their first zero byte.
    ///
    /// Compat: as `strcoll` does, with which Redis compares what it does not store.
    up_to_zero: bool,
}

/// An element, or a text that elements are sorted by.
#[derive(Clone, Copy)]
enum Stored {
    Int(i64),
    /// A place in `Sorted::texts`.
    Text {
        start: usize,
        len: usize,
    },
}

/// An element while it is sorted: most comparisons need no more than the first number.
#[derive(Clone, Copy)]
struct Item {
    /// Orders elements as their scores do, or the beginnings of their texts.
    rank: u64,
    /// Where the element is in `Sorted::elements`.
    index: usize,
}

impl Sorted {
    /// Loads the collection at `key`, sorts it and cuts out the part that is wanted.
    ///
    /// # Errors
    /// `WRONGTYPE`; something that should be a number and is none.
    pub(super) fn load(
        tx: &ReadTx<'_, '_>,
        key: Key<'_>,
        options: &mut Options<'_>,
    ) -> Result<Sorted, Failure> {
        let mut sorted = Sorted {
            texts: Vec::new(),
            elements: Vec::new(),
            by: Vec::new(),
            up_to_zero: false,
        };
        let Some(entry) = tx.find(key) else {
            return Ok(sorted);
        };
        match entry.kind() {
            Type::List => sorted.load_list(entry, options)?,
            Type::Set => sorted.load_set(entry, options, tx.env().scripted)?,
            Type::Zset => sorted.load_zset(entry, options)?,
            Type::String | Type::Hash | Type::Stream | Type::Array => {
                return Err(Failure::WRONG_TYPE);
            }
        }
        if !options.unsorted {
            sorted.sort(tx, options)?;
        }
        Ok(sorted)
    }

    /// How many elements there are.
    pub(super) fn len(&self) -> usize {
        self.elements.len()
    }

    /// The elements, in order.
    pub(super) fn elements(&self) -> impl Iterator<Item = Element<'_>> {
        self.elements.iter().map(|&stored| self.element(stored))
    }

    fn element(&self, stored: Stored) -> Element<'_> {
        match stored {
            Stored::Int(value) => Element::Int(value),
            Stored::Text { start, len } => Element::Bytes(&self.texts[start..start + len]),
        }
    }

    /// Loads a list; what is not to be sorted is cut out at once.
    fn load_list(&mut self, entry: &Entry, options: &Options<'_>) -> Result<(), Failure> {
        let list = view_of::<List>(entry)?;
        let (start, count) = match options.unsorted {
            true => options.window(list.len()),
            false => (0, list.len()),
        };
        let from = match options.unsorted && options.descending {
            true => End::Tail,
            false => End::Head,
        };
        self.elements.reserve(count);
        list.for_each(from, start, count, |element| self.add(element));
        Ok(())
    }

    /// Loads a set.
    ///
    /// Compat: a set has no order of its own, so one that is stored "unsorted", or given so to a
    /// script, is sorted by text.
    fn load_set(
        &mut self,
        entry: &Entry,
        options: &mut Options<'_>,
        scripted: bool,
    ) -> Result<(), Failure> {
        if options.unsorted && (options.store.is_some() || scripted) {
            options.unsorted = false;
            options.alpha = true;
            options.by = None;
        }
        let set = view_of::<Set>(entry)?;
        let len = set.len();
        let (start, count) = match options.unsorted {
            true => options.window(len),
            false => (0, len),
        };
        self.elements.reserve(count);
        for item in set.iter().skip(start).take(count) {
            self.add(match item {
                SetItem::Int(value) => Element::Int(value),
                SetItem::Text(text) => Element::of(text),
            });
        }
        Ok(())
    }

    /// Loads a sorted set; what is not to be sorted keeps its order and is cut out at once.
    fn load_zset(&mut self, entry: &Entry, options: &Options<'_>) -> Result<(), Failure> {
        let zset = view_of::<Zset>(entry)?;
        let len = zset.len();
        let (start, count) = match options.unsorted {
            true => options.window(len),
            false => (0, len),
        };
        let entries = match options.unsorted && options.descending {
            true => zset.range_back(len - start - count..len - start),
            false => zset.range(start..start + count),
        };
        self.elements.reserve(count);
        for (member, _) in entries {
            self.add(match member {
                Element::Bytes(text) => Element::of(text),
                Element::Int(_) => member,
            });
        }
        Ok(())
    }

    fn add(&mut self, element: Element<'_>) {
        let stored = self.keep(element);
        self.elements.push(stored);
    }

    fn keep(&mut self, element: Element<'_>) -> Stored {
        match element {
            Element::Int(value) => Stored::Int(value),
            Element::Bytes(text) => {
                let start = self.texts.len();
                self.texts.extend_from_slice(text);
                let len = text.len();
                Stored::Text { start, len }
            }
        }
    }

    /// Sorts, and cuts out the window.
    fn sort(&mut self, tx: &ReadTx<'_, '_>, options: &Options<'_>) -> Result<(), Failure> {
        let mut items = match (options.alpha, options.by) {
            (false, by) => self.scores(tx, by)?,
            (true, by) => {
                if let Some(by) = by {
                    self.look_up(tx, by);
                }
                // The search is only worth its while for texts with zeros, which are rare.
                self.up_to_zero = options.store.is_none() && self.texts.contains(&0);
                self.beginnings()
            }
        };
        let compare = |a: &Item, b: &Item| {
            let order = a.rank.cmp(&b.rank).then_with(|| self.compare(*a, *b));
            let order = match options.descending {
                true => order.reverse(),
                false => order,
            };
            // Different elements may compare as equal: they stay in their order.
            order.then(a.index.cmp(&b.index))
        };
        let (start, count) = options.window(items.len());
        let end = start + count;
        if end < items.len() && end > 0 {
            // Only what comes before the end is to be sorted.
            items.select_nth_unstable_by(end - 1, compare);
        }
        items.truncate(end);
        items.sort_unstable_by(compare);
        let window = items.drain(start..).map(|item| self.elements[item.index]);
        self.elements = window.collect();
        Ok(())
    }

    /// Compares elements of the same rank.
    fn compare(&self, a: Item, b: Item) -> Ordering {
        let text = |item: Item| match self.by.is_empty() {
            true => Some(self.elements[item.index]),
            false => self.by[item.index],
        };
        // Those for which BY found nothing come first.
        match (text(a), text(b)) {
            (Some(a), Some(b)) => self.compare_texts(a, b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        }
    }

    fn compare_texts(&self, a: Stored, b: Stored) -> Ordering {
        let (mut digits_a, mut digits_b) = ([0; I64_TEXT_MAX], [0; I64_TEXT_MAX]);
        let a = self.element(a).text(&mut digits_a);
        let b = self.element(b).text(&mut digits_b);
        if self.up_to_zero {
            return before_zero(a).cmp(before_zero(b));
        }
        a.cmp(b)
    }

    /// The elements ranked by score: by their own numbers, or those of the strings which BY names;
    /// 0 if there is none.
    fn scores(&self, tx: &ReadTx<'_, '_>, by: Option<Pattern<'_>>) -> Result<Vec<Item>, Failure> {
        let mut name = Vec::new();
        let item = |(index, element)| {
            let score = match by {
                None => score_of(element),
                Some(by) => by.with(tx, element, &mut name, |found| {
                    found.map_or(Some(0.0), score_of)
                }),
            };
            let rank = ordered(score.ok_or(NOT_A_SCORE)?);
            Ok(Item { rank, index })
        };
        self.elements().enumerate().map(item).collect()
    }

    /// The elements ranked by the first bytes of their texts, or of what BY found.
    fn beginnings(&self) -> Vec<Item> {
        let mut digits = [0; I64_TEXT_MAX];
        let mut item = |index| {
            let stored = match self.by.is_empty() {
                true => Some(self.elements[index]),
                false => self.by[index],
            };
            let rank = stored.map_or(0, |it| self.beginning(self.element(it).text(&mut digits)));
            Item { rank, index }
        };
        (0..self.elements.len()).map(&mut item).collect()
    }

    /// A number that does not contradict the order of the texts.
    fn beginning(&self, text: &[u8]) -> u64 {
        let text = match self.up_to_zero {
            true => before_zero(text),
            false => text,
        };
        let mut bytes = [0; 8];
        let len = text.len().min(bytes.len());
        bytes[..len].copy_from_slice(&text[..len]);
        u64::from_be_bytes(bytes)
    }

    /// Finds the text that every element is sorted by.
    fn look_up(&mut self, tx: &ReadTx<'_, '_>, by: Pattern<'_>) {
        let (mut name, mut found) = (Vec::new(), Vec::new());
        for index in 0..self.elements.len() {
            found.clear();
            let element = self.element(self.elements[index]);
            let there = by.with(tx, element, &mut name, |text| {
                text.inspect(|text| text.append_to(&mut found)).is_some()
            });
            let stored = there.then(|| self.keep(Element::Bytes(&found)));
            self.by.push(stored);
        }
    }
}

/// The number that a text is, for sorting.
///
/// Compat: decimal only, no white space, an empty text is 0, what is too large is infinite; only
/// what comes before a zero byte counts.
fn score_of(element: Element<'_>) -> Option<f64> {
    let text = match element {
        Element::Int(value) => return Some(value as f64),
        Element::Bytes(text) => text,
    };
    match std::str::from_utf8(before_zero(text)).ok()? {
        "" => Some(0.0),
        digits => digits.parse().ok().filter(|score: &f64| !score.is_nan()),
    }
}

/// What C takes for the whole text.
fn before_zero(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|&byte| byte == 0);
    &text[..end.unwrap_or(text.len())]
}

/// A number that compares as the score does. The two zeros are one.
fn ordered(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    // Of negative numbers the larger bits are the smaller number.
    if bits >> 63 == 0 {
        bits | 1 << 63
    } else {
        !bits
    }
}

const NOT_A_SCORE: Failure =
    Failure::fixed("ERR One or more scores can't be converted into double");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_that_of_the_numbers() {
        let scores = [
            f64::NEG_INFINITY,
            -1e300,
            -1.5,
            -f64::MIN_POSITIVE,
            0.0,
            f64::MIN_POSITIVE,
            1.0,
            2.0,
            f64::INFINITY,
        ];
        for pair in scores.windows(2) {
            assert!(ordered(pair[0]) < ordered(pair[1]), "{pair:?}");
        }
        assert_eq!(ordered(0.0), ordered(-0.0));
    }
}
