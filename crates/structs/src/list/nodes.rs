//! A long list: a deque of nodes. See `list` for when a list is one.
//!
//! Nodes fill up, split and merge as those of Redis's quicklist do, so that a list has one node
//! here when it has one there: what OBJECT ENCODING says after a list shrank depends on it.
//! Invariants: no node is empty; `len` is the sum of the nodes' counts; with a compress depth of d
//! the outer d nodes at each end are not compressed, and the outermost never are.

use std::collections::VecDeque;
use std::sync::Arc;

use super::node::{Node, reserve};
use super::{End, Limit, Piece, Side, visit};
use crate::packed::{self, Element, Encoded};
use crate::shared::Release;

/// See the module's head.
#[derive(Debug, Default)]
pub struct Nodes {
    nodes: VecDeque<Node>,
    len: usize,
}

/// How a long list is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Number of nodes.
    pub nodes: usize,
    /// Bytes that the nodes would take as listpacks and long elements, uncompressed.
    pub bytes: usize,
}

/// A place in a list.
#[derive(Clone, Copy)]
struct Place {
    node: usize,
    /// Index of the element within its node.
    index: usize,
}

impl Nodes {
    /// The list that has the elements of a packed body.
    pub(super) fn from_body(body: &[u8], count: usize) -> Nodes {
        let mut nodes = VecDeque::new();
        if count > 0 {
            nodes.push_back(Node::run(body.to_vec(), count));
        }
        Nodes { nodes, len: count }
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Number of nodes.
    pub(super) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The packed body and count, if there is but one node and that is a run.
    pub(super) fn only_run(&self) -> Option<(&[u8], usize)> {
        match (self.nodes.len(), self.nodes.front()) {
            (
                1,
                Some(Node::Run {
                    bytes,
                    start,
                    count,
                }),
            ) => Some((&bytes[*start as usize..], *count as usize)),
            _ => None,
        }
    }

    /// One node; a compressed one is unpacked into `buffer`.
    pub(super) fn piece<'b>(&'b self, index: usize, buffer: &'b mut Vec<u8>) -> Option<Piece<'b>> {
        Some(match self.nodes.get(index)? {
            Node::Single(text) => Piece::Single(text),
            run => Piece::Run(run.body(buffer), run.count()),
        })
    }

    /// Adds a node behind all others.
    pub(super) fn append(&mut self, node: Node, depth: usize) {
        self.len += node.count();
        self.push_node(End::Tail, node);
        self.compress_at_depth(depth);
    }

    /// The element at an end.
    #[inline]
    pub(super) fn end(&self, end: End) -> Option<Element<'_>> {
        self.end_node(end)?.end(end)
    }

    fn end_node(&self, end: End) -> Option<&Node> {
        match end {
            End::Head => self.nodes.front(),
            End::Tail => self.nodes.back(),
        }
    }

    fn end_node_mut(&mut self, end: End) -> Option<&mut Node> {
        match end {
            End::Head => self.nodes.front_mut(),
            End::Tail => self.nodes.back_mut(),
        }
    }

    /// Adds one element at an end. Amortised O(1).
    #[inline]
    pub(super) fn push(&mut self, end: End, text: Element<'_>, limit: Limit, depth: usize) {
        self.len += 1;
        let text_len = text.text_len();
        if let Some(node) = self.end_node_mut(end)
            && limit.admits(node, text_len)
        {
            return node.push(end, text, limit.run_bytes_max());
        }
        self.push_node(end, limit.node_of(text));
        self.compress_at_depth(depth);
    }

    fn push_node(&mut self, end: End, node: Node) {
        if let Some(inner) = self.end_node_mut(end) {
            inner.tighten();
        }
        self.reserve();
        match end {
            End::Head => self.nodes.push_front(node),
            End::Tail => self.nodes.push_back(node),
        }
    }

    /// Room for one more node, without doubling what is there.
    fn reserve(&mut self) {
        let len = self.nodes.len();
        if len == self.nodes.capacity() {
            self.nodes.reserve_exact((len / 8).max(4));
        }
    }

    fn insert_node(&mut self, at: usize, node: Node) {
        self.reserve();
        self.nodes.insert(at, node);
    }

    /// Removes up to `count` elements at an end. O(nodes removed).
    pub(super) fn pop(&mut self, end: End, count: usize, depth: usize) {
        let mut left = count.min(self.len);
        self.len -= left;
        while left > 0 {
            let Some(node) = self.end_node_mut(end) else {
                return;
            };
            let in_node = node.count();
            if in_node > left {
                node.pop(end, left);
                break;
            }
            left -= in_node;
            match end {
                End::Head => self.nodes.pop_front(),
                End::Tail => self.nodes.pop_back(),
            };
            if let Some(node) = self.end_node_mut(end) {
                node.decompress();
            }
            self.compress_at_depth(depth);
        }
        self.shrink();
    }

