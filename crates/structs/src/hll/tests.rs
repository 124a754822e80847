//! HyperLogLogs against plain registers, against strings that Redis 8.2.3 made, and against
//! arbitrary bytes.

use super::*;
use proptest::prelude::*;

const LIMIT: usize = 3000;

/// All registers, in either encoding.
fn registers(bytes: &[u8]) -> Registers {
    let mut registers = [0; REGISTERS];
    merge(bytes, &mut registers).expect("sound");
    registers
}

fn invariants(bytes: &[u8], model: &Registers, limit: usize) {
    let kind = encoding(bytes).expect("a HyperLogLog");
    if kind == Encoding::Sparse {
        assert!(bytes.len() <= limit.max(EMPTY_BYTES));
    }
    assert!(registers(bytes) == *model);
    assert_eq!(count(bytes), Ok(count_registers(model)));
}

/// `PFADD h a b c`, then `GET h` on Redis 8.2.3.
#[test]
fn bytes_are_those_of_redis() {
    let mut bytes = empty().to_vec();
    assert_eq!(bytes, b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
    for element in [b"a", b"b", b"c"] {
        assert_eq!(raise(&mut bytes, Mark::of(element), LIMIT), Ok(true));
        assert_eq!(raise(&mut bytes, Mark::of(element), LIMIT), Ok(false));
    }
    assert_eq!(
        decode(&bytes),
        "Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603"
    );
    assert_eq!(
        &bytes[16..],
        b"\x60\xf3\x80\x50\xb1\x84\x4b\xfb\x80\x42\x5a"
    );
    assert_eq!(count(&bytes), Ok(3));
}

#[test]
fn estimates_stay_close_and_encodings_agree() {
    let (mut bytes, mut model) = (empty().to_vec(), [0; REGISTERS]);
    let mut dense = bytes.clone();
    make_dense(&mut dense).expect("sound");
    let mut checkpoint = 1;
    for number in 1..=100_000_u64 {
        let mark = Mark::of(&number.to_le_bytes());
        let raised = model[mark.register] < mark.rank;
        model[mark.register] = model[mark.register].max(mark.rank);
        assert_eq!(raise(&mut bytes, mark, LIMIT), Ok(raised));
        assert_eq!(raise_dense(&mut dense, mark), raised);
        if number == checkpoint {
            invariants(&bytes, &model, LIMIT);
            invariants(&dense, &model, LIMIT);
            let estimate = count(&bytes).expect("sound") as f64;
            assert!(
                (estimate / number as f64 - 1.0).abs() < 0.05,
                "{number}: {estimate}"
            );
            checkpoint *= 10;
        }
    }
    assert_eq!(encoding(&bytes), Some(Encoding::Dense));
}

#[test]
fn the_cache_is_a_number_and_a_flag() {
    let mut bytes = empty();
    assert_eq!(cached(&bytes), Some(0));
    invalidate(&mut bytes);
    assert_eq!(cached(&bytes), None);
    set_cached(&mut bytes, 1 << 40);
    assert_eq!(cached(&bytes), Some(1 << 40));
}

#[test]
fn only_a_header_and_the_right_length_make_one() {
    let empty = empty();
    assert_eq!(encoding(&empty), Some(Encoding::Sparse));
    assert_eq!(encoding(&empty[..16]), Some(Encoding::Sparse));
    assert_eq!(encoding(&empty[..15]), None);
    assert_eq!(encoding(b"HYLLO, said the string"), None);
    let mut dense = empty.to_vec();
    make_dense(&mut dense).expect("sound");
    assert_eq!(encoding(&dense), Some(Encoding::Dense));
    dense.push(0);
    assert_eq!(encoding(&dense), None);
}

#[test]
fn runs_that_do_not_add_up_are_corrupt() {
    let body = |runs: &[u8]| [&empty()[..HEADER_BYTES], runs].concat();
    for runs in [
        &b""[..],
        b"\x00",
        b"\x7f\xfe",
        b"\x7f",
        b"\x7f\xff\x00",
        b"\x7f\xff\x80",
        b"\x7f\xfe\x81",
        b"\x7f\xff\x7f",
    ] {
        let bytes = body(runs);
        assert_eq!(count(&bytes), Err(Corrupt), "{runs:x?}");
        assert_eq!(
            merge(&bytes, &mut [0; REGISTERS]),
            Err(Corrupt),
            "{runs:x?}"
        );
        assert_eq!(make_dense(&mut bytes.clone()), Err(Corrupt), "{runs:x?}");
    }
    let last = Mark {
        register: REGISTERS - 1,
        rank: 3,
    };
    assert_eq!(raise(&mut body(b"\x7f\xfe"), last, LIMIT), Err(Corrupt));
    assert_eq!(raise(&mut body(b"\x7f\xfe\x80"), last, LIMIT), Ok(true));
}

fn marks() -> impl Strategy<Value = Vec<Mark>> {
    // Few neighbouring registers and few ranks, so that runs meet and join.
    let register = prop_oneof![0..12_usize, 60..70_usize, Just(REGISTERS - 1), 0..REGISTERS];
    let rank = prop_oneof![1..4_u8, 1..=51_u8];
    let mark = (register, rank).prop_map(|(register, rank)| Mark { register, rank });
    prop::collection::vec(mark, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn registers_hold_their_largest(
        marks in marks(),
        limit in prop_oneof![Just(LIMIT), 0..60_usize],
    ) {
        let (mut bytes, mut model) = (empty().to_vec(), [0; REGISTERS]);
        for mark in marks {
            let raised = model[mark.register] < mark.rank;
            if encoding(&bytes) == Some(Encoding::Sparse) {
                prop_assert_eq!(would_raise_sparse(&bytes, mark), Ok(raised));
            }
            model[mark.register] = model[mark.register].max(mark.rank);
            prop_assert_eq!(raise(&mut bytes, mark, limit), Ok(raised));
            invariants(&bytes, &model, limit);
        }
        let mut copy = empty().to_vec();
        prop_assert_eq!(raise_all(&mut copy, &model, limit), Ok(()));
        invariants(&copy, &model, limit);
    }

    #[test]
    fn any_bytes_are_safe(runs: Vec<u8>, register in 0..REGISTERS, rank in 1..=51_u8) {
        let mut bytes = [&empty()[..HEADER_BYTES], &runs].concat();
        let mark = Mark { register, rank };
        let _ = (decode(&bytes), count(&bytes), merge(&bytes, &mut [0; REGISTERS]));
        let _ = would_raise_sparse(&bytes, mark);
        let before = bytes.clone();
        if raise(&mut bytes, mark, LIMIT).is_err() {
            prop_assert_eq!(&bytes, &before);
        }
        let _ = make_dense(&mut bytes);
    }
}
