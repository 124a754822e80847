//! Lists, and SORT. `lkey` is one of few keys that are lists as a rule; their elements are few
//! short ones that are often equal, and some so long that a list needs several nodes.

use super::super::Mode::Exact;
use super::{Row, row};

pub(super) const ROWS: &[Row] = &[
    row(25, "RPUSH lkey (element)+", Exact),
    row(25, "LPUSH lkey (element)+", Exact),
    row(5, "RPUSHX lkey (element)+", Exact),
    row(5, "LPUSHX lkey (element)+", Exact),
    row(10, "LPOP lkey", Exact),
    row(10, "RPOP lkey", Exact),
    row(4, "LPOP lkey count", Exact),
    row(4, "RPOP lkey count", Exact),
    row(5, "LLEN lkey", Exact),
    row(10, "LRANGE lkey offset offset", Exact),
    row(8, "LINDEX lkey offset", Exact),
    // Not `offset`: both peers cut the index to 32 bits.
    row(12, "LSET lkey index element", Exact),
    row(
        12,
        "LINSERT lkey [BEFORE | AFTER | BEFORE | AFTER | junk] element element",
        Exact,
    ),
    row(8, "LREM lkey offset element", Exact),
    row(3, "LTRIM lkey offset offset", Exact),
    row(
        10,
        "LPOS lkey element [RANK offset | COUNT count | MAXLEN count | junk]*",
        Exact,
    ),
    row(4, "LMOVE lkey lkey LEFT LEFT", Exact),
    row(4, "LMOVE lkey lkey LEFT RIGHT", Exact),
    row(4, "LMOVE lkey lkey RIGHT LEFT", Exact),
    row(4, "LMOVE lkey lkey RIGHT RIGHT", Exact),
    row(
        2,
        "LMOVE lkey lkey [LEFT | RIGHT | junk] [LEFT | RIGHT | junk]",
        Exact,
    ),
    row(5, "LMOVE lkey key LEFT RIGHT", Exact),
    row(5, "RPOPLPUSH lkey lkey", Exact),
    row(
        5,
        "LMPOP numkeys (lkey)+ [LEFT | RIGHT | junk] [COUNT count | junk]",
        Exact,
    ),
    // What waits, for a millisecond at most.
    row(4, "BLPOP (lkey)+ 0.001", Exact),
    row(4, "BRPOP (lkey)+ 0.001", Exact),
    row(
        4,
        "BLMPOP 0.001 numkeys (lkey)+ [LEFT | RIGHT | junk] [COUNT count | junk]",
        Exact,
    ),
    row(
        4,
        "BLMOVE lkey lkey [LEFT | RIGHT | LEFT | RIGHT | junk] [LEFT | RIGHT | LEFT | RIGHT] 0.001",
        Exact,
    ),
    row(3, "BRPOPLPUSH lkey lkey 0.001", Exact),
    row(15, "OBJECT ENCODING lkey", Exact),
    row(4, "COPY lkey lkey REPLACE", Exact),
    row(4, "DEL lkey", Exact),
    row(
        6,
        "SORT lkey [ALPHA | ALPHA DESC | ALPHA ASC | BY nosuch | BY nosuch DESC | junk] \
         [LIMIT offset count | GET # | GET key:* | GET nosuch | junk]*",
        Exact,
    ),
    row(
        3,
        "SORT_RO lkey [DESC | ALPHA] [LIMIT offset count | STORE lkey]",
        Exact,
    ),
    // Not without ALPHA: what is a number differs, see `accepted`.
    row(
        3,
        "SORT lkey ALPHA [BY key:* | DESC | GET # GET key:*]* STORE lkey",
        Exact,
    ),
];
