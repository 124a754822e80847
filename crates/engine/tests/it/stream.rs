//! The effects of stream commands, by replay; and a stream as text, to compare two.

use std::fmt::Write;

use base::rng::Rng;
use structs::stream::{Group, Stream, StreamId};

use crate::replay::replay;

/// All that replaying must give again: not the times of deliveries, which are clamped to the clock,
/// nor when consumers were seen.
pub(crate) fn text(stream: &Stream) -> Vec<u8> {
    let log = stream.log();
    let mut out = String::new();
    for entry in log.range(StreamId::MIN, StreamId::MAX) {
        writeln!(
            out,
            "{:?} {:?}",
            entry.id(),
            entry.pairs().collect::<Vec<_>>()
        )
        .expect("text");
    }
    let past = (log.last_id(), log.max_deleted_id(), log.entries_added());
    writeln!(out, "{past:?}").expect("text");
    if let Some(it) = stream.producers() {
        let messages = (it.memory(), it.len(), it.messages(), it.added);
        writeln!(out, "{messages:?}").expect("text");
    }
    for group in stream.groups() {
        describe(group, &mut out);
    }
    out.into_bytes()
}

fn describe(group: &Group, out: &mut String) {
    let progress = (group.name(), group.last_id, group.entries_read);
    writeln!(out, "{progress:?}").expect("text");
    for (id, pending) in group.pending() {
        let owner = pending.owner.map(|owner| group.consumer(owner).name());
        writeln!(out, "{id:?} {owner:?} {}", pending.deliveries).expect("text");
    }
    for consumer in group.consumers() {
        writeln!(out, "{:?} {:?}", consumer.name(), consumer.pending()).expect("text");
    }
}

const RUNS: u64 = 20;

const TEMPLATES: &[&str] = &[
    "XADD $k * f $v",
    "XADD $k * f $v",
    "XADD $k * f $v g $v",
    "XADD $k $ms-* $v $v",
    "XADD $k NOMKSTREAM $ms-$n f $v",
    "XADD $k MAXLEN ~ $n * f $v",
    "XADD $k MINID ~ $id LIMIT 0 * f $v",
    "XADD $k MAXLEN $n ACKED * f $v",
    "XADD $k DELREF MINID $id * f $v",
    "XADD $k IDMP $c $v * f $v",
    "XADD $k IDMPAUTO $c MAXLEN $n * f $v",
    "XCFGSET $k IDMP-MAXSIZE $n",
    "XTRIM $k MAXLEN ~ $n",
    "XTRIM $k MINID ~ $id LIMIT 3",
    "XTRIM $k MINID $id ACKED",
    "XDEL $k $id $id",
    "XDELEX $k ACKED IDS 2 $id $id",
    "XACKDEL $k $g DELREF IDS 2 $id $id",
    "XGROUP CREATE $k $g $ MKSTREAM",
    "XGROUP CREATE $k $g $id",
    "XGROUP SETID $k $g $id",
    "XGROUP CREATECONSUMER $k $g $c",
    "XGROUP DELCONSUMER $k $g $c",
    "XGROUP DESTROY $k other",
    "XREADGROUP GROUP $g $c COUNT 3 STREAMS $k >",
    "XREADGROUP GROUP $g $c COUNT 2 STREAMS $k >",
    "XREADGROUP GROUP $g $c NOACK COUNT 2 STREAMS $k >",
    "XREADGROUP GROUP $g $c CLAIM $p COUNT 2 STREAMS $k >",
    "XREADGROUP GROUP $g $c COUNT 5 STREAMS $k $k 0 >",
    "XACK $k $g $id $id",
    "XNACK $k $g FAIL IDS 2 $id $id FORCE",
    "XNACK $k $g SILENT IDS 1 $id",
    "XCLAIM $k $g $c $p $id $id",
    "XCLAIM $k $g $c 0 $id $id FORCE JUSTID LASTID $id IDLE $p",
    "XAUTOCLAIM $k $g $c $p - COUNT 2",
    "XSETID $k $ms-$n MAXDELETEDID $id",
    "COPY $k $k REPLACE",
    "DEL $k",
];

fn fill(template: &str, rng: &mut Rng, entries: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let small = |rng: &mut Rng, below| rng.below(below).to_string();
    let fill = |word: &str| {
        let mut text = word.to_owned();
        for (mark, value) in [
            ("$ms", (1_700_000_000_000 + rng.below(9000)).to_string()),
            ("$k", format!("s{}", rng.below(3))),
            ("$g", ["g", "h"][rng.below(2) as usize].to_owned()),
            ("$c", ["a", "b", "c"][rng.below(3) as usize].to_owned()),
            ("$id", id(rng, entries)),
            ("$p", small(rng, 200)),
            ("$n", small(rng, 9)),
            ("$v", small(rng, 30)),
        ] {
            text = text.replace(mark, &value);
        }
        text.into_bytes()
    };
    template.split(' ').map(fill).collect()
}

/// The id of an entry that may be there.
fn id(rng: &mut Rng, entries: &[Vec<u8>]) -> String {
    match entries.len() as u64 {
        0 => "1-1".to_owned(),
        len => {
            let recent = len - 1 - rng.below(len.min(20));
            String::from_utf8_lossy(&entries[recent as usize]).into_owned()
        }
    }
}

#[test]
fn effects_of_stream_commands_replayed_elsewhere_give_the_same_streams() {
    let entries = std::cell::RefCell::new(Vec::new());
    replay(RUNS, |rng, now| {
        let template = TEMPLATES[rng.below(TEMPLATES.len() as u64) as usize];
        let words = fill(template, rng, &entries.borrow());
        // An XADD now gets an id like this.
        if template.contains(" * ") {
            let id = format!("{}-{}", now.0, rng.below(2));
            entries.borrow_mut().push(id.into_bytes());
        }
        words
    });
}
