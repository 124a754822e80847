//! Requests under fragmentation: however a stream is cut, it holds the same commands.

use proptest::collection::vec;
use proptest::prelude::*;
use resp::{Limits, Parser, Step};

use crate::support::{Command, LIMITS, encode, feed};

/// Lengths around every change of the number of digits.
fn argument() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(any::<u8>(), 0..24),
        1 => vec(any::<u8>(), 97..103),
        1 => vec(any::<u8>(), 998..1002),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![vec(argument(), 0..6), vec(vec(any::<u8>(), 0..2), 8..120)]
}

/// Streams that are mostly understood, with all kinds of mistakes.
fn odd_stream() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => command().prop_map(|args| encode(&args)),
        2 => "[ -~]{0,12}\r?\n".prop_map(String::into_bytes),
        2 => "(a|\"|'|\\\\|x41| ){0,9}\r\n".prop_map(String::into_bytes),
        1 => "[*$][-+]?[0-9]{0,21}\r\n".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..9),
    ];
    vec(part, 0..6).prop_map(|parts| parts.concat())
}

fn sorted_cuts(seeds: &[prop::sample::Index], len: usize) -> Vec<usize> {
    let mut cuts: Vec<usize> = seeds.iter().map(|seed| seed.index(len + 1)).collect();
    cuts.sort_unstable();
    cuts
}

proptest! {
    #[test]
    fn encoded_commands_come_back(
        commands in vec(command(), 0..8),
        seeds in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let stream: Vec<u8> = commands.iter().flat_map(|args| encode(args)).collect();
        let outcome = feed(&stream, &sorted_cuts(&seeds, stream.len()), &LIMITS);
        prop_assert_eq!(outcome.error, None);
        prop_assert_eq!(outcome.consumed, stream.len());
        prop_assert_eq!(outcome.commands, commands);
    }

    #[test]
    fn cuts_change_nothing(
        stream in odd_stream(),
        seeds in vec(any::<prop::sample::Index>(), 0..12),
        authenticated: bool,
        bulk_bytes_max in prop_oneof![Just(5_u64), Just(1000), Just(512 << 20)],
    ) {
        let limits = Limits { bulk_bytes_max, authenticated, ..LIMITS };
        let whole = feed(&stream, &[], &limits);
        let cut = feed(&stream, &sorted_cuts(&seeds, stream.len()), &limits);
        prop_assert_eq!(&whole, &cut);
        let all: Vec<usize> = (0..stream.len()).collect();
        prop_assert_eq!(&whole, &feed(&stream, &all, &limits));
    }

    #[test]
    fn every_prefix_of_a_command_is_incomplete(args in command()) {
        let bytes = encode(&args);
        for end in 0..bytes.len() {
            let mut spans = Vec::new();
            let step = Parser::default().next(&bytes[..end], &LIMITS, &mut spans);
            let Ok(Step::Incomplete { missing }) = step else {
                return Err(TestCaseError::fail(format!("{step:?} at {end}")));
            };
            prop_assert!((1..=bytes.len() - end).contains(&missing), "a lower bound");
            prop_assert!(spans.is_empty());
        }
    }

    #[test]
    fn any_bytes_are_survived(stream in vec(any::<u8>(), 0..400)) {
        let whole = feed(&stream, &[], &LIMITS);
        prop_assert!(whole.consumed <= stream.len());
    }
}

#[test]
fn a_large_bulk_announces_what_is_missing() {
    let mut parser = Parser::default();
    let mut spans = Vec::new();
    let step = parser.next(b"*2\r\n$3\r\nGET\r\n$100000\r\nabc", &LIMITS, &mut spans);
    assert_eq!(
        step,
        Ok(Step::Incomplete {
            missing: 100_000 - 3 + 2
        })
    );
    assert!(parser.is_partial());
}

#[test]
fn spans_of_a_batch_share_an_arena() {
    let stream = [
        encode(&[b"GET".to_vec(), b"k".to_vec()]),
        encode(&[b"PING".to_vec()]),
    ]
    .concat();
    let (mut parser, mut spans) = (Parser::default(), Vec::new());
    let step = parser.next(&stream, &LIMITS, &mut spans);
    let Ok(Step::Command { consumed }) = step else {
        panic!("{step:?}")
    };
    let step = parser.next(&stream[consumed..], &LIMITS, &mut spans);
    assert_eq!(
        step,
        Ok(Step::Command {
            consumed: stream.len() - consumed
        })
    );
    let lengths: Vec<u32> = spans.iter().map(|span| span.len).collect();
    assert_eq!(lengths, [3, 1, 4]);
}

/// Byte by byte, a command of many arguments costs about its length, not the square of it: the work
/// is counted by what a call may look at, since the parser resumes where it stopped.
#[test]
fn many_pieces_cost_no_more_than_one() {
    let args: Command = (0..20_000).map(|i| i.to_string().into_bytes()).collect();
    let bytes = encode(&args);
    let (mut parser, mut spans) = (Parser::default(), Vec::new());
    for end in 0..bytes.len() {
        let step = parser.next(&bytes[..end], &LIMITS, &mut spans);
        assert!(matches!(step, Ok(Step::Incomplete { .. })));
    }
    let step = parser.next(&bytes, &LIMITS, &mut spans);
    assert_eq!(
        step,
        Ok(Step::Command {
            consumed: bytes.len()
        })
    );
    assert_eq!(spans.len(), args.len());
}

#[test]
fn after_an_error_the_parser_is_new() {
    let (mut parser, mut spans) = (Parser::default(), Vec::new());
    assert!(
        parser
            .next(b"*3\r\n$1\r\na\r\n$x", &LIMITS, &mut spans)
            .is_ok()
    );
    assert!(
        parser
            .next(b"*3\r\n$1\r\na\r\n$x\r\n", &LIMITS, &mut spans)
            .is_err()
    );
    assert!(spans.is_empty() && !parser.is_partial());
    let step = parser.next(b"*1\r\n$1\r\na\r\n", &LIMITS, &mut spans);
    assert_eq!(step, Ok(Step::Command { consumed: 11 }));
}
