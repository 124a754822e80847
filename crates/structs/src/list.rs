//! Lists: packed while short, a deque of packed nodes when long.
//!
//! ```text
//! packed   count (2 bytes, little endian), packed body     the empty list is no bytes at all
//! long     [ node ][ node ] ... [ node ]                   see `nodes`
//! ```
//!
//! When a list turns from one form into the other, and what a node holds, follows Redis's quicklist
//! to the byte, since OBJECT ENCODING shows it: "list-max-listpack-size" bounds a node by its
//! elements or by its bytes, in which the 7 bytes of a listpack's frame are counted, though it has
//! none here. A packed list becomes long before what is pushed would exceed a node; a long one
//! becomes packed when one node is left and less than half full.

mod node;
mod nodes;

use crate::collection::{Collection, Form};
use crate::packed::{self, Element, Encoded};
use crate::packing::Packing;
use crate::shared::{Passed, Release};
use node::Node;
pub use nodes::{Layout, Nodes};

/// One end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where index 0 is.
    Head,
    /// Where index -1 is.
    Tail,
}

/// One side of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Towards the head.
    Before,
    /// Towards the tail.
    After,
}

/// A list.
#[derive(Debug)]
pub enum List {
    /// Count and packed body.
    Packed(Vec<u8>),
    /// Many nodes, or one that was long.
    Long(Box<Nodes>),
}

impl Default for List {
    fn default() -> List {
        List::Packed(Vec::new())
    }
}

