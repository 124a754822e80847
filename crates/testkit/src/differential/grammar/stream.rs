//! The streams' part of the grammar.
//!
//! Ids are told or chosen within a told millisecond, never by the clock, so that both servers have
//! the same; nodes are small now and then, so that there are many.

use super::super::Mode::{Exact, Times};
use super::{Row, redis, row};

pub(super) const ROWS: &[Row] = &[
    row(60, "XADD stream new_id field value", Exact),
    row(20, "XADD stream new_id field value OTHER value", Exact),
    row(10, "XADD stream new_id (value value)+", Exact),
    row(
        12,
        "XADD stream [NOMKSTREAM | MAXLEN length | MAXLEN = length | MAXLEN ~ length | MINID = \
         old_id | MINID ~ old_id | LIMIT length | junk]* new_id field value",
        Exact,
    ),
    redis(
        8,
        "XADD stream [KEEPREF | DELREF | ACKED | NOMKSTREAM | MAXLEN length | MINID old_id]* \
         new_id field value",
        Exact,
    ),
    row(10, "XLEN stream", Exact),
    row(
        15,
        "XRANGE stream range_id range_id [COUNT count | junk]",
        Exact,
    ),
    row(
        15,
        "XREVRANGE stream range_id range_id [COUNT count | junk]",
        Exact,
    ),
    row(12, "XDEL stream (old_id)+", Exact),
    redis(
        8,
        "XDELEX stream [KEEPREF | DELREF | ACKED] IDS numkeys (old_id)+",
        Exact,
    ),
    redis(
        8,
        "XACKDEL stream group [KEEPREF | DELREF | ACKED | junk] IDS 2 old_id old_id [DELREF]",
        Exact,
    ),
    row(
        4,
        "XTRIM stream [MAXLEN length | MAXLEN = length | MAXLEN ~ length | MINID old_id | MINID ~ \
         old_id] [LIMIT length | junk]",
        Exact,
    ),
    redis(
        5,
        "XTRIM stream [KEEPREF | DELREF | ACKED] MAXLEN [= | ~] length [DELREF | ACKED | junk]",
        Exact,
    ),
    redis(4, "XTRIM stream MINID old_id [DELREF | ACKED]", Exact),
    row(
        10,
        "XGROUP CREATE stream group old_id [MKSTREAM | ENTRIESREAD length | junk]*",
        Exact,
    ),
    row(6, "XGROUP CREATE stream group $ [MKSTREAM]", Exact),
    row(
        4,
        "XGROUP SETID stream group read_id [ENTRIESREAD length | junk]",
        Exact,
    ),
    row(3, "XGROUP CREATECONSUMER stream group consumer", Exact),
    row(3, "XGROUP DELCONSUMER stream group consumer", Exact),
    row(2, "XGROUP DESTROY stream group", Exact),
    row(1, "XGROUP junk stream group", Exact),
    row(
        10,
        "XREAD [COUNT count | junk] STREAMS stream read_id",
        Exact,
    ),
    row(
        5,
        "XREAD [COUNT count] STREAMS stream stream read_id read_id",
        Exact,
    ),
    row(
        40,
        "XREADGROUP GROUP group consumer [COUNT count | NOACK | junk] STREAMS stream >",
        Exact,
    ),
    row(
        10,
        "XREADGROUP GROUP group consumer [COUNT count | NOACK]* STREAMS stream read_id",
        Exact,
    ),
    row(
        4,
        "XREADGROUP GROUP group consumer COUNT count STREAMS stream stream > read_id",
        Exact,
    ),
    // What waits, for a millisecond at most.
    row(
        4,
        "XREAD [COUNT count] BLOCK 1 STREAMS stream stream read_id read_id",
        Exact,
    ),
    row(
        4,
        "XREADGROUP GROUP group consumer [COUNT count | NOACK] BLOCK 1 STREAMS stream >",
        Exact,
    ),
    row(15, "XACK stream group (old_id)+", Exact),
    row(10, "XPENDING stream group", Exact),
    row(
        10,
        "XPENDING stream group [IDLE count] range_id range_id count [consumer | junk]*",
        Times,
    ),
    row(
        10,
        "XCLAIM stream group consumer 0 (old_id)+ [FORCE | JUSTID | RETRYCOUNT length | LASTID \
         old_id | junk]*",
        Exact,
    ),
    row(
        4,
        "XCLAIM stream group consumer millis (old_id)+ [IDLE int | TIME at_ms | FORCE | JUSTID]*",
        Exact,
    ),
    row(
        8,
        "XAUTOCLAIM stream group consumer 0 range_id [COUNT count | JUSTID | junk]*",
        Exact,
    ),
    row(5, "XINFO STREAM stream", Times),
    row(5, "XINFO STREAM stream FULL [COUNT count | junk]", Times),
    row(5, "XINFO GROUPS stream", Exact),
    row(5, "XINFO CONSUMERS stream group", Times),
    row(1, "XINFO junk stream", Exact),
    row(
        3,
        "XSETID stream old_id [ENTRIESADDED length | MAXDELETEDID old_id | junk]*",
        Exact,
    ),
    row(3, "DEL stream", Exact),
    row(2, "COPY stream stream REPLACE", Exact),
    row(2, "OBJECT ENCODING stream", Exact),
    row(2, "CONFIG SET stream-node-max-entries node_entries", Exact),
];
