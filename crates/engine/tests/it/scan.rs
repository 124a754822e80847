//! SCAN's guarantee at the commands' boundary: what is there from the first call to the last is
//! returned, whatever comes and goes between the calls; and a walk's steps are short.

use std::collections::BTreeSet;

use base::ids::DbIndex;
use base::rng::Rng;
use base::time::UnixMillis;

use crate::support::Engine;

const DB: DbIndex = DbIndex(0);

fn words(text: &str) -> Vec<Vec<u8>> {
    text.split(' ')
        .map(|word| word.as_bytes().to_vec())
        .collect()
}

/// The bulk strings of a reply, in order.
fn bulks(reply: &[u8]) -> Vec<String> {
    let lines = reply.split(|&byte| byte == b'\n').collect::<Vec<_>>();
    let bulks = lines.windows(2).filter(|pair| pair[0].starts_with(b"$"));
    bulks
        .map(|pair| String::from_utf8_lossy(pair[1]).trim_end().to_owned())
        .collect()
}

/// One SCAN call: the next cursor and the keys.
fn scan(engine: &Engine, cursor: &str, options: &str) -> (String, Vec<String>) {
    let reply = engine.run(DB, &words(format!("SCAN {cursor}{options}").as_str()));
    let mut bulks = bulks(&reply);
    (bulks.remove(0), bulks)
}

#[test]
fn what_stays_is_returned_while_the_database_grows_eleven_times_and_shrinks_back() {
    for seed in 0..6 {
        let engine = Engine::new(UnixMillis(1_000));
        let mut rng = Rng::from_seed(seed);
        let staying: BTreeSet<String> = (0..300).map(|number| format!("stay{number}")).collect();
        for key in &staying {
            engine.run(DB, &words(&format!("SET {key} 1")));
        }
        let (mut cursor, mut seen, mut other) = ("0".to_owned(), Vec::new(), 0);
        let mut growing = true;
        loop {
            let count = 1 + rng.below(20);
            let (next, keys) = scan(&engine, &cursor, &format!(" COUNT {count}"));
            seen.extend(keys.into_iter().filter(|key| staying.contains(key)));
            cursor = next;
            if cursor == "0" {
                break;
            }
            for _ in 0..rng.below(400) {
                let command = if growing { "SET" } else { "DEL" };
                let value = if growing { " 1" } else { "" };
                engine.run(DB, &words(&format!("{command} other{other}{value}")));
                (other, growing) = match (growing, other) {
                    (true, 3_000..) => (other, false),
                    (false, 0) => (0, true),
                    (true, _) => (other + 1, true),
                    (false, _) => (other - 1, false),
                };
            }
        }
        let unique: BTreeSet<String> = seen.iter().cloned().collect();
        assert_eq!(unique, staying, "seed {seed}");
        assert_eq!(
            seen.len(),
            staying.len(),
            "seed {seed}: nothing comes twice"
        );
    }
}

#[test]
fn any_cursor_is_a_cursor() {
    let engine = Engine::new(UnixMillis(1_000));
    for number in 0..2_000 {
        engine.run(DB, &words(&format!("SET k{number} 1")));
    }
    let mut rng = Rng::from_seed(3);
    let edges = [0, 1, (1 << 48) - 1, 1 << 48, u64::MAX - 1, u64::MAX];
    let random: Vec<u64> = (0..500).map(|_| rng.next_u64() >> rng.below(64)).collect();
    for cursor in edges.into_iter().chain(random) {
        let (next, _) = scan(&engine, &cursor.to_string(), "");
        let next: u64 = next.parse().expect("a cursor is a number");
        assert!(
            next == 0 || next > cursor && next < 1 << 48,
            "{cursor} {next}"
        );
    }
}

#[test]
fn a_call_returns_about_as_many_keys_as_asked_for() {
    let engine = Engine::new(UnixMillis(1_000));
    for number in 0..3_000 {
        engine.run(DB, &words(&format!("SET k{number} 1")));
    }
    let mut cursor = "0".to_owned();
    loop {
        let (next, keys) = scan(&engine, &cursor, " COUNT 100");
        assert!(keys.len() < 100 + 14, "{}", keys.len());
        assert!(keys.len() >= 100 || next == "0");
        cursor = next;
        if cursor == "0" {
            break;
        }
    }
    let (cursor, keys) = scan(&engine, "0", " COUNT 9223372036854775807 MATCH k1*");
    assert_eq!((cursor.as_str(), keys.len()), ("0", 1_111));
}

#[test]
fn keys_lists_a_large_database_once() {
    let engine = Engine::new(UnixMillis(1_000));
    let value = "x".repeat(100);
    let mut all = BTreeSet::new();
    for number in 0..6_000 {
        let key = format!("{value}{number}");
        engine.run(DB, &words(&format!("SET {key} 1")));
        all.insert(key);
    }
    let found = bulks(&engine.run(DB, &words("KEYS *")));
    assert_eq!(found.len(), all.len());
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), all);
    let reply = engine.run(DB, &words("DBSIZE"));
    assert_eq!(reply, b":6000\r\n");
}
