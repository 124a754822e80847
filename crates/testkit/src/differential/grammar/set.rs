//! The sets' part of the grammar.
//!
//! Members are few, so that sets overlap; now and then there are many, or the limits are low, so
//! that sets change their forms. What takes members out by chance takes all, or else the two
//! servers would go different ways.

use super::super::Mode::{Exact, Scan, Shape, Unordered};
use super::{Row, row};

pub(super) const ROWS: &[Row] = &[
    row(40, "SADD set (member)+", Exact),
    row(
        20,
        "SADD set member member member member (member member member member)+",
        Exact,
    ),
    row(6, "SADD set (value)+", Exact),
    row(20, "SREM set (member)+", Exact),
    row(6, "SCARD set", Exact),
    row(10, "SISMEMBER set member", Exact),
    row(6, "SMISMEMBER set (member)+", Exact),
    row(10, "SMEMBERS set", Unordered),
    row(10, "SMOVE set set member", Exact),
    row(2, "SPOP set 1000", Unordered),
    row(1, "SPOP set 0", Exact),
    row(1, "SPOP set -1", Exact),
    row(4, "SRANDMEMBER set 1000", Unordered),
    row(3, "SRANDMEMBER set [count | -3 | 0 | junk]", Shape),
    row(8, "SINTER set (set)+", Unordered),
    row(
        6,
        "SINTERCARD numkeys set (set)+ [LIMIT count | junk]",
        Exact,
    ),
    row(8, "SINTERSTORE set set (set)+", Exact),
    row(8, "SUNION set (set)+", Unordered),
    row(6, "SUNIONSTORE set set (set)+", Exact),
    row(8, "SDIFF set (set)+", Unordered),
    row(6, "SDIFFSTORE set set (set)+", Exact),
    row(4, "SSCAN set 0 [MATCH pattern | COUNT count]", Scan),
    row(
        3,
        "SSCAN set bad_cursor [MATCH pattern | COUNT count | junk]",
        Exact,
    ),
    row(4, "OBJECT ENCODING set", Exact),
    row(2, "COPY set set [REPLACE | DB db]", Exact),
    row(2, "RENAME set set", Exact),
    row(1, "CONFIG SET set-max-intset-entries ints_max", Exact),
    row(1, "CONFIG SET set-max-listpack-entries packed_max", Exact),
    row(1, "CONFIG SET set-max-listpack-value packed_max", Exact),
];
