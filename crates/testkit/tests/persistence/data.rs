//! The data that is carried from one server to another, and what can be told of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use testkit::client::Client;
use testkit::peers::{self, Kind};
use testkit::process::Server;
use testkit::reply::Reply;

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn start(kind: Kind) -> Server {
    Server::start(kind, &["--save", ""]).expect("the server starts")
}

pub(crate) fn start_redis_7(arguments: &[&str]) -> Server {
    let program = peers::redis_7().expect("Redis 7.0 is installed");
    Server::start_binary(Kind::Redis, &program, arguments).expect("Redis 7.0 starts")
}

/// Waits until a line of INFO's section about persistence is there.
pub(crate) fn await_line(client: &mut Client, line: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let info = text(&call(client, &["INFO", "persistence"]));
        if info.lines().any(|found| found == line) {
            return;
        }
        assert!(Instant::now() < deadline, "{line} is never there: {info}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn wait_until_loaded(client: &mut Client) {
    await_line(client, "loading:0");
}

pub(crate) fn call(client: &mut Client, words: &[&str]) -> Reply {
    let reply = client.call(words).expect("an answer");
    assert!(!reply.is_error(), "{words:?}: {reply:?}");
    reply
}

pub(crate) fn now_ms() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_millis()
}

/// Every type in every form, some with deadlines.
pub(crate) fn fill(client: &mut Client) {
    fill_up_to(client, 3_000);
}

/// The same, with so many elements in what is large.
pub(crate) fn fill_up_to(client: &mut Client, many: u32) {
    let long = "long ".repeat(2000);
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut commands: Vec<Vec<String>> = [
        "SET int 12345",
        "SET large-int 1234567890123456789",
        "SET padded 007",
        "SET short hello",
        "SET empty placeholder",
        "RPUSH list 1 -5 200 70000 -3000000000 9223372036854775807 text",
        "SADD ints 1 2 3",
        "SADD wide-ints 1 70000 -9223372036854775808",
        "SADD mixed a 1 b 22",
        "HSET hash field value number 17",
        "ZADD zset 1 one 2.5 two inf top -inf bottom 0.1 tenth 1e30 far",
        "XADD stream 1-1 a 1 b 2",
        "XADD stream 1-2 a 3 b 4",
        "XADD stream 5-0 other fields",
        "XADD stream 6-0 gone soon",
        "XDEL stream 6-0",
        "XGROUP CREATE stream readers 0",
        "XGROUP CREATE stream idle $",
        "XGROUP CREATECONSUMER stream readers nobody",
        "XREADGROUP GROUP readers alice COUNT 2 STREAMS stream >",
        "XREADGROUP GROUP readers bob COUNT 1 STREAMS stream >",
        "XADD emptied 1-0 a b",
        "XDEL emptied 1-0",
        "PFADD sketch a b c d e",
        "SETBIT bits 100 1",
    ]
    .iter()
    .map(|line| words(line))
    .collect();
    commands.push(vec!["SET".into(), "empty".into(), String::new()]);
    commands.push(vec!["SET".into(), "long".into(), long.clone()]);
    commands.push(vec![
        "RPUSH".into(),
        "long-list".into(),
        long.clone(),
        "b".into(),
    ]);
    for n in 0..many {
        commands.push(words(&format!("RPUSH many-list element:{n} {n}")));
        commands.push(words(&format!("SADD many-set member:{n}")));
        commands.push(words(&format!("SADD many-ints {}", n * 3)));
        commands.push(words(&format!("HSET many-hash field:{n} {n}")));
        commands.push(words(&format!(
            "ZADD many-zset {} member:{n}",
            f64::from(n) / 7.0
        )));
        commands.push(words(&format!("XADD many-stream {}-1 field {n}", n + 1)));
    }
    commands.push(words("HSET many-hash long-value"));
    commands.last_mut().expect("one").push(long);
    for (nth, key) in [
        "short", "list", "mixed", "hash", "zset", "stream", "many-set",
    ]
    .into_iter()
    .enumerate()
    {
        let at = now_ms() + 1_000_000 + nth as u128;
        commands.push(words(&format!("PEXPIREAT {key} {at}")));
    }
    run_all(client, &commands);
}

pub(crate) fn run_all(client: &mut Client, commands: &[Vec<String>]) {
    let encoded: Vec<Vec<Vec<u8>>> = commands
        .iter()
        .map(|command| {
            command
                .iter()
                .map(|word| word.clone().into_bytes())
                .collect()
        })
        .collect();
    for (reply, command) in client
        .pipeline(&encoded)
        .expect("answers")
        .iter()
        .zip(commands)
    {
        assert!(!reply.is_error(), "{command:?}: {reply:?}");
    }
}

