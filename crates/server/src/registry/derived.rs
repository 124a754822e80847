//! Facts about a command that follow from its row: ACL categories and the legacy key triple.
//!
//! Sources: redis.io, "ACL", "Command categories", and "Command arguments"; checked against
//! COMMAND INFO of Redis 8.2.3 by testkit's `tests/commands.rs`.

use engine::spec::{Begin, Find, Flags, Group, KeySpec};

use super::{Handler, Row};

/// Every ACL category, in the order in which they are reported.
pub const CATEGORIES: &[&str] = &[
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// Categories that a flag brings with it.
const BY_FLAG: &[(Flags, &str)] = &[
    (Flags::WRITE, "write"),
    (Flags::READONLY, "read"),
    (Flags::ADMIN, "admin"),
    (Flags::ADMIN, "dangerous"),
    (Flags::PUBSUB, "pubsub"),
    (Flags::BLOCKING, "blocking"),
    (Flags::FAST, "fast"),
];

/// The ACL categories of a command, in the order of [`CATEGORIES`].
pub fn categories(row: &Row) -> Vec<&'static str> {
    let has = |category: &str| {
        let by_flag = |&(flag, implied): &(Flags, &str)| implied == category && row.flags.has(flag);
        // Compat: a script that promises not to write is no reader yet.
        let script = category == "read" && row.spec.group == Group::Scripting;
        (BY_FLAG.iter().any(by_flag) && !script)
            || row.spec.categories.contains(&category)
            || (category == "slow" && !row.flags.has(Flags::FAST))
            || group_category(row) == Some(category)
    };
    CATEGORIES
        .iter()
        .copied()
        .filter(|category| has(category))
        .collect()
}

/// A container that does not run alone has only what its own row says.
fn group_category(row: &Row) -> Option<&'static str> {
    let container = matches!(row.handler, Handler::Container);
    row.spec.group.category().filter(|_| !container)
}

/// First key, last key (negative: from the end) and step, as COMMAND INFO has reported them since
/// before key specs; zeros when the words must be read to find the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegacyKeys {
    /// Position of the first key.
    pub first: i64,
    /// Position of the last one.
    pub last: i64,
    /// Distance between them.
    pub step: i64,
    /// Not all keys are in the triple.
    pub movable: bool,
}

/// The legacy triple of some key specs: the only one's own, or the union of those that touch and
/// have a step of one.
pub fn legacy_keys(specs: &[KeySpec]) -> LegacyKeys {
    let range = |spec: &KeySpec| match (spec.begin, spec.find) {
        (Begin::Index(first), Find::Range { last, step, .. }) => {
            let (first, last) = (i64::from(first), i64::from(last));
            let last = if last >= 0 { first + last } else { last };
            Some((first, last, i64::from(step)))
        }
        _ => None,
    };
    let movable = specs.iter().any(|spec| spec.flags.contains(&"incomplete"));
    if let [only] = specs
        && let Some((first, last, step)) = range(only)
    {
        return LegacyKeys {
            first,
            last,
            step,
            movable,
        };
    }
    let mut keys = LegacyKeys {
        movable,
        ..LegacyKeys::default()
    };
    for spec in specs {
        match range(spec) {
            Some((first, last, 1)) if keys.step == 0 || keys.last == first - 1 => {
                keys.first = if keys.step == 0 { first } else { keys.first };
                keys.last = last;
                keys.step = 1;
            }
            _ => keys.movable = true,
        }
    }
    keys
}
