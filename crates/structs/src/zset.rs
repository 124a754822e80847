//! Sorted sets: members with scores, in ascending order of score, then of bytes.
//!
//! Small ones are packed bytes (`packed`), large ones a counted B+ tree with an index (`tree`).
//! Nothing ever turns a tree back into packed bytes. Scores are never NaN; 0 and -0 are equal, and
//! packed bytes do not tell them apart (Compat: as in Redis's listpacks).

use std::ops::Range;

use base::memory::size_class;

use crate::collection::{Collection, Form, Member, form_encoding};
use crate::packing::Packing;
use crate::shared::{Passed, Release};

mod index;
mod inner;
mod leaf;
mod packed;
mod slab;
mod tree;
mod view;

pub use packed::validate;
pub use tree::Cut;
pub use view::{Entries, ZsetRef};

use tree::Tree;
use view::View;

/// A sorted set.
#[derive(Debug, Clone)]
pub struct Zset(Owned);

#[derive(Debug, Clone)]
enum Owned {
    Packed(Vec<u8>),
    Tree(Box<Tree>),
}

impl Default for Zset {
    fn default() -> Zset {
        Zset(Owned::Packed(Vec::new()))
    }
}

impl Zset {
    /// Of entries in ascending order, no member twice: packed if they are few and short. `count`
    /// and `longest` (bytes of the longest member) are exact.
    pub fn from_sorted<'a>(
        packing: &Packing,
        count: usize,
        longest: usize,
        entries: impl Iterator<Item = (Member<'a>, f64)>,
    ) -> Zset {
        if count > packing.zset_entries_max || longest > packing.zset_value_max {
            let tree = Tree::from_sorted(packing.seed, count, entries);
            return Zset(Owned::Tree(Box::new(tree)));
        }
        let mut bytes = Vec::new();
        for (member, score) in entries {
            packed::push(&mut bytes, member.bytes, score);
        }
        Zset(Owned::Packed(bytes))
    }

    /// Makes it ready for `added` members that are perhaps all new, the first of so many bytes.
    ///
    /// Compat: more of them than may be packed, or (in a new set) a long first one, make it a tree
    /// at once. That shows: a tree tells 0 and -0 apart.
    pub fn reserve(&mut self, added: usize, first: usize, packing: &Packing) {
        if let Owned::Packed(bytes) = &self.0 {
            let long = bytes.is_empty() && first > packing.zset_value_max;
            if added > packing.zset_entries_max || long {
                self.unpack(packing);
            }
        }
    }

    /// Turns packed bytes into a tree.
    fn unpack(&mut self, packing: &Packing) -> &mut Tree {
        if let Owned::Packed(bytes) = &self.0 {
            self.0 = Owned::Tree(Box::new(packed::to_tree(bytes, packing)));
        }
        match &mut self.0 {
            Owned::Tree(tree) => tree,
            // Invariant: it was made a tree above.
            Owned::Packed(_) => unreachable!("unpacked above"),
        }
    }

    /// Adds a member or changes its score, in one look-up: `decide` is given its score (`None`: no
    /// member) and says the new one, which is not NaN, or `None` to leave everything as it is.
    #[inline]
    pub fn upsert(
        &mut self,
        member: Member<'_>,
        packing: &Packing,
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) {
        match &mut self.0 {
            Owned::Tree(tree) => upsert_in_tree(tree, member, decide),
            Owned::Packed(bytes) => match packed::find(bytes, member.bytes) {
                Some((at, score)) => {
                    if let Some(score) = decide(Some(score)) {
                        packed::remove(bytes, at);
                        packed::insert(bytes, member.bytes, score);
                    }
                }
                None => {
                    if let Some(score) = decide(None) {
                        self.add_to_packed(member, score, packing);
                    }
                }
            },
        }
    }

    /// Adds a member that is not there to packed bytes, which become a tree if they must.
    fn add_to_packed(&mut self, member: Member<'_>, score: f64, packing: &Packing) {
        let fits = member.bytes.len() <= packing.zset_value_max;
        match &mut self.0 {
            Owned::Packed(bytes) if fits && packed::len(bytes) < packing.zset_entries_max => {
                packed::insert(bytes, member.bytes, score);
            }
            Owned::Packed(_) | Owned::Tree(_) => self.unpack(packing).insert(member, score),
        }
    }

