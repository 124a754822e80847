//! COMMAND GETKEYS and GETKEYSANDFLAGS: the keys in a command line, without running it.

use base::strings::eq_ignore_case;
use engine::failure::Failure;
use engine::spec::Flags;

use crate::registry::{Registry, Row};

/// A key and what the command does with it.
pub(super) struct FoundKey {
    /// Index of the word.
    pub(super) word: usize,
    /// `RW`, `access`, ...
    pub(super) flags: KeyFlags,
}

type Words<'w> = [&'w [u8]];
type KeyFlags = &'static [&'static str];
/// What the words say of the access.
type FlagsByWords = fn(&Words<'_>) -> KeyFlags;

/// Commands whose access depends on their words.
const BY_WORDS: &[(&str, FlagsByWords)] = &[("set", set_flags), ("migrate", migrate_flags)];

/// Here all keys are known.
fn migrate_flags(_: &Words<'_>) -> KeyFlags {
    &["RW", "access", "delete"]
}

/// SET reads the old value only when asked for it.
fn set_flags(words: &Words<'_>) -> KeyFlags {
    let options = words.iter().skip(3);
    if options.clone().any(|word| eq_ignore_case(word, b"get")) {
        &["RW", "access", "update"]
    } else {
        &["OW", "update"]
    }
}

/// The keys of the command line `words`.
///
/// # Errors
/// It is no command, cannot have keys, or has none where it must.
pub(super) fn keys_of(registry: &Registry, words: &Words<'_>) -> Result<Vec<FoundKey>, Failure> {
    let name = words.first().copied().unwrap_or_default();
    let id = registry
        .resolve(name, words.get(1).copied())
        .map_err(|_| Failure::fixed("ERR Invalid command specified"))?;
    let row = registry.row(id);
    if row.spec.keys.is_empty() {
        return Err(Failure::fixed("ERR The command has no key arguments"));
    }
    if !row.spec.accepts(words.len()) {
        return Err(Failure::fixed(
            "ERR Invalid number of arguments specified for command",
        ));
    }
    let keys = found(row, words);
    if keys.is_empty() && !row.flags.has(Flags::NO_MANDATORY_KEYS) {
        return Err(Failure::fixed(
            "ERR Invalid arguments specified for command",
        ));
    }
    Ok(keys)
}

fn found(row: &Row, words: &Words<'_>) -> Vec<FoundKey> {
    let by_words = BY_WORDS
        .iter()
        .find(|(name, _)| *name == row.name)
        .map(|(_, flags)| flags(words));
    let mut keys = Vec::new();
    for spec in row.spec.keys {
        let flags = by_words.unwrap_or(spec.flags);
        let range = spec
            .words(words.len(), |at| words[at])
            .into_iter()
            .flatten();
        keys.extend(range.map(|word| FoundKey { word, flags }));
    }
    if row.name == "migrate" && keys.len() > 1 {
        // The empty word in the place of the key, where KEYS follow.
        keys.remove(0);
    }
    keys
}
