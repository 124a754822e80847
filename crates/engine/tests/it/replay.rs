//! Every write has its effect: whatever random commands do to one keyspace, their recorded effects
//! do to another, at another time.
//!
//! The replaying side stands for a replica or a server that loads its log: its clock is long before
//! every deadline, so nothing expires there by itself, and only what is recorded happens.

use base::ids::DbIndex;
use base::rng::Rng;
use base::time::UnixMillis;

use crate::support::{Engine, show};

const START: UnixMillis = UnixMillis(1_700_000_000_000);
const RUNS: u64 = 60;
const COMMANDS_PER_RUN: usize = 400;

/// Commands with places to fill in, see [`fill`].
const TEMPLATES: &[&str] = &[
    "SET $k $v",
    "SET $k $v",
    "SET $k $v $ttl",
    "SET $k $v $ttl GET",
    "SET $k $v NX $ttl",
    "SET $k $v XX $ttl GET",
    "SET $k $v NX",
    "SET $k $v XX KEEPTTL",
    "SET $k $v IFEQ $v",
    "SET $k $v IFNE $v $ttl",
    "SET $k $v IFDNE 0123456789abcdef KEEPTTL",
    "SETNX $k $v",
    "SETEX $k $s $v",
    "PSETEX $k $p $v",
    "GETSET $k $v",
    "GETDEL $k",
    "GETEX $k",
    "GETEX $k $ttl",
    "GETEX $k PERSIST",
    "APPEND $k $v",
    "APPEND $k $v",
    "SETRANGE $k $o $v",
    "SETBIT $k $o 1",
    "SETBIT $k $o 0",
    "BITFIELD $k SET u7 $o 99 OVERFLOW FAIL INCRBY i8 $o 100",
    "BITFIELD $k OVERFLOW FAIL INCRBY i8 $o 300",
    "BITFIELD $k GET u8 $o",
    "BITOP XOR $k $k $k",
    "BITOP NOT $k $k",
    "BITOP DIFF $k $k $k",
    "BITCOUNT $k",
    "ARSET $k $o $v $v",
    "ARMSET $k $o $v $o $v",
    "ARINSERT $k $v $v",
    "ARRING $k 4 $v $v $v",
    "ARRING $k 3 $v",
    "ARSEEK $k $o",
    "ARDEL $k $o 0 1",
    "ARDELRANGE $k $o $o",
    "PFADD $k $v",
    "PFADD $k $v $v",
    "PFADD $k",
    "PFCOUNT $k",
    "PFCOUNT $k $k",
    "PFMERGE $k $k $k",
    "PFDEBUG TODENSE $k",
    "INCR $k",
    "DECR $k",
    "INCRBY $k $n",
    "DECRBY $k $n",
    "INCRBYFLOAT $k $f",
    "INCREX $k BYINT $n $ttl ENX",
    "INCREX $k BYINT $n LBOUND -5 UBOUND 5 SATURATE",
    "INCREX $k BYINT $n LBOUND -5 UBOUND 5 PERSIST",
    "INCREX $k BYFLOAT $f $ttl",
    "MSET $k $v $k $v $k $v",
    "MSETNX $k $v $k $v",
    "MSETEX 2 $k $v $k $v $ttl",
    "MSETEX 2 $k $v $k $v NX",
    "MSETEX 2 $k $v $k $v XX KEEPTTL",
    "DELIFEQ $k $v",
    "DELEX $k",
    "DELEX $k IFNE $v",
    "DEL $k $k",
    "UNLINK $k",
    "EXPIRE $k $s",
    "EXPIRE $k $s NX",
    "PEXPIRE $k $p GT",
    "PEXPIRE $k $n",
    "EXPIREAT $k $sat XX LT",
    "PEXPIREAT $k $pat",
    "PERSIST $k",
    "RENAME $k $k",
    "RENAMENX $k $k",
    "COPY $k $k",
    "COPY $k $k REPLACE",
    "COPY $k $k DB 1 REPLACE",
    "COPY $k $k DB 0",
    "MOVE $k 0",
    "MOVE $k 1",
    "SWAPDB 0 1",
    "FLUSHDB",
    "FLUSHALL ASYNC",
    "TOUCH $k $k",
    "SADD $k $v $v $v",
    "SADD $k $n $n $n",
    "SADD $k 1 2 3 4 5 6 7 8 9 10 11 12",
    "SREM $k $n $v",
    "SPOP $k",
    "SPOP $k $s",
    "SPOP $k 50",
    "SRANDMEMBER $k $n",
    "SMOVE $k $k $n",
    "SINTERSTORE $k $k $k",
    "SUNIONSTORE $k $k $k",
    "SDIFFSTORE $k $k $k",
    "GET $k",
    "STRLEN $k",
    "HSET $h $e $v",
    "HSET $h $e $v $e $v",
    "HMSET $h $e $v",
    "HSETNX $h $e $v",
    "HINCRBY $h $e $n",
    "HINCRBYFLOAT $h $e $f",
    "HDEL $h $e $e",
    "HGET $h $e",
    "HGETALL $h",
    "HLEN $h",
    "HEXPIRE $h $s FIELDS 1 $e",
    "HPEXPIRE $h $p FIELDS 2 $e $e",
    "HPEXPIRE $h $p NX FIELDS 2 $e $e",
    "HPEXPIRE $h $p XX GT FIELDS 2 $e $e",
    "HPEXPIREAT $h $pat LT FIELDS 2 $e $e",
    "HEXPIREAT $h $sat FIELDS 1 $e",
    "HPERSIST $h FIELDS 2 $e $e",
    "HGETDEL $h FIELDS 2 $e $e",
    "HGETEX $h FIELDS 1 $e",
    "HGETEX $h $ttl FIELDS 2 $e $e",
    "HGETEX $h PERSIST FIELDS 2 $e $e",
    "HSETEX $h $ttl FIELDS 2 $e $v $e $v",
    "HSETEX $h KEEPTTL FIELDS 1 $e $v",
    "HSETEX $h FNX $ttl FIELDS 1 $e $v",
    "HSETEX $h FXX FIELDS 2 $e $v $e $v",
    "HSETEX $h NX $ttl FIELDS 1 $e $v",
    "HTTL $h FIELDS 1 $e",
    "DEL $h",
    "COPY $h $h REPLACE",
    "RENAME $h $h",
    "RPUSH $k $v $v",
    "LPUSH $k $v $v $v",
    "LPUSH $k $n $n $n",
    "LPUSHX $k $v",
    "LPOP $k",
    "RPOP $k 2",
    "LMPOP 2 $k $k RIGHT COUNT 2",
    "BLPOP $k $k 0",
    "BRPOP $k $k 0",
    "BLMPOP 0 2 $k $k RIGHT COUNT 2",
    "BLMOVE $k $k RIGHT LEFT 0",
    "BRPOPLPUSH $k $k 0",
    "BLMOVEM $k $k LEFT RIGHT 0 EXACTLY 2 BULK",
    "BZPOPMIN $k $k 0",
    "BZPOPMAX $k $k 0",
    "BZMPOP 0 2 $k $k MIN COUNT 2",
    "LSET $k $n $v",
    "LINSERT $k AFTER $v $v",
    "LREM $k $n $n",
    "LTRIM $k $n -1",
    "LMOVE $k $k LEFT RIGHT",
    "RPOPLPUSH $k $k",
    "LMOVEM $k $k LEFT RIGHT COUNT 2 OBO",
    "LMOVEM $k $k RIGHT RIGHT EXACTLY 2 BULK",
    "SORT $k ALPHA STORE $k",
    "SORT $k BY nosort LIMIT 0 2 STORE $k",
    "SORT $k ALPHA GET # GET k* STORE $k",
    "SORT $k BY k* ALPHA DESC STORE $k",
    "SORT $k ALPHA GET k* BY k*",
    "LRANGE $k 0 -1",
];

