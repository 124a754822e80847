//! Sorted sets of integers, all of one width: the elements of Redis's intset.
//!
//! ```text
//! body   empty, or: width (1 byte: 2, 4 or 8)  integer*
//! ```
//!
//! Integers are little-endian, ascending, each once. The width is that of the widest integer there
//! has been: like Redis, a set does not get narrower. Redis's own form has eight bytes before the
//! integers, the width and their number as 32-bit numbers ([`to_intset`]).
//!
//! Contains: O(log n). Insert, remove: O(n), one move of bytes. All functions but [`validate`] and
//! [`from_intset`] take bodies that these functions made or accepted.

use std::cmp::Ordering;

/// The width of the narrowest integers.
const WIDTH_MIN: usize = 2;
/// Bytes before the integers in Redis's form.
const INTSET_HEAD: usize = 8;

/// A body, for reading.
#[derive(Clone, Copy, Debug)]
pub struct Ints<'a> {
    width: usize,
    numbers: &'a [u8],
}

impl<'a> Ints<'a> {
    /// A view of a body.
    #[inline]
    #[must_use]
    pub fn new(body: &'a [u8]) -> Ints<'a> {
        match body {
            [width, numbers @ ..] => Ints {
                width: usize::from(*width),
                numbers,
            },
            [] => Ints {
                width: WIDTH_MIN,
                numbers: &[],
            },
        }
    }

    /// How many there are. O(1).
    #[inline]
    #[must_use]
    pub fn len(self) -> usize {
        // Widths are powers of two.
        self.numbers.len() >> self.width.trailing_zeros()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.numbers.is_empty()
    }

    /// The integer with this index, which there is.
    #[inline]
    #[must_use]
    pub fn at(self, index: usize) -> i64 {
        let at = index * self.width;
        read(&self.numbers[at..at + self.width])
    }

    /// The index of `value`, or where it would be.
    #[inline]
    fn search(self, value: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        // Integers often come in ascending order.
        if high > 0 && value > self.at(high - 1) {
            return Err(high);
        }
        while low < high {
            let middle = (low + high) / 2;
            match self.at(middle).cmp(&value) {
                Ordering::Equal => return Ok(middle),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Whether `value` is among them.
    #[inline]
    #[must_use]
    pub fn contains(self, value: i64) -> bool {
        self.search(value).is_ok()
    }

    /// The integers, ascending.
    #[inline]
    pub fn iter(self) -> Iter<'a> {
        Iter {
            width: self.width,
            left: self.numbers,
        }
    }
}

/// Integers of a body, ascending.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    width: usize,
    left: &'a [u8],
}

impl Iterator for Iter<'_> {
    type Item = i64;

    #[inline]
    fn next(&mut self) -> Option<i64> {
        let (number, left) = self.left.split_at_checked(self.width)?;
        self.left = left;
        Some(read(number))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.left.len() / self.width;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// The integer in 2, 4 or 8 bytes.
#[inline]
fn read(bytes: &[u8]) -> i64 {
    match *bytes {
        [a, b] => i64::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
        // Invariant: a body's width is one of these.
        _ => unreachable!("an integer of {} bytes", bytes.len()),
    }
}

/// The least width that holds `value`.
#[inline]
fn width_of(value: i64) -> usize {
    if i16::try_from(value).is_ok() {
        2
    } else if i32::try_from(value).is_ok() {
        4
    } else {
        8
    }
}

/// Adds `value`; returns whether it was not there.
pub fn insert(body: &mut Vec<u8>, value: i64) -> bool {
    let width = width_of(value);
    if body.is_empty() {
        body.push(width as u8);
    } else if width > Ints::new(body).width {
        widen(body, width);
    }
    let ints = Ints::new(body);
    let width = ints.width;
    let Err(index) = ints.search(value) else {
        return false;
    };
    let at = 1 + index * width;
    let old = body.len();
    body.resize(old + width, 0);
    body.copy_within(at..old, at + width);
    body[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
    true
}

/// Writes all integers with more bytes.
fn widen(body: &mut Vec<u8>, width: usize) {
    let old = Ints::new(body);
    let (old_width, count) = (old.width, old.len());
    body.resize(1 + count * width, 0);
    body[0] = width as u8;
    for index in (0..count).rev() {
        let at = 1 + index * old_width;
        let value = read(&body[at..at + old_width]);
        let at = 1 + index * width;
        body[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
    }
}

/// Removes `value`; returns whether it was there.
pub fn remove(body: &mut Vec<u8>, value: i64) -> bool {
    let Ok(index) = Ints::new(body).search(value) else {
        return false;
    };
    remove_at(body, index);
    true
}

/// Removes the integer with this index, which there is.
pub fn remove_at(body: &mut Vec<u8>, index: usize) {
    let width = Ints::new(body).width;
    let at = 1 + index * width;
    body.drain(at..at + width);
    if body.len() == 1 {
        body.clear();
    }
}

/// How many integers a body has, if it is one. For bytes from outside.
#[must_use]
pub fn validate(body: &[u8]) -> Option<usize> {
    let Some((&width, numbers)) = body.split_first() else {
        return Some(0);
    };
    if !matches!(width, 2 | 4 | 8)
        || numbers.is_empty()
        || !numbers.len().is_multiple_of(usize::from(width))
    {
        return None;
    }
    let ints = Ints::new(body);
    ints.iter()
        .is_sorted_by(|one, next| one < next)
        .then_some(ints.len())
}

/// Appends Redis's intset with the integers of a body.
pub fn to_intset(body: &[u8], out: &mut Vec<u8>) {
    view_to_intset(Ints::new(body), out);
}

/// The same from a view.
pub fn view_to_intset(ints: Ints<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(&(ints.width as u32).to_le_bytes());
    out.extend_from_slice(&(ints.len() as u32).to_le_bytes());
    out.extend_from_slice(ints.numbers);
}

/// The body of Redis's intset, and how many integers it has; `None` if the bytes are none. For
/// bytes from outside.
#[must_use]
pub fn from_intset(intset: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (head, numbers) = intset.split_first_chunk::<INTSET_HEAD>()?;
    let [w0, w1, w2, w3, c0, c1, c2, c3] = *head;
    let width = u8::try_from(u32::from_le_bytes([w0, w1, w2, w3])).ok()?;
    let count = u32::from_le_bytes([c0, c1, c2, c3]) as usize;
    if numbers.is_empty() {
        return (count == 0 && matches!(width, 2 | 4 | 8)).then(|| (Vec::new(), 0));
    }
    let mut body = Vec::with_capacity(1 + numbers.len());
    body.push(width);
    body.extend_from_slice(numbers);
    let valid = validate(&body)?;
    (valid == count).then_some((body, count))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn any_int() -> impl Strategy<Value = i64> {
        prop_oneof![
            -20_i64..20,
            Just(i64::from(i16::MIN) - 1),
            Just(i64::from(i16::MAX) + 1),
            any::<i16>().prop_map(i64::from),
            any::<i32>().prop_map(i64::from),
            Just(i64::from(i32::MAX) + 1),
            any::<i64>(),
        ]
    }

    fn body_of(values: impl IntoIterator<Item = i64>) -> Vec<u8> {
        let mut body = Vec::new();
        for value in values {
            insert(&mut body, value);
        }
        body
    }

    proptest! {
        #[test]
        fn any_changes_match_the_model(
            steps in prop::collection::vec((any::<bool>(), any_int()), 0..200),
        ) {
            let (mut body, mut model) = (Vec::new(), BTreeSet::new());
            for (adding, value) in steps {
                if adding {
                    prop_assert_eq!(insert(&mut body, value), model.insert(value));
                } else {
                    prop_assert_eq!(remove(&mut body, value), model.remove(&value));
                }
                prop_assert_eq!(validate(&body), Some(model.len()));
                let ints = Ints::new(&body);
                prop_assert!(ints.iter().eq(model.iter().copied()));
                prop_assert_eq!((ints.len(), ints.is_empty()), (model.len(), model.is_empty()));
                prop_assert!(ints.contains(value) == model.contains(&value));
                prop_assert_eq!(body.is_empty(), model.is_empty());
            }
        }

        #[test]
        fn redis_form_round_trips(values in prop::collection::vec(any_int(), 0..50)) {
            let body = body_of(values);
            let mut intset = Vec::new();
            to_intset(&body, &mut intset);
            prop_assert_eq!(from_intset(&intset), Some((body.clone(), Ints::new(&body).len())));
        }

        #[test]
        fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(count) = validate(&bytes) {
                prop_assert_eq!(Ints::new(&bytes).iter().count(), count);
            }
            if let Some((body, count)) = from_intset(&bytes) {
                prop_assert_eq!(validate(&body), Some(count));
            }
        }
    }

    /// The intset of 1, 2 and 65536 as Redis 8.2.3 dumps it.
    #[test]
    fn bytes_are_redis_bytes() {
        let mut intset = Vec::new();
        to_intset(&body_of([1, 65_536, 2]), &mut intset);
        let expected = [4, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 1, 0];
        assert_eq!(intset, expected);
    }
}
