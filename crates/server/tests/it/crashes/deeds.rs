//! What the connections of the crash test do: for each connection and number one deed, always the
//! same, on keys of that connection. So whoever does a connection's first so many deeds again has
//! what must be there.

/// Deadlines that no test lives to see: the year 2100, in milliseconds.
const FAR_MS: u64 = 4_102_444_800_000;
/// Texts of a connection, and members of each of its collections.
pub(super) const NAMES: u64 = 23;

/// Does the same within a script: all keys are declared.
const SCRIPT: &str = "redis.call('RPUSH', KEYS[1], ARGV[1]) return redis.call(unpack(ARGV, 2))";

/// One command and its keys.
pub(super) struct Deed {
    pub(super) words: Vec<String>,
    keys: Vec<String>,
}

/// How a deed and its entry in the list are sent together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Transaction,
    Script,
    /// One after the other: either alone may be there, but only of the last deed.
    Plain,
}

/// The commands to send for a deed.
pub(super) struct Sent {
    pub(super) style: Style,
    pub(super) commands: Vec<Vec<Vec<u8>>>,
}

/// A command whose first word after the name is its key.
fn on(key: String, line: &str) -> Deed {
    let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    words.insert(1, key.clone());
    let keys = vec![key];
    Deed { words, keys }
}

/// A command with keys anywhere.
fn with(keys: &[&String], line: &str) -> Deed {
    Deed {
        words: line.split(' ').map(str::to_owned).collect(),
        keys: keys.iter().map(|&key| key.clone()).collect(),
    }
}

/// Deed number `number` of connection `id`.
pub(super) fn deed(id: usize, number: u64) -> Deed {
    let turn = number / STYLES.len() as u64;
    let kind = (turn % KINDS.len() as u64) as usize;
    let nth = turn / KINDS.len() as u64;
    KINDS[kind](id, nth % NAMES, number)
}

type Make = fn(id: usize, name: u64, number: u64) -> Deed;

