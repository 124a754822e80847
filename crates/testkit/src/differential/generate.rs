//! Turns grammar rows into commands: parses shapes once, then draws from the named sources.
//!
//! Sources are chosen so that commands meet: a dozen keys, values that are often numbers, and for
//! each kind of argument the values at its edges and some that are plainly wrong.

use std::collections::VecDeque;

use super::grammar::Row;
use super::{Mode, Step};
use crate::random::Random;

mod zset;

/// A parsed shape.
enum Shape {
    Literal(&'static str),
    Source(Source),
    /// One of the sequences, that many times at least and at most.
    Choice {
        options: Vec<Vec<Shape>>,
        least: usize,
        most: usize,
    },
}

/// Draws one argument.
type Source = fn(&mut Random) -> Vec<u8>;

/// An endless stream of commands.
pub(super) struct Generator {
    rows: Vec<(Vec<Shape>, Mode)>,
    /// Index into `rows`, once per unit of weight.
    wheel: Vec<usize>,
    random: Random,
    /// What is left of a sequence that has begun.
    ahead: VecDeque<Step>,
}

/// One step in so many begins a sequence.
const SEQUENCE_ONE_IN: usize = 150;

impl Generator {
    pub(super) fn new(rows: Vec<&'static Row>, seed: u64) -> Generator {
        let spokes = rows.iter().enumerate();
        let wheel = spokes
            .flat_map(|(index, row)| vec![index; row.weight])
            .collect();
        let rows = rows
            .iter()
            .map(|row| (parse(row.shape), row.mode))
            .collect();
        Generator {
            rows,
            wheel,
            random: Random::new(seed),
            ahead: VecDeque::new(),
        }
    }

    /// The next command.
    pub(super) fn step(&mut self) -> Step {
        if let Some(step) = self.ahead.pop_front() {
            return step;
        }
        if self.random.one_in(SEQUENCE_ONE_IN) {
            self.begin_sequence();
        }
        self.any_step()
    }

    /// Plans a transaction: what is watched, up to two commands that may change it, MULTI, up to
    /// three commands, and EXEC, which shows whether the two were seen as changes.
    ///
    /// Whatever the random commands say (RESET, EXEC, a second MULTI), both servers get the same.
    fn begin_sequence(&mut self) {
        let fixed = |args: Vec<Vec<u8>>| Step {
            args,
            mode: Mode::Exact,
        };
        let mut watch = vec![b"WATCH".to_vec()];
        for source in WATCHED {
            watch.push(source(&mut self.random));
        }
        self.ahead.push_back(fixed(vec![b"DISCARD".to_vec()]));
        self.ahead.push_back(fixed(watch));
        for (name, most) in [(&b"MULTI"[..], 2), (b"EXEC", 3)] {
            for _ in 0..self.random.below(most + 1) {
                let step = self.any_step();
                self.ahead.push_back(step);
            }
            self.ahead.push_back(fixed(vec![name.to_vec()]));
        }
    }

