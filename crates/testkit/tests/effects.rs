//! What commands leave in the append-only file, against Redis and Ruddle: `effects/*.txt`.
//!
//! ```text
//! === A title; with `(ruddle only)` behind it, Redis is not asked
//! > SET k v EX 100          a command and what is recorded of it, a line each
//! SET k v PXAT @100s        a time of so many seconds from now
//! > SPOP s 2
//! SREM s * *                any word
//! blocked> BLPOP q 0        sent by a connection that is then seen to wait
//! > RESTORE k 0 $dump:o     what DUMP says of a key
//! redis: PERSIST k          recorded only by Redis; a comment says why
//! ```
//! SELECT is left out. `UPDATE_EXPECT=redis cargo test -p testkit --test effects` writes what Redis
//! records in place of the expectations that hold for both.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use testkit::client::Client;
use testkit::peers::{self, Kind};
use testkit::process::Server;
use testkit::reply::Reply;

const ARGS: &[&str] = &[
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
    "--auto-aof-rewrite-percentage",
    "0",
    "--save",
    "",
];
const LOG: &str = "appendonlydir/appendonly.aof.1.incr.aof";
/// How long what is expected may take to be in the file.
const PATIENCE: Duration = Duration::from_secs(3);
/// A number so near to now is a time.
const TIME_RANGE_MS: i64 = 1_000_000_000;

/// A command and what is recorded of it.
#[derive(Debug)]
struct Step {
    line: usize,
    connection: String,
    command: String,
    /// For whom (both if empty), and what.
    expected: Vec<(String, String)>,
}

#[test]
fn redis_records_this() {
    run(Kind::Redis);
}

#[test]
fn ruddle_records_this() {
    run(Kind::Ruddle);
}

fn files() -> Vec<PathBuf> {
    let directory = peers::root().join("crates/testkit/tests/effects");
    let entries = fs::read_dir(directory).expect("the directory is there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some()).collect();
    files.sort();
    files
}

fn run(kind: Kind) {
    let server = Server::start(kind, ARGS).expect("the server starts");
    let update = std::env::var("UPDATE_EXPECT").is_ok_and(|peer| peer == kind.name());
    let mut faults = Vec::new();
    for path in files() {
        let text = fs::read_to_string(&path).expect("a readable file");
        let steps = parse(&text);
        let mut recorder = Recorder::new(&server);
        let mut written = Vec::new();
        for step in steps {
            let skipped = kind == Kind::Redis && step.command.ends_with("(ruddle only)");
            if let Some(title) = step.command.strip_prefix("===") {
                recorder.begin(skipped);
                assert!(!title.is_empty(), "line {}: a title", step.line);
                continue;
            }
            if recorder.skipping {
                continue;
            }
            let got = recorder.step(&step, kind);
            let wanted = step.wanted(kind);
            if !all_match(&wanted, &got) {
                let name = path.file_name().unwrap_or_default().display();
                faults.push(format!(
                    "{name}:{}: {}\n  expected {wanted:#?}\n  recorded {got:#?}",
                    step.line, step.command
                ));
            }
            written.push((step.line, got));
        }
        if update {
            fs::write(&path, rewritten(&text, &written)).expect("a writable file");
        }
    }
    let report = faults.join("\n");
    assert!(faults.is_empty() || update, "{}\n{report}", kind.name());
}

impl Step {
    fn wanted(&self, kind: Kind) -> Vec<String> {
        let ours = |(who, _): &&(String, String)| who.is_empty() || who == kind.name();
        let expected = self.expected.iter().filter(ours);
        expected.map(|(_, effect)| effect.clone()).collect()
    }
}

/// Titles are steps too, with `===` before them.
fn parse(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let command = line
            .split_once("> ")
            .filter(|(connection, _)| connection.chars().all(char::is_alphanumeric));
        if line.starts_with("===") || command.is_some() {
            let (connection, command) = command.unwrap_or(("", line));
            steps.push(Step {
                line: at + 1,
                connection: connection.to_owned(),
                command: command.to_owned(),
                expected: Vec::new(),
            });
            continue;
        }
        let own = line.split_once(": ");
        let own = own.filter(|(who, _)| ["redis", "ruddle"].contains(who));
        let (who, effect) = own.unwrap_or(("", line));
        let step = steps.last_mut().expect("an effect follows a command");
        step.expected.push((who.to_owned(), effect.to_owned()));
    }
    steps
}

/// The text with other expectations for the steps in these lines, unless they differ by server.
fn rewritten(text: &str, recorded: &[(usize, Vec<String>)]) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let is_expectation =
        |line: &str| !(line.is_empty() || line.starts_with(['#', '=']) || line.contains("> "));
    let mut out = String::new();
    let mut at = 0;
    while at < lines.len() {
        out += lines[at];
        out += "\n";
        at += 1;
        let Some((_, effects)) = recorded.iter().find(|(line, _)| *line == at) else {
            continue;
        };
        let old: Vec<&str> = lines[at..]
            .iter()
            .copied()
            .take_while(|line| is_expectation(line))
            .collect();
        at += old.len();
        let differs = old
            .iter()
            .any(|line| line.starts_with("redis: ") || line.starts_with("ruddle: "));
        let wildcards = old.iter().any(|line| line.contains(" *"));
        let lines: Vec<String> = match differs || wildcards {
            true => old.into_iter().map(str::to_owned).collect(),
            false => effects.clone(),
        };
        lines.iter().for_each(|line| out += &format!("{line}\n"));
    }
    out
}

fn all_match(wanted: &[String], got: &[String]) -> bool {
    wanted.len() == got.len()
        && wanted
            .iter()
            .zip(got)
            .all(|(wanted, got)| fits(wanted, got))
}

