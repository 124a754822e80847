//! Single places: GEOADD, GEODIST, GEOHASH, GEOPOS; and arguments that all commands share.

use base::num::{append_i64, parse_f64};
use base::strings::eq_ignore_case;
use resp::Reply;
use structs::Member;
use structs::zset::Zset;

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::families::zset::add::{Options, Tally};
use crate::tx::{Effect, ReadTx, WriteTx};

use super::geohash::{LATITUDE_MAX, LONGITUDE_MAX, Point};

const UNIT: Failure = Failure::fixed("ERR unsupported unit provided. please use M, KM, FT, MI");

const UNITS: &[(&str, f64)] = &[("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];

/// The next word as a unit: metres in it.
pub(super) fn unit(args: &mut Args<'_>) -> Result<f64, Failure> {
    let word = args.bytes();
    let row = UNITS
        .iter()
        .find(|(name, _)| eq_ignore_case(word, name.as_bytes()));
    row.map(|&(_, metres)| metres).ok_or(UNIT)
}

/// The next two words as a place.
pub(super) fn point(args: &mut Args<'_>) -> Result<Point, Failure> {
    let longitude = parse_f64(args.bytes()).ok_or(Failure::NOT_FLOAT)?;
    let latitude = parse_f64(args.bytes()).ok_or(Failure::NOT_FLOAT)?;
    if longitude.abs() > LONGITUDE_MAX || latitude.abs() > LATITUDE_MAX {
        return Err(Failure::owned(format!(
            "ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"
        )));
    }
    Ok(Point {
        longitude,
        latitude,
    })
}

pub(super) fn geoadd(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let mut options = Options::default();
    loop {
        *match args {
            _ if args.accept("NX") => &mut options.only_new,
            _ if args.accept("XX") => &mut options.only_known,
            _ if args.accept("CH") => &mut options.count_changed,
            _ => break,
        } = true;
    }
    let count = args.left() / 3;
    if count == 0 || !args.left().is_multiple_of(3) || options.only_new && options.only_known {
        return Err(Failure::SYNTAX);
    }
    let packing = tx.packing();
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let score = point(args)?.score();
        entries.push((score, args.bytes()));
    }
    args.end()?;
    let first = entries[0].1.len();
    let mut tally = Tally::default();
    tx.update(key, |zset: &mut Zset| {
        zset.reserve(count, first, packing);
        entries.iter().try_for_each(|&(score, bytes)| {
            let member = Member::new(bytes, &packing.seed);
            options.apply(zset, member, score, packing, &mut tally)
        })
    })??;
    let changes = tally.added + tally.changed;
    out.int(if options.count_changed {
        changes
    } else {
        tally.added
    } as i64);
    if changes > 0 {
        tx.event(Classes::ZSET, "zadd", key);
        tx.instead(|| zadd_words(key.bytes, options, &entries));
    }
    Ok(Effect::instead(changes))
}

/// The ZADD that does the same.
fn zadd_words(key: &[u8], options: Options, entries: &[(f64, &[u8])]) -> Vec<Vec<u8>> {
    let mut words = vec![b"ZADD".to_vec(), key.to_vec()];
    if options.only_new {
        words.push(b"NX".to_vec());
    }
    if options.only_known {
        words.push(b"XX".to_vec());
    }
    for &(score, member) in entries {
        let mut text = Vec::new();
        // Scores of places are whole numbers.
        append_i64(score as i64, &mut text);
        words.extend([text, member.to_vec()]);
    }
    words
}

pub(super) fn geodist(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let members = [args.member(tx.packing()), args.member(tx.packing())];
    if args.left() > 1 {
        return Err(Failure::SYNTAX);
    }
    let metres = match args.left() {
        0 => 1.0,
        _ => unit(args)?,
    };
    args.end()?;
    let zset = tx.read::<Zset>(key)?;
    let [from, to] = members.map(|member| zset?.score(member).map(Point::of_score));
    match from.zip(to) {
        Some((from, to)) => reply_distance(from.distance(to) / metres, out),
        None => out.null(),
    }
    Ok(())
}

/// A distance with four decimals.
pub(super) fn reply_distance(distance: f64, out: &mut Reply) {
    const DECIMALS: usize = 4;
    let scaled = (distance * 10_000.0).round_ties_even() as i64;
    let mut text = Vec::with_capacity(24);
    if scaled < 0 {
        text.push(b'-');
    }
    let mut digits = Vec::with_capacity(20);
    append_i64(scaled.saturating_abs(), &mut digits);
    let missing = (DECIMALS + 1).saturating_sub(digits.len());
    digits.splice(0..0, std::iter::repeat_n(b'0', missing));
    let (whole, decimals) = digits.split_at(digits.len() - DECIMALS);
    text.extend_from_slice(whole);
    text.push(b'.');
    text.extend_from_slice(decimals);
    out.bulk(&text);
}

/// Longitude and latitude.
pub(super) fn reply_point(point: Point, out: &mut Reply) {
    out.array(2);
    out.double(point.longitude);
    out.double(point.latitude);
}

pub(super) fn geohash(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    each_point(tx, args, out, |point, out| match point {
        Some(point) => out.bulk(&point.text()),
        None => out.null(),
    })
}

pub(super) fn geopos(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    each_point(tx, args, out, |point, out| match point {
        Some(point) => reply_point(point, out),
        None => out.null_array(),
    })
}

/// Answers for each member named.
fn each_point(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
    mut reply: impl FnMut(Option<Point>, &mut Reply),
) -> Result<(), Failure> {
    let zset = tx.read::<Zset>(args.key())?;
    out.array(args.left());
    while args.left() > 0 {
        let member = args.member(tx.packing());
        let score = zset.and_then(|zset| zset.score(member));
        reply(score.map(Point::of_score), out);
    }
    args.end()
}
