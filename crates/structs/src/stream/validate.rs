//! Reads a node from the body of a listpack that came from outside.

use super::id::StreamId;
use super::node::{Node, pieces};
use crate::packed::{self, Element, Iter};

/// The node whose first id is `first` and whose listpack has this body: complete elements as they
/// are encoded here, counts that are right, entries in order. `None` for any other bytes.
pub(super) fn node(first: StreamId, body: &[u8]) -> Option<Node> {
    packed::validate(body)?;
    let mut iter = packed::iter(body);
    let live = count(&mut iter)?;
    let deleted = count(&mut iter)?;
    let fields = elements(&mut iter, body, 1)?;
    (int(&mut iter)? == 0).then_some(())?;
    // Fields stand in turn with values, which a node's head has not.
    let field = |at: usize| fields[at / 2];
    let mut node = Node::new(first, fields.len(), field, body.len());
    let mut previous = None;
    while iter.position() < body.len() {
        let (id, is_deleted, pairs) = entry(&mut iter, body, first, &fields)?;
        let in_order = previous.map_or(id >= first, |previous| id > previous);
        in_order.then_some(())?;
        previous = Some(id);
        let at = node.end();
        node.append(id, pairs.len() / 2, |at| pairs[at]);
        if is_deleted {
            node.delete(&node.record(at));
        }
    }
    let counts = (node.live(), node.entries());
    let is_right = previous.is_some() && counts == (live, live.checked_add(deleted)?);
    // An entry may repeat the fields of the head: right, but Redis would not have written it so.
    (is_right && node.listpack() == body).then_some(node)
}

type Parts<'a> = (StreamId, bool, Vec<Element<'a>>);

/// Reads an entry: its id, whether it is deleted, its fields and values in turn.
fn entry<'a>(
    iter: &mut Iter<'a>,
    body: &[u8],
    first: StreamId,
    fields: &[Element<'a>],
) -> Option<Parts<'a>> {
    let flags = int(iter)?;
    (0..4).contains(&flags).then_some(())?;
    let ms = first.ms.wrapping_add(int(iter)? as u64);
    let seq = first.seq.wrapping_add(int(iter)? as u64);
    let same_fields = flags & 2 != 0;
    let pairs = if same_fields {
        let mut pairs = Vec::with_capacity(2 * fields.len());
        for &field in fields {
            pairs.extend([field, iter.next()?]);
        }
        pairs
    } else {
        elements(iter, body, 2)?
    };
    (int(iter)? == pieces(same_fields, pairs.len() / 2)).then_some(())?;
    Some((StreamId { ms, seq }, flags & 1 != 0, pairs))
}

/// A count, and `each` times as many elements.
fn elements<'a>(iter: &mut Iter<'a>, body: &[u8], each: u64) -> Option<Vec<Element<'a>>> {
    let count = count(iter)?.checked_mul(each)?;
    // An element takes two bytes at least.
    (count <= body.len() as u64 / 2).then_some(())?;
    (0..count).map(|_| iter.next()).collect()
}

fn int(iter: &mut Iter<'_>) -> Option<i64> {
    match iter.next()? {
        Element::Int(value) => Some(value),
        Element::Bytes(_) => None,
    }
}

fn count(iter: &mut Iter<'_>) -> Option<u64> {
    u64::try_from(int(iter)?).ok()
}
