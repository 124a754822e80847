//! Hashes, with deadlines of their fields. `hkey` is one of few keys that are hashes as a rule.
//!
//! The two peers tell mistakes with other words; `accepted` has that. What is left out with Valkey
//! it does otherwise than Redis on purpose.

use super::super::Mode::{Exact, Scan, Shape, Unordered};
use super::{MILLIS, Row, SECONDS, redis, row, valkey};

pub(super) const ROWS: &[Row] = &[
    row(25, "HSET hkey (hfield value)+", Exact),
    row(3, "HSET hkey (value value)+", Exact),
    row(5, "HMSET hkey (hfield value)+", Exact),
    row(6, "HSETNX hkey hfield value", Exact),
    row(10, "HGET hkey hfield", Exact),
    row(8, "HMGET hkey (hfield)+", Exact),
    row(8, "HGETALL hkey", Unordered),
    row(4, "HKEYS hkey", Unordered),
    row(4, "HVALS hkey", Unordered),
    row(5, "HLEN hkey", Exact),
    row(4, "HSTRLEN hkey hfield", Exact),
    row(4, "HEXISTS hkey hfield", Exact),
    row(10, "HDEL hkey (hfield)+", Exact),
    row(12, "HINCRBY hkey hfield int", Exact),
    row(10, "HINCRBYFLOAT hkey hfield float", Exact),
    row(3, "HRANDFIELD hkey", Shape),
    row(3, "HRANDFIELD hkey count", Shape),
    row(3, "HRANDFIELD hkey count WITHVALUES", Shape),
    row(1, "HRANDFIELD hkey count junk", Shape),
    row(
        4,
        "HSCAN hkey 0 [MATCH pattern] [COUNT count] [NOVALUES]",
        Scan,
    ),
    row(1, "HSCAN hkey 0 junk", Shape),
    row(1, "HSCAN hkey bad_cursor", Exact),
    // Deadlines of fields. Valkey takes times that are too late for Redis: with it only good ones.
    redis(
        10,
        "HEXPIRE hkey secs [NX | XX | GT | LT | junk] FIELDS numfields hfield",
        Exact,
    ),
    redis(
        6,
        "HPEXPIRE hkey millis [NX | XX | GT | LT] FIELDS 2 hfield hfield",
        Exact,
    ),
    redis(
        6,
        "HEXPIREAT hkey at_s [NX | XX | GT | LT] FIELDS 1 hfield",
        Exact,
    ),
    redis(
        6,
        "HPEXPIREAT hkey at_ms [NX | XX | GT | LT] FIELDS 2 hfield hfield",
        Exact,
    ),
    row(
        8,
        "HPEXPIREAT hkey later_ms [NX | XX | GT | LT] FIELDS 2 hfield hfield",
        Exact,
    ),
    valkey(
        4,
        "HPEXPIREAT hkey later_ms XX [GT | LT] FIELDS 1 hfield",
        Exact,
    ),
    valkey(
        8,
        "HEXPIREAT hkey later_s [NX | XX | GT | LT] FIELDS 1 hfield",
        Exact,
    ),
    valkey(
        2,
        "HPEXPIRE hkey 0 [NX | XX | GT | LT] FIELDS 1 hfield",
        Exact,
    ),
    row(6, "HTTL hkey FIELDS numfields hfield", SECONDS),
    row(4, "HPTTL hkey FIELDS 2 hfield hfield", MILLIS),
    row(4, "HEXPIRETIME hkey FIELDS 1 hfield", SECONDS),
    row(4, "HPEXPIRETIME hkey FIELDS 2 hfield hfield", MILLIS),
    row(6, "HPERSIST hkey FIELDS numfields hfield", Exact),
    row(5, "HGETDEL hkey FIELDS numfields hfield", Exact),
    row(3, "HGETDEL hkey FIELDS 2 hfield hfield", Exact),
    redis(
        8,
        "HGETEX hkey [PERSIST | EX secs | PX millis | EXAT at_s | PXAT at_ms | junk] \
         FIELDS 1 hfield",
        Exact,
    ),
    row(
        5,
        "HGETEX hkey [PERSIST | PXAT later_ms | EXAT 1] FIELDS 2 hfield hfield",
        Exact,
    ),
    redis(
        8,
        "HSETEX hkey [FNX | FXX | KEEPTTL | EX secs | PX millis | EXAT at_s | PXAT at_ms | junk]* \
         FIELDS numfields hfield value",
        Exact,
    ),
    row(
        8,
        "HSETEX hkey [FNX | FXX] [KEEPTTL | PXAT later_ms | EXAT 1] \
         FIELDS 2 hfield value hfield value",
        Exact,
    ),
    valkey(
        6,
        "HSETEX hkey [NX | XX] [FNX | FXX] [KEEPTTL] FIELDS 1 hfield value",
        Exact,
    ),
    // Whole keys.
    row(5, "OBJECT ENCODING hkey", Exact),
    row(4, "COPY hkey hkey [REPLACE]", Exact),
    row(3, "RENAME hkey hkey", Exact),
    row(3, "DEL hkey", Exact),
    row(2, "EXPIRE hkey secs", Exact),
    row(2, "TTL hkey", SECONDS),
];
