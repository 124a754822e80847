//! Collections that are one string of packed elements, or a list of such strings.

use base::num::parse_f64;
use structs::Packing;
use structs::collection::{Collection, Form, Member};
use structs::hash::{Hash, Until};
use structs::intset;
use structs::list::{End, List, Owned};
use structs::packed::{self, Element, IntText};
use structs::set::Set;
use structs::zset::{self, Zset};

use super::{Decoded, Decoder, add_score};
use crate::fault::Fault;
use crate::format::{FIELD_DEADLINE_MAX, Kind, node};
use crate::old;

/// A packed body and its number of elements.
type Body = (Vec<u8>, usize);

/// What is wrong with a pack.
type Wrong = &'static str;

/// Reads one string of packed elements into our form.
fn body_of(kind: Kind, bytes: &[u8]) -> Result<Body, Wrong> {
    let listpack = || {
        let (body, count) = packed::from_listpack(bytes)?;
        Some((body.into_owned(), count))
    };
    match kind {
        Kind::HashZipmap => old::zipmap(bytes).ok_or("a zipmap that is none"),
        Kind::ListZiplist | Kind::ZsetZiplist | Kind::HashZiplist | Kind::ListZiplists => {
            old::ziplist(bytes).ok_or("a ziplist that is none")
        }
        _ => listpack().ok_or("a listpack that is none"),
    }
}

impl Decoder<'_, '_> {
    /// A collection in one string.
    pub(super) fn pack(&mut self, kind: Kind) -> Result<Decoded, Fault> {
        if kind == Kind::HashTimedListpack {
            // When the first field is due, which the fields say themselves.
            self.input.millis()?;
        }
        self.input.string(&mut self.text)?;
        let packing = self.packing;
        let value = if kind == Kind::SetIntset {
            ints(&self.text, packing)
        } else {
            body_of(kind, &self.text).and_then(|body| match kind {
                Kind::ListZiplist => Ok(elements(&body.0, packing)),
                Kind::SetListpack => set(body, packing),
                Kind::ZsetZiplist | Kind::ZsetListpack => zset(body, packing),
                Kind::HashTimedListpackPreGa | Kind::HashTimedListpack => timed(body, packing),
                _ => hash(body, kind == Kind::HashZipmap, packing),
            })
        };
        value.map_err(|what| self.input.corrupt(what))
    }

    /// A list of packs, some of which may be single elements.
    pub(super) fn list_of_packs(&mut self, kind: Kind) -> Result<Decoded, Fault> {
        let mut pieces = Vec::new();
        for _ in 0..self.input.number()? {
            let form = match kind {
                Kind::ListListpacks => self.input.number()?,
                _ => node::PACKED,
            };
            self.input.string(&mut self.text)?;
            if self.text.is_empty() {
                return Err(self.input.corrupt("a list with a node of no bytes"));
            }
            match form {
                node::PACKED => {
                    let body = body_of(kind, &self.text);
                    let (body, count) = body.map_err(|what| self.input.corrupt(what))?;
                    // Compat: Redis passes over empty ones too.
                    if count > 0 {
                        pieces.push(Owned::Run(body, count));
                    }
                }
                node::SINGLE => pieces.push(Owned::Single(self.text.clone())),
                _ => return Err(self.input.corrupt("a list with an unknown kind of node")),
            }
        }
        let list = List::from_pieces(pieces.into_iter(), self.packing);
        Ok(Decoded::of(list, Decoded::List))
    }
}

fn elements(body: &[u8], packing: &Packing) -> Decoded {
    let mut list = List::default();
    packed::iter(body).for_each(|element| list.push_one(End::Tail, element, packing));
    Decoded::of(list, Decoded::List)
}

fn ints(bytes: &[u8], packing: &Packing) -> Result<Decoded, Wrong> {
    let (body, count) = intset::from_intset(bytes).ok_or("an intset that is none")?;
    let ints = Set::Ints(body);
    if count <= packing.set_ints_max {
        return Ok(Decoded::of(ints, Decoded::Set));
    }
    let mut set = Set::default();
    set.prepare(&[], count.max(packing.set_entries_max + 1), packing);
    let items = ints.borrow();
    items.iter().for_each(|item| {
        set.add_item(item, packing);
    });
    Ok(Decoded::Set(set))
}

/// Whether no two of every `width`th elements are equal. Equal texts have equal bytes.
fn are_distinct(body: &[u8], width: usize) -> bool {
    let (mut firsts, mut at) = (Vec::new(), 0);
    while at < body.len() {
        let after = packed::next(body, at);
        firsts.push(body.get(at..after).unwrap_or_default());
        at = (1..width).fold(after, |at, _| packed::next(body, at));
    }
    firsts.sort_unstable();
    firsts.is_sorted_by(|one, next| one < next)
}