/// Hashes with deadlines of fields, for those who have them.
pub(crate) fn fill_timed(client: &mut Client) {
    let at = (now_ms() + 2_000_000).to_string();
    call(client, &["HSET", "timed", "a", "1", "b", "2", "c", "three"]);
    call(
        client,
        &["HPEXPIREAT", "timed", &at, "FIELDS", "2", "b", "c"],
    );
    for n in 0..1000 {
        let (field, value) = (format!("field:{n}"), n.to_string());
        call(client, &["HSET", "many-timed", &field, &value]);
        if n % 3 == 0 {
            let at = (now_ms() + 3_000_000 + n).to_string();
            call(
                client,
                &["HPEXPIREAT", "many-timed", &at, "FIELDS", "1", &field],
            );
        }
    }
}

pub(crate) fn keys(client: &mut Client) -> Vec<String> {
    let reply = call(client, &["KEYS", "*"]);
    let mut keys: Vec<String> = reply.items().expect("an array").iter().map(text).collect();
    keys.sort();
    keys
}

pub(crate) fn text(reply: &Reply) -> String {
    let bytes = reply.bytes().map(<[u8]>::to_vec);
    String::from_utf8(bytes.unwrap_or_default()).expect("readable names")
}

/// The elements where versions differ in what DEBUG DIGEST-VALUE sums up.
fn content(client: &mut Client, key: &str) -> Vec<String> {
    let kind = call(client, &["TYPE", key]).lines().concat();
    let words: &[&str] = match &*kind {
        "zset" => &["ZRANGE", key, "0", "-1", "WITHSCORES"],
        "hash" => &["HGETALL", key],
        _ => &["DEBUG", "DIGEST-VALUE", key],
    };
    let reply = call(client, words);
    let words: Vec<String> = reply.items().expect("an array").iter().map(text).collect();
    let number = |text: &String| {
        text.parse()
            .map_or(text.clone(), |score: f64| score.to_string())
    };
    let pairs = words
        .chunks(2)
        .map(|pair| pair.iter().map(number).collect::<Vec<_>>().join(" "));
    let mut pairs: Vec<String> = pairs.collect();
    pairs.sort();
    pairs
}

/// All that is known of a stream but how it is kept.
fn stream_facts(client: &mut Client, key: &str) -> Vec<String> {
    let lines = call(client, &["XINFO", "STREAM", key, "FULL"]).lines();
    let (mut kept, mut skip) = (Vec::new(), false);
    for line in lines {
        // The peers' trees have no like here: neither name nor number.
        let tree = line.contains("radix");
        if !std::mem::replace(&mut skip, tree) && !tree {
            kept.push(line);
        }
    }
    kept
}

/// What can be told of every key. Encodings are left out where `forms` says so: other versions have
/// other ones.
pub(crate) fn describe(client: &mut Client, forms: bool) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for key in keys(client) {
        let key = key.as_str();
        let kind = text(&call(client, &["TYPE", key]));
        let mut lines = vec![format!("{kind:?} {:?}", call(client, &["TYPE", key]))];
        if forms {
            let digest = call(client, &["DEBUG", "DIGEST-VALUE", key]);
            lines.push(text(&digest.items().expect("an array")[0]));
        } else {
            lines.extend(content(client, key));
        }
        lines.extend(call(client, &["PEXPIRETIME", key]).lines());
        if forms {
            let form = call(client, &["OBJECT", "ENCODING", key]).lines().concat();
            // What was edited is forgotten on the way.
            lines.push(form.replace("raw", "embstr"));
        }
        let type_line = lines[0].clone();
        if type_line.contains("stream") {
            if forms {
                lines.extend(stream_facts(client, key));
            }
            for what in [
                &["XINFO", "GROUPS", key][..],
                &["XPENDING", key, "readers"],
                &["XRANGE", key, "-", "+"],
            ] {
                lines.extend(client.call(what).expect("an answer").lines());
            }
        }
        if key.contains("timed") {
            let fields = call(client, &["HKEYS", key]);
            for field in fields.items().expect("fields") {
                let field = text(field);
                let words = ["HPEXPIRETIME", key, "FIELDS", "1", &field];
                let at = call(client, &words).lines().concat();
                lines.push(format!("{field} {at}"));
            }
            let at = lines.len() - fields.items().expect("fields").len();
            lines[at..].sort();
        }
        all.insert(key.to_owned(), lines.join("\n"));
    }
    all
}

pub(crate) fn compare(from: &BTreeMap<String, String>, to: &BTreeMap<String, String>, what: &str) {
    let names = |all: &BTreeMap<String, String>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(from), names(to), "{what}");
    for (key, description) in from {
        assert_eq!(description, &to[key], "{what}: {key}");
    }
}
