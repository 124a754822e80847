//! The keys that BY and GET name: a pattern, in which the element takes the place of the star.

use resp::Reply;
use structs::packed::Element;

use crate::entry::{Entry, Text};
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
}

impl<'a> Pattern<'a> {
    /// The pattern of a BY; `None` if it has no star.
    pub(super) fn parse(pattern: &'a [u8]) -> Option<Pattern<'a>> {
        let star = pattern.iter().position(|&byte| byte == b'*')?;
        let (before, behind) = (&pattern[..star], &pattern[star + 1..]);
        Some(Pattern::Key { before, behind })
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
                name.clear();
                name.extend_from_slice(before);
                element.append_to(name);
                name.extend_from_slice(behind);
                let entry = tx.find(tx.key(name));
                match entry.and_then(Entry::text) {
                    None => use_it(None),
                    Some(Text::Int(value)) => use_it(Some(Element::Int(value))),
                    Some(Text::Inline(bytes)) => use_it(Some(Element::of(bytes))),
                    Some(Text::Shared(bytes)) => use_it(Some(Element::of(bytes))),
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
