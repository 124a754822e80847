//! What the tests share: commands as owned arguments, and drivers that feed the parser.

use resp::{Limits, Parser, ProtocolError, Span, Step, encode_command};

pub(crate) type Command = Vec<Vec<u8>>;

pub(crate) const LIMITS: Limits = Limits {
    bulk_bytes_max: 512 << 20,
    query_bytes_max: 1 << 30,
    authenticated: true,
};

/// All that a stream holds: its commands, how many bytes they take, and the error that ends it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) commands: Vec<Command>,
    pub(crate) consumed: usize,
    pub(crate) error: Option<ProtocolError>,
}

/// Parses a stream that arrives in pieces ending at `cuts` (ascending) and at its end, as a
/// connection does: each command starts at the front of the buffer. The buffer of each call is a
/// new allocation.
pub(crate) fn feed(stream: &[u8], cuts: &[usize], limits: &Limits) -> Outcome {
    let mut outcome = Outcome::default();
    let mut parser = Parser::default();
    let mut spans: Vec<Span> = Vec::new();
    for &arrived in cuts.iter().chain([&stream.len()]) {
        loop {
            let buf = stream[outcome.consumed..arrived].to_vec();
            let known = spans.len();
            let step = parser.next(&buf, limits, &mut spans);
            let (args, consumed) = match step {
                Ok(Step::Command { consumed }) => (
                    spans[known..]
                        .iter()
                        .map(|span| span.of(&buf).to_vec())
                        .collect(),
                    consumed,
                ),
                Ok(Step::Inline { consumed, args }) => (args, consumed),
                Ok(Step::Incomplete { missing }) => {
                    assert!(missing > 0);
                    assert_eq!(
                        spans.len(),
                        known,
                        "nothing of a partial command in the arena"
                    );
                    break;
                }
                Err(error) => {
                    outcome.error = Some(error);
                    return outcome;
                }
            };
            outcome.consumed += consumed;
            outcome.commands.push(args);
        }
    }
    outcome
}

pub(crate) fn encode(args: &[Vec<u8>]) -> Vec<u8> {
    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
    let mut out = Vec::new();
    encode_command(&args, &mut out);
    out
}