fn set((body, count): Body, packing: &Packing) -> Result<Decoded, Wrong> {
    if !are_distinct(&body, 1) {
        return Err("a set with a member that is there twice");
    }
    if count <= packing.set_entries_max {
        return Ok(Decoded::of(Set::Packed(body), Decoded::Set));
    }
    let mut set = Set::default();
    set.prepare(&[], count, packing);
    let mut digits = IntText::default();
    for element in packed::iter(&body) {
        set.add(
            Member::new(element.text(&mut digits), &packing.seed),
            packing,
        );
    }
    Ok(Decoded::Set(set))
}

fn zset((body, count): Body, packing: &Packing) -> Result<Decoded, Wrong> {
    if !count.is_multiple_of(2) {
        return Err("a sorted set with half an entry");
    }
    let in_order = zset::validate(&body).is_some() && are_distinct(&body, 2);
    if in_order && count / 2 <= packing.zset_entries_max {
        let zset = Zset::from_packed(Form::Zset, body);
        return Ok(Decoded::of(zset, Decoded::Zset));
    }
    let mut zset = Zset::default();
    zset.reserve(count / 2, 0, packing);
    let (mut pairs, mut digits) = (packed::iter(&body), IntText::default());
    while let Some((member, score)) = pairs.next_pair() {
        let score = match score {
            Element::Int(number) => number as f64,
            Element::Bytes(text) => parse_f64(text).unwrap_or(f64::NAN),
        };
        add_score(&mut zset, member.text(&mut digits), score, packing)?;
    }
    Ok(Decoded::of(zset, Decoded::Zset))
}

/// Zipmaps may have longer values than a packed hash.
fn hash((body, count): Body, is_zipmap: bool, packing: &Packing) -> Result<Decoded, Wrong> {
    if !count.is_multiple_of(2) {
        return Err("a hash with a field without value");
    }
    if !are_distinct(&body, 2) {
        return Err("a hash with a field that is there twice");
    }
    let longest = || {
        packed::iter(&body)
            .map(Element::text_len)
            .max()
            .unwrap_or(0)
    };
    let too_long = is_zipmap && longest() > packing.hash_value_max;
    if count / 2 <= packing.hash_entries_max && !too_long {
        return Ok(Decoded::of(Hash::Pairs(body), Decoded::Hash));
    }
    let mut hash = Hash::default();
    hash.prepare(count / 2, longest(), packing);
    let mut pairs = packed::iter(&body);
    let mut buffers = [IntText::default(); 2];
    let [digits, other] = &mut buffers;
    while let Some((field, value)) = pairs.next_pair() {
        let field = Member::new(field.text(digits), &packing.seed);
        hash.set(field, value.text(other), Until::Forever, packing);
    }
    Ok(Decoded::of(hash, Decoded::Hash))
}

fn timed((body, count): Body, packing: &Packing) -> Result<Decoded, Wrong> {
    if !count.is_multiple_of(3) {
        return Err("a hash with a field without value or deadline");
    }
    let mut deadlines = packed::iter(&body).skip(2).step_by(3);
    let possible = |deadline| matches!(deadline, Element::Int(0..=DEADLINE_MAX));
    if !deadlines.all(possible) {
        return Err("a hash with a deadline that cannot be");
    }
    if !are_distinct(&body, 3) {
        return Err("a hash with a field that is there twice");
    }
    let in_order = structs::hash::validate(Form::TimedHash, &body);
    if in_order && count / 3 <= packing.hash_entries_max {
        return Ok(Decoded::of(Hash::Timed(body), Decoded::Hash));
    }
    let mut hash = Hash::default();
    hash.make_timed();
    hash.prepare(count / 3, 0, packing);
    let mut rest = packed::iter(&body);
    let mut buffers = [IntText::default(); 2];
    let [digits, other] = &mut buffers;
    while let (Some((field, value)), Some(deadline)) = (rest.next_pair(), rest.next()) {
        let until = match deadline {
            Element::Int(0) | Element::Bytes(_) => Until::Forever,
            Element::Int(at) => Until::At(base::time::UnixMillis(at)),
        };
        let field = Member::new(field.text(digits), &packing.seed);
        hash.set(field, value.text(other), until, packing);
    }
    Ok(Decoded::of(hash, Decoded::Hash))
}

const DEADLINE_MAX: i64 = FIELD_DEADLINE_MAX as i64;