/// Every type, what makes, changes, moves and deletes, and deadlines of keys and fields.
const KINDS: &[Make] = &[
    |id, name, n| on(format!("text:{id}:{name}"), &format!("SET value-{n}")),
    |id, name, n| on(format!("text:{id}:{name}"), &format!("APPEND +{n}")),
    |id, name, n| {
        on(
            format!("text:{id}:{name}"),
            &format!("PEXPIREAT {}", FAR_MS + n),
        )
    },
    |id, name, n| {
        on(
            format!("text:{id}:{name}"),
            &format!("SET {n} PXAT {}", FAR_MS + n),
        )
    },
    |id, name, _| on(format!("text:{id}:{name}"), "PERSIST"),
    |id, name, n| on(format!("text:{id}:{name}"), &format!("SETRANGE 4 {n}")),
    |id, _, n| on(format!("number:{id}"), &format!("INCRBY {n}")),
    |id, _, _| on(format!("float:{id}"), "INCRBYFLOAT 0.1"),
    |id, name, n| {
        on(
            format!("bits:{id}"),
            &format!("SETBIT {} {}", name * 11, n % 2),
        )
    },
    |id, _, n| on(format!("sketch:{id}"), &format!("PFADD {n}")),
    |id, _, n| {
        on(
            format!("list:{id}"),
            &format!("RPUSH {n} element-{n} {}", n * 1000),
        )
    },
    |id, _, n| on(format!("list:{id}"), &format!("LPUSH left-{n}")),
    |id, _, _| on(format!("list:{id}"), "LPOP 2"),
    |id, _, _| {
        let (from, to) = (format!("list:{id}"), format!("moved:{id}"));
        with(&[&from, &to], &format!("LMOVE {from} {to} LEFT RIGHT"))
    },
    |id, _, _| on(format!("moved:{id}"), "LTRIM -40 -1"),
    |id, name, n| on(format!("set:{id}"), &format!("SADD {n} member-{name}")),
    |id, name, _| on(format!("set:{id}"), &format!("SREM member-{}", name / 2)),
    |id, name, n| {
        on(
            format!("hash:{id}"),
            &format!("HSET field-{name} {n} other-{n} x"),
        )
    },
    |id, name, n| on(format!("hash:{id}"), &format!("HINCRBY counter-{name} {n}")),
    |id, name, n| {
        let line = format!("HPEXPIREAT {} FIELDS 1 field-{name}", FAR_MS + n);
        on(format!("hash:{id}"), &line)
    },
    |id, name, _| on(format!("hash:{id}"), &format!("HDEL field-{}", name / 2)),
    |id, name, n| {
        on(
            format!("zset:{id}"),
            &format!("ZADD {n}.5 member-{name} 1 m-{n}"),
        )
    },
    |id, name, _| on(format!("zset:{id}"), &format!("ZINCRBY 2.25 member-{name}")),
    |id, _, _| on(format!("zset:{id}"), "ZPOPMIN"),
    |id, _, n| {
        on(
            format!("stream:{id}"),
            &format!("XADD {}-1 field {n}", n + 1),
        )
    },
    |id, _, _| on(format!("stream:{id}"), "XTRIM MAXLEN = 50"),
    |id, _, _| {
        let key = format!("stream:{id}");
        with(&[&key], &format!("XGROUP CREATE {key} readers 0 MKSTREAM"))
    },
    |id, name, _| {
        let key = format!("stream:{id}");
        let reader = name % 3;
        with(
            &[&key],
            &format!("XREADGROUP GROUP readers r{reader} COUNT 2 STREAMS {key} >"),
        )
    },
    |id, name, n| {
        let number = n.saturating_sub(name) + 1;
        on(format!("stream:{id}"), &format!("XACK readers {number}-1"))
    },
    |id, name, _| {
        let (from, to) = (format!("text:{id}:{name}"), format!("named:{id}"));
        with(&[&from, &to], &format!("RENAME {from} {to}"))
    },
    |id, name, _| {
        let (from, to) = (format!("set:{id}"), format!("copy:{id}:{name}"));
        with(&[&from, &to], &format!("COPY {from} {to} REPLACE"))
    },
    |id, name, _| on(format!("copy:{id}:{}", name / 2), "DEL"),
    |id, name, _| on(format!("text:{id}:{}", name / 3), "UNLINK"),
    |id, name, _| on(format!("text:{id}:{name}"), "MOVE 1"),
    // Gone again before anybody looks.
    |id, name, n| on(format!("fleeting:{id}:{name}"), &format!("SET {n} PX 20")),
    // Longer than what is written at once.
    |id, name, n| {
        let mut deed = on(format!("large:{id}"), "SET");
        deed.words
            .push(format!("{n}-").repeat(5000 + 100 * name as usize));
        deed
    },
];

const STYLES: [Style; 3] = [Style::Transaction, Style::Plain, Style::Script];

/// What is sent for it: the deed, and its entry in the list of all deeds.
pub(super) fn sent(id: usize, number: u64) -> Sent {
    let style = STYLES[(number % STYLES.len() as u64) as usize];
    let Deed { words, keys } = deed(id, number);
    let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let entry = format!("{id}:{number}");
    let listed: Vec<String> = text(&["RPUSH", "all", &entry]);
    let commands: Vec<Vec<String>> = match style {
        Style::Transaction => vec![text(&["MULTI"]), listed, words, text(&["EXEC"])],
        Style::Plain => vec![words, listed],
        Style::Script => {
            let count = (keys.len() + 1).to_string();
            let mut call: Vec<String> = text(&["EVAL", SCRIPT, &count, "all"]);
            call.extend(keys);
            call.push(entry);
            call.extend(words);
            vec![call]
        }
    };
    let bytes = |words: Vec<String>| words.into_iter().map(String::into_bytes).collect();
    Sent {
        style,
        commands: commands.into_iter().map(bytes).collect(),
    }
}
