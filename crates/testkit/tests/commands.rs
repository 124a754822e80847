//! What COMMAND INFO and COMMAND DOCS say of every command that Ruddle has, against the pinned
//! Redis: facts, not sentences. [`ACCEPTED`] lists the differences that are meant, each with its
//! reason.

use std::collections::{BTreeMap, BTreeSet};

use testkit::client::Client;
use testkit::peers::Kind;
use testkit::process::Server;
use testkit::reply::Reply;

/// Commands that the pinned Redis does not have: from Valkey, or from a later Redis.
const NOT_IN_PEER: &[&str] = &[
    "arcount",
    "ardel",
    "ardelrange",
    "arget",
    "argetrange",
    "argrep",
    "arinfo",
    "arinsert",
    "arlastitems",
    "arlen",
    "armget",
    "armset",
    "arnext",
    "arop",
    "arring",
    "arscan",
    "arseek",
    "arset",
    "blmovem",
    "client|capa",
    "client|import-source",
    "client|quorum",
    "delex",
    "delifeq",
    "digest",
    "increx",
    "lmovem",
    "msetex",
    "script|show",
    "sdiffcard",
    "sunioncard",
    "xcfgset",
    "xidmprecord",
    "xnack",
];

/// (command, fact, why).
const ACCEPTED: &[(&str, &str, &str)] = &[
    ("client|kill", "arguments", "no deprecation of one argument"),
    (
        "client|kill",
        "history",
        "two entries of one version are one",
    ),
    ("debug", "doc_flags", "rows have no place for syscmd"),
    (
        "hsetex",
        "arguments",
        "Valkey's conditions on the key are there",
    ),
    ("set", "arguments", "the conditions of Redis 8.4 are there"),
    ("set", "history", "the conditions of Redis 8.4 are there"),
    ("xadd", "arguments", "IDMP of Redis 8.6 is there"),
    ("xadd", "history", "IDMP of Redis 8.6 is there"),
    ("xread", "arguments", "MAXCOUNT of Redis 8.10 is there"),
    ("xreadgroup", "arguments", "CLAIM and MAXCOUNT are there"),
    ("xreadgroup", "history", "CLAIM and MAXCOUNT are there"),
    (
        "zinter",
        "arguments",
        "the aggregate COUNT of Redis 8.8 is there",
    ),
    (
        "zinterstore",
        "arguments",
        "the aggregate COUNT of Redis 8.8 is there",
    ),
    (
        "zunion",
        "arguments",
        "the aggregate COUNT of Redis 8.8 is there",
    ),
    (
        "zunionstore",
        "arguments",
        "the aggregate COUNT of Redis 8.8 is there",
    ),
];

/// Positions of the facts in an element of COMMAND INFO.
const FACTS: &[(usize, &str)] = &[
    (1, "arity"),
    (2, "flags"),
    (3, "first key"),
    (4, "last key"),
    (5, "step"),
    (6, "categories"),
    (7, "tips"),
    (8, "key specs"),
];

/// Fields of COMMAND DOCS that are facts. Of the history, only the versions.
const DOCUMENTED: &[&str] = &["since", "group", "deprecated_since", "doc_flags"];

/// Facts of one command by name, printed.
type Facts = BTreeMap<String, String>;

fn ask(client: &mut Client, words: &[&str]) -> Reply {
    client.call(words).unwrap()
}

fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.bytes().unwrap_or_default()).into_owned()
}

/// A map of RESP3 as pairs.
fn pairs(reply: &Reply) -> &[(Reply, Reply)] {
    match reply {
        Reply::Map(pairs) => pairs,
        other => panic!("no map: {other:?}"),
    }
}

/// An argument without what is prose, its fields in order of name.
fn argument(reply: &Reply) -> String {
    let fields: BTreeMap<String, String> = pairs(reply)
        .iter()
        .map(|(name, value)| (text(name), value))
        .filter(|(name, _)| name != "display_text" && name != "summary")
        .map(|(name, value)| match name.as_str() {
            "arguments" => (name, arguments(value)),
            _ => (name, value.clone().sorted().lines().join(" ")),
        })
        .collect();
    format!("{fields:?}")
}

fn arguments(reply: &Reply) -> String {
    let items = reply.items().unwrap_or_default();
    items.iter().map(argument).collect::<Vec<_>>().join("\n")
}

/// What the server says of `name`; `None` if it does not know it.
fn facts(client: &mut Client, name: &str) -> Option<Facts> {
    let info = ask(client, &["COMMAND", "INFO", name]);
    let info = info.items()?.first()?.items()?.to_vec();
    let mut facts = Facts::new();
    for &(at, fact) in FACTS {
        let lines = match fact {
            "flags" | "categories" => info[at].clone().sorted().lines(),
            _ => info[at].lines(),
        };
        facts.insert(fact.to_owned(), lines.join(" "));
    }
    let docs = ask(client, &["COMMAND", "DOCS", name]);
    for (field, value) in pairs(&pairs(&docs).first()?.1) {
        let field = text(field);
        let shown = match field.as_str() {
            "arguments" => arguments(value),
            "history" => {
                let changes = value.items().unwrap_or_default().iter();
                let version = |change: &Reply| text(&change.items().unwrap_or_default()[0]);
                changes.map(version).collect::<Vec<_>>().join(" ")
            }
            _ if DOCUMENTED.contains(&field.as_str()) => value.lines().join(" "),
            _ => continue,
        };
        facts.insert(field, shown);
    }
    Some(facts)
}

fn connect(server: &Server) -> Client {
    let mut client = server.connect().unwrap();
    ask(&mut client, &["HELLO", "3"]);
    client
}

#[test]
fn every_command_is_described_as_redis_describes_it() {
    let (ours, peer) = (
        Server::start(Kind::Ruddle, &[]).unwrap(),
        Server::start(Kind::Redis, &[]).unwrap(),
    );
    let (mut ours, mut peer) = (connect(&ours), connect(&peer));
    let names = ask(&mut ours, &["COMMAND", "LIST"]);
    let mut unknown = BTreeSet::new();
    let mut differences = Vec::new();
    let mut excused = BTreeSet::new();
    for name in names.items().unwrap_or_default().iter().map(text) {
        let mine = facts(&mut ours, &name).unwrap();
        let Some(theirs) = facts(&mut peer, &name) else {
            unknown.insert(name);
            continue;
        };
        let all: BTreeSet<&String> = mine.keys().chain(theirs.keys()).collect();
        for fact in all {
            if mine.get(fact) == theirs.get(fact) {
                continue;
            }
            if ACCEPTED.iter().any(|(n, f, _)| *n == name && f == fact) {
                excused.insert((name.clone(), fact.clone()));
                continue;
            }
            let (mine, theirs) = (mine.get(fact), theirs.get(fact));
            differences.push(format!(
                "{name}: {fact}\n  ours {mine:?}\n  Redis {theirs:?}"
            ));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let expected: BTreeSet<String> = NOT_IN_PEER.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(unknown, expected);
    assert_eq!(
        excused.len(),
        ACCEPTED.len(),
        "every excuse is needed: {excused:?}"
    );
}