    /// Takes a member out; its score, if it was there.
    #[inline]
    pub fn remove(&mut self, member: Member<'_>) -> Option<f64> {
        match &mut self.0 {
            Owned::Packed(bytes) => {
                let (at, score) = packed::find(bytes, member.bytes)?;
                packed::remove(bytes, at);
                Some(score)
            }
            Owned::Tree(tree) => {
                let place = tree.find(member)?;
                let score = tree.entry(place).1;
                tree.remove(place, member);
                Some(score)
            }
        }
    }

    /// Takes the entries of these ranks out. O(their number).
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        match &mut self.0 {
            Owned::Packed(bytes) => packed::remove_ranks(bytes, ranks),
            Owned::Tree(tree) => tree.remove_ranks(ranks),
        }
    }
}

#[inline]
fn upsert_in_tree(
    tree: &mut Tree,
    member: Member<'_>,
    decide: impl FnOnce(Option<f64>) -> Option<f64>,
) {
    match tree.find(member) {
        Some(place) => {
            if let Some(score) = decide(Some(tree.entry(place).1)) {
                tree.update(place, member, score);
            }
        }
        None => {
            if let Some(score) = decide(None) {
                tree.insert(member, score);
            }
        }
    }
}

impl Collection for Zset {
    type Ref<'a> = ZsetRef<'a>;

    fn has_form(form: Form) -> bool {
        matches!(form, Form::Zset)
    }

    fn view(_: Form, bytes: &[u8]) -> ZsetRef<'_> {
        ZsetRef(View::Packed(bytes))
    }

    fn from_packed(_: Form, bytes: Vec<u8>) -> Zset {
        Zset(Owned::Packed(bytes))
    }

    fn with_buffer(buffer: Vec<u8>) -> Zset {
        debug_assert!(buffer.is_empty());
        Zset(Owned::Packed(buffer))
    }

    fn packed(&self) -> Option<(Form, &[u8])> {
        match &self.0 {
            Owned::Packed(bytes) => Some((Form::Zset, bytes)),
            Owned::Tree(_) => None,
        }
    }

    fn take_packed(&mut self) -> Option<(Form, Vec<u8>)> {
        match &mut self.0 {
            Owned::Packed(bytes) => Some((Form::Zset, std::mem::take(bytes))),
            Owned::Tree(_) => None,
        }
    }

    fn borrow(&self) -> ZsetRef<'_> {
        ZsetRef(match &self.0 {
            Owned::Packed(bytes) => View::Packed(bytes),
            Owned::Tree(tree) => View::Tree(tree),
        })
    }

    fn len(&self) -> usize {
        self.borrow().len()
    }

    fn is_empty(&self) -> bool {
        match &self.0 {
            Owned::Packed(bytes) => bytes.is_empty(),
            Owned::Tree(tree) => tree.len() == 0,
        }
    }

    fn encoding(&self) -> &'static str {
        match &self.0 {
            Owned::Packed(_) => form_encoding(Form::Zset),
            Owned::Tree(_) => "skiplist",
        }
    }

    fn allocated(&self) -> usize {
        match &self.0 {
            Owned::Packed(bytes) => size_class(bytes.capacity()),
            Owned::Tree(tree) => size_class(size_of::<Tree>()) + tree.allocated(),
        }
    }

    fn free_effort(&self) -> usize {
        match &self.0 {
            Owned::Packed(_) => 1,
            Owned::Tree(tree) => tree.pieces(),
        }
    }

    fn address(&self, hash: u64, depth: u8) -> Option<*const u8> {
        match &self.0 {
            Owned::Packed(_) => None,
            Owned::Tree(tree) => tree.address(hash, depth),
        }
    }

    fn duplicate(&self) -> Zset {
        self.clone()
    }

    fn freeze(&self) -> Zset {
        Zset(match &self.0 {
            Owned::Packed(bytes) => Owned::Packed(bytes.clone()),
            Owned::Tree(tree) => Owned::Tree(Box::new(tree.freeze())),
        })
    }

    fn release(&mut self, passed: Passed, release: &mut Release) -> usize {
        match (&mut self.0, passed) {
            (Owned::Tree(tree), Passed::Down(rank)) => tree.release(rank, release),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests;
