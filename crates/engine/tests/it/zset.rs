//! The effects of sorted set and geo commands, by replay; and a sorted set as text.

use std::fmt::Write;

use base::rng::Rng;
use structs::packed::IntText;
use structs::zset::ZsetRef;

use crate::replay::replay;

const RUNS: u64 = 20;

const TEMPLATES: &[&str] = &[
    "ZADD $k $n $m",
    "ZADD $k $n.$n $m -$n $m $n $m",
    "ZADD $k NX CH $n $m $n $m",
    "ZADD $k XX $n $m $n $m",
    "ZADD $k GT $n $m $n $m",
    "ZADD $k INCR 0.$n $m",
    "ZINCRBY $k $n $m",
    "ZINCRBY $k inf $m",
    "ZINCRBY $k -inf $m",
    "ZREM $k $m $m $m",
    "ZPOPMIN $k",
    "ZPOPMAX $k $n",
    "ZMPOP 2 $k $k MIN COUNT 2",
    "ZMPOP 3 $k none $k MAX",
    "ZREMRANGEBYRANK $k $n $n",
    "ZREMRANGEBYSCORE $k ($n +inf",
    "ZREMRANGEBYLEX $k [$m [$m",
    "ZRANGESTORE $k $k $n -1",
    "ZRANGESTORE $k $k +inf $n BYSCORE REV LIMIT 1 3",
    "ZUNIONSTORE $k 2 $k $k WEIGHTS $n 0.5",
    "ZINTERSTORE $k 2 $k $k AGGREGATE MAX",
    "ZDIFFSTORE $k 2 $k $k",
    "GEOADD $k $n.5 -$n.25 $m $n 7 $m",
    "GEOADD $k XX CH $n.5 -$n.25 $m",
    "GEOSEARCHSTORE $k $k FROMLONLAT 3 0 BYRADIUS 900 km",
    "GEORADIUS $k 3 0 900 km STOREDIST $k",
    "GEORADIUSBYMEMBER $k $m 900 km STORE $k",
    "SADD $k $m $m",
    "COPY $k $k REPLACE",
    "EXPIRE $k $n",
    "DEL $k",
];

/// Members and scores, in order.
pub(crate) fn text(zset: ZsetRef<'_>) -> Vec<u8> {
    let mut out = "zset:".to_owned();
    for (member, score) in zset.iter() {
        let member = member.text(&mut IntText::default()).to_vec();
        write!(out, " {} {score}", String::from_utf8_lossy(&member)).expect("text");
    }
    out.into_bytes()
}

fn fill(template: &str, rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut fill = |word: &str| {
        let mut text = word.to_owned();
        // Each mark anew: a score of `$n.$n` has two numbers.
        while let Some(at) = text.find('$') {
            let value = match &text[at..at + 2] {
                "$k" => format!("z{}", rng.below(3)),
                "$m" if rng.below(20) == 0 => "m".repeat(40 + rng.below(40) as usize),
                "$m" => rng.below(40).to_string(),
                _ => rng.below(9).to_string(),
            };
            text.replace_range(at..at + 2, &value);
        }
        text.into_bytes()
    };
    template.split(' ').map(&mut fill).collect()
}

#[test]
fn effects_of_sorted_set_commands_replayed_elsewhere_give_the_same_sets() {
    replay(RUNS, |rng, _| {
        let template = TEMPLATES[rng.below(TEMPLATES.len() as u64) as usize];
        fill(template, rng)
    });
}
