//! Entries of every kind and size against a plain model. Run under AddressSanitizer too
//! (`cargo xtask sanitize`): what these tests touch is what the unsafe code touches.

use std::sync::Arc;

use base::hash::Seed;
use base::memory::size_class;
use base::num::append_i64;
use base::rng::Rng;
use base::time::UnixMillis;

use structs::hash::{Hash, Until};
use structs::packed::{self, Element};
use structs::set::Set;
use structs::{Collection, Form, Member, Packing};

use super::{Entry, INLINE_BYTES_MAX, Large, NewValue, Text, Value};
use crate::object::{Object, Type};

/// Where the key's length leaves its 16 bits, and some lengths on the way.
const KEY_LENGTHS: &[usize] = &[0, 1, 7, 8, 9, 40, 300, 65_534, 65_535, 65_536, 70_001];

/// What an entry should be.
#[derive(Clone, Debug)]
struct Model {
    key: Vec<u8>,
    /// The string, or the bytes of a packed collection.
    text: Vec<u8>,
    kind: Type,
    deadline: Option<UnixMillis>,
    access: u32,
}

impl Model {
    fn check(&self, entry: &Entry) {
        assert_eq!(entry.key(), self.key);
        assert_eq!(text(entry), self.text);
        assert_eq!(entry.deadline(), self.deadline);
        assert_eq!(entry.access(), self.access);
        assert_eq!(entry.kind(), self.kind);
        let extra = match entry.value() {
            Value::Text(Text::Inline(bytes)) | Value::Packed(_, bytes) => {
                assert!(bytes.len() <= INLINE_BYTES_MAX);
                Some(bytes.len())
            }
            Value::Text(Text::Int(_) | Text::Shared(_)) | Value::Object(_) => None,
        };
        let own = entry.allocated();
        let least = 8 + self.key.len() + extra.unwrap_or(0);
        assert!(own >= least, "{own} bytes for {least}");
        if extra.is_some() {
            assert!(own <= size_class(least + 16), "{own} bytes for {least}");
        }
    }
}

fn text(entry: &Entry) -> Vec<u8> {
    match entry.value() {
        Value::Text(Text::Int(number)) => {
            let mut digits = Vec::new();
            append_i64(number, &mut digits);
            digits
        }
        Value::Text(Text::Inline(bytes)) | Value::Packed(_, bytes) => bytes.to_vec(),
        Value::Text(Text::Shared(shared)) => shared.to_vec(),
        Value::Object(Object::Set(set)) => set.packed().expect("a packed set").1.to_vec(),
        Value::Object(object) => panic!("never put: {object:?}"),
    }
}

fn bytes(rng: &mut Rng, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    bytes
}

/// A length near a size class boundary, near the inline limit, or anything in between.
fn length(rng: &mut Rng) -> usize {
    let near = |rng: &mut Rng, at: usize| at.saturating_sub(3) + rng.below(7) as usize;
    match rng.below(6) {
        0 => rng.below(20) as usize,
        1 => near(rng, INLINE_BYTES_MAX),
        2 => near(rng, 20_000),
        3 => rng.below(2 * INLINE_BYTES_MAX as u64) as usize,
        _ => {
            let spacing = [16, 32, 64, 128, 256][rng.below(5) as usize];
            let at = spacing * rng.below(9) as usize;
            near(rng, at)
        }
    }
}

fn deadline(rng: &mut Rng) -> Option<UnixMillis> {
    (rng.below(2) == 0).then(|| UnixMillis(rng.next_u64() as i64))
}

/// A packed hash of one field, with or without deadline.
fn timed_hash(value: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut body = Vec::new();
    packed::push_back(&mut body, Element::of(b"field"));
    packed::push_back(&mut body, Element::Bytes(value));
    packed::push_back(&mut body, Element::Int(rng.below(3) as i64));
    body
}

