//! The grammar: one row per command shape. To cover a new command, add a row.
//!
//! In a shape, upper-case words are literal, lower-case words name a source of [`super::generate`],
//! `[a | b]` is an optional choice, `[...]*` zero to three of them, `(...)+` one to three.

mod list;

use std::collections::BTreeSet;

use super::Mode::{Exact, Keys, Near, Scan, Shape, Unordered};
use super::session::Pair;
use super::{Mode, Plan};
use crate::peers::Kind;

mod geo;
mod hash;
mod set;
mod stream;
mod zset;

/// One command shape.
pub(super) struct Row {
    /// How often, in relation to the others.
    pub(super) weight: usize,
    pub(super) shape: &'static str,
    pub(super) mode: Mode,
    /// Only with this peer: the other one does not know the shape.
    only_with: Option<Kind>,
}

const fn row(weight: usize, shape: &'static str, mode: Mode) -> Row {
    Row {
        weight,
        shape,
        mode,
        only_with: None,
    }
}

const fn redis(weight: usize, shape: &'static str, mode: Mode) -> Row {
    Row {
        weight,
        shape,
        mode,
        only_with: Some(Kind::Redis),
    }
}

const fn valkey(weight: usize, shape: &'static str, mode: Mode) -> Row {
    Row {
        weight,
        shape,
        mode,
        only_with: Some(Kind::Valkey),
    }
}

/// Two servers execute a command at slightly different times: remaining times may differ by this
/// much.
const SECONDS: Mode = Near(5);
const MILLIS: Mode = Near(5000);

/// All rows: those of this file, and those of the types that have a file of their own.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    let tables = [
        ROWS,
        list::ROWS,
        set::ROWS,
        hash::ROWS,
        stream::ROWS,
        zset::ROWS,
        geo::ROWS,
    ];
    tables.into_iter().flatten()
}

