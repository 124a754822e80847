//! Requests: however a stream is cut into pieces, the parser finds the same commands and the same
//! error, and never panics. The first bytes of an input choose limits and cuts, the rest is the
//! stream.
//!
//! `cargo +nightly fuzz run parse`

#![no_main]

use libfuzzer_sys::fuzz_target;
use resp::{Limits, Parser, ProtocolError, Step};

/// Bytes of an input that say where to cut.
const CUTS: usize = 6;

#[derive(Debug, Default, PartialEq)]
struct Outcome {
    commands: Vec<Vec<Vec<u8>>>,
    consumed: usize,
    error: Option<ProtocolError>,
}

/// Feeds the stream in pieces that end at `ends`; every call sees a buffer of its own.
fn feed(stream: &[u8], ends: impl Iterator<Item = usize>, limits: &Limits) -> Outcome {
    let (mut outcome, mut parser, mut spans) = (Outcome::default(), Parser::default(), Vec::new());
    for end in ends {
        loop {
            let buf = stream[outcome.consumed..end].to_vec();
            spans.clear();
            match parser.next(&buf, limits, &mut spans) {
                Ok(Step::Command { consumed }) => {
                    let args = spans.iter().map(|span| span.of(&buf).to_vec());
                    outcome.commands.push(args.collect());
                    outcome.consumed += consumed;
                }
                Ok(Step::Inline { consumed, args }) => {
                    outcome.commands.push(args);
                    outcome.consumed += consumed;
                }
                Ok(Step::Incomplete { missing }) => {
                    assert!(missing > 0 && spans.is_empty());
                    break;
                }
                Err(error) => {
                    outcome.error = Some(error);
                    return outcome;
                }
            }
        }
    }
    outcome
}

fuzz_target!(|input: &[u8]| {
    let Some((&[flags, ref cuts @ ..], stream)) = input.split_first_chunk::<{ CUTS + 1 }>() else {
        return;
    };
    let limits = Limits {
        bulk_bytes_max: if flags & 1 == 0 { 512 << 20 } else { 100 },
        query_bytes_max: 1 << 30,
        authenticated: flags & 2 == 0,
    };
    let whole = feed(stream, std::iter::once(stream.len()), &limits);

    let mut ends: Vec<usize> = cuts
        .iter()
        .map(|&cut| usize::from(cut) % (stream.len() + 1))
        .collect();
    ends.sort_unstable();
    let pieces = feed(stream, ends.into_iter().chain([stream.len()]), &limits);
    assert_eq!(whole, pieces);

    if stream.len() < 512 {
        assert_eq!(whole, feed(stream, 0..=stream.len(), &limits));
    }
});