/// Calls `put` with a new value in one of its forms; returns its bytes and type.
fn new_value<R>(rng: &mut Rng, put: impl FnOnce(NewValue<'_>) -> R) -> (Vec<u8>, Type, R) {
    let text = bytes(rng, 1);
    let len = length(rng);
    let long = bytes(rng, len);
    let string = Type::String;
    match rng.below(9) {
        0 => {
            let number = [0, -1, i64::MIN, i64::MAX, rng.next_u64() as i64][rng.below(5) as usize];
            let mut digits = Vec::new();
            append_i64(number, &mut digits);
            (digits, string, put(NewValue::Int(number)))
        }
        1 => (long.clone(), string, put(NewValue::Bytes(&long))),
        2 => (long.clone(), string, put(NewValue::Edited(&long))),
        3 => (long.clone(), string, put(NewValue::Owned(long))),
        4 => (text.clone(), string, put(NewValue::Bytes(&text))),
        5 => (long.clone(), string, put(NewValue::Shared(Arc::new(long)))),
        6 => {
            let form = super::FORMS[rng.below(6) as usize];
            let short = match form {
                Form::TimedHash => timed_hash(&long[..long.len().min(INLINE_BYTES_MAX - 32)], rng),
                _ => long[..long.len().min(INLINE_BYTES_MAX)].to_vec(),
            };
            let result = put(NewValue::Packed(form, &short));
            (short, Type::of_form(form), result)
        }
        _ => {
            let set = Set::from_packed(Form::Set, long.clone());
            let result = put(NewValue::Object(Box::new(Object::Set(set))));
            (long, Type::Set, result)
        }
    }
}

#[test]
fn any_sequence_of_changes_leaves_what_the_model_says() {
    for seed in 0..60 {
        let mut rng = Rng::from_seed(seed);
        let key_len = KEY_LENGTHS[seed as usize % KEY_LENGTHS.len()];
        let key = bytes(&mut rng, key_len);
        let at = deadline(&mut rng);
        let (text, kind, mut entry) =
            new_value(&mut rng, |value| Entry::new(&key, value, at, 0x00ab_cdef));
        let mut model = Model {
            key,
            text,
            kind,
            deadline: at,
            access: 0x00ab_cdef,
        };
        model.check(&entry);
        for _ in 0..60 {
            change(&mut rng, &mut entry, &mut model);
            model.check(&entry);
        }
    }
}

fn change(rng: &mut Rng, entry: &mut Entry, model: &mut Model) {
    match rng.below(9) {
        0 | 1 => {
            (model.text, model.kind, _) = new_value(rng, |value| entry.set_value(value));
        }
        2 => {
            model.deadline = deadline(rng);
            entry.set_deadline(model.deadline);
        }
        3 => {
            model.access = rng.below(1 << 24) as u32;
            entry.set_access(model.access);
        }
        4..8 if model.kind != Type::String => {}
        4 => {
            let len = length(rng);
            let tail = bytes(rng, len.min(100));
            if entry.append_in_place(&tail) {
                model.text.extend_from_slice(&tail);
            }
        }
        5 => {
            let len = length(rng);
            let tail = bytes(rng, len);
            entry.edit(|buffer| buffer.extend_from_slice(&tail));
            model.text.extend_from_slice(&tail);
        }
        6 => {
            let keep = rng.below(model.text.len() as u64 + 1) as usize;
            entry.edit(|buffer| buffer.truncate(keep));
            model.text.truncate(keep);
        }
        7 => {
            let (len, fill) = (length(rng), rng.next_u64() as u8);
            let edited = entry.bytes_mut(len);
            model.text.resize(model.text.len().max(len), 0);
            assert_eq!(edited, model.text);
            edited.fill(fill);
            model.text.fill(fill);
        }
        _ => {
            let key_len = KEY_LENGTHS[rng.below(KEY_LENGTHS.len() as u64) as usize];
            model.key = bytes(rng, key_len);
            let copy = entry.copied(&model.key);
            *entry = if rng.below(2) == 0 {
                copy
            } else {
                // To keep the original, renamed, and drop the copy.
                std::mem::replace(entry, copy).renamed(&model.key)
            };
        }
    }
}

#[test]
fn every_value_length_fits_its_size_class() {
    for key_len in [0, 1, 16, 41] {
        let key = vec![b'k'; key_len];
        for len in 0..=INLINE_BYTES_MAX + 2 {
            let value = vec![b'v'; len];
            let mut entry = Entry::new(&key, NewValue::Bytes(&value), None, 0);
            assert_eq!(text(&entry), value);
            entry.set_deadline(Some(UnixMillis(7)));
            assert_eq!(text(&entry), value);
            // To a neighbour's length and back: in place or not, nothing is lost.
            entry.set_value(NewValue::Bytes(&value[..len.saturating_sub(1)]));
            assert_eq!(text(&entry), &value[..len.saturating_sub(1)]);
            entry.set_value(NewValue::Bytes(&value));
            entry.set_deadline(None);
            assert_eq!((text(&entry), entry.key()), (value, &key[..]));
        }
    }
}

#[test]
fn appending_in_place_stops_where_the_size_class_ends() {
    let mut entry = Entry::new(b"key", NewValue::Bytes(b""), None, 0);
    let (mut model, mut moves) = (Vec::new(), 0);
    for byte in 0..=255u8 {
        let before = entry.allocated();
        if entry.append_in_place(&[byte]) {
            assert_eq!(entry.allocated(), before);
        } else {
            entry.edit(|buffer| buffer.push(byte));
            moves += 1;
        }
        model.push(byte);
        assert_eq!(text(&entry), model);
    }
    // 11 to 267 bytes: classes 16, 32, .. 128, 160, .. 320.
    assert_eq!(moves, 12);
}

#[test]
fn a_reply_keeps_the_string_it_borrowed() {
    let old = vec![b'x'; INLINE_BYTES_MAX + 1];
    let mut entry = Entry::new(b"key", NewValue::Bytes(&old), None, 0);
    let Some(Text::Shared(shared)) = entry.text() else {
        panic!("long strings are shared");
    };
    let borrowed = Arc::clone(shared);
    entry.edit(|buffer| buffer[0] = b'y');
    assert_eq!(*borrowed, old);
    assert_eq!(text(&entry)[0], b'y');
    let replaced = entry.set_value(NewValue::Int(1));
    let Some(Large::Text(replaced)) = replaced else {
        panic!("the long value");
    };
    assert_eq!(replaced[0], b'y');
    drop(replaced);
    assert_eq!(*borrowed, old);
    assert_eq!(Arc::strong_count(&borrowed), 1);
}

#[test]
fn long_values_are_freed_once_whoever_frees_them() {
    let long = Arc::new(vec![0u8; 5_000]);
    let value = || NewValue::Shared(Arc::clone(&long));
    let entry = Entry::new(b"a", value(), None, 0);
    let copy = entry.copied(b"b");
    assert_eq!(Arc::strong_count(&long), 3);
    drop(entry);
    assert_eq!(Arc::strong_count(&long), 2);
    let taken = copy.into_large().expect("a long value");
    assert_eq!(Arc::strong_count(&long), 2);
    drop(taken);
    let mut entry = Entry::new(b"c", value(), Some(UnixMillis(1)), 0);
    entry.set_deadline(None);
    entry.set_deadline(Some(UnixMillis(2)));
    assert_eq!(Arc::strong_count(&long), 2);
    drop(entry.set_value(value()));
    assert_eq!(Arc::strong_count(&long), 2);
    drop(entry);
    assert_eq!(Arc::strong_count(&long), 1);
    assert!(
        Entry::new(b"d", NewValue::Int(1), None, 0)
            .into_large()
            .is_none()
    );
}

#[test]
fn encodings_are_named_as_redis_names_them() {
    let name = |value: NewValue<'_>| Entry::new(b"k", value, None, 0).encoding();
    assert_eq!(name(NewValue::Int(1)), "int");
    assert_eq!(name(NewValue::Bytes(b"text")), "embstr");
    assert_eq!(name(NewValue::Edited(b"text")), "raw");
    assert_eq!(name(NewValue::Bytes(&[b'x'; 40])), "embstr");
    assert_eq!(name(NewValue::Bytes(&[b'x'; 41])), "raw");
    assert_eq!(name(NewValue::Owned(vec![b'x'; 9_000])), "raw");
    let mut entry = Entry::new(b"k", NewValue::Bytes(b"text"), None, 0);
    entry.set_deadline(Some(UnixMillis(1)));
    assert_eq!(entry.encoding(), "embstr");
    entry.edit(|buffer| buffer.push(b'!'));
    entry.set_deadline(None);
    assert_eq!(entry.encoding(), "raw");
    assert_eq!(entry.copied(b"other").encoding(), "raw");
}

#[test]
fn an_entry_is_due_with_its_key_or_its_first_field() {
    let mut packing = Packing::with_seed(Seed::from_u64(1));
    for limit in [512, 0] {
        packing.hash_entries_max = limit;
        let field = |name: &'static str| Member::new(name.as_bytes(), &packing.seed);
        let mut hash = Hash::default();
        hash.set(field("a"), b"1", Until::At(UnixMillis(7)), &packing);
        hash.set(field("b"), b"1", Until::At(UnixMillis(5)), &packing);
        let new = |hash: &Hash| match hash.packed() {
            Some((form, body)) => Entry::new(b"k", NewValue::Packed(form, body), None, 0),
            None => {
                let object = Box::new(Object::Hash(hash.duplicate()));
                Entry::new(b"k", NewValue::Object(object), None, 0)
            }
        };
        let mut entry = new(&hash);
        assert_eq!(entry.is_object(), limit == 0);
        assert_eq!(entry.due(), Some(UnixMillis(5)));
        entry.set_deadline(Some(UnixMillis(6)));
        assert_eq!(entry.due(), Some(UnixMillis(5)));
        entry.set_deadline(Some(UnixMillis(4)));
        assert_eq!(entry.due(), Some(UnixMillis(4)));
        assert_eq!(entry.copied(b"other").renamed(b"third").due(), entry.due());
        entry.set_value(NewValue::Int(1));
        assert_eq!(
            (entry.is_timed(), entry.due()),
            (false, Some(UnixMillis(4)))
        );
        hash.set_deadline(field("a"), None);
        hash.set_deadline(field("b"), None);
        assert_eq!((new(&hash).is_timed(), new(&hash).due()), (false, None));
    }
}

#[test]
fn changes_of_an_object_are_noted() {
    let mut packing = Packing::with_seed(Seed::from_u64(1));
    packing.hash_entries_max = 0;
    let field = Member::new(b"a", &packing.seed);
    let mut hash = Hash::default();
    hash.set(field, b"1", Until::Forever, &packing);
    let object = NewValue::Object(Box::new(Object::Hash(hash)));
    let mut entry = Entry::new(b"k", object, None, 9);
    assert!(!entry.is_timed());
    for deadline in [Some(UnixMillis(8)), None] {
        entry.change_object(|object| match object {
            Object::Hash(hash) => hash.set_deadline(field, deadline),
            other => panic!("never put: {other:?}"),
        });
        assert_eq!(entry.is_timed(), deadline.is_some());
        assert_eq!((entry.due(), entry.access()), (deadline, 9));
    }
}
