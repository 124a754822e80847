//! Members by chance: one, several different ones, and taking them out.

use base::rng::Rng;

use super::{Item, Set, SetRef};
use crate::collection::Collection;
use crate::intset;
use crate::packed;
use crate::packing::Packing;
use crate::table::{Place, Table};

/// Different members of a table are drawn one by one when they are at most one in so many; else the
/// table is gone through.
const DRAWN_SHARE: usize = 4;

/// Compat: SPOP takes members out one by one while more than one in so many stay, and else moves
/// those that stay to a new set. That may bring a table back to a packed run.
const REBUILT_SHARE: usize = 5;

impl<'a> SetRef<'a> {
    /// A member by chance, each with the same probability; `random` decides. `None` if there are
    /// none.
    #[must_use]
    pub fn random(self, random: u64) -> Option<Item<'a>> {
        match self {
            SetRef::Table(table) => table.sample(random).map(|entry| Item::Text(entry.key)),
            SetRef::Ints(ints) => {
                let index = below(random, ints.len())?;
                Some(Item::Int(ints.at(index)))
            }
            SetRef::Packed(body) => {
                let index = below(random, packed::count(body))?;
                let position = packed::seek(body, index)?;
                Some(packed::get(body, position).into())
            }
        }
    }

    /// Draws `count` members one after another, the same ones again if it happens so; none of an
    /// empty set.
    pub fn draw(self, count: u64, rng: &mut Rng, mut visit: impl FnMut(Item<'a>)) {
        if let SetRef::Packed(body) = self {
            // One element cannot be reached but through those before it.
            let items: Vec<Item<'a>> = packed::iter(body).map(Item::from).collect();
            for _ in 0..if items.is_empty() { 0 } else { count } {
                visit(items[rng.below(items.len() as u64) as usize]);
            }
            return;
        }
        for _ in 0..count {
            if let Some(item) = self.random(rng.next_u64()) {
                visit(item);
            }
        }
    }

    /// Visits `count` different members by chance, each choice of so many with the same
    /// probability, or all if there are no more. In no particular order, but not by chance either.
    pub fn choose(self, count: usize, rng: &mut Rng, mut visit: impl FnMut(Item<'a>)) {
        if let SetRef::Table(table) = self
            && count < table.len() / DRAWN_SHARE
        {
            for place in draw_places(table, count, rng) {
                visit(Item::Text(table.at(place).key));
            }
            return;
        }
        let mut choice = Choice::new(count, self.len());
        self.iter().filter(|_| choice.next(rng)).for_each(visit);
    }
}

/// A number below `bound`, unless that is 0.
fn below(random: u64, bound: usize) -> Option<usize> {
    (bound > 0).then(|| Rng::from_seed(random).below(bound as u64) as usize)
}

/// `count` different places, which is less than the table has entries, in their order.
fn draw_places(table: &Table, count: usize, rng: &mut Rng) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::with_capacity(count);
    while places.len() < count {
        let missing = count - places.len();
        places.extend((0..missing).filter_map(|_| table.sample_place(rng.next_u64())));
        places.sort_unstable_by_key(Place::order);
        places.dedup_by_key(|place| place.order());
    }
    places
}

/// Which of a sequence of known length are chosen, each choice of so many with the same
/// probability (Knuth's algorithm S).
struct Choice {
    wanted: usize,
    left: usize,
}

impl Choice {
    fn new(wanted: usize, of: usize) -> Choice {
        Choice { wanted, left: of }
    }

    /// Whether the next one is chosen.
    fn next(&mut self, rng: &mut Rng) -> bool {
        let chosen = self.left > 0 && rng.below(self.left as u64) < self.wanted as u64;
        self.left -= usize::from(self.left > 0);
        self.wanted -= usize::from(chosen);
        chosen
    }
}

impl Set {
    /// Takes a member out by chance and hands it to `taken` first; whether there was one.
    pub fn pop(&mut self, random: u64, taken: impl FnOnce(Item<'_>)) -> bool {
        match self {
            Set::Table(table) => {
                let Some(place) = table.sample_place(random) else {
                    return false;
                };
                taken(Item::Text(table.at(place).key));
                table.remove(place);
            }
            Set::Ints(body) => {
                let ints = intset::Ints::new(body);
                let Some(index) = below(random, ints.len()) else {
                    return false;
                };
                taken(Item::Int(ints.at(index)));
                intset::remove_at(body, index);
            }
            Set::Packed(body) => {
                let index = below(random, packed::count(body));
                let Some(position) = index.and_then(|index| packed::seek(body, index)) else {
                    return false;
                };
                taken(packed::get(body, position).into());
                packed::remove(body, position, 1);
            }
        }
        true
    }

    /// Takes `count` different members out by chance, or all if there are no more, and hands each
    /// to `taken` first.
    pub fn pop_many(
        &mut self,
        count: usize,
        rng: &mut Rng,
        packing: &Packing,
        mut taken: impl FnMut(Item<'_>),
    ) {
        let len = self.len();
        if count >= len {
            self.borrow().iter().for_each(taken);
            *self = Set::default();
            return;
        }
        if let Set::Table(_) = self
            && (len - count) * REBUILT_SHARE > count
        {
            for _ in 0..count {
                self.pop(rng.next_u64(), &mut taken);
            }
            return;
        }
        let mut choice = Choice::new(count, len);
        let mut rest = match self {
            Set::Ints(_) => Set::for_integers(),
            Set::Packed(_) | Set::Table(_) => Set::default(),
        };
        for item in self.borrow().iter() {
            if choice.next(rng) {
                taken(item);
            } else if let (Set::Packed(to), Set::Packed(_)) = (&mut rest, &*self) {
                packed::push_back(to, item.element());
            } else {
                rest.add_item(item, packing);
            }
        }
        *self = rest;
    }
}
