//! What `tidy` holds the code to. A change here is a decision: it belongs into its own commit with
//! its reason.

/// Where Rust files are.
pub(super) const SOURCE_DIRECTORIES: &[&str] = &["crates", "xtask", "fuzz/fuzz_targets"];

/// What a crate may depend on.
pub(super) struct CrateRule {
    pub(super) name: &'static str,
    /// Directory of its manifest.
    pub(super) path: &'static str,
    /// Crates of this workspace.
    pub(super) own: &'static [&'static str],
    /// Crates from outside.
    pub(super) foreign: &'static [&'static str],
}

/// base <- resp, structs <- engine <- server, and bench beside them. Tools may import what they
/// drive, nobody imports a tool.
pub(super) const CRATES: &[CrateRule] = &[
    CrateRule {
        name: "base",
        path: "crates/base",
        own: &[],
        foreign: &[
            "getrandom",
            "itoa",
            "rapidhash",
            "rustc_apfloat",
            "xxhash-rust",
        ],
    },
    CrateRule {
        name: "resp",
        path: "crates/resp",
        own: &["base"],
        foreign: &["itoa", "memchr", "ryu"],
    },
    CrateRule {
        name: "structs",
        path: "crates/structs",
        own: &["base"],
        foreign: &["memchr"],
    },
    CrateRule {
        name: "rdb",
        path: "crates/rdb",
        own: &["base", "structs"],
        foreign: &[],
    },
    CrateRule {
        name: "engine",
        path: "crates/engine",
        own: &["base", "rdb", "resp", "structs"],
        foreign: &[
            "itoa",
            "memchr",
            "parking_lot",
            "regex",
            "shuttle",
            "xxhash-rust",
        ],
    },
    CrateRule {
        name: "journal",
        path: "crates/journal",
        own: &["base", "resp"],
        foreign: &["log", "parking_lot"],
    },
    CrateRule {
        name: "replication",
        path: "crates/replication",
        own: &["base", "journal"],
        foreign: &["memchr"],
    },
    CrateRule {
        name: "script",
        path: "crates/script",
        own: &["base", "resp"],
        foreign: &["mlua", "scoped-tls-hkt", "sha1"],
    },
    CrateRule {
        name: "server",
        path: "crates/server",
        own: &[
            "base",
            "bench",
            "engine",
            "journal",
            "rdb",
            "replication",
            "resp",
            "script",
            "structs",
        ],
        foreign: &[
            "chrono",
            "clap",
            "glob",
            "itoa",
            "libc",
            "log",
            "memchr",
            "mio",
            "nix",
            "parking_lot",
            "quanta",
            "rustix",
            "sha1",
            "shuttle",
            "signal-hook",
            "slab",
            "socket2",
            "tikv-jemalloc-ctl",
            "tikv-jemalloc-sys",
            "tikv-jemallocator",
        ],
    },
    CrateRule {
        name: "bench",
        path: "crates/bench",
        own: &["base", "resp"],
        foreign: &[
            "clap",
            "fastrand",
            "hdrhistogram",
            "libc",
            "memchr",
            "mio",
            "rustix",
            "serde",
            "serde_json",
        ],
    },
    CrateRule {
        name: "testkit",
        path: "crates/testkit",
        own: &[],
        foreign: &["regex-lite"],
    },
    CrateRule {
        name: "xtask",
        path: "xtask",
        own: &["bench", "testkit"],
        foreign: &["clap", "serde", "serde_json", "toml"],
    },
];

/// What any crate may use in its tests.
pub(super) const DEV_DEPENDENCIES: &[&str] = &["libtest-mimic", "proptest", "redis", "testkit"];

/// Longest line, in characters.
pub(super) const LINE_MAX: usize = 100;

/// Longest file, in lines.
pub(super) const FILE_MAX: usize = 1000;

/// Longest function, in lines, from `fn` to its closing brace. Aim at 70.
pub(super) const FUNCTION_MAX: usize = 80;

/// Files of identical rows, which may be longer.
pub(super) const CATALOGUES: &[&str] = &["crates/server/src/config/catalogue.rs"];

/// Files that may say `unsafe`. Each is named in ARCHITECTURE.md with what its unsafe code does.
pub(super) const UNSAFE_FILES: &[&str] = &[
    "crates/engine/src/entry.rs",
    "crates/engine/src/popcount.rs",
    "crates/engine/src/prefetch.rs",
    "crates/engine/src/table.rs",
    "crates/script/src/raw/mod.rs",
    "crates/script/src/raw/push.rs",
    "crates/script/src/raw/write.rs",
    "crates/server/src/allocator.rs",
    "crates/server/src/input.rs",
    // Calls both allocators directly to compare them.
    "crates/server/tests/it/allocator.rs",
];

/// A word that has no business in a file, and what to do instead.
pub(super) struct Banned {
    pub(super) word: &'static str,
    pub(super) instead: &'static str,
    /// Where the rule holds: prefixes of paths.
    pub(super) within: &'static [&'static str],
    /// Where it does not: prefixes of paths.
    pub(super) except: &'static [&'static str],
    pub(super) scope: Scope,
}

/// Where a banned word is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// In code, not in comments and strings.
    Code,
    /// Anywhere in the file.
    Text,
}

const EVERYWHERE: &[&str] = &[""];

/// Crates that do no IO: time and randomness come in from outside, bytes as well.
const NO_IO: &[&str] = &[
    "crates/resp/src/",
    "crates/structs/src/",
    "crates/engine/src/",
];

/// Who may sleep: the tools, and DEBUG SLEEP, which is asked to.
const WAITERS: &[&str] = &[
    "xtask/",
    "crates/testkit/",
    "crates/bench/",
    "crates/server/src/families/debug.rs",
    // Kills a server at any moment: there is nothing to await.
    "crates/server/tests/it/crashes.rs",
    "crates/server/tests/it/replica.rs",
    // Polls, with a deadline.
    "crates/server/tests/it/servers.rs",
];

const fn everywhere(word: &'static str, instead: &'static str, scope: Scope) -> Banned {
    Banned {
        word,
        instead,
        within: EVERYWHERE,
        except: &["xtask/src/tidy/tables.rs"],
        scope,
    }
}

const fn no_io(word: &'static str) -> Banned {
    let instead = "this crate does no IO: let the caller bring it in";
    Banned {
        word,
        instead,
        within: NO_IO,
        except: &[],
        scope: Scope::Code,
    }
}

/// All banned words.
pub(super) const BANNED: &[Banned] = &[
    everywhere("todo!", "finish it, or leave it out", Scope::Code),
    everywhere("unimplemented!", "finish it, or leave it out", Scope::Code),
    everywhere("dbg!", "log it, or leave it out", Scope::Code),
    everywhere("FIXME", "fix it now, or open an issue", Scope::Text),
    everywhere("XXX", "say what is odd in a sentence", Scope::Text),
    everywhere("#[ignore", "a test runs or goes", Scope::Code),
    Banned {
        word: "thread::sleep",
        instead: "wait for the event, or poll a condition in the test kit",
        within: EVERYWHERE,
        except: WAITERS,
        scope: Scope::Code,
    },
    no_io("std::net"),
    no_io("std::fs"),
    no_io("std::thread"),
    no_io("Instant::now"),
    no_io("SystemTime::now"),
];
