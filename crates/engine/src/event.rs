//! Keyspace events: what a command, expiry or eviction did to a key, for whoever listens.
//!
//! A handler tells its transaction (`WriteTx::event`), which costs a comparison while nobody has
//! asked for that class. The server publishes what `Env::take_events` gives it while the lease is
//! still held, so that the events of a key come in the order of its changes.
//! Source: redis.io, "Redis keyspace notifications".

use base::ids::DbIndex;

/// A set of classes of events, as `notify-keyspace-events` names them by letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes(u16);

macro_rules! classes {
    ($($name:ident = $bit:literal, $letter:literal, $doc:literal;)*) => {
        impl Classes {
            $(#[doc = $doc] pub const $name: Classes = Classes(1 << $bit);)*

            const LETTERS: &'static [(u8, Classes)] = &[$(($letter, Classes::$name)),*];
        }
    };
}

classes! {
    BY_KEY = 0, b'K', "Published under the key's name: the message is the event.";
    BY_EVENT = 1, b'E', "Published under the event's name: the message is the key.";
    GENERIC = 2, b'g', "Commands for keys of any type.";
    STRING = 3, b'$', "Strings.";
    LIST = 4, b'l', "Lists.";
    SET = 5, b's', "Sets.";
    HASH = 6, b'h', "Hashes.";
    ZSET = 7, b'z', "Sorted sets.";
    EXPIRED = 8, b'x', "Keys whose deadline has passed.";
    EVICTED = 9, b'e', "Keys deleted for lack of memory.";
    STREAM = 10, b't', "Streams.";
    MODULE = 11, b'd', "Types of modules: never published.";
    KEY_MISS = 12, b'm', "Keys that were read and not there.";
    NEW = 13, b'n', "Keys that were not there before.";
    OVERWRITTEN = 14, b'o', "Keys whose value was replaced as a whole.";
    TYPE_CHANGED = 15, b'c', "Keys that now hold another type.";
}

/// What the letter `A` stands for.
const COMMON: &[u8] = b"g$lshzxetd";

impl Classes {
    /// No class.
    pub const NONE: Classes = Classes(0);

    /// The classes that these letters name; others are passed over.
    pub fn from_letters(letters: &[u8]) -> Classes {
        let has = |letter: u8| {
            letters.contains(&letter) || (letters.contains(&b'A') && COMMON.contains(&letter))
        };
        let named = Self::LETTERS.iter().filter(|(letter, _)| has(*letter));
        Classes(named.fold(0, |bits, (_, class)| bits | class.0))
    }

    /// Whether all of `other` are in this set.
    #[inline]
    pub fn has(self, other: Classes) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether events of `class` are published under any name.
    #[inline]
    pub fn wants(self, class: Classes) -> bool {
        self.0 & class.0 != 0 && self.0 & (Self::BY_KEY.0 | Self::BY_EVENT.0) != 0
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened: `set`, `lpush`, `expired`, ...
    pub name: &'static str,
    /// The database the key is in.
    pub db: DbIndex,
    /// The key.
    pub key: Box<[u8]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_name_classes() {
        let all = Classes::from_letters(b"AKE");
        assert!(all.wants(Classes::EXPIRED) && all.has(Classes::BY_KEY));
        assert!(!all.wants(Classes::KEY_MISS) && !all.wants(Classes::NEW));
        assert!(
            !Classes::from_letters(b"A").wants(Classes::LIST),
            "under no name"
        );
        assert!(!Classes::from_letters(b"Kl").wants(Classes::SET));
        assert_eq!(Classes::from_letters(b""), Classes::NONE);
    }
}