/// A view of either form.
#[derive(Clone, Copy, Debug)]
pub enum ListRef<'a> {
    /// Count and packed body.
    Packed(&'a [u8]),
    /// A long one.
    Long(&'a Nodes),
}

/// Bytes of a packed list's count.
const COUNT_BYTES: usize = 2;
/// What a packed list can count to.
const PACKED_COUNT_MAX: usize = u16::MAX as usize;

/// Count and body of a packed list.
#[inline]
fn parts(bytes: &[u8]) -> (usize, &[u8]) {
    match bytes.split_first_chunk::<COUNT_BYTES>() {
        Some((&count, body)) => (usize::from(u16::from_le_bytes(count)), body),
        None => (0, &[]),
    }
}

/// The packed elements of a packed list.
#[must_use]
pub fn packed_body(bytes: &[u8]) -> &[u8] {
    parts(bytes).1
}

/// Writes a packed list's count; one without elements becomes empty.
#[inline]
fn set_count(bytes: &mut Vec<u8>, count: usize) {
    debug_assert!(count <= PACKED_COUNT_MAX);
    match bytes.first_chunk_mut::<COUNT_BYTES>() {
        Some(_) if count == 0 => bytes.clear(),
        Some(place) => *place = (count as u16).to_le_bytes(),
        None => {}
    }
}

/// Calls `f` with `count` elements of a body of `of`, after the first `skip`, from an end inwards.
#[inline]
fn visit(
    body: &[u8],
    of: usize,
    from: End,
    skip: usize,
    count: usize,
    mut f: impl FnMut(Element<'_>),
) {
    if skip >= of || count == 0 {
        return;
    }
    let after = of - 1 - skip;
    let at = match from {
        End::Head => seek_near(body, skip, after),
        End::Tail => seek_near(body, after, skip),
    };
    let Some(at) = at else { return };
    match from {
        End::Head => packed::iter_from(body, at).take(count).for_each(f),
        End::Tail => {
            let end = packed::next(body, at);
            let mut elements = packed::iter_between(body, 0..end);
            for _ in 0..count {
                match elements.next_back() {
                    Some(element) => f(element),
                    None => return,
                }
            }
        }
    }
}

/// Position of the element with `before` elements before it and `after` behind it.
#[inline]
fn seek_near(body: &[u8], before: usize, after: usize) -> Option<usize> {
    if before <= after {
        packed::seek(body, before)
    } else {
        packed::seek_back(body, after)
    }
}

/// Positions of up to `max` elements equal to `wanted`, the first ones from an end; ascending.
fn positions_of(body: &[u8], wanted: &Encoded<'_>, from: End, max: usize) -> Vec<usize> {
    let position = |(_, at)| at;
    match from {
        End::Head => packed::search(body, wanted)
            .map(position)
            .take(max)
            .collect(),
        End::Tail => {
            let found = packed::search_back(body, wanted).map(position);
            let mut positions: Vec<usize> = found.take(max).collect();
            positions.reverse();
            positions
        }
    }
}

/// A piece of a list as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A packed body with so many elements.
    Run(&'a [u8], usize),
    /// The text of one long element.
    Single(&'a [u8]),
}

/// A [`Piece`] to make a list of.
#[derive(Debug)]
pub enum Owned {
    /// A valid packed body with so many elements.
    Run(Vec<u8>, usize),
    /// The text of one long element.
    Single(Vec<u8>),
}

impl<'a> ListRef<'a> {
    /// Number of pieces; the empty list has none. O(1).
    #[must_use]
    pub fn piece_count(self) -> usize {
        match self {
            ListRef::Packed(bytes) => usize::from(!bytes.is_empty()),
            ListRef::Long(nodes) => nodes.node_count(),
        }
    }

    /// One piece by its number; a compressed one is unpacked into `buffer`.
    pub fn piece<'b>(self, index: usize, buffer: &'b mut Vec<u8>) -> Option<Piece<'b>>
    where
        'a: 'b,
    {
        match self {
            ListRef::Packed(bytes) => {
                let (count, body) = parts(bytes);
                (index == 0 && count > 0).then_some(Piece::Run(body, count))
            }
            ListRef::Long(nodes) => nodes.piece(index, buffer),
        }
    }

    /// Number of elements. O(1).
    #[inline]
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            ListRef::Packed(bytes) => parts(bytes).0,
            ListRef::Long(nodes) => nodes.len(),
        }
    }

    /// Whether there is no element.
    #[inline]
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The element at an end. O(1).
    #[inline]
    #[must_use]
    pub fn end(self, end: End) -> Option<Element<'a>> {
        match self {
            ListRef::Packed(bytes) => match end {
                End::Head => packed::first(parts(bytes).1),
                End::Tail => packed::last(parts(bytes).1),
            },
            ListRef::Long(nodes) => nodes.end(end),
        }
    }

    /// Calls `f` with up to `count` elements after the first `skip`, counted from an end inwards:
    /// from the tail they come in reverse. O(nodes + elements of a node + count).
    #[inline]
    pub fn for_each(self, from: End, skip: usize, count: usize, f: impl FnMut(Element<'_>)) {
        match self {
            ListRef::Packed(bytes) => {
                let (len, body) = parts(bytes);
                visit(body, len, from, skip, count, f);
            }
            ListRef::Long(nodes) => nodes.for_each(from, skip, count, f),
        }
    }

    /// Calls `found` with the index of each element equal to `wanted`, counted from an end (the
    /// tail's is 0 then), until it returns false. May stop after the first `max` elements. O(n).
    pub fn search(
        self,
        wanted: Element<'_>,
        from: End,
        max: usize,
        mut found: impl FnMut(usize) -> bool,
    ) {
        match self {
            ListRef::Packed(bytes) => {
                let (encoded, body) = (Encoded::new(wanted), parts(bytes).1);
                let mut each = |(index, _)| found(index);
                match from {
                    End::Head => packed::search(body, &encoded).all(&mut each),
                    End::Tail => packed::search_back(body, &encoded).all(&mut each),
                };
            }
            ListRef::Long(nodes) => nodes.search(wanted, from, max, &mut found),
        }
    }
}