    /// Gives back a deque that has become far too large.
    fn shrink(&mut self) {
        let len = self.nodes.len();
        if self.nodes.capacity() > 4 * len + 64 {
            self.nodes.shrink_to(2 * len);
        }
    }

    /// Gives back what an inner node does not need; a node at an end keeps its room.
    fn tighten(&mut self, at: usize) {
        if at > 0 && at + 1 < self.nodes.len() {
            self.nodes[at].tighten();
        }
    }

    /// Where the element with this index is, searched from the nearer end. O(nodes).
    fn place(&self, index: usize) -> Place {
        debug_assert!(index < self.len);
        let mut left = index;
        if index <= self.len / 2 {
            for (node, it) in self.nodes.iter().enumerate() {
                if left < it.count() {
                    return Place { node, index: left };
                }
                left -= it.count();
            }
        }
        left = self.len;
        for (node, it) in self.nodes.iter().enumerate().rev() {
            left -= it.count();
            if left <= index {
                return Place {
                    node,
                    index: index - left,
                };
            }
        }
        // Not reached: `left` ends at 0.
        Place { node: 0, index: 0 }
    }

    /// Calls `f` with up to `count` elements, after the first `skip`, counted from an end inwards.
    #[inline]
    pub(super) fn for_each(
        &self,
        from: End,
        skip: usize,
        count: usize,
        mut f: impl FnMut(Element<'_>),
    ) {
        let mut left = count.min(self.len.saturating_sub(skip));
        if left == 0 {
            return;
        }
        let place = match from {
            End::Head => self.place(skip),
            End::Tail => self.place(self.len - 1 - skip),
        };
        let mut skip = match from {
            End::Head => place.index,
            End::Tail => self.nodes[place.node].count() - 1 - place.index,
        };
        let (mut node, mut buffer) = (place.node, Vec::new());
        loop {
            let it = &self.nodes[node];
            let here = left.min(it.count() - skip);
            match it.single() {
                Some(element) => f(element),
                None => visit(it.body(&mut buffer), it.count(), from, skip, here, &mut f),
            }
            left -= here;
            if left == 0 {
                return;
            }
            skip = 0;
            match from {
                End::Head => node += 1,
                End::Tail => node -= 1,
            }
        }
    }

    /// Calls `found` with the index of each element equal to `wanted`, counted from an end, until
    /// it returns false. Stops after the node with the `max`th element.
    pub(super) fn search(
        &self,
        wanted: Element<'_>,
        from: End,
        max: usize,
        found: &mut dyn FnMut(usize) -> bool,
    ) {
        let encoded = Encoded::new(wanted);
        let (mut passed, mut buffer) = (0, Vec::new());
        for nth in 0..self.nodes.len() {
            let node = match from {
                End::Head => &self.nodes[nth],
                End::Tail => &self.nodes[self.nodes.len() - 1 - nth],
            };
            let go_on = match node.single() {
                Some(element) => element != wanted || found(passed),
                None => {
                    let body = node.body(&mut buffer);
                    let mut each = |(index, _)| found(passed + index);
                    match from {
                        End::Head => packed::search(body, &encoded).all(&mut each),
                        End::Tail => packed::search_back(body, &encoded).all(&mut each),
                    }
                }
            };
            passed += node.count();
            if !go_on || passed >= max {
                return;
            }
        }
    }

    /// Puts `text` in the place of the element with this index, which exists.
    pub(super) fn replace(&mut self, index: usize, text: Element<'_>, limit: Limit, depth: usize) {
        let place = self.place(index);
        let large = limit.is_large(text.text_len());
        let single = self.nodes[place.node].single().is_some();
        match (single, large) {
            (false, false) => {
                self.nodes[place.node].edit(|body, count| {
                    reserve(body, text.packed_len());
                    if let Some(at) = packed::seek(body, place.index) {
                        packed::replace(body, at, text);
                    }
                    count
                });
                self.tighten(place.node);
            }
            (true, true) => self.nodes[place.node] = limit.node_of(text),
            (true, false) => {
                self.insert_at(place, Side::After, text, limit);
                self.nodes.remove(place.node);
            }
            (false, true) => self.replace_by_node(place, limit.node_of(text), limit),
        }
        self.compress_all(depth);
    }

    /// Puts a node of its own in the place of an element of a run.
    fn replace_by_node(&mut self, place: Place, new: Node, limit: Limit) {
        let node = &mut self.nodes[place.node];
        let behind = (place.index + 1 < node.count()).then(|| node.split(place.index + 1));
        let alone = node.count() == 1;
        if !alone {
            node.decompress();
            node.pop(End::Tail, 1);
        }
        let at = place.node + 1;
        self.insert_node(at, new);
        if let Some(behind) = behind {
            self.insert_node(at + 1, behind);
        }
        if alone {
            self.nodes.remove(place.node);
        } else {
            self.merge_around(at, limit);
        }
    }

    /// Inserts `text` beside the first element equal to `pivot`; whether there is one.
    pub(super) fn insert(
        &mut self,
        side: Side,
        pivot: Element<'_>,
        text: Element<'_>,
        limit: Limit,
        depth: usize,
    ) -> bool {
        let mut index = None;
        self.search(pivot, End::Head, usize::MAX, &mut |at| {
            index = Some(at);
            false
        });
        let Some(index) = index else {
            return false;
        };
        let place = self.place(index);
        self.insert_at(place, side, text, limit);
        self.len += 1;
        self.compress_all(depth);
        true
    }

    /// Inserts beside an element. Where it goes if the node is full: to the neighbour if it is at
    /// that end, into a node of its own if that is full too, else between the halves of the node.
    fn insert_at(&mut self, place: Place, side: Side, text: Element<'_>, limit: Limit) {
        let text_len = text.text_len();
        let node = &mut self.nodes[place.node];
        // How many elements of the node come before the new one.
        let before = place.index + usize::from(side == Side::After);
        if limit.admits(node, text_len) {
            node.edit(|body, count| {
                reserve(body, text.packed_len());
                let at = packed::seek(body, before).unwrap_or(body.len());
                packed::insert(body, at, text);
                count + 1
            });
            return;
        }
        let (neighbour, end, between) = match side {
            Side::After if before == node.count() => {
                (Some(place.node + 1), End::Head, place.node + 1)
            }
            Side::Before if before == 0 => (place.node.checked_sub(1), End::Tail, place.node),
            _ => return self.insert_within(place.node, before, side, text, limit),
        };
        match neighbour.and_then(|at| self.nodes.get_mut(at)) {
            Some(neighbour) if limit.admits(neighbour, text_len) => {
                neighbour.decompress();
                neighbour.push(end, text, limit.run_bytes_max());
            }
            _ => self.insert_node(between, limit.node_of(text)),
        }
    }

    /// Inserts in the middle of a run that has no room.
    fn insert_within(
        &mut self,
        at: usize,
        before: usize,
        side: Side,
        text: Element<'_>,
        limit: Limit,
    ) {
        let mut behind = self.nodes[at].split(before);
        if limit.is_large(text.text_len()) {
            self.insert_node(at + 1, limit.node_of(text));
            self.insert_node(at + 2, behind);
            return;
        }
        // The part on the new element's side takes it, however full; it is the new node of the two.
        let center = match side {
            Side::After => {
                behind.push(End::Head, text, limit.run_bytes_max());
                at
            }
            Side::Before => {
                self.nodes[at].push(End::Tail, text, limit.run_bytes_max());
                at + 1
            }
        };
        self.insert_node(at + 1, behind);
        self.merge_around(center, limit);
    }

    /// Merges neighbours around `center` that fit into one node: the two before it, the two behind
    /// it, then itself with what is beside it.
    fn merge_around(&mut self, mut center: usize, limit: Limit) {
        if center >= 2 && self.merge(center - 2, limit) {
            center -= 1;
        }
        self.merge(center + 1, limit);
        if center >= 1 && self.merge(center - 1, limit) {
            center -= 1;
        }
        self.merge(center, limit);
        for node in center.saturating_sub(1)..=center + 1 {
            self.tighten(node);
        }
    }

    /// Merges a node with the next one if both are runs that fit into one.
    fn merge(&mut self, at: usize, limit: Limit) -> bool {
        let (Some(a), Some(b)) = (self.nodes.get(at), self.nodes.get(at + 1)) else {
            return false;
        };
        if !limit.admits_merged(a, b) {
            return false;
        }
        if let Some(b) = self.nodes.remove(at + 1) {
            self.nodes[at].append(&b);
        }
        true
    }

    /// Removes up to `max` elements equal to `wanted`, the first ones from an end; how many.
    pub(super) fn remove_equal(
        &mut self,
        wanted: Element<'_>,
        max: usize,
        from: End,
        depth: usize,
    ) -> usize {
        let encoded = Encoded::new(wanted);
        let (mut removed, mut buffer) = (0, Vec::new());
        for nth in 0..self.nodes.len() {
            let at = match from {
                End::Head => nth,
                End::Tail => self.nodes.len() - 1 - nth,
            };
            let node = &mut self.nodes[at];
            let left = max - removed;
            if left == 0 {
                break;
            }
            if let Some(element) = node.single() {
                if element == wanted {
                    *node = Node::run(Vec::new(), 0);
                    removed += 1;
                }
                continue;
            }
            let positions = super::positions_of(node.body(&mut buffer), &encoded, from, left);
            if !positions.is_empty() {
                removed += positions.len();
                node.edit(|body, count| {
                    packed::remove_all(body, &positions);
                    count - positions.len()
                });
                self.tighten(at);
            }
        }
        if removed > 0 {
            self.nodes.retain(|node| node.count() > 0);
            self.len -= removed;
            self.compress_all(depth);
        }
        removed
    }

    /// After a node came or went at an end: unpacks the node that came within the depth, compresses
    /// the one that left it. O(depth).
    fn compress_at_depth(&mut self, depth: usize) {
        let count = self.nodes.len();
        if depth == 0 {
            return;
        }
        for nth in 0..depth.min(count) {
            self.nodes[nth].decompress();
            self.nodes[count - 1 - nth].decompress();
        }
        if count > 2 * depth {
            self.nodes[depth].compress();
            self.nodes[count - 1 - depth].compress();
        }
    }

    /// The same after a change in the middle. O(nodes), if lists are compressed at all.
    fn compress_all(&mut self, depth: usize) {
        let count = self.nodes.len();
        for end in [End::Head, End::Tail] {
            if let Some(node) = self.end_node_mut(end) {
                node.decompress();
            }
        }
        if depth == 0 {
            return;
        }
        for (at, node) in self.nodes.iter_mut().enumerate() {
            if at < depth || at + depth >= count {
                node.decompress();
            } else {
                node.compress();
            }
        }
    }

    /// Bytes on the heap; the nodes' are estimated from some of them if there are many.
    pub(super) fn allocated(&self) -> usize {
        let step = self.nodes.len().div_ceil(SAMPLED_NODES).max(1);
        let sampled = self.nodes.iter().step_by(step);
        let (count, sum) = sampled.fold((0, 0), |(count, sum), node| {
            (count + 1, sum + node.allocated())
        });
        let nodes = base::memory::size_class(self.nodes.capacity() * size_of::<Node>());
        nodes + (sum * self.nodes.len()).checked_div(count).unwrap_or(0)
    }

    /// How it is kept. O(nodes).
    #[must_use]
    pub fn layout(&self) -> Layout {
        Layout {
            nodes: self.nodes.len(),
            bytes: self.nodes.iter().map(Node::listpack_bytes).sum(),
        }
    }

    /// A copy, which shares the nodes' bytes.
    pub(super) fn duplicate(&self) -> Nodes {
        Nodes {
            nodes: self.nodes.clone(),
            len: self.len,
        }
    }

    /// Empties the first nodes, but for those that were emptied before; how many bytes that frees
    /// which were there twice. Only for a copy that is about to go.
    pub(super) fn release(&mut self, passed: usize, release: &mut Release) -> usize {
        let passed = passed.min(self.nodes.len());
        let fresh = release.parts.min(passed)..passed;
        release.parts = release.parts.max(passed);
        let empty = Arc::from([]);
        let release = |node| match std::mem::replace(node, Node::Single(Arc::clone(&empty))) {
            Node::Run { bytes, .. } => bytes.release(),
            // These are replaced, never changed.
            Node::Single(_) | Node::Compressed { .. } => 0,
        };
        self.nodes.range_mut(fresh).map(release).sum()
    }

    /// Checks the invariants of the module's head.
    #[cfg(test)]
    pub(super) fn invariants(&self, depth: usize) {
        let counted: usize = self.nodes.iter().map(Node::count).sum();
        assert_eq!(counted, self.len);
        let mut buffer = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            assert!(node.count() > 0);
            if node.single().is_none() {
                let body = node.body(&mut buffer);
                assert_eq!(packed::validate(body), Some(node.count()));
                assert_eq!(body.len(), node.len_bytes());
            }
            let outer = at < depth.max(1) || at + depth.max(1) >= self.nodes.len();
            assert!(!(outer && matches!(node, Node::Compressed { .. })));
        }
    }
}

/// Nodes that [`Nodes::allocated`] looks at.
const SAMPLED_NODES: usize = 64;