const VALUES: &[&str] = &["1", "-7", "41", "3.25", "x", "some words", "", "inf", "9e9"];

const FIELDS: &[&str] = &["a", "b", "7", "", "field"];

/// Keys are few, so that commands meet.
const KEYS: u64 = 5;

fn fill(template: &str, rng: &mut Rng, now: UnixMillis) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    for word in template.split(' ') {
        match word {
            "$k" => words.push(format!("k{}", rng.below(KEYS))),
            "$h" if rng.below(20) > 0 => words.push(format!("h{}", rng.below(2))),
            "$h" => words.push(format!("k{}", rng.below(KEYS))),
            "$e" => words.push(FIELDS[rng.below(FIELDS.len() as u64) as usize].to_owned()),
            "$v" => words.push(match rng.below(12) {
                0 => "long ".repeat(rng.below(1200) as usize),
                1 => "w".repeat(rng.below(120) as usize),
                _ => VALUES[rng.below(VALUES.len() as u64) as usize].to_owned(),
            }),
            "$n" => words.push((rng.below(9) as i64 - 4).to_string()),
            "$f" => words.push(format!("{}.{}", rng.below(5), rng.below(100))),
            "$o" => words.push(rng.below(3000).to_string()),
            "$s" => words.push((1 + rng.below(3)).to_string()),
            "$p" => words.push((1 + rng.below(400)).to_string()),
            // Absolute times are now and then in the past.
            "$sat" => words.push((now.as_secs() - 1 + rng.below(4) as i64).to_string()),
            "$pat" => words.push((now.0 - 50 + rng.below(400) as i64).to_string()),
            "$ttl" => words.extend(match rng.below(4) {
                0 => ["EX".to_owned(), (1 + rng.below(3)).to_string()],
                1 => ["PX".to_owned(), (1 + rng.below(400)).to_string()],
                2 => [
                    "EXAT".to_owned(),
                    (now.as_secs() + rng.below(4) as i64).to_string(),
                ],
                _ => [
                    "PXAT".to_owned(),
                    (now.0 - 50 + rng.below(400) as i64).to_string(),
                ],
            }),
            word => words.push(word.to_owned()),
        }
    }
    words.into_iter().map(String::into_bytes).collect()
}