impl List {
    /// A new list of these elements, in whatever form suits them.
    pub fn from_elements<'a>(
        elements: impl Iterator<Item = Element<'a>>,
        packing: &Packing,
    ) -> List {
        let mut nodes = Nodes::default();
        let (limit, depth) = limits(packing);
        elements.for_each(|element| nodes.push(End::Tail, element, limit, depth));
        let mut list = List::Long(Box::new(nodes));
        list.pack_within(limit);
        list
    }

    /// A list of these pieces, each of which becomes a node, whatever the limits say; packed if
    /// there is one node and it is short. Runs have at least one element.
    pub fn from_pieces(pieces: impl Iterator<Item = Owned>, packing: &Packing) -> List {
        let mut nodes = Nodes::default();
        let (limit, depth) = limits(packing);
        for piece in pieces {
            nodes.append(
                match piece {
                    Owned::Run(body, count) => Node::run(body, count),
                    Owned::Single(text) => Node::Single(text.into()),
                },
                depth,
            );
        }
        let mut list = List::Long(Box::new(nodes));
        list.pack_within(limit);
        list
    }

    /// Adds elements at an end, one after the other: at the head the last one comes first.
    /// Amortised O(1) each.
    #[inline]
    pub fn push<'a>(
        &mut self,
        end: End,
        texts: impl Iterator<Item = &'a [u8]> + Clone,
        packing: &Packing,
    ) {
        let added = texts.clone().fold((0, 0), |(count, bytes), text| {
            (count + 1, bytes + text.len())
        });
        self.push_elements(end, texts.map(Element::of), added, packing);
    }

    /// Adds one element at an end. Amortised O(1).
    #[inline]
    pub fn push_one(&mut self, end: End, element: Element<'_>, packing: &Packing) {
        let added = (1, element.text_len());
        self.push_elements(end, std::iter::once(element), added, packing);
    }

    /// `added` is the elements' number and the sum of their texts' lengths.
    #[inline]
    fn push_elements<'a>(
        &mut self,
        end: End,
        elements: impl Iterator<Item = Element<'a>>,
        added: (usize, usize),
        packing: &Packing,
    ) {
        let (limit, depth) = limits(packing);
        self.unpack_before(added, limit);
        match self {
            List::Packed(bytes) => {
                if bytes.is_empty() {
                    bytes.extend([0; COUNT_BYTES]);
                }
                let count = parts(bytes).0 + added.0;
                match end {
                    End::Tail => elements.for_each(|element| packed::push_back(bytes, element)),
                    End::Head => {
                        elements.for_each(|element| packed::insert(bytes, COUNT_BYTES, element));
                    }
                }
                set_count(bytes, count);
            }
            List::Long(nodes) => {
                elements.for_each(|element| nodes.push(end, element, limit, depth));
            }
        }
    }

    /// Removes up to `count` elements at an end. O(count).
    #[inline]
    pub fn pop(&mut self, end: End, count: usize, packing: &Packing) {
        match self {
            List::Packed(bytes) => {
                let (len, body) = parts(bytes);
                let left = len.saturating_sub(count);
                if left > 0 && left < len {
                    match end {
                        End::Head => {
                            let at = seek_near(body, len - left, left - 1).unwrap_or(0);
                            bytes.drain(COUNT_BYTES..COUNT_BYTES + at);
                        }
                        End::Tail => {
                            let at = seek_near(body, left, len - left - 1).unwrap_or(0);
                            bytes.truncate(COUNT_BYTES + at);
                        }
                    }
                }
                set_count(bytes, left);
            }
            List::Long(nodes) => {
                let (limit, depth) = limits(packing);
                nodes.pop(end, count, depth);
                self.pack_within(limit.half());
            }
        }
    }

    /// Moves the element at an end, which is `element`, to an end. O(1).
    pub fn rotate(&mut self, from: End, to: End, element: Element<'_>, packing: &Packing) {
        let (limit, depth) = limits(packing);
        // Not by `pop`: whether it has become short is asked when the element is there again.
        match self {
            List::Packed(_) => self.pop(from, 1, packing),
            List::Long(nodes) => nodes.pop(from, 1, depth),
        }
        self.push_one(to, element, packing);
        self.pack_within(limit.half());
    }

    /// Removes all elements but `kept` after the first `first`. O(nodes removed).
    pub fn trim(&mut self, first: usize, kept: usize, packing: &Packing) {
        let behind = self.len().saturating_sub(first + kept);
        self.pop(End::Head, first, packing);
        self.pop(End::Tail, behind, packing);
    }

    /// Becomes long if an element of this length would make it so, as a command does that may still
    /// find that there is no place for it.
    pub fn announce(&mut self, text_len: usize, packing: &Packing) {
        self.unpack_before((1, text_len), limits(packing).0);
    }

    /// Puts `text` in the place of the element with this index, which exists. O(nodes).
    pub fn replace(&mut self, index: usize, text: &[u8], packing: &Packing) {
        let (limit, depth) = limits(packing);
        self.unpack_before((1, text.len()), limit);
        match self {
            List::Packed(bytes) => {
                let (len, body) = parts(bytes);
                let at = seek_near(body, index, len.saturating_sub(index + 1));
                if let Some(at) = at {
                    packed::replace(bytes, COUNT_BYTES + at, Element::of(text));
                }
            }
            List::Long(nodes) => {
                nodes.replace(index, Element::of(text), limit, depth);
                self.pack_within(limit.half());
            }
        }
    }

    /// Inserts `text` beside the first element equal to `pivot`; whether there is one. O(n).
    pub fn insert(&mut self, side: Side, pivot: &[u8], text: &[u8], packing: &Packing) -> bool {
        let (limit, depth) = limits(packing);
        // Compat: the list becomes long even if the pivot is not found.
        self.unpack_before((1, text.len()), limit);
        let (pivot, element) = (Element::of(pivot), Element::of(text));
        match self {
            List::Packed(bytes) => {
                let (len, body) = parts(bytes);
                let Some(at) = packed::find(body, 0, pivot, 0) else {
                    return false;
                };
                let at = match side {
                    Side::Before => at,
                    Side::After => packed::next(body, at),
                };
                packed::insert(bytes, COUNT_BYTES + at, element);
                set_count(bytes, len + 1);
                true
            }
            List::Long(nodes) => nodes.insert(side, pivot, element, limit, depth),
        }
    }

    /// Removes up to `max` elements equal to `text`, the first ones from an end; how many. O(n).
    pub fn remove(&mut self, text: &[u8], max: usize, from: End, packing: &Packing) -> usize {
        let wanted = Element::of(text);
        match self {
            List::Packed(bytes) => {
                let (len, body) = parts(bytes);
                let mut positions = positions_of(body, &Encoded::new(wanted), from, max);
                positions.iter_mut().for_each(|at| *at += COUNT_BYTES);
                packed::remove_all(bytes, &positions);
                set_count(bytes, len - positions.len());
                positions.len()
            }
            List::Long(nodes) => {
                let (limit, depth) = limits(packing);
                let removed = nodes.remove_equal(wanted, max, from, depth);
                if removed > 0 {
                    self.pack_within(limit.half());
                }
                removed
            }
        }
    }

    /// Makes a packed list a long one if `added` (number, sum of lengths) would exceed a node.
    #[inline]
    fn unpack_before(&mut self, added: (usize, usize), limit: Limit) {
        let List::Packed(bytes) = self else { return };
        let (count, body) = parts(bytes);
        let new_count = count + added.0;
        if limit.exceeded_by(body.len() + FRAME_BYTES + added.1, new_count)
            || new_count > PACKED_COUNT_MAX
        {
            *self = List::Long(Box::new(Nodes::from_body(body, count)));
        }
    }

    /// Makes a long list of one node that is not above this limit a packed one.
    fn pack_within(&mut self, limit: Limit) {
        let List::Long(nodes) = self else { return };
        let (body, count) = match nodes.only_run() {
            Some(run) => run,
            None if nodes.len() == 0 => (&[][..], 0),
            None => return,
        };
        if count > PACKED_COUNT_MAX || !limit.has_room_for(body.len() + FRAME_BYTES, count) {
            return;
        }
        let mut bytes = Vec::with_capacity(COUNT_BYTES + body.len());
        bytes.extend([0; COUNT_BYTES]);
        bytes.extend_from_slice(body);
        set_count(&mut bytes, count);
        *self = List::Packed(bytes);
    }

    /// Checks that the form's invariants hold.
    #[cfg(test)]
    fn invariants(&self, packing: &Packing) {
        match self {
            List::Packed(bytes) => {
                let (count, body) = parts(bytes);
                assert_eq!(packed::validate(body), Some(count));
                assert_eq!(bytes.is_empty(), count == 0);
            }
            List::Long(nodes) => nodes.invariants(limits(packing).1),
        }
    }
}

