//! The elements of a collection, loaded and put in order.

use std::cmp::Ordering;

use base::num::I64_TEXT_MAX;
use structs::list::{End, List};
use structs::packed::Element;
use structs::set::{Item as SetItem, Set};

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
    items: Vec<Item>,
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

#[derive(Clone, Copy)]
struct Item {
    element: Stored,
    /// A number whose order is that of the scores.
    score: u64,
    /// What to compare instead of the element.
    by: Option<Stored>,
}

/// How elements are compared.
#[derive(Clone, Copy)]
enum Comparison {
    /// By score, then by their own texts.
    Scores,
    /// By their own texts.
    Texts,
    /// By the texts that BY found; those without come first.
    ByTexts,
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
            items: Vec::new(),
            up_to_zero: false,
        };
        let Some(entry) = tx.find(key) else {
            return Ok(sorted);
        };
        match entry.kind() {
            Type::List => sorted.load_list(entry, options)?,
            Type::Set => sorted.load_set(entry, options)?,
            Type::String | Type::Zset | Type::Hash | Type::Stream => {
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
        self.items.len()
    }

    /// The elements, in order.
    pub(super) fn elements(&self) -> impl Iterator<Item = Element<'_>> {
        self.items.iter().map(|item| self.element(item.element))
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
        self.items.reserve(count);
        list.for_each(from, start, count, |element| self.add(element));
        Ok(())
    }

    /// Loads a set.
    ///
    /// Compat: a set has no order of its own, so one that is stored "unsorted" is sorted by text.
    fn load_set(&mut self, entry: &Entry, options: &mut Options<'_>) -> Result<(), Failure> {
        if options.unsorted && options.store.is_some() {
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
        self.items.reserve(count);
        for item in set.iter().skip(start).take(count) {
            self.add(match item {
                SetItem::Int(value) => Element::Int(value),
                SetItem::Text(text) => Element::of(text),
            });
        }
        Ok(())
    }

    fn add(&mut self, element: Element<'_>) {
        let element = self.keep(element);
        self.items.push(Item {
            element,
            score: 0,
            by: None,
        });
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
        let comparison = match (options.alpha, options.by) {
            (false, by) => {
                self.weigh(tx, by)?;
                Comparison::Scores
            }
            (true, None) => Comparison::Texts,
            (true, Some(by)) => {
                self.look_up(tx, by);
                Comparison::ByTexts
            }
        };
        // The search is only worth its while for texts with zeros, of which there are hardly any.
        self.up_to_zero = options.alpha && options.store.is_none() && self.texts.contains(&0);
        let (start, count) = options.window(self.items.len());
        let mut items = std::mem::take(&mut self.items);
        let compare = |a: &Item, b: &Item| {
            let order = self.compare(comparison, a, b);
            if options.descending {
                order.reverse()
            } else {
                order
            }
        };
        let end = start + count;
        if self.up_to_zero || matches!(comparison, Comparison::ByTexts) {
            // Different elements may compare as equal: they stay in their order.
            items.sort_by(compare);
        } else {
            if end < items.len() && end > 0 {
                // Only what comes before the end is to be sorted.
                items.select_nth_unstable_by(end - 1, compare);
                items.truncate(end);
            }
            items.sort_unstable_by(compare);
        }
        items.truncate(end);
        items.drain(..start);
        self.items = items;
        Ok(())
    }

    fn compare(&self, comparison: Comparison, a: &Item, b: &Item) -> Ordering {
        match comparison {
            Comparison::Scores => a
                .score
                .cmp(&b.score)
                .then_with(|| self.compare_texts(a.element, b.element)),
            Comparison::Texts => self.compare_texts(a.element, b.element),
            Comparison::ByTexts => match (a.by, b.by) {
                (Some(a), Some(b)) => self.compare_texts(a, b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            },
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

    /// Finds every element's score: its own number, or that of the string which BY names; 0 if
    /// there is none.
    fn weigh(&mut self, tx: &ReadTx<'_, '_>, by: Option<Pattern<'_>>) -> Result<(), Failure> {
        let mut items = std::mem::take(&mut self.items);
        let mut name = Vec::new();
        for item in &mut items {
            let element = self.element(item.element);
            let score = match by {
                None => score_of(element),
                Some(by) => by.with(tx, element, &mut name, |found| {
                    found.map_or(Some(0.0), score_of)
                }),
            };
            item.score = ordered(score.ok_or(NOT_A_SCORE)?);
        }
        self.items = items;
        Ok(())
    }

    /// Finds the text that every element is sorted by.
    fn look_up(&mut self, tx: &ReadTx<'_, '_>, by: Pattern<'_>) {
        let mut items = std::mem::take(&mut self.items);
        let (mut name, mut found) = (Vec::new(), Vec::new());
        for item in &mut items {
            found.clear();
            let element = self.element(item.element);
            let there = by.with(tx, element, &mut name, |text| {
                text.inspect(|text| text.append_to(&mut found)).is_some()
            });
            item.by = there.then(|| self.keep(Element::Bytes(&found)));
        }
        self.items = items;
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
