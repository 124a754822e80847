//! Snapshot files and DUMP payloads to and from the peers: every type and encoding, with deadlines
//! of keys and fields, compared key by key.
//!
//! The peers are the pinned Redis and Valkey, and Redis 7.0 where Debian's `redis-tools` is
//! installed: its `redis-check-rdb` is the server's program under another name.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use testkit::client::Client;
use testkit::peers::{self, Kind};
use testkit::process::Server;
use testkit::reply::Reply;

/// Where Debian has the server's program.
const DEBIAN_REDIS: &str = "/usr/bin/redis-check-rdb";

fn start(kind: Kind) -> Server {
    Server::start(kind, &["--save", ""]).expect("the server starts")
}

/// Redis 7.0, if it is here. Its program looks at the name that it is called by.
fn start_redis_7(directory: &Path) -> Option<Server> {
    let program = PathBuf::from(DEBIAN_REDIS);
    if !program.is_file() {
        return None;
    }
    let link = directory.join("redis-server");
    symlink(program, &link).expect("a link in the server's directory");
    Some(Server::start_binary(Kind::Redis, &link, &["--save", ""]).expect("Redis 7 starts"))
}

fn call(client: &mut Client, words: &[&str]) -> Reply {
    let reply = client.call(words).expect("an answer");
    assert!(!reply.is_error(), "{words:?}: {reply:?}");
    reply
}

fn now_ms() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_millis()
}