/// Bytes of a listpack around its elements, which the limits of Redis include.
const FRAME_BYTES: usize = 7;

/// What a node may hold: `list-max-listpack-size`.
#[derive(Clone, Copy, Debug)]
struct Limit {
    /// Bytes, the frame included. `usize::MAX` if elements are counted.
    bytes: usize,
    /// Elements. `usize::MAX` if bytes are.
    count: usize,
    /// Length of the shortest text that gets a node of its own.
    single_bytes_min: usize,
}

/// What a node may hold in bytes where its elements are limited.
const SAFE_BYTES_MAX: usize = 8192;
/// What an element is taken to need besides its text when a node is tested for room.
const ENTRY_BYTES: usize = 8;
/// Most elements that a limit by number can mean.
const LIMIT_COUNT_MAX: i32 = 32_767;
/// Limits in bytes, for -1, -2 and so on.
const LIMIT_BYTES: [usize; 5] = [4096, 8192, 16_384, 32_768, 65_536];

/// The node limit and the compress depth.
#[inline]
fn limits(packing: &Packing) -> (Limit, usize) {
    let (bytes, count, run_bytes_max) = match packing.list_node_max {
        max @ ..0 => {
            let bytes = LIMIT_BYTES[(-1 - max.max(-5)) as usize];
            (bytes, usize::MAX, bytes)
        }
        max => {
            let count = max.clamp(1, LIMIT_COUNT_MAX) as usize;
            (usize::MAX, count, SAFE_BYTES_MAX)
        }
    };
    let limit = Limit {
        bytes,
        count,
        single_bytes_min: match packing.list_single_bytes_min {
            0 => run_bytes_max + 1,
            min => min,
        },
    };
    (limit, packing.list_compress_depth as usize)
}