/// What is not about one type, and strings.
const ROWS: &[Row] = &[
    // Strings. SET never with a deadline in the past: Redis keeps such a key, counted by DBSIZE,
    // until it looks at it.
    row(
        30,
        "SET key value [NX | XX | GET | KEEPTTL | EX secs | PX millis | EXAT far_s | PXAT far_ms]*",
        Exact,
    ),
    row(30, "SET key value", Exact),
    row(3, "SET key value junk", Exact),
    valkey(6, "SET key value [IFEQ value | GET | KEEPTTL]*", Exact),
    row(20, "GET key", Exact),
    row(5, "SETNX key value", Exact),
    row(5, "SETEX key secs value", Exact),
    row(5, "PSETEX key millis value", Exact),
    row(5, "GETSET key value", Exact),
    row(5, "GETDEL key", Exact),
    row(
        10,
        "GETEX key [PERSIST | EX secs | PX millis | EXAT at_s | PXAT at_ms | junk]",
        Exact,
    ),
    row(2, "GETEX key [PERSIST | EX secs | PX millis]*", Exact),
    row(10, "MSET (key value)+", Exact),
    row(5, "MSETNX (key value)+", Exact),
    row(
        5,
        "MSETEX numkeys (key value)+ [NX | XX | KEEPTTL | EX secs | PXAT far_ms | junk]*",
        Exact,
    ),
    row(10, "MGET (key)+", Exact),
    row(10, "APPEND key value", Exact),
    row(10, "STRLEN key", Exact),
    row(10, "SETRANGE key put_at value", Exact),
    row(10, "GETRANGE key offset offset", Exact),
    row(3, "SUBSTR key offset offset", Exact),
    row(15, "INCR key", Exact),
    row(10, "DECR key", Exact),
    row(10, "INCRBY key int", Exact),
    row(10, "DECRBY key int", Exact),
    row(10, "INCRBYFLOAT key float", Exact),
    row(
        5,
        "LCS key key [LEN | IDX | WITHMATCHLEN | MINMATCHLEN int | junk]*",
        Exact,
    ),
    row(5, "DELIFEQ key value", Exact),
    // Bitmaps.
    row(10, "SETBIT key bit_at bit", Exact),
    row(8, "GETBIT key bit_at", Exact),
    redis(
        8,
        "BITCOUNT key [offset | junk] [offset] [BIT | BYTE | junk]",
        Exact,
    ),
    row(8, "BITCOUNT key offset offset [BIT | BYTE | junk]", Exact),
    row(
        8,
        "BITPOS key bit [offset] [offset] [BIT | BYTE | junk]",
        Exact,
    ),
    row(8, "BITPOS key bit offset offset [BIT | BYTE | junk]", Exact),
    row(8, "BITOP [AND | OR | XOR | NOT | junk] key (key)+", Exact),
    redis(8, "BITOP [DIFF | DIFF1 | ANDOR | ONE] key (key)+", Exact),
    row(
        10,
        "BITFIELD key [GET field field_at | SET field field_at int | INCRBY field field_at int | \
         OVERFLOW WRAP INCRBY field field_at int | OVERFLOW SAT SET field field_at int | \
         OVERFLOW FAIL INCRBY field field_at int | OVERFLOW junk | junk]*",
        Exact,
    ),
    row(
        4,
        "BITFIELD_RO key \
         [GET field field_at | GET field field_at | SET field field_at int | junk]*",
        Exact,
    ),
    // HyperLogLogs.
    row(15, "PFADD sketch [value]*", Exact),
    row(8, "PFADD sketch (value)+", Exact),
    row(10, "PFCOUNT (sketch)+", Exact),
    row(8, "PFMERGE sketch [sketch]*", Exact),
    row(
        3,
        "PFDEBUG [ENCODING | DECODE | TODENSE | GETREG | junk] sketch",
        Exact,
    ),
    // Keys.
    row(15, "DEL (key)+", Exact),
    row(5, "UNLINK (key)+", Exact),
    row(10, "EXISTS (key)+", Exact),
    row(5, "TOUCH (key)+", Exact),
    row(5, "TYPE key", Exact),
    row(8, "RENAME key key", Exact),
    row(8, "RENAMENX key key", Exact),
    row(10, "COPY key key [DB db | REPLACE | junk]*", Exact),
    row(8, "MOVE key db", Exact),
    row(3, "KEYS pattern", Unordered),
    row(5, "SCAN 0 [MATCH pattern] [COUNT count] [TYPE type]", Scan),
    row(1, "SCAN bad_cursor", Exact),
    row(3, "RANDOMKEY", Shape),
    row(5, "DBSIZE", Exact),
    row(8, "OBJECT ENCODING key", Exact),
    row(3, "OBJECT REFCOUNT key", Shape),
    row(2, "OBJECT IDLETIME key", SECONDS),
    row(2, "OBJECT FREQ key", Exact),
    row(2, "OBJECT junk key", Exact),
    row(2, "MEMORY USAGE key [SAMPLES int]", Shape),
    // Expiry.
    row(8, "EXPIRE key secs [NX | XX | GT | LT | junk]*", Exact),
    row(8, "PEXPIRE key millis [NX | XX | GT | LT | junk]*", Exact),
    row(8, "EXPIREAT key at_s [NX | XX | GT | LT | junk]*", Exact),
    row(8, "PEXPIREAT key at_ms [NX | XX | GT | LT | junk]*", Exact),
    row(8, "TTL key", SECONDS),
    row(8, "PTTL key", MILLIS),
    row(5, "EXPIRETIME key", SECONDS),
    row(5, "PEXPIRETIME key", MILLIS),
    row(8, "PERSIST key", Exact),
    // Databases.
    row(8, "SELECT db", Exact),
    row(2, "SWAPDB db db", Exact),
    row(1, "FLUSHDB [SYNC | ASYNC | junk]", Exact),
    row(1, "FLUSHALL [SYNC | ASYNC | junk]", Exact),
    // Connection. No AUTH and no HELLO with AUTH: a wrong password inside MULTI makes Redis 8.2.3
    // leave the reply out of EXEC's array, so that the connection is out of step ever after.
    row(3, "PING [value]", Exact),
    row(3, "ECHO value", Exact),
    row(3, "HELLO protocol", Keys),
    row(1, "HELLO protocol [SETNAME name | junk]*", Keys),
    row(1, "RESET", Exact),
    row(2, "CLIENT SETNAME name", Exact),
    row(2, "CLIENT GETNAME", Exact),
    row(1, "CLIENT ID", Shape),
    row(
        1,
        "CLIENT SETINFO [LIB-NAME name | LIB-VER name | junk name]",
        Exact,
    ),
    row(1, "CLIENT NO-EVICT [ON | OFF | junk]", Exact),
    row(1, "CLIENT NO-TOUCH [ON | OFF | junk]", Exact),
    row(1, "CLIENT junk [value]*", Exact),
    row(1, "TIME", Shape),
    row(1, "NOSUCH [value]*", Exact),
    row(
        1,
        "COMMAND GETKEYS [GET key | SET key value | MSET key value key value | PING | junk]",
        Exact,
    ),
    row(1, "COMMAND COUNT value", Exact),
    row(1, "CONFIG GET nosuch", Exact),
    row(1, "CONFIG SET nosuch value", Exact),
    // Other types: enough of them that strings meet wrong types.
    row(3, "RPUSH key (value)+", Exact),
    row(3, "SADD key (value)+", Exact),
    row(3, "HSET key (value value)+", Exact),
    row(3, "ZADD key int value", Exact),
    // Transactions. In Valkey, MULTI inside MULTI spoils the transaction; from there on all is
    // different.
    redis(3, "MULTI", Exact),
    redis(6, "EXEC", Exact),
    redis(1, "DISCARD", Exact),
    redis(1, "WATCH (key)+", Exact),
    redis(1, "UNWATCH", Exact),
];

/// The rows that make sense with this peer and whose command both servers have; and the names of
/// the commands left out.
pub(super) fn rows_for(plan: &Plan, pair: &mut Pair) -> (Vec<&'static Row>, Vec<String>) {
    let mut left_out = BTreeSet::new();
    let mut fitting = Vec::new();
    let fits = |only| only == plan.peer && [Kind::Ruddle, only].contains(&plan.subject);
    for row in self::rows().filter(|row| row.only_with.is_none_or(fits)) {
        let mut words = row.shape.split(' ');
        let name = words.next().unwrap_or_default();
        if name == "NOSUCH" || pair.both_have(name) {
            fitting.push(row);
        } else {
            left_out.insert(name.to_owned());
        }
    }
    (fitting, left_out.into_iter().collect())
}