#[test]
fn effects_replayed_elsewhere_give_the_same_data() {
    replay(RUNS, |rng, now| {
        let template = TEMPLATES[rng.below(TEMPLATES.len() as u64) as usize];
        fill(template, rng, now)
    });
}

/// Runs commands and their effects; `next` makes the next command.
pub(crate) fn replay(runs: u64, next: impl Fn(&mut Rng, UnixMillis) -> Vec<Vec<u8>>) {
    for seed in 0..runs {
        let mut rng = Rng::from_seed(seed);
        let mut original = Engine::new(START);
        original.env.record_effects();
        let mut copy = Engine::new(UnixMillis(0));
        for step in 0..COMMANDS_PER_RUN {
            let now = original.env.now;
            original.env.now = now.saturating_add(rng.below(60) as i64);
            let words = next(&mut rng, original.env.now);
            let db = DbIndex(rng.below(2) as u32);
            let before = original.contents();
            original.run(db, &words);
            let after = original.contents();
            let effects = original.env.take_effects();
            let recorded: Vec<String> = effects.iter().map(|e| show(&e.words)).collect();
            let context = || format!("seed {seed}, step {step}: {} {recorded:?}", show(&words));
            if effects.is_empty() {
                assert_eq!(before, after, "a change without effect: {}", context());
            }
            copy.env.now = UnixMillis(0);
            for effect in &effects {
                let reply = copy.run(effect.db, &effect.words);
                assert_ne!(reply[0], b'-', "an effect failed: {}", context());
            }
            copy.env.now = original.env.now;
            assert_eq!(after, copy.contents(), "{}", context());
        }
    }
}