impl Limit {
    /// Whether a node of this size is too large.
    #[inline]
    fn exceeded_by(self, bytes: usize, count: usize) -> bool {
        bytes > self.run_bytes_max() || count > self.count
    }

    /// The longest run.
    #[inline]
    fn run_bytes_max(self) -> usize {
        if self.bytes == usize::MAX {
            SAFE_BYTES_MAX
        } else {
            self.bytes
        }
    }

    /// Whether an element gets a node of its own.
    #[inline]
    fn is_large(self, text_len: usize) -> bool {
        text_len >= self.single_bytes_min
    }

    /// Whether a node takes one more element with a text of this length.
    #[inline]
    fn admits(self, node: &Node, text_len: usize) -> bool {
        let bytes = node.len_bytes() + FRAME_BYTES + text_len + ENTRY_BYTES;
        !self.exceeded_by(bytes, node.count() + 1)
            && node.single().is_none()
            && !self.is_large(text_len)
    }

    /// Whether two nodes may become one.
    fn admits_merged(self, a: &Node, b: &Node) -> bool {
        let bytes = a.len_bytes() + b.len_bytes() + FRAME_BYTES;
        a.single().is_none()
            && b.single().is_none()
            && !self.exceeded_by(bytes, a.count() + b.count())
    }

    /// A node for one element.
    fn node_of(self, element: Element<'_>) -> Node {
        if !self.is_large(element.text_len()) {
            return Node::of(element);
        }
        let mut text = Vec::with_capacity(element.text_len());
        element.append_to(&mut text);
        Node::Single(text.into())
    }

    /// What a long list must not exceed to be packed after it shrank.
    fn half(self) -> Limit {
        Limit {
            bytes: self.bytes / 2,
            count: self.count / 2,
            ..self
        }
    }

    /// Whether a list of this size may be packed.
    fn has_room_for(self, bytes: usize, count: usize) -> bool {
        bytes <= self.bytes && count <= self.count
    }
}

impl Collection for List {
    type Ref<'a> = ListRef<'a>;

    #[inline]
    fn has_form(form: Form) -> bool {
        form == Form::List
    }

    #[inline]
    fn view(_: Form, bytes: &[u8]) -> ListRef<'_> {
        ListRef::Packed(bytes)
    }

    #[inline]
    fn from_packed(_: Form, bytes: Vec<u8>) -> List {
        List::Packed(bytes)
    }

    #[inline]
    fn with_buffer(buffer: Vec<u8>) -> List {
        List::Packed(buffer)
    }

    #[inline]
    fn packed(&self) -> Option<(Form, &[u8])> {
        match self {
            List::Packed(bytes) => Some((Form::List, bytes)),
            List::Long(_) => None,
        }
    }

    #[inline]
    fn take_packed(&mut self) -> Option<(Form, Vec<u8>)> {
        match self {
            List::Packed(bytes) => Some((Form::List, std::mem::take(bytes))),
            List::Long(_) => None,
        }
    }

    #[inline]
    fn borrow(&self) -> ListRef<'_> {
        match self {
            List::Packed(bytes) => ListRef::Packed(bytes),
            List::Long(nodes) => ListRef::Long(nodes),
        }
    }

    #[inline]
    fn len(&self) -> usize {
        self.borrow().len()
    }

    fn encoding(&self) -> &'static str {
        match self {
            List::Packed(_) => "listpack",
            List::Long(_) => "quicklist",
        }
    }

    fn allocated(&self) -> usize {
        match self {
            List::Packed(bytes) => base::memory::size_class(bytes.capacity()),
            List::Long(nodes) => base::memory::size_class(size_of::<Nodes>()) + nodes.allocated(),
        }
    }

    fn free_effort(&self) -> usize {
        match self {
            List::Packed(_) => 1,
            List::Long(nodes) => 2 + nodes.node_count(),
        }
    }

    fn duplicate(&self) -> List {
        match self {
            List::Packed(bytes) => List::Packed(bytes.clone()),
            List::Long(nodes) => List::Long(Box::new(nodes.duplicate())),
        }
    }

    fn release(&mut self, passed: Passed, release: &mut Release) -> usize {
        match (self, passed) {
            (List::Long(nodes), Passed::Parts(parts)) => nodes.release(parts, release),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests;
