//! Packed bodies against a plain vector of texts, against bytes that Redis 8.2.3 made, and against
//! bytes that nobody should have made.

use std::borrow::Cow;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A text, its length in a listpack of Redis 8.2.3, and how that begins and ends: read with DUMP.
const VECTORS: &str = include_str!("vectors.txt");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn encodes_as_redis_does() {
    for line in VECTORS.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [text, len, begin, end] = words[..] else {
            panic!("four words: {line}");
        };
        let text = match text.strip_prefix("x*") {
            Some(count) => "x".repeat(count.parse().unwrap()),
            None => text.to_owned(),
        };
        let mut body = Vec::new();
        push_back(&mut body, Element::of(text.as_bytes()));
        assert_eq!(body.len(), len.parse().unwrap(), "{line}");
        assert_eq!(hex(&body[..body.len().min(12)]), begin, "{line}");
        assert_eq!(hex(&body[body.len().saturating_sub(8)..]), end, "{line}");
        assert_eq!(validate(&body), Some(1), "{line}");
        assert_eq!(get(&body, 0), Element::of(text.as_bytes()), "{line}");
        assert_eq!(previous(&body, body.len()), Some(0), "{line}");
        assert_eq!(next(&body, 0), body.len(), "{line}");
    }
}

#[test]
fn listpacks_have_a_head_and_an_end() {
    let mut body = Vec::new();
    push_back(&mut body, Element::of(b"1"));
    push_back(&mut body, Element::of(b"ab"));
    let mut listpack = Vec::new();
    to_listpack(&body, 2, &mut listpack);
    assert_eq!(
        hex(&listpack),
        "0d0000000200".to_owned() + "0101" + "82616203" + "ff"
    );
    let (again, count) = from_listpack(&listpack).unwrap();
    assert!(matches!(again, Cow::Borrowed(_)));
    assert_eq!((&*again, count), (&body[..], 2));

    listpack[4] = 3;
    assert_eq!(from_listpack(&listpack), None, "another count");
    listpack[4..6].fill(0xff);
    assert_eq!(from_listpack(&listpack).unwrap().1, 2, "unknown count");
    assert_eq!(from_listpack(&listpack[..12]), None, "cut");
    assert_eq!(from_listpack(&[]), None);
}

#[test]
fn other_encodings_are_encoded_anew() {
    // 7 as a text, 7 in 16 bits, "a" with a length of 12 bits.
    let body = [0x81, b'7', 2, 0xf1, 7, 0, 3, 0xe0, 1, b'a', 3];
    assert_eq!(validate(&body), None);
    let mut listpack = Vec::new();
    to_listpack(&body, 3, &mut listpack);
    let (body, count) = from_listpack(&listpack).unwrap();
    assert_eq!((&*body, count), (&[7, 1, 7, 1, 0x81, b'a', 2][..], 3));
}

#[test]
fn bad_bytes_are_no_body() {
    let bad: &[&[u8]] = &[
        &[0xff],
        &[0xf5, 1],
        &[1],
        &[1, 2],
        &[0x82, b'a', 3],
        &[0x81, b'a', 0x82],
        &[0xe0],
        &[0xf0, 0xff, 0xff, 0xff],
        &[0xf0, 0xff, 0xff, 0xff, 0xff, 0],
        &[0xf4, 1, 2, 3],
    ];
    for bytes in bad {
        assert_eq!(validate(bytes), None, "{bytes:x?}");
    }
    assert_eq!(validate(&[]), Some(0));
}

/// Texts of all encodings.
fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(prop::sample::select(&b"ab01"[..]), 0..4),
        2 => any::<i64>().prop_map(|value| value.to_string().into_bytes()),
        2 => (any::<i64>(), 0..63_u32)
            .prop_map(|(value, by)| (value >> by).to_string().into_bytes()),
        1 => vec(any::<u8>(), 0..140),
        1 => vec(any::<u8>(), 4000..4200),
    ]
}

#[derive(Clone, Debug)]
enum Op {
    PushBack(Vec<u8>),
    PushFront(Vec<u8>),
    Insert(usize, Vec<u8>),
    Replace(usize, Vec<u8>),
    Remove(usize, usize),
    Splice(usize, usize, Vec<Vec<u8>>),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        text().prop_map(Op::PushBack),
        text().prop_map(Op::PushFront),
        (any::<usize>(), text()).prop_map(|(index, text)| Op::Insert(index, text)),
        (any::<usize>(), text()).prop_map(|(index, text)| Op::Replace(index, text)),
        (any::<usize>(), 0..4_usize).prop_map(|(index, count)| Op::Remove(index, count)),
        (any::<usize>(), 0..3_usize, vec(text(), 0..4))
            .prop_map(|(index, count, texts)| Op::Splice(index, count, texts)),
    ]
}