    fn any_step(&mut self) -> Step {
        let index = *self.random.pick(&self.wheel);
        let (shape, mode) = &self.rows[index];
        let mut args = Vec::new();
        expand(shape, &mut self.random, &mut args);
        spoil(&mut args, &mut self.random);
        Step { args, mode: *mode }
    }
}

fn expand(shapes: &[Shape], random: &mut Random, args: &mut Vec<Vec<u8>>) {
    for shape in shapes {
        match shape {
            Shape::Literal(word) => args.push(any_case(word, random)),
            Shape::Source(source) => args.push(source(random)),
            Shape::Choice {
                options,
                least,
                most,
            } => {
                for _ in 0..random.between(*least as i64, *most as i64) {
                    let index = random.below(options.len());
                    expand(&options[index], random, args);
                }
            }
        }
    }
}

/// Literal words are case-insensitive; now and then this is put to the test.
fn any_case(word: &str, random: &mut Random) -> Vec<u8> {
    match random.below(20) {
        0 => word.to_lowercase().into_bytes(),
        1 => {
            let flip = |b: u8| {
                if random.one_in(2) {
                    b.to_ascii_lowercase()
                } else {
                    b
                }
            };
            word.bytes().map(flip).collect()
        }
        _ => word.as_bytes().to_vec(),
    }
}

/// Once in fifty the number of arguments goes wrong. Not for COMMAND: alone, it lists the whole
/// server; nor for SPOP and SRANDMEMBER: without count, they choose a member by chance; nor where
/// the last word says how long to wait.
fn spoil(args: &mut Vec<Vec<u8>>, random: &mut Random) {
    let is = |name: &[u8]| args.first().is_some_and(|it| it.eq_ignore_ascii_case(name));
    const EXEMPT: [&[u8]; 9] = [
        b"COMMAND",
        b"SPOP",
        b"SRANDMEMBER",
        b"BLPOP",
        b"BRPOP",
        b"BLMOVE",
        b"BRPOPLPUSH",
        b"BZPOPMIN",
        b"BZPOPMAX",
    ];
    let exempt = EXEMPT.into_iter().any(is);
    match random.below(100) {
        _ if exempt => {}
        0 if args.len() > 1 => _ = args.pop(),
        1 => args.push(value(random)),
        _ => {}
    }
}

/// Parses a row's shape. A malformed shape is a mistake in the table and panics in every run.
fn parse(shape: &'static str) -> Vec<Shape> {
    let mut tokens = tokens(shape).into_iter().peekable();
    let mut options = sequences(&mut tokens);
    assert!(
        tokens.next().is_none() && options.len() == 1,
        "malformed shape: {shape}"
    );
    options.remove(0)
}

/// Words and the marks `[`, `]`, `]*`, `(`, `)+`, `|`.
fn tokens(shape: &'static str) -> Vec<&'static str> {
    let mut tokens = Vec::new();
    let mut rest = shape.trim_start();
    while !rest.is_empty() {
        let length = match rest.as_bytes()[0] {
            b'[' | b'(' | b'|' => 1,
            b']' if rest.starts_with("]*") => 2,
            b')' if rest.starts_with(")+") => 2,
            b']' => 1,
            _ => rest
                .find([' ', '[', ']', '(', ')', '|'])
                .unwrap_or(rest.len())
                .max(1),
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// Sequences separated by `|`, up to a closing mark (left in place) or the end.
fn sequences(
    tokens: &mut std::iter::Peekable<std::vec::IntoIter<&'static str>>,
) -> Vec<Vec<Shape>> {
    let mut options = vec![Vec::new()];
    while let Some(token) = tokens.next_if(|token| !token.starts_with([']', ')'])) {
        let shape = match token {
            "|" => {
                options.push(Vec::new());
                continue;
            }
            "[" | "(" => {
                let inner = sequences(tokens);
                let (least, most) = match tokens.next() {
                    Some("]") => (0, 1),
                    Some("]*") => (0, 3),
                    Some(")+") => (1, 3),
                    other => panic!("a group ends with {other:?}"),
                };
                Shape::Choice {
                    options: inner,
                    least,
                    most,
                }
            }
            word => match sources().find(|(name, _)| *name == word) {
                Some((_, source)) => Shape::Source(*source),
                None => Shape::Literal(word),
            },
        };
        // There is always a last option: the vector starts with one.
        options.last_mut().expect("an open sequence").push(shape);
    }
    options
}

/// The keys that a sequence watches: some of every kind.
const WATCHED: &[Source] = &[
    key,
    key,
    hash_key,
    hash_key,
    lkey,
    lkey,
    set_key,
    set_key,
    stream_key,
    zset::zset_key,
    zset::zset_key,
];

/// Every source by the name that shapes use.
fn sources() -> impl Iterator<Item = &'static (&'static str, Source)> {
    SOURCES.iter().chain(zset::SOURCES)
}

const SOURCES: &[(&str, Source)] = &[
    ("key", key),
    ("hkey", hash_key),
    ("hfield", hash_field),
    ("numfields", |r| {
        text(r, &["1", "1", "1", "1", "1", "1", "2", "0", "x"])
    }),
    ("lkey", lkey),
    // HyperLogLogs that no other string command reaches: what those damage, each server packs in
    // its own way.
    ("sketch", |r| match r.below(40) {
        0 => lkey(r),
        _ => format!("hll:{}", r.below(4)).into_bytes(),
    }),
    ("element", element),
    ("index", index),
    ("value", value),
    ("int", int),
    ("float", float),
    ("offset", offset),
    ("put_at", put_at),
    ("bit_at", bit_at),
    ("bit", |r| {
        text(r, &["0", "1", "1", "0", "1", "2", "-1", "x"])
    }),
    ("field", field),
    ("field_at", field_at),
    ("numkeys", |r| {
        text(r, &["1", "1", "1", "2", "2", "3", "0", "-1", "x", "99"])
    }),
    ("secs", |r| duration(r, 1_000)),
    ("millis", |r| duration(r, 1)),
    ("at_s", |r| deadline(r, 1_000)),
    ("at_ms", |r| deadline(r, 1)),
    ("far_s", |r| far_deadline(r, 1_000)),
    ("far_ms", |r| far_deadline(r, 1)),
    ("later_s", |r| later(r, 1_000)),
    ("later_ms", |r| later(r, 1)),
    ("db", |r| {
        text(
            r,
            &[
                "0", "0", "0", "1", "1", "2", "9", "15", "16", "-1", "x", "01",
            ],
        )
    }),
    ("pattern", |r| text(r, PATTERNS)),
    ("count", |r| {
        text(r, &["1", "3", "10", "1000", "10", "100", "0", "-1", "x"])
    }),
    ("type", |r| {
        text(r, &["string", "STRING", "list", "hash", "set", "zset"])
    }),
    ("protocol", |r| {
        text(r, &["2", "3", "3", "2", "2", "3", "4", "1", "x"])
    }),
    ("name", |r| text(r, &["alice", "bob", "a b", "", "x\ny"])),
    ("junk", |r| {
        text(r, &["FOO", "", "EXX", "N X", "-1", "\u{e9}"])
    }),
    ("set", set_key),
    ("member", member),
    // Of integers never fewer than of others: the form of a union would depend on the order in
    // which a table gives its members.
    ("ints_max", |r| text(r, &["128", "200", "512"])),
    ("packed_max", |r| {
        text(r, &["0", "3", "10", "128", "128", "64"])
    }),
    ("stream", stream_key),
    ("new_id", |r| text(r, NEW_IDS)),
    ("old_id", old_id),
    ("range_id", range_id),
    ("read_id", |r| text(r, READ_IDS)),
    ("group", |r| {
        text(r, &["g", "g", "g", "h", "h", "other", ""])
    }),
    ("consumer", |r| text(r, &["a", "a", "b", "c", ""])),
    ("length", |r| {
        text(
            r,
            &["0", "1", "3", "10", "20", "50", "100", "300", "-1", "x"],
        )
    }),
    ("node_entries", |r| text(r, &["0", "1", "3", "5", "100"])),
    ("bad_cursor", |r| {
        text(r, &["x", "-1", "99999999999999999999", ""])
    }),
];

/// For XADD: mostly a number is chosen. Not `*`, which is each server's own.
const NEW_IDS: &[&str] = &[
    "50-*",
    "50-*",
    "50-*",
    "50-*",
    "50-*",
    "50-*",
    "20-*",
    "10-*",
    "1-*",
    "0-*",
    "50-5",
    "51",
    "52-1",
    "0-0",
    "0",
    "50-18446744073709551615",
    "-",
    "+",
    "x",
    "5-x",
    "5--1",
    "07-+1",
    "",
];

/// For XREAD and XREADGROUP.
const READ_IDS: &[&str] = &[
    ">",
    ">",
    ">",
    ">",
    "0",
    "0-0",
    "$",
    "+",
    "10-1",
    "50-3",
    "50-10",
    "51",
    "x",
    "-",
    "18446744073709551615-18446744073709551615",
];

const PATTERNS: &[&str] = &[
    "*",
    "key:?",
    "key:[0-3]",
    "key:[^1]",
    "[^k]*",
    "k*1",
    "*y:*",
    "\\key:1",
    "",
    "?",
    "[",
    "key:[3-0]",
    "key:1",
    "\\",
    "*\\",
    "key:[",
];

fn text(random: &mut Random, choices: &[&str]) -> Vec<u8> {
    random.pick(choices).as_bytes().to_vec()
}

/// A dozen ordinary names, and one each of: empty, binary, long, with a hash tag.
fn key(random: &mut Random) -> Vec<u8> {
    match random.below(40) {
        0 => Vec::new(),
        1 => b"\x00\xff\r\n".to_vec(),
        2 => b"long:".repeat(20),
        3 => b"{tag}a".to_vec(),
        _ => format!("key:{}", random.below(12)).into_bytes(),
    }
}

/// Few names, so that hashes grow; now and then any key.
fn hash_key(random: &mut Random) -> Vec<u8> {
    match random.below(30) {
        0 => key(random),
        _ => format!("hash:{}", random.below(5)).into_bytes(),
    }
}

/// A dozen fields: texts, integers, an empty and a long one.
fn hash_field(random: &mut Random) -> Vec<u8> {
    match random.below(40) {
        0 => Vec::new(),
        1 => b"\x00\xff\r\n".to_vec(),
        2 => value(random),
        3..10 => random.between(-2, 3).to_string().into_bytes(),
        _ => format!("f{}", random.below(8)).into_bytes(),
    }
}

/// Keys of sets are few and rarely hold anything else.
fn set_key(random: &mut Random) -> Vec<u8> {
    match random.below(30) {
        0 => key(random),
        _ => format!("set:{}", random.below(5)).into_bytes(),
    }
}

/// Members are small numbers more often than not.
fn member(random: &mut Random) -> Vec<u8> {
    match random.below(40) {
        0 => value(random),
        1 => int(random),
        2..5 => format!("m{}", random.below(20)).into_bytes(),
        _ => random.between(-5, 40).to_string().into_bytes(),
    }
}

/// Few keys of their own, which are lists as a rule.
fn lkey(random: &mut Random) -> Vec<u8> {
    match random.below(20) {
        0 => key(random),
        _ => format!("list:{}", random.below(4)).into_bytes(),
    }
}

/// An element of a list: often equal to another one, sometimes so long that it fills a node.
fn element(random: &mut Random) -> Vec<u8> {
    match random.below(40) {
        0..10 => random.between(0, 9).to_string().into_bytes(),
        10..18 => text(random, &["a", "b", "c", "", "01", "-0"]),
        18..24 => value(random),
        24..36 => format!("element:{:04}", random.below(300)).into_bytes(),
        36..39 => b"y".repeat(random.between(100, 3000) as usize),
        _ => b"z".repeat(random.between(7000, 9000) as usize),
    }
}

/// Keys of streams are few and rarely hold anything else.
fn stream_key(random: &mut Random) -> Vec<u8> {
    match random.below(30) {
        0 => key(random),
        _ => format!("stream:{}", random.below(3)).into_bytes(),
    }
}

/// The id of an entry that may be there.
fn old_id(random: &mut Random) -> Vec<u8> {
    match random.below(20) {
        0 => text(
            random,
            &[
                "-",
                "+",
                "0",
                "x",
                "18446744073709551615-18446744073709551615",
            ],
        ),
        1..4 => format!("{}-0", random.pick(&[1, 10, 20])).into_bytes(),
        _ => format!("50-{}", random.below(40)).into_bytes(),
    }
}

/// The end of a range of ids.
fn range_id(random: &mut Random) -> Vec<u8> {
    match random.below(10) {
        0..3 => b"-".to_vec(),
        3..6 => b"+".to_vec(),
        6 => [b"(", &old_id(random)[..]].concat(),
        7 => b"50".to_vec(),
        _ => old_id(random),
    }
}

fn value(random: &mut Random) -> Vec<u8> {
    match random.below(20) {
        0..5 => random.between(-20, 20).to_string().into_bytes(),
        5..7 => int(random),
        7..9 => float(random),
        9 => Vec::new(),
        10..13 => text(
            random,
            &["abc", "hello world", "ohmytext", "mynewtext", "ABC"],
        ),
        13..16 => {
            let length = random.below(30);
            random.bytes(length)
        }
        // Around the lengths at which encodings change.
        16..19 => b"x".repeat(random.between(30, 70) as usize),
        _ if random.one_in(10) => b"big".repeat(random.between(1000, 10_000) as usize),
        _ => b"middle".repeat(random.between(10, 100) as usize),
    }
}

fn int(random: &mut Random) -> Vec<u8> {
    const EDGES: &[&str] = &[
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "-9223372036854775809",
        "01",
        "+1",
        "-0",
        " 1",
        "1 ",
        "1.0",
        "1e3",
        "",
        "abc",
        "2147483648",
        "10000",
        "9999",
    ];
    if random.one_in(3) {
        text(random, EDGES)
    } else {
        random.between(-100, 100).to_string().into_bytes()
    }
}

fn float(random: &mut Random) -> Vec<u8> {
    const EDGES: &[&str] = &[
        "0.1",
        "3.0",
        "-3.5",
        "5.0e3",
        "1e17",
        "1e-10",
        "10.50",
        "0",
        "-0",
        "1e300",
        "inf",
        "-inf",
        "nan",
        "0x10",
        " 1",
        "1 ",
        "",
        "abc",
        "1e5000",
        ".5",
        "5.",
        "3.14159265358979323846",
    ];
    if random.one_in(2) {
        text(random, EDGES)
    } else {
        let (whole, cents) = (random.between(-50, 50), random.below(100));
        format!("{whole}.{cents:02}").into_bytes()
    }
}

/// A position to read at.
fn offset(random: &mut Random) -> Vec<u8> {
    const EDGES: &[&str] = &[
        "0",
        "-1",
        "1000",
        "536870912",
        "9223372036854775807",
        "-9223372036854775808",
        "x",
        "",
    ];
    if random.one_in(4) {
        text(random, EDGES)
    } else {
        random.between(-30, 30).to_string().into_bytes()
    }
}

/// A position of 32 bits.
fn index(random: &mut Random) -> Vec<u8> {
    match random.below(10) {
        0 => text(
            random,
            &["1000", "2147483647", "-2147483648", "x", "", "01"],
        ),
        _ => random.between(-15, 15).to_string().into_bytes(),
    }
}

/// A position to write at: never one that makes a string of hundreds of megabytes.
fn put_at(random: &mut Random) -> Vec<u8> {
    const EDGES: &[&str] = &[
        "0",
        "-1",
        "20000",
        "536870912",
        "9223372036854775807",
        "x",
        "",
    ];
    if random.one_in(8) {
        text(random, EDGES)
    } else {
        random.between(0, 60).to_string().into_bytes()
    }
}

/// A bit to write: never one that makes a string of many megabytes.
fn bit_at(random: &mut Random) -> Vec<u8> {
    const EDGES: &[&str] = &["0", "7", "8", "-1", "20000", "4294967296", "x", ""];
    if random.one_in(8) {
        text(random, EDGES)
    } else {
        random.between(0, 300).to_string().into_bytes()
    }
}

/// The type of an integer in a bitmap.
fn field(random: &mut Random) -> Vec<u8> {
    const EDGES: &[&str] = &["i64", "u63", "u1", "i1", "u64", "i65", "u0", "x8", "i", ""];
    if random.one_in(4) {
        return text(random, EDGES);
    }
    let sign = if random.one_in(2) { 'i' } else { 'u' };
    format!("{sign}{}", random.between(1, 63)).into_bytes()
}

fn field_at(random: &mut Random) -> Vec<u8> {
    match random.below(12) {
        0 => text(random, &["#0", "#-1", "#x", "#", "#536870912"]),
        1..4 => format!("#{}", random.below(6)).into_bytes(),
        _ => bit_at(random),
    }
}

/// Hours to decades ahead, in units of `unit_ms`. The range is wide so that two deadlines
/// are never within the few milliseconds by which the servers' clocks are apart.
fn duration(random: &mut Random, unit_ms: i64) -> Vec<u8> {
    const EDGES: &[&str] = &[
        "0",
        "-1",
        "-1000",
        "9223372036854775807",
        "9223372036854775",
        "x",
        "",
        "1.5",
        "-9223372036854775808",
    ];
    if random.one_in(12) {
        return text(random, EDGES);
    }
    (random.between(10_000_000, 1_000_000_000_000) / unit_ms)
        .to_string()
        .into_bytes()
}

/// A moment after the year 2100, sometimes one of two fixed ones so that deadlines can be equal.
fn later(random: &mut Random, unit_ms: i64) -> Vec<u8> {
    const FAR_MS: i64 = 4_102_444_800_000;
    let shift = match random.below(11) {
        0..3 => random.between(0, 1) * 1000,
        _ => random.between(0, 1_000_000_000_000),
    };
    ((FAR_MS + shift) / unit_ms).to_string().into_bytes()
}

/// As `later`, or no good time.
fn far_deadline(random: &mut Random, unit_ms: i64) -> Vec<u8> {
    match random.below(12) {
        0 => text(random, &["0", "-1", "9223372036854775807", "x", ""]),
        _ => later(random, unit_ms),
    }
}

/// Any moment: far ahead, or now and then long past.
fn deadline(random: &mut Random, unit_ms: i64) -> Vec<u8> {
    match random.one_in(15) {
        true => text(random, &["1", "1000000000"]),
        false => far_deadline(random, unit_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::super::grammar::rows;
    use super::*;

    #[test]
    fn every_shape_parses_and_every_lower_case_word_is_a_source() {
        for row in rows() {
            parse(row.shape);
            for token in tokens(row.shape) {
                let is_word = token.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
                let known = token == "nosuch" || sources().any(|(name, _)| *name == token);
                assert!(!is_word || known, "{token} in {}", row.shape);
            }
        }
    }

    #[test]
    fn a_seed_decides_the_stream() {
        let stream = |seed| {
            let mut generator = Generator::new(rows().collect(), seed);
            (0..500).map(|_| generator.step()).collect::<Vec<_>>()
        };
        assert_eq!(stream(7), stream(7));
        assert_ne!(stream(7), stream(8));
    }
}
