//! Arguments of the sorted sets' commands.

use super::super::random::Random;
use super::{Source, float, int, key, text, value};

pub(super) const SOURCES: &[(&str, Source)] = &[
    ("zset", zset_key),
    ("lexset", |r| {
        format!("lex:{}", r.below(2)).into_bytes()
    }),
    ("member", zset_member),
    ("score", zset_score),
    ("num", |r| r.between(-3, 12).to_string().into_bytes()),
    ("score_end", score_end),
    ("member_end", member_end),
    ("rank", rank),
    ("pops", |r| {
        text(r, &["0", "1", "2", "3", "5", "200", "-1", "-3", "x", ""])
    }),
];

/// Keys of sorted sets are few and rarely hold anything else.
fn zset_key(random: &mut Random) -> Vec<u8> {
    match random.below(60) {
        0 => key(random),
        _ => format!("zset:{}", random.below(4)).into_bytes(),
    }
}

fn zset_member(random: &mut Random) -> Vec<u8> {
    match random.below(60) {
        0 => value(random),
        1 => b"m".repeat(random.between(60, 70) as usize),
        2..20 => random.between(-5, 150).to_string().into_bytes(),
        _ => format!("m{:03}", random.below(250)).into_bytes(),
    }
}

fn zset_score(random: &mut Random) -> Vec<u8> {
    match random.below(6) {
        0 => float(random),
        1 => int(random),
        2 => text(random, &["inf", "-inf", "1e17", "0.1", "1e-7", "-0"]),
        _ => random.between(-20, 20).to_string().into_bytes(),
    }
}

/// An end of a range of scores.
fn score_end(random: &mut Random) -> Vec<u8> {
    let score = match random.below(12) {
        0 => float(random),
        1 => text(random, &["", "nan", "1e999", "x", "(1"]),
        2..4 => b"-inf".to_vec(),
        4..6 => b"+inf".to_vec(),
        _ => random.between(-20, 20).to_string().into_bytes(),
    };
    match random.one_in(3) {
        true => [b"(", &score[..]].concat(),
        false => score,
    }
}

/// An end of a range of members.
fn member_end(random: &mut Random) -> Vec<u8> {
    match random.below(12) {
        0..2 => b"-".to_vec(),
        2..4 => b"+".to_vec(),
        4 => text(random, &["", "x", "[", "(", "++", "-1"]),
        5..9 => [b"[", &zset_member(random)[..]].concat(),
        _ => [b"(", &zset_member(random)[..]].concat(),
    }
}

fn rank(random: &mut Random) -> Vec<u8> {
    match random.below(20) {
        0 => int(random),
        1 => text(random, &["300", "-300", "x", ""]),
        2..6 => text(random, &["0", "-1"]),
        _ => random.between(-12, 12).to_string().into_bytes(),
    }
}