/// Position of the element with this index; the end if there are as many.
fn position(body: &[u8], index: usize) -> usize {
    seek(body, index).unwrap_or(body.len())
}

fn apply(op: &Op, body: &mut Vec<u8>, model: &mut Vec<Vec<u8>>) {
    let len = model.len();
    match op {
        Op::PushBack(text) => {
            push_back(body, Element::of(text));
            model.push(text.clone());
        }
        Op::PushFront(text) => {
            push_front(body, Element::of(text));
            model.insert(0, text.clone());
        }
        Op::Insert(index, text) => {
            let index = index % (len + 1);
            let at = position(body, index);
            insert(body, at, Element::of(text));
            model.insert(index, text.clone());
        }
        Op::Replace(index, text) if len > 0 => {
            let at = position(body, index % len);
            replace(body, at, Element::of(text));
            model[index % len] = text.clone();
        }
        Op::Replace(..) => {}
        Op::Remove(index, count) => {
            let index = index % (len + 1);
            let end = len.min(index + count);
            let at = position(body, index);
            assert_eq!(remove(body, at, *count), end - index);
            model.drain(index..end);
        }
        Op::Splice(index, count, texts) => {
            let index = index % (len + 1);
            let end = len.min(index + count);
            let range = position(body, index)..position(body, end);
            let elements: Vec<Element<'_>> = texts.iter().map(|text| Element::of(text)).collect();
            splice(body, range, &elements);
            model.splice(index..end, texts.iter().cloned());
        }
    }
}

fn check(body: &[u8], model: &[Vec<u8>]) {
    assert_eq!(validate(body), Some(model.len()));
    assert_eq!(count(body), model.len());
    let elements: Vec<Element<'_>> = model.iter().map(|text| Element::of(text)).collect();
    assert!(iter(body).eq(elements.iter().copied()));
    assert!(iter(body).rev().eq(elements.iter().rev().copied()));
    assert_eq!(first(body), elements.first().copied());
    assert_eq!(last(body), elements.last().copied());
    let mut buffer = [0; 20];
    for (index, (element, text)) in elements.iter().zip(model).enumerate() {
        let at = seek(body, index).unwrap();
        assert_eq!(seek_back(body, model.len() - 1 - index), Some(at));
        assert_eq!(get(body, at), *element);
        assert_eq!(element.packed_len(), next(body, at) - at);
        assert_eq!(element.text(&mut buffer), text);
        assert_eq!(element.text_len(), text.len());
        assert!(element.is(text) && !element.is(b"no such text"));
        let same = |other: &Vec<u8>| other == text;
        let first = seek(body, model.iter().position(same).unwrap());
        assert_eq!(find(body, 0, *element, 0), first);
        let even = (0..model.len()).step_by(2).find(|&at| model[at] == *text);
        let even = even.and_then(|index| seek(body, index));
        assert_eq!(find(body, 0, *element, 1), even);
    }
    assert_eq!(seek(body, model.len()), None);
    assert_eq!(seek_back(body, model.len()), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn behaves_as_a_vector(ops in vec(op(), 0..24)) {
        let (mut body, mut model) = (Vec::new(), Vec::new());
        for op in &ops {
            apply(op, &mut body, &mut model);
            check(&body, &model);
        }
    }

    #[test]
    fn both_ends_meet(texts in vec(text(), 0..12), turns in vec(any::<bool>(), 14)) {
        let mut body = Vec::new();
        for text in &texts {
            push_back(&mut body, Element::of(text));
        }
        let (mut packed, mut plain) = (iter(&body), texts.iter());
        for front in turns {
            let (got, expected) = match front {
                true => (packed.next(), plain.next()),
                false => (packed.next_back(), plain.next_back()),
            };
            prop_assert_eq!(got, expected.map(|text| Element::of(text)));
        }
    }

    #[test]
    fn any_bytes_are_checked(mut body in vec(any::<u8>(), 0..40), texts in vec(text(), 0..6)) {
        let _ = validate(&body);
        // Damage one byte of a good body.
        let (at, by) = (body.first().copied(), body.last().copied());
        body.clear();
        for text in &texts {
            push_back(&mut body, Element::of(text));
        }
        if let (Some(at), Some(by)) = (at, by) && !body.is_empty() {
            let at = usize::from(at) % body.len();
            body[at] ^= by;
        }
        if let Some(count) = validate(&body) {
            prop_assert_eq!(count, iter(&body).count());
        }
    }
}