fn fits(wanted: &str, got: &str) -> bool {
    let (wanted, got) = (words(wanted), words(got));
    let same = |(at, (wanted, got)): (usize, (&String, &String))| match at {
        0 => wanted.eq_ignore_ascii_case(got),
        _ => wanted == "*" || wanted == got,
    };
    wanted.len() == got.len() && wanted.iter().zip(&got).enumerate().all(same)
}

/// Words between spaces; what is between double quotes is one.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').expect("a closing quote"),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.replace("\\n", "\n"));
        rest = after.trim_start();
    }
    words
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_millis() as i64
}

/// Runs commands and reads what they leave in the file.
struct Recorder<'s> {
    server: &'s Server,
    clients: Vec<(String, Client)>,
    log: PathBuf,
    read: usize,
    skipping: bool,
}

impl Recorder<'_> {
    fn new(server: &Server) -> Recorder<'_> {
        Recorder {
            server,
            clients: Vec::new(),
            log: server.directory().join(LOG),
            read: 0,
            skipping: false,
        }
    }

    fn begin(&mut self, skipping: bool) {
        self.skipping = skipping;
        self.clients.clear();
        let mut client = self.server.connect().expect("a connection");
        // A server that has just started may be loading its empty file.
        let deadline = Instant::now() + PATIENCE;
        for words in [&["FLUSHALL"][..], &["FUNCTION", "FLUSH"]] {
            while client.call(words).expect("an answer").is_error() {
                assert!(Instant::now() < deadline, "it does not come up");
                thread::sleep(Duration::from_millis(1));
            }
        }
        self.read = fs::read(&self.log).map_or(0, |bytes| bytes.len());
    }

    fn client(&mut self, name: &str) -> &mut Client {
        if !self.clients.iter().any(|(other, _)| other == name) {
            let client = self.server.connect().expect("a connection");
            self.clients.push((name.to_owned(), client));
        }
        let found = self.clients.iter_mut().find(|(other, _)| other == name);
        &mut found.expect("added above").1
    }

    /// What a command leaves behind.
    fn step(&mut self, step: &Step, kind: Kind) -> Vec<String> {
        let mut words: Vec<Vec<u8>> = words(&step.command)
            .into_iter()
            .map(String::into_bytes)
            .collect();
        for word in &mut words {
            if let Some(key) = word.strip_prefix(b"$dump:") {
                let dump = self.client("").call(&[b"DUMP", key]).expect("an answer");
                *word = dump.bytes().expect("a key with a value").to_vec();
            }
        }
        if step.connection == "blocked" {
            self.client("blocked").send(&words).expect("it goes out");
            self.await_blocked();
        } else {
            let reply = self
                .client(&step.connection)
                .call(&words)
                .expect("an answer");
            assert!(!reply.is_error(), "line {}: {reply}", step.line);
        }
        let (wanted, deadline) = (step.wanted(kind), Instant::now() + PATIENCE);
        loop {
            let (effects, end) = self.effects();
            let complete = effects.len() >= wanted.len();
            if complete || Instant::now() > deadline {
                self.read = end;
                return effects;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn await_blocked(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let info = self
                .client("")
                .call(&["INFO", "clients"])
                .expect("an answer");
            let text = String::from_utf8_lossy(info.bytes().unwrap_or_default()).into_owned();
            if !text.contains("blocked_clients:0") {
                return;
            }
            assert!(Instant::now() < deadline, "nobody waits");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The effects behind what was read, and where they end.
    fn effects(&self) -> (Vec<String>, usize) {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let (mut at, mut effects) = (self.read, Vec::new());
        while let Some(rest) = bytes.get(at..)
            && let Ok(Some((reply, len))) = Reply::decode(rest)
        {
            at += len;
            let line = shown(&reply);
            if !line.to_ascii_uppercase().starts_with("SELECT ") {
                effects.push(line);
            }
        }
        (effects, at)
    }
}

/// A recorded command on a line.
fn shown(command: &Reply) -> String {
    let words = command.items().unwrap_or_default().iter().map(|word| {
        let text = String::from_utf8_lossy(word.bytes().unwrap_or_default()).into_owned();
        let time = text.parse::<i64>().ok().map(|number| number - now_ms());
        match time.filter(|time| time.abs() < TIME_RANGE_MS && text.len() == 13) {
            Some(time) => format!("@{}s", (time + 500).div_euclid(1000)),
            None if text.is_empty() || text.contains([' ', '\n']) => {
                format!("\"{}\"", text.replace('\n', "\\n"))
            }
            None => text,
        }
    });
    words.collect::<Vec<String>>().join(" ")
}

#[test]
fn words_and_lines_are_read_as_the_head_says() {
    assert_eq!(
        words("SET k \"two words\" x"),
        ["SET", "k", "two words", "x"]
    );
    assert!(fits("srem s * *", "SREM s a b"));
    assert!(!fits("SREM s *", "SREM s a b"));
    let steps = parse("=== t\n> GET k\nredis: A b\nC d\n");
    assert_eq!(steps[1].wanted(Kind::Redis), ["A b", "C d"]);
    assert_eq!(steps[1].wanted(Kind::Ruddle), ["C d"]);
    let text = "=== t\n> A\nold\n> B\n";
    let got = [
        (2, vec!["new".to_owned(), "er".to_owned()]),
        (4, Vec::new()),
    ];
    assert_eq!(rewritten(text, &got), "=== t\n> A\nnew\ner\n> B\n");
    assert!(Path::new(LOG).is_relative());
}
