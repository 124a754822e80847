//! The keys that BY and GET name: a pattern, in which the element takes the place of the star.

use resp::Reply;
use structs::Member;
use structs::hash::{self, Hash};
use structs::packed::Element;

use crate::entry::{Entry, Text};
use crate::keyspace::Key;
use crate::tx::ReadTx;

/// What a pattern stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// No star: nothing.
    Nothing,
    /// The string at a key.
    Key {
        /// The key's name before the element.
        before: &'a [u8],
        /// And behind it.
        behind: &'a [u8],
    },
    /// The value of a field of the hash at a key.
    Field {
        /// The key's name before the element.
        before: &'a [u8],
        /// And behind it.
        behind: &'a [u8],
        /// The field.
        field: &'a [u8],
    },
}

impl<'a> Pattern<'a> {
    /// The pattern of a BY; `None` if it has no star.
    pub(super) fn parse(pattern: &'a [u8]) -> Option<Pattern<'a>> {
        let star = pattern.iter().position(|&byte| byte == b'*')?;
        let (before, behind) = (&pattern[..star], &pattern[star + 1..]);
        let arrow = behind.windows(2).position(|two| two == b"->");
        Some(match arrow.map(|at| (&behind[..at], &behind[at + 2..])) {
            // Compat: an arrow at the end belongs to the key's name.
            None | Some((_, [])) => Pattern::Key { before, behind },
            Some((behind, field)) => Pattern::Field {
                before,
                behind,
                field,
            },
        })
    }

    /// The pattern of a GET.
    pub(super) fn of_get(pattern: &'a [u8]) -> Pattern<'a> {
        match pattern {
            b"#" => Pattern::Element,
            _ => Pattern::parse(pattern).unwrap_or(Pattern::Nothing),
        }
    }

    /// Whether it stands for the element itself.
    pub(super) fn is_element(&self) -> bool {
        matches!(self, Pattern::Element)
    }

    /// Gives `use_it` what the pattern stands for with this element. `name` is a buffer.
    pub(super) fn with<R>(
        self,
        tx: &ReadTx<'_, '_>,
        element: Element<'_>,
        name: &mut Vec<u8>,
        use_it: impl FnOnce(Option<Element<'_>>) -> R,
    ) -> R {
        match self {
            Pattern::Element => use_it(Some(element)),
            Pattern::Nothing => use_it(None),
            Pattern::Key { before, behind } => {
                let key = key_with(tx, before, element, behind, name);
                match tx.find(key).and_then(Entry::text) {
                    None => use_it(None),
                    Some(Text::Int(value)) => use_it(Some(Element::Int(value))),
                    Some(Text::Inline(bytes)) => use_it(Some(Element::of(bytes))),
                    Some(Text::Shared(bytes)) => use_it(Some(Element::of(bytes))),
                }
            }
            Pattern::Field {
                before,
                behind,
                field,
            } => {
                let key = key_with(tx, before, element, behind, name);
                // Compat: another type counts as missing here.
                let hash = tx.read::<Hash>(key).unwrap_or(None);
                let field = Member::new(field, &tx.packing().seed);
                match hash.and_then(|hash| hash.get(field, tx.now())) {
                    None => use_it(None),
                    Some(hash::Text::Int(value)) => use_it(Some(Element::Int(value))),
                    Some(hash::Text::Bytes(bytes)) => use_it(Some(Element::of(bytes))),
                    Some(hash::Text::Shared(bytes)) => use_it(Some(Element::of(bytes))),
                }
            }
        }
    }

    /// Answers what the pattern stands for with this element.
    pub(super) fn reply(
        self,
        tx: &ReadTx<'_, '_>,
        element: Element<'_>,
        name: &mut Vec<u8>,
        out: &mut Reply,
    ) {
        self.with(tx, element, name, |found| match found {
            Some(found) => crate::families::list::reply_element(found, out),
            None => out.null(),
        });
    }
}

/// The key whose name has the element in the middle; it is put together in `name`.
fn key_with<'n>(
    tx: &ReadTx<'_, '_>,
    before: &[u8],
    element: Element<'_>,
    behind: &[u8],
    name: &'n mut Vec<u8>,
) -> Key<'n> {
    name.clear();
    name.extend_from_slice(before);
    element.append_to(name);
    name.extend_from_slice(behind);
    tx.key(name)
}
