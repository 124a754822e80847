//! The sorted sets' part of the grammar.
//!
//! Ranges of members are asked of sets of one score only: of others, the peers' large form answers
//! as its random levels happen to be. So those sets have keys of their own.

use super::super::Mode::{Exact, Scan, Shape};
use super::{Row, redis, row};

pub(super) const ROWS: &[Row] = &[
    row(
        40,
        "ZADD zset [NX | XX | GT | LT | CH | junk]* (score member)+",
        Exact,
    ),
    row(30, "ZADD zset (score member)+", Exact),
    row(30, "ZADD zset (num member)+", Exact),
    row(
        8,
        "ZADD zset INCR [NX | XX | GT | LT | CH]* num member",
        Exact,
    ),
    row(20, "ZINCRBY zset num member", Exact),
    row(10, "ZREM zset (member)+", Exact),
    row(6, "ZCARD zset", Exact),
    row(10, "ZSCORE zset member", Exact),
    row(6, "ZMSCORE zset (member)+", Exact),
    row(10, "ZRANK zset member [WITHSCORE | junk]", Exact),
    row(10, "ZREVRANK zset member [WITHSCORE | junk]", Exact),
    row(10, "ZCOUNT zset score_end score_end", Exact),
    row(
        12,
        "ZRANGE zset rank rank [WITHSCORES | REV | BYSCORE | LIMIT skipped rank | junk]*",
        Exact,
    ),
    row(
        12,
        "ZRANGE zset score_end score_end BYSCORE [WITHSCORES | REV | LIMIT skipped rank | junk]*",
        Exact,
    ),
    row(8, "ZREVRANGE zset rank rank [WITHSCORES | junk]", Exact),
    redis(
        10,
        "ZRANGEBYSCORE zset score_end score_end [WITHSCORES | LIMIT skipped rank | junk]*",
        Exact,
    ),
    redis(
        10,
        "ZREVRANGEBYSCORE zset score_end score_end [WITHSCORES | LIMIT skipped rank | junk]*",
        Exact,
    ),
    row(8, "ZREMRANGEBYRANK zset rank rank", Exact),
    row(6, "ZREMRANGEBYSCORE zset score_end score_end", Exact),
    row(
        8,
        "ZRANGESTORE zset zset rank rank [REV | LIMIT skipped rank | junk]*",
        Exact,
    ),
    row(
        8,
        "ZRANGESTORE zset zset score_end score_end BYSCORE [REV | LIMIT skipped rank | junk]*",
        Exact,
    ),
    row(8, "ZPOPMIN zset [pops]", Exact),
    // What waits, for a millisecond at most.
    row(4, "BZPOPMIN (zset)+ 0.001", Exact),
    row(4, "BZPOPMAX (zset)+ 0.001", Exact),
    row(
        4,
        "BZMPOP 0.001 numkeys (zset)+ [MIN | MAX | junk] [COUNT pops | junk]",
        Exact,
    ),
    row(8, "ZPOPMAX zset [pops]", Exact),
    row(
        8,
        "ZMPOP numkeys (zset)+ [MIN | MAX | junk] [COUNT pops | junk]",
        Exact,
    ),
    row(
        10,
        "ZUNIONSTORE zset numkeys (zset)+ [WEIGHTS num num | AGGREGATE SUM | AGGREGATE MIN | \
         AGGREGATE MAX | junk]*",
        Exact,
    ),
    row(
        10,
        "ZINTERSTORE zset numkeys (zset)+ [WEIGHTS num num | AGGREGATE SUM | AGGREGATE MIN | \
         AGGREGATE MAX | junk]*",
        Exact,
    ),
    row(6, "ZDIFFSTORE zset numkeys (zset)+ [junk]", Exact),
    row(
        8,
        "ZUNION numkeys (zset)+ [WEIGHTS num num | AGGREGATE MIN | AGGREGATE MAX | WITHSCORES | \
         junk]*",
        Exact,
    ),
    row(
        8,
        "ZINTER numkeys (zset)+ [WEIGHTS num num | AGGREGATE MIN | AGGREGATE MAX | WITHSCORES | \
         junk]*",
        Exact,
    ),
    row(8, "ZUNION 2 zset zset WITHSCORES", Exact),
    row(8, "ZINTER 2 zset zset WITHSCORES", Exact),
    row(8, "ZUNION 2 zset zset WEIGHTS num num WITHSCORES", Exact),
    row(8, "ZDIFF numkeys (zset)+ [WITHSCORES | junk]", Exact),
    row(8, "ZDIFF 2 zset zset WITHSCORES", Exact),
    row(6, "ZINTERCARD numkeys (zset)+ [LIMIT rank | junk]", Exact),
    row(4, "ZRANDMEMBER zset", Shape),
    row(2, "ZRANDMEMBER zset pops [WITHSCORES | junk]", Shape),
    row(6, "ZSCAN zset 0 [MATCH pattern] [COUNT count]", Scan),
    row(2, "ZSCAN zset 0 [COUNT count | junk]*", Shape),
    row(4, "SADD zset (member)+", Exact),
    row(3, "OBJECT ENCODING zset", Exact),
    row(2, "DEL zset", Exact),
    row(30, "ZADD lexset 1 member 1 member 1 member", Exact),
    row(10, "ZADD lexset 1 member", Exact),
    row(6, "ZREM lexset (member)+", Exact),
    row(8, "ZLEXCOUNT lexset member_end member_end", Exact),
    row(
        10,
        "ZRANGE lexset member_end member_end BYLEX [REV | WITHSCORES | LIMIT skipped rank | junk]*",
        Exact,
    ),
    redis(
        8,
        "ZRANGEBYLEX lexset member_end member_end [LIMIT skipped rank | junk]*",
        Exact,
    ),
    redis(
        8,
        "ZREVRANGEBYLEX lexset member_end member_end [LIMIT skipped rank | junk]*",
        Exact,
    ),
    row(3, "ZREMRANGEBYLEX lexset member_end member_end", Exact),
    row(
        4,
        "ZRANGESTORE zset lexset member_end member_end BYLEX [REV | LIMIT skipped rank]*",
        Exact,
    ),
];
