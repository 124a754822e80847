//! Whether bytes from outside are a node.

use super::id::StreamId;
use crate::packed::{self, Element, Iter};

/// `Some` if `bytes` are the body of a node whose first id is `first`: complete elements as they
/// are encoded here, counts that are right, entries in order. Any bytes.
pub(super) fn node(first: StreamId, bytes: &[u8]) -> Option<()> {
    packed::validate(bytes)?;
    let mut iter = packed::iter(bytes);
    let live = count(&mut iter)?;
    let deleted = count(&mut iter)?;
    let fields = count(&mut iter)?;
    pass(&mut iter, fields)?;
    (int(&mut iter)? == 0).then_some(())?;
    let (mut found, mut previous) = ([0, 0], None);
    while iter.position() < bytes.len() {
        let (id, is_deleted) = entry(&mut iter, first, fields)?;
        let in_order = previous.map_or(id >= first, |previous| id > previous);
        in_order.then_some(())?;
        previous = Some(id);
        found[usize::from(is_deleted)] += 1;
    }
    (previous.is_some() && found == [live, deleted]).then_some(())
}

/// Reads an entry; its id and whether it is deleted.
fn entry(iter: &mut Iter<'_>, first: StreamId, head_fields: u64) -> Option<(StreamId, bool)> {
    let flags = int(iter)?;
    (0..4).contains(&flags).then_some(())?;
    let ms = first.ms.wrapping_add(int(iter)? as u64);
    let seq = first.seq.wrapping_add(int(iter)? as u64);
    let elements = if flags & 2 != 0 {
        head_fields
    } else {
        count(iter)?.checked_mul(2)?.checked_add(1)?
    };
    // The count of fields has been read already.
    pass(iter, elements - u64::from(flags & 2 == 0))?;
    let pieces = elements.checked_add(3)?;
    (count(iter)? == pieces).then_some((StreamId { ms, seq }, flags & 1 != 0))
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

/// Passes over as many elements, if there are.
fn pass(iter: &mut Iter<'_>, elements: u64) -> Option<()> {
    for _ in 0..elements {
        iter.next()?;
    }
    Some(())
}
