//! Newtypes for the numbers and names that must not be mixed up.

use std::fmt;

use crate::rng::Rng;

/// A logical database, 0 up to the `databases` directive less one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DbIndex(pub u32);

impl DbIndex {
    /// The index for use with slices.
    #[inline]
    #[must_use]
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for DbIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A client connection's number: unique and growing for the life of the process, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// 40 lower-case hexadecimal digits that name one run of a server (`run_id`) or one replication
/// history (`master_replid`).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId([u8; Self::LENGTH]);

impl RunId {
    /// Digits in the text.
    pub const LENGTH: usize = 40;

    /// A fresh one. 160 bits out of `rng`, so that runs on the whole planet do not collide.
    #[must_use]
    pub fn generate(rng: &mut Rng) -> Self {
        let mut random = [0; Self::LENGTH];
        rng.fill(&mut random);
        Self(random.map(|byte| b"0123456789abcdef"[usize::from(byte & 15)]))
    }

    /// The one with these digits.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits: [u8; Self::LENGTH] = text.try_into().ok()?;
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        digits.iter().all(is_digit).then_some(Self(digits))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only `generate` makes the bytes, and it makes ASCII; the default is never taken.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_are_hex_and_differ() {
        let mut rng = Rng::from_seed(1);
        let (first, second) = (RunId::generate(&mut rng), RunId::generate(&mut rng));
        assert_eq!(RunId::parse(first.as_str().as_bytes()), Some(first));
        assert_eq!(RunId::parse(&first.as_str().as_bytes()[1..]), None);
        assert_eq!(RunId::parse(&[b'g'; 40]), None);
        assert_ne!(first, second);
        assert_eq!(first, RunId::generate(&mut Rng::from_seed(1)));
        assert_eq!(first.as_str().len(), RunId::LENGTH);
        assert!(
            first
                .as_str()
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        );
        assert_eq!(format!("{first:?}"), format!("RunId({first})"));
    }

    #[test]
    fn ids_print_as_numbers() {
        assert_eq!(format!("{} {}", DbIndex(3), ClientId(17)), "3 17");
        assert_eq!(DbIndex(3).as_usize(), 3);
    }
}
