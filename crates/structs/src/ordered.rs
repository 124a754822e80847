//! An ordered map whose copies share its parts until one of them changes them.
//!
//! ```text
//! parts   [first: 3 | items] [first: 90 | items] ...     items = shared, up to 256 (key, value)
//! ```
//! A copy costs the number of parts, a change afterwards the copy of one part: a map of a million
//! entries is copied in a fraction of a millisecond. Finding is two binary searches; what is
//! appended fills the parts, and taking from either end moves nothing.
//!
//! Invariants: no part is empty; keys grow within a part and from part to part; `first` is not
//! greater than any key of its part, and greater than those of the part before.

use std::collections::VecDeque;
use std::ops::{Bound, Index, RangeBounds};

use crate::shared::Shared;

/// Entries of a part.
const PART_MAX: usize = 256;
/// With fewer, a part is joined with the next one if both fit ...
const PART_MIN: usize = PART_MAX / 4;
/// ... into so many.
const JOINED_MAX: usize = PART_MAX * 3 / 4;

#[derive(Clone, Debug)]
struct Part<K, V> {
    first: K,
    items: Shared<VecDeque<(K, V)>>,
}

/// See the module's head.
#[derive(Clone, Debug)]
pub struct Ordered<K, V> {
    parts: VecDeque<Part<K, V>>,
    len: usize,
}

impl<K, V> Default for Ordered<K, V> {
    fn default() -> Ordered<K, V> {
        Ordered::new()
    }
}

impl<K, V> Ordered<K, V> {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Ordered<K, V> {
        Ordered {
            parts: VecDeque::new(),
            len: 0,
        }
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<K: Copy + Ord, V: Clone> Ordered<K, V> {
    /// Number of the part where `key` is or would be; 0 if there are none.
    fn part_of(&self, key: &K) -> usize {
        let after = self.parts.partition_point(|part| part.first <= *key);
        after.saturating_sub(1)
    }

    /// Where `key` is: part and place.
    fn find(&self, key: &K) -> Option<(usize, usize)> {
        let part = self.part_of(key);
        let items = &self.parts.get(part)?.items;
        let at = items.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
        Some((part, at))
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        let (part, at) = self.find(key)?;
        Some(&self.parts[part].items[at].1)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let (part, at) = self.find(key)?;
        Some(&mut self.parts[part].items[at].1)
    }

    /// Whether the key is there.
    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.find(key).is_some()
    }

    /// Puts a value in; what was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let number = self.part_of(&key);
        let is_last = number + 1 == self.parts.len();
        let Some(part) = self.parts.get_mut(number) else {
            self.len = 1;
            self.parts.push_back(part_with(key, value));
            return None;
        };
        let at = match part.items.binary_search_by(|(other, _)| other.cmp(&key)) {
            Ok(at) => return Some(std::mem::replace(&mut part.items[at].1, value)),
            Err(at) => at,
        };
        self.len += 1;
        if part.items.len() < PART_MAX {
            part.first = part.first.min(key);
            part.items.insert(at, (key, value));
            return None;
        }
        if at == PART_MAX && is_last {
            self.parts.push_back(part_with(key, value));
            return None;
        }
        let upper = part.items.split_off(PART_MAX / 2);
        let first = upper[0].0;
        let items = Shared::new(upper);
        self.parts.insert(number + 1, Part { first, items });
        self.len -= 1;
        self.insert(key, value)
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let (number, at) = self.find(key)?;
        let part = &mut self.parts[number];
        let (_, value) = part.items.remove(at)?;
        self.len -= 1;
        if part.items.is_empty() {
            self.parts.remove(number);
        } else if part.items.len() < PART_MIN {
            self.join(number);
        }
        Some(value)
    }

    /// Joins a part with the next one, if both together are not too much.
    fn join(&mut self, number: usize) {
        let len = |number: usize| self.parts.get(number).map(|part| part.items.len());
        let (Some(here), Some(there)) = (len(number), len(number + 1)) else {
            return;
        };
        if here + there <= JOINED_MAX
            && let Some(next) = self.parts.remove(number + 1)
        {
            let items = next.items.into_inner();
            self.parts[number].items.extend(items);
        }
    }

    /// The entries with keys in a range, in order.
    pub fn range(&self, range: impl RangeBounds<K>) -> Range<'_, K, V> {
        let (part, at) = match range.start_bound() {
            Bound::Unbounded => (0, 0),
            Bound::Included(key) => self.place(key, |other| other < key),
            Bound::Excluded(key) => self.place(key, |other| other <= key),
        };
        Range {
            parts: &self.parts,
            part,
            at,
            end: range.end_bound().cloned(),
        }
    }

    /// The first place whose key is not `before`, near `key`.
    fn place(&self, key: &K, before: impl Fn(&K) -> bool) -> (usize, usize) {
        let number = self.part_of(key);
        let at = self.parts.get(number).map_or(0, |part| {
            part.items.partition_point(|(other, _)| before(other))
        });
        (number, at)
    }

    /// All entries, in order.
    pub fn iter(&self) -> Range<'_, K, V> {
        self.range(..)
    }

    /// All keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// All values, in the order of the keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// The first entry.
    #[must_use]
    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        let (key, value) = self.parts.front()?.items.front()?;
        Some((key, value))
    }

    /// The last entry.
    #[must_use]
    pub fn last_key_value(&self) -> Option<(&K, &V)> {
        let (key, value) = self.parts.back()?.items.back()?;
        Some((key, value))
    }

    /// Number of parts: what a copy costs.
    #[must_use]
    pub fn part_count(&self) -> usize {
        self.parts.len()
    }

    /// Checks what must always hold.
    #[cfg(test)]
    pub(crate) fn invariants(&self) {
        let mut before = None;
        for part in &self.parts {
            assert!(!part.items.is_empty() && part.items.len() <= PART_MAX);
            assert!(before.is_none_or(|key| key < part.first));
            assert!(part.first <= part.items[0].0);
            assert!(part.items.iter().is_sorted_by(|a, b| a.0 < b.0));
            before = part.items.back().map(|item| item.0);
        }
        let total: usize = self.parts.iter().map(|part| part.items.len()).sum();
        assert_eq!(self.len, total);
    }
}

