//! MIGRATE to the peers and from them: values of every type, deadlines, passwords, and what is
//! refused.

use testkit::client::Client;
use testkit::peers::{self, Kind};
use testkit::process::Server;
use testkit::reply::Reply;

fn start(kind: Kind) -> (Server, Client) {
    let server = Server::start(kind, &["--save", ""]).expect("the server starts");
    let client = server.connect().expect("a connection");
    (server, client)
}

fn call(client: &mut Client, words: &[&str]) -> Reply {
    client.call(words).expect("an answer")
}

fn line(client: &mut Client, line: &str) -> Reply {
    call(client, &line.split(' ').collect::<Vec<_>>())
}

/// How keys are made, and how they are looked at.
const KEYS: &[(&str, &str, &str)] = &[
    ("int", "SET int 12345", "GET int"),
    ("text", "SET text some-words", "GET text"),
    ("list", "RPUSH list a b 3", "LRANGE list 0 -1"),
    ("ints", "SADD ints 1 2 70000", "SMEMBERS ints"),
    ("set", "SADD set a 2 c", "SMEMBERS set"),
    ("hash", "HSET hash f v g 2", "HGETALL hash"),
    (
        "zset",
        "ZADD zset 1 a 2.5 b inf c",
        "ZRANGE zset 0 -1 WITHSCORES",
    ),
    ("stream", "XADD stream 1-1 f v g w", "XRANGE stream - +"),
];

/// Moves values of every type, and large ones, from one to the other.
fn move_all(from: Kind, to: Kind) {
    let ((_source, mut here), (target, mut there)) = (start(from), start(to));
    let port = target.port().to_string();
    for (_, make, _) in KEYS {
        assert!(!line(&mut here, make).is_error(), "{make}");
    }
    for n in 0..5000 {
        line(&mut here, &format!("ZADD large {n} member:{n}"));
    }
    call(&mut here, &["SET", "long", &"long ".repeat(50_000)]);
    line(&mut here, "PEXPIRE text 1000000");
    let before: Vec<Reply> = KEYS
        .iter()
        .map(|(_, _, look)| line(&mut here, look).sorted())
        .collect();
    let mut words = vec![
        "MIGRATE",
        "127.0.0.1",
        &port,
        "",
        "3",
        "10000",
        "KEYS",
        "nosuch",
    ];
    words.extend(KEYS.iter().map(|&(key, ..)| key).chain(["large", "long"]));
    assert_eq!(
        call(&mut here, &words).lines(),
        ["OK"],
        "{from:?} to {to:?}"
    );
    assert_eq!(line(&mut here, "DBSIZE").lines(), ["(integer) 0"]);
    line(&mut there, "SELECT 3");
    for ((_, _, look), before) in KEYS.iter().zip(before) {
        assert_eq!(
            line(&mut there, look).sorted(),
            before,
            "{from:?} to {to:?}: {look}"
        );
    }
    assert_eq!(
        line(&mut there, "ZSCORE large member:4711").lines(),
        ["\"4711\""]
    );
    assert_eq!(line(&mut there, "ZCARD large").lines(), ["(integer) 5000"]);
    assert_eq!(
        line(&mut there, "STRLEN long").lines(),
        ["(integer) 250000"]
    );
    assert_eq!(line(&mut there, "PTTL set").lines(), ["(integer) -1"]);
    let ttl = line(&mut there, "PTTL text");
    assert!(matches!(ttl, Reply::Int(900_000..=1_000_000)), "{ttl:?}");
}

/// A password there, a key there, and a database that is not there.
fn refusals(from: Kind, to: Kind) {
    let ((_source, mut here), (target, mut there)) = (start(from), start(to));
    let port = target.port().to_string();
    line(&mut here, "SET a 1");
    line(&mut there, "SET a 2");
    line(&mut there, "CONFIG SET requirepass secret");
    let mut migrate = |rest: &str| {
        let command = format!("MIGRATE 127.0.0.1 {port} a {rest}");
        line(&mut here, &command).lines().join(" ")
    };
    let refused = "(error) ERR Target instance replied with error: ";
    for (rest, text) in [
        ("0 1000", "NOAUTH Authentication required."),
        ("0 1000 AUTH wrong REPLACE", "WRONGPASS "),
        (
            "0 1000 AUTH secret",
            "BUSYKEY Target key name already exists.",
        ),
        (
            "99 1000 AUTH secret REPLACE",
            "ERR DB index is out of range",
        ),
    ] {
        let answer = migrate(rest);
        let end = answer.strip_prefix(refused);
        assert!(
            end.is_some_and(|end| end.starts_with(text)),
            "{rest}: {answer}"
        );
    }
    assert_eq!(migrate("0 1000 AUTH2 default secret REPLACE COPY"), "OK");
    assert_eq!(migrate("0 1000 REPLACE"), "OK");
    assert_eq!(migrate("0 1000"), "NOKEY");
}

#[test]
fn to_the_peers_and_from_them() {
    if !peers::has_ruddle() {
        eprintln!("skipped: Ruddle is not built");
        return;
    }
    for other in [Kind::Redis, Kind::Valkey, Kind::Ruddle] {
        move_all(Kind::Ruddle, other);
        refusals(Kind::Ruddle, other);
        if other != Kind::Ruddle {
            move_all(other, Kind::Ruddle);
            refusals(other, Kind::Ruddle);
        }
    }
}