/// Every type in every form, some with deadlines.
fn fill(client: &mut Client) {
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
    for n in 0..3000 {
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

fn run_all(client: &mut Client, commands: &[Vec<String>]) {
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
fn fill_timed(client: &mut Client) {
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

fn keys(client: &mut Client) -> Vec<String> {
    let reply = call(client, &["KEYS", "*"]);
    let mut keys: Vec<String> = reply.items().expect("an array").iter().map(text).collect();
    keys.sort();
    keys
}

fn text(reply: &Reply) -> String {
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
fn describe(client: &mut Client, forms: bool) -> BTreeMap<String, String> {
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

fn compare(from: &BTreeMap<String, String>, to: &BTreeMap<String, String>, what: &str) {
    let names = |all: &BTreeMap<String, String>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(from), names(to), "{what}");
    for (key, description) in from {
        assert_eq!(description, &to[key], "{what}: {key}");
    }
}

/// Takes the file that one server has saved to another, and loads it there.
fn carry_file(from: &Server, to: &Server, what: &str) {
    let mut client = from.connect().expect("a connection");
    call(&mut client, &["SAVE"]);
    fs::copy(
        from.directory().join("dump.rdb"),
        to.directory().join("dump.rdb"),
    )
    .expect("a copy");
    let mut client = to.connect().expect("a connection");
    let reply = client
        .call(&["DEBUG", "RELOAD", "NOSAVE"])
        .expect("an answer");
    assert!(!reply.is_error(), "{what}: {reply:?}\n{}", to.log());
}

/// Takes every key of one server to another by DUMP and RESTORE.
fn carry_keys(from: &Server, to: &Server, what: &str) {
    let (mut source, mut target) = (from.connect().expect("one"), to.connect().expect("two"));
    call(&mut target, &["FLUSHALL"]);
    for key in keys(&mut source) {
        let payload = call(&mut source, &["DUMP", &key]);
        let deadline = call(&mut source, &["PEXPIRETIME", &key]).lines().concat();
        let deadline = deadline.trim_start_matches("(integer) ").replace("-1", "0");
        let words: [&[u8]; 5] = [
            b"RESTORE",
            key.as_bytes(),
            deadline.as_bytes(),
            payload.bytes().expect("a payload"),
            b"ABSTTL",
        ];
        let reply = target.call(&words).expect("an answer");
        assert!(!reply.is_error(), "{what}: {key}: {reply:?}");
    }
}

/// Carries all data one way, and compares.
fn one_way(from: &Server, to: &Server, forms: bool, payloads: bool, what: &str) {
    let mut client = from.connect().expect("a connection");
    let before = describe(&mut client, forms);
    carry_file(from, to, what);
    let after = |to: &Server| describe(&mut to.connect().expect("a connection"), forms);
    compare(&before, &after(to), &format!("{what}, file"));
    if payloads {
        carry_keys(from, to, what);
        compare(&before, &after(to), &format!("{what}, payloads"));
    }
}

#[test]
fn to_redis_and_back() {
    if !peers::has_ruddle() {
        return;
    }
    let (ruddle, redis) = (start(Kind::Ruddle), start(Kind::Redis));
    let mut client = redis.connect().expect("a connection");
    fill(&mut client);
    fill_timed(&mut client);
    one_way(&redis, &ruddle, true, true, "Redis to Ruddle");
    one_way(&ruddle, &redis, true, true, "Ruddle to Redis");
}

#[test]
fn to_valkey_and_back() {
    if !peers::has_ruddle() {
        return;
    }
    let (ruddle, valkey) = (start(Kind::Ruddle), start(Kind::Valkey));
    let mut client = valkey.connect().expect("a connection");
    fill(&mut client);
    one_way(&valkey, &ruddle, true, true, "Valkey to Ruddle");
    one_way(&ruddle, &valkey, true, true, "Ruddle to Valkey");
    fill_timed(&mut client);
    // Packed hashes with deadlines are no packed ones there.
    one_way(
        &valkey,
        &ruddle,
        false,
        true,
        "Valkey to Ruddle, with deadlines of fields",
    );
}

#[test]
fn to_redis_7_and_back() {
    let directory = std::env::temp_dir().join(format!("ruddle-redis-7-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    if !peers::has_ruddle() {
        return;
    }
    if let Some(redis) = start_redis_7(&directory) {
        let ruddle = start(Kind::Ruddle);
        fill(&mut redis.connect().expect("a connection"));
        // Sets are never listpacks there, and lists never one; nor does it load what is of 7.2.
        one_way(&redis, &ruddle, false, true, "Redis 7.0 to Ruddle");
        let mut client = ruddle.connect().expect("a connection");
        call(
            &mut client,
            &["CONFIG", "SET", "snapshot-reader", "redis-7.0"],
        );
        one_way(&ruddle, &redis, false, true, "Ruddle to Redis 7.0");
    }
    fs::remove_dir_all(&directory).expect("the directory goes");
}

/// A server's directory with a snapshot file that has every type.
fn saved() -> Server {
    let ruddle = start(Kind::Ruddle);
    let mut client = ruddle.connect().expect("a connection");
    fill(&mut client);
    fill_timed(&mut client);
    call(&mut client, &["SELECT", "3"]);
    call(&mut client, &["SET", "elsewhere", "too"]);
    call(&mut client, &["SAVE"]);
    ruddle
}

fn path_text(path: &Path) -> String {
    path.to_str().expect("a readable path").to_owned()
}

/// Runs `ruddle` to its end: whether it succeeded, and what it wrote.
fn run(arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(peers::ruddle().expect("a binary"));
    let output = command.args(arguments).output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn a_file_is_loaded_at_the_start_and_a_damaged_one_is_refused() {
    if !peers::has_ruddle() {
        return;
    }
    let first = saved();
    let file = path_text(&first.directory().join("dump.rdb"));
    let directory = path_text(first.directory());
    let before = describe(&mut first.connect().expect("a connection"), true);
    let again = Server::start(Kind::Ruddle, &["--save", "", "--dir", &directory]);
    let again = again.expect("it loads");
    let mut client = again.connect().expect("a connection");
    wait_until_loaded(&mut client);
    compare(&before, &describe(&mut client, true), "after a restart");
    call(&mut client, &["SELECT", "3"]);
    assert_eq!(text(&call(&mut client, &["GET", "elsewhere"])), "too");

    let (sound, report) = run(&["check", &file]);
    assert!(sound && report.contains("The file is sound."), "{report}");
    for part in [
        "Database 3: 1 keys, 0 with a deadline",
        "hash with deadlines: 1 keys",
    ] {
        assert!(report.contains(part), "{report}");
    }

    let mut bytes = fs::read(&file).expect("the file");
    let at = bytes.len() / 2;
    bytes[at] ^= 0x55;
    fs::write(&file, bytes).expect("the file again");
    let (sound, report) = run(&["check", &file]);
    assert!(
        !sound && report.contains("The file is broken at offset"),
        "{report}"
    );
    let socket = path_text(&first.directory().join("socket"));
    let (started, why) = run(&["--port", "0", "--unixsocket", &socket, "--dir", &directory]);
    assert!(!started && why.contains("cannot load"), "{why}");
    assert!(
        why.contains("at offset") && why.contains("ruddle check"),
        "{why}"
    );
}

fn wait_until_loaded(client: &mut Client) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let info = text(&call(client, &["INFO", "persistence"]));
        if info.contains("\nloading:0") {
            return;
        }
        assert!(Instant::now() < deadline, "still loading");
        std::thread::yield_now();
    }
}

#[test]
fn clients_are_told_to_wait_while_the_file_is_loaded() {
    if !peers::has_ruddle() {
        return;
    }
    let first = saved();
    let bytes = fs::read(first.directory().join("dump.rdb")).expect("the file");
    // A pipe in the file's place: loading is as slow as we like.
    let pipe = first.directory().join("pipe.rdb");
    let made = Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .expect("mkfifo runs");
    assert!(made.success());
    let directory = path_text(first.directory());
    let words = [
        "--save",
        "",
        "--dir",
        &directory,
        "--dbfilename",
        "pipe.rdb",
    ];
    let second = Server::start(Kind::Ruddle, &words).expect("it answers");
    let mut client = second.connect().expect("a connection");
    let mut writer = fs::OpenOptions::new()
        .write(true)
        .open(&pipe)
        .expect("a pipe");
    writer
        .write_all(&bytes[..bytes.len() / 2])
        .expect("a reader");
    let refused = client
        .call(&["GET", "int"])
        .expect("an answer")
        .lines()
        .concat();
    assert_eq!(
        refused,
        "(error) LOADING Redis is loading the dataset in memory"
    );
    let info = text(&call(&mut client, &["INFO", "persistence"]));
    for part in [
        "\nloading:1",
        "loading_start_time:",
        "loading_loaded_bytes:",
    ] {
        assert!(info.contains(part), "{info}");
    }
    writer
        .write_all(&bytes[bytes.len() / 2..])
        .expect("a reader");
    drop(writer);
    wait_until_loaded(&mut client);
    assert_eq!(text(&call(&mut client, &["GET", "int"])), "12345");
}