fn part_with<K: Copy, V: Clone>(key: K, value: V) -> Part<K, V> {
    Part {
        first: key,
        items: Shared::new(VecDeque::from([(key, value)])),
    }
}

impl<K: Copy + Ord, V: Clone> Index<&K> for Ordered<K, V> {
    type Output = V;

    fn index(&self, key: &K) -> &V {
        self.get(key)
            .expect("who indexes knows that the key is there")
    }
}

impl<K: Copy + Ord, V: Clone> FromIterator<(K, V)> for Ordered<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(items: I) -> Ordered<K, V> {
        let mut ordered = Ordered::new();
        for (key, value) in items {
            ordered.insert(key, value);
        }
        ordered
    }
}

impl<'a, K: Copy + Ord, V: Clone> IntoIterator for &'a Ordered<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Range<'a, K, V>;

    fn into_iter(self) -> Range<'a, K, V> {
        self.iter()
    }
}

/// Some entries, in order.
#[derive(Debug)]
pub struct Range<'a, K, V> {
    parts: &'a VecDeque<Part<K, V>>,
    part: usize,
    at: usize,
    end: Bound<K>,
}

impl<'a, K: Copy + Ord, V: Clone> Iterator for Range<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<(&'a K, &'a V)> {
        let items = loop {
            let items = &self.parts.get(self.part)?.items;
            if self.at < items.len() {
                break items;
            }
            (self.part, self.at) = (self.part + 1, 0);
        };
        let (key, value) = &items[self.at];
        let within = match &self.end {
            Bound::Unbounded => true,
            Bound::Included(end) => key <= end,
            Bound::Excluded(end) => key < end,
        };
        self.at += 1;
        within.then_some((key, value))
    }
}

/// An ordered set, in the same way.
#[derive(Clone, Debug)]
pub struct OrderedSet<K>(Ordered<K, ()>);

impl<K> Default for OrderedSet<K> {
    fn default() -> OrderedSet<K> {
        OrderedSet(Ordered::new())
    }
}

impl<K: Copy + Ord> OrderedSet<K> {
    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is there.
    #[must_use]
    pub fn contains(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    /// Puts one in; whether it was not there.
    pub fn insert(&mut self, key: K) -> bool {
        self.0.insert(key, ()).is_none()
    }

    /// Takes one out; whether it was there.
    pub fn remove(&mut self, key: &K) -> bool {
        self.0.remove(key).is_some()
    }

    /// Those in a range, in order.
    pub fn range(&self, range: impl RangeBounds<K>) -> impl Iterator<Item = &K> {
        self.0.range(range).map(|(key, ())| key)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }

    /// Number of parts: what a copy costs.
    #[must_use]
    pub fn part_count(&self) -> usize {
        self.0.part_count()
    }
}

impl<K: Copy + Ord> FromIterator<K> for OrderedSet<K> {
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> OrderedSet<K> {
        OrderedSet(keys.into_iter().map(|key| (key, ())).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base::rng::Rng;

    use super::*;

    /// Random changes to a map, to its model, and to copies that must stay as they were.
    #[test]
    fn a_map_is_what_its_model_is_and_copies_stay_as_they_were() {
        for seed in 0..20 {
            let mut rng = Rng::from_seed(seed);
            let (mut map, mut model) = (Ordered::new(), BTreeMap::new());
            let mut copies = Vec::new();
            let keys = if seed % 2 == 0 { 500 } else { 5000 };
            for step in 0..8000_u64 {
                let key = match rng.below(3) {
                    0 => step,
                    _ => rng.below(keys),
                };
                match rng.below(if step < 4000 { 5 } else { 9 }) {
                    0..=2 => assert_eq!(map.insert(key, step), model.insert(key, step)),
                    3 => {
                        let (ours, its) = (map.get_mut(&key), model.get_mut(&key));
                        assert_eq!(ours.is_some(), its.is_some());
                        let both = [ours, its].into_iter().flatten();
                        both.for_each(|value| *value += 1);
                    }
                    _ => assert_eq!(map.remove(&key), model.remove(&key)),
                }
                if step % 1000 == 0 {
                    copies.push((map.clone(), model.clone()));
                }
            }
            copies.push((map, model));
            for (map, model) in copies {
                map.invariants();
                assert!(map.iter().eq(model.iter()));
                assert_eq!(map.first_key_value(), model.first_key_value());
                assert_eq!(map.last_key_value(), model.last_key_value());
                for _ in 0..50 {
                    let start = rng.below(keys);
                    let end = start + rng.below(100);
                    assert!(map.range(start..end).eq(model.range(start..end)));
                    assert!(map.range(start..=end).eq(model.range(start..=end)));
                    let after = (Bound::Excluded(start), Bound::Unbounded);
                    assert!(map.range(after).eq(model.range(after)));
                }
            }
        }
    }

    #[test]
    fn what_is_appended_fills_the_parts() {
        let map: Ordered<u32, ()> = (0..100_000).map(|key| (key, ())).collect();
        assert!(map.part_count() <= 100_000 / PART_MAX + 1);
        map.invariants();
    }
}
