//! Arguments of the sorted sets' commands.

use super::{Source, float, int, key, text, value};
use crate::random::Random;

pub(super) const SOURCES: &[(&str, Source)] = &[
    ("zset", zset_key),
    ("lexset", |r| format!("lex:{}", r.below(2)).into_bytes()),
    ("member", zset_member),
    ("score", zset_score),
    ("num", |r| r.between(-3, 12).to_string().into_bytes()),
    ("score_end", score_end),
    ("member_end", member_end),
    ("rank", rank),
    // Not negative: Valkey takes that for 0, Redis finds nothing.
    ("skipped", |r| r.below(12).to_string().into_bytes()),
    ("pops", |r| {
        text(r, &["0", "1", "2", "3", "5", "200", "-1", "-3", "x", ""])
    }),
    // Never a sorted set of other scores: where a score is no geohash, Redis looks elsewhere.
    ("geo", |r| match r.below(60) {
        0 => key(r),
        _ => format!("geo:{}", r.below(3)).into_bytes(),
    }),
    ("lon", |r| coordinate(r, 13)),
    ("lat", |r| coordinate(r, 38)),
    // Of polygons. None around half the world: Valkey does not look into all the cells under it.
    ("corner_lon", |r| corner(r, 13)),
    ("corner_lat", |r| corner(r, 38)),
    ("extent", |r| match r.below(12) {
        0 => text(r, &["0", "-1", "x", "", "1e9", "0.001"]),
        1..4 => r.between(1, 30_000).to_string().into_bytes(),
        _ => r.between(1, 900).to_string().into_bytes(),
    }),
    ("unit", |r| {
        text(r, &["km", "km", "km", "KM", "m", "mi", "ft", "x"])
    }),
];

/// Keys of sorted sets are few and rarely hold anything else.
pub(super) fn zset_key(random: &mut Random) -> Vec<u8> {
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
        // Valkey reads no hexadecimal scores.
        0 => Some(float(random))
            .filter(|score| !score.starts_with(b"0x"))
            .unwrap_or_default(),
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

/// A coordinate: mostly in one region, so that places meet.
fn corner(random: &mut Random, around: i64) -> Vec<u8> {
    if random.one_in(60) {
        return text(random, &["181", "86", "x", ""]);
    }
    near(random, around)
}

fn near(random: &mut Random, around: i64) -> Vec<u8> {
    let micro = around * 1_000_000 + random.between(-4_000_000, 4_000_000);
    format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000).into_bytes()
}

fn coordinate(random: &mut Random, around: i64) -> Vec<u8> {
    match random.below(60) {
        0 => text(
            random,
            &["181", "-180", "180", "85.05112878", "86", "x", "", "0"],
        ),
        1..4 => random.between(-85, 85).to_string().into_bytes(),
        _ => near(random, around),
    }
}
