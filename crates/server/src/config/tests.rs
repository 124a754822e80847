//! The configuration against Redis 8.2.3: what is known, what is printed, what is refused and how.
//!
//! Expected texts were taken from the real server. `tests/data/config-*.txt` are its CONFIG GET *
//! and Valkey's.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::cli::{Invocation, parse_arguments};
use super::settings::{BindHost, ClientPlace, EvictionPolicy, OutputLimit, Permission};
use super::source::INCLUDE_DEPTH_MAX;
use super::*;

const REDIS: &str = include_str!("../../tests/data/config-redis-8.2.txt");
const VALKEY: &str = include_str!("../../tests/data/config-valkey-9.1.txt");

/// A directory of its own for one test, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("ruddle-config-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Scratch(fs::canonicalize(path).unwrap())
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn load_arguments(arguments: &[&str]) -> Result<Config, ConfigError> {
    match parse_arguments(arguments.iter().map(Into::into).collect())? {
        Invocation::Serve(sources) => Config::load(&sources),
        other => panic!("{other:?}"),
    }
}

fn set(config: &mut Config, pairs: &[(&str, &str)]) -> Result<Vec<Apply>, String> {
    let pairs: Vec<(&[u8], &[u8])> = pairs
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    config
        .set(&pairs, ClientPlace::Remote)
        .map_err(|error| error.to_string())
}

fn get(config: &Config, name: &str) -> String {
    String::from_utf8(config.get(name.as_bytes()).unwrap().to_vec()).unwrap()
}

/// Names and defaults of a list.
fn inventory(list: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    list.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split_once('\t').unwrap())
        .map(|(name, default)| (name, if default == "\"\"" { "" } else { default }))
}

#[test]
fn every_parameter_of_both_servers_is_known_and_has_redis_default() {
    let config = Config::default();
    let redis: Vec<&str> = inventory(REDIS).map(|(name, _)| name).collect();
    let only_valkey = inventory(VALKEY).filter(|(name, _)| !redis.contains(name));
    let mut wrong = Vec::new();
    for (name, default) in inventory(REDIS).chain(only_valkey) {
        // `dir` depends on where we are; `save` is off until there are snapshots.
        if !["dir", "save"].contains(&name)
            && config.get(name.as_bytes()) != Some(default.as_bytes())
        {
            wrong.push((
                name,
                default,
                config.get(name.as_bytes()).map(String::from_utf8_lossy),
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(get(&config, "save"), "");
    assert_eq!(
        PathBuf::from(get(&config, "dir")),
        fs::canonicalize(".").unwrap()
    );
}

#[test]
fn rows_are_sorted_and_names_are_unique_and_lower_case() {
    assert!(PARAMS.is_sorted_by(|a, b| a.name < b.name));
    let mut names: Vec<&str> = PARAMS.iter().flat_map(Param::names).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(names.iter().all(|name| *name == name.to_ascii_lowercase()));
    assert!(PARAMS.iter().all(|param| param.doc.ends_with('.')));
}

/// The peers' suite does this with a running server.
#[test]
fn every_mutable_parameter_can_be_set_to_the_value_it_has() {
    let mut config = load_arguments(&["--enable-protected-configs", "yes"]).unwrap();
    for param in PARAMS
        .iter()
        .filter(|param| param.change != Change::Immutable)
    {
        let value = get(&config, param.name);
        assert_eq!(
            set(&mut config, &[(param.name, &value)]),
            Ok(vec![]),
            "{}",
            param.name
        );
        assert_eq!(get(&config, param.name), value);
    }
}

#[test]
fn settings_have_the_defaults() {
    let config = Config::default();
    let settings = config.settings();
    let hosts: Vec<_> = settings
        .bind
        .iter()
        .map(|at| (at.host.clone(), at.required))
        .collect();
    assert_eq!(hosts, [(BindHost::AnyV4, true), (BindHost::AnyV6, false)]);
    assert_eq!(settings.port, 6379);
    assert_eq!(settings.databases, 16);
    assert_eq!(settings.unixsocketperm, None);
    assert_eq!(settings.requirepass, None);
    assert_eq!(settings.maxmemory_policy, EvictionPolicy::NoEviction);
    assert_eq!(settings.proto_max_bulk_len_bytes, 512 << 20);
    assert_eq!(settings.enable_debug_command, Permission::No);
    assert_eq!(
        settings.client_output_buffer_limit.replica,
        OutputLimit {
            hard_bytes: 256 << 20,
            soft_bytes: 64 << 20,
            soft_seconds: 60
        }
    );
    assert!(settings.worker_count() >= 1);
}

#[test]
fn config_set_refuses_with_the_texts_of_redis() {
    const INT: &str = "argument couldn't be parsed into an integer";
    const LIMITS: &str =
        "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
    let cases: &[(&str, &str, &str)] = &[
        ("maxmemory", "1.5gb", "argument must be a memory value"),
        ("maxmemory", "-5", "argument must be a memory value"),
        (
            "maxmemory",
            "9223372036854775808",
            "argument must be greater or equal to 0",
        ),
        (
            "proto-max-bulk-len",
            "1",
            "argument must be between 1048576 and 9223372036854775807 inclusive",
        ),
        (
            "proto-max-bulk-len",
            "9223372036854775808",
            "argument must be between 1048576 and 9223372036854775807 inclusive",
        ),
        (
            "client-query-buffer-limit",
            "9223372036854775808",
            "argument must be greater or equal to 0",
        ),
        (
            "maxclients",
            "0",
            "argument must be between 1 and 4294967295 inclusive",
        ),
        ("maxclients", "-5", "argument must be greater or equal to 0"),
        ("maxclients", "05", INT),
        ("maxclients", "", INT),
        (
            "hz",
            "-1",
            "argument must be between 0 and 2147483647 inclusive",
        ),
        (
            "maxmemory-samples",
            "65",
            "argument must be between 1 and 64 inclusive",
        ),
        (
            "maxmemory-clients",
            "zz",
            "argument must be a memory or percent value",
        ),
        (
            "maxmemory-clients",
            "101%",
            "percentage argument must be less or equal to 100",
        ),
        (
            "lazyfree-lazy-expire",
            "1",
            "argument must be 'yes' or 'no'",
        ),
        (
            "loglevel",
            "zz",
            "argument(s) must be one of the following: debug, verbose, notice, warning, nothing",
        ),
        (
            "client-output-buffer-limit",
            "normal  1 1 1",
            "Wrong number of arguments in buffer limit configuration.",
        ),
        (
            "client-output-buffer-limit",
            "master 1 1 1",
            "Invalid client class specified in buffer limit configuration.",
        ),
        ("client-output-buffer-limit", "normal 1 1 -1", LIMITS),
        ("client-output-buffer-limit", "normal a 1 1", LIMITS),
        ("save", "100", "Invalid save parameters"),
        ("save", "0 5", "Invalid save parameters"),
        (
            "notify-keyspace-events",
            "1",
            "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
        ),
        (
            "latency-tracking-info-percentiles",
            "1 -1",
            "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
        ),
        (
            "latency-tracking-info-percentiles",
            "a",
            "Invalid latency-tracking-info-percentiles parameters",
        ),
        ("oom-score-adj-values", "1 2", "wrong number of arguments"),
        (
            "oom-score-adj-values",
            "5000 1 2",
            "Invalid oom-score-adj-values, elements must be between -2000 and 2000.",
        ),
        (
            "shutdown-on-sigterm",
            "save nosave",
            "shutdown options SAVE and NOSAVE can't be used simultaneously",
        ),
        (
            "proc-title-template",
            "{title} {nope}",
            "template format is invalid or contains unknown variables",
        ),
        ("locale-collate", "xx", "Invalid locale name"),
        ("dbfilename", "x", "can't set protected config"),
        ("dir", "/tmp", "can't set protected config"),
        ("databases", "zz", "can't set immutable config"),
        ("slave-priority", "zz", INT),
        ("appendonly", "yes", "persistence is not yet supported"),
        ("save", "60 1", "persistence is not yet supported"),
    ];
    let mut config = Config::default();
    for (name, value, fault) in cases {
        let expected =
            format!("CONFIG SET failed (possibly related to argument '{name}') - {fault}");
        assert_eq!(
            set(&mut config, &[(name, value)]),
            Err(expected),
            "{name} {value}"
        );
    }
    let mut config = load_arguments(&["--enable-protected-configs", "yes"]).unwrap();
    let at_dir =
        |fault| format!("CONFIG SET failed (possibly related to argument 'dir') - {fault}");
    let missing = Err(at_dir("No such file or directory"));
    assert_eq!(set(&mut config, &[("dir", "/nonexistent")]), missing);
    assert_eq!(set(&mut config, &[("dir", "")]), missing);
    assert_eq!(
        set(&mut config, &[("dir", "/dev/null")]),
        Err(at_dir("Not a directory"))
    );
    assert_eq!(
        set(&mut config, &[("dir", "/")]),
        Ok(vec![Apply::WorkingDirectory])
    );
}

#[test]
fn the_name_in_an_error_is_spelt_as_redis_spells_it() {
    let mut config = Config::default();
    let cases: &[(&[(&str, &str)], &str)] = &[
        (
            &[("nosuch", "1"), ("maxmemory", "zz")],
            "Unknown option or number of arguments for CONFIG SET - 'nosuch'",
        ),
        (
            &[("maxmemory", "zz"), ("nosuch", "1")],
            "Unknown option or number of arguments for CONFIG SET - 'nosuch'",
        ),
        (
            &[("maxmemory", "1"), ("MAXMEMORY", "2")],
            "CONFIG SET failed (possibly related to argument 'MAXMEMORY') - duplicate parameter",
        ),
        (
            &[("MAXMEMORY", "zz")],
            "CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value",
        ),
        (
            &[
                ("port", "1"),
                ("Databases", "1"),
                ("port", "2"),
                ("xx", "1"),
            ],
            "CONFIG SET failed (possibly related to argument 'Databases') - can't set immutable config",
        ),
    ];
    for (pairs, expected) in cases {
        assert_eq!(set(&mut config, pairs), Err((*expected).to_owned()));
    }
}

#[test]
fn values_print_as_redis_prints_them() {
    let cases: &[(&str, &str, &str)] = &[
        ("maxmemory", "1G", "1000000000"),
        ("maxmemory", "100mb", "104857600"),
        ("maxmemory", "007", "7"),
        ("loglevel", "Debug", "debug"),
        ("lazyfree-lazy-expire", "YES", "yes"),
        ("notify-keyspace-events", "KEA", "AKE"),
        ("notify-keyspace-events", "KEg$lshzxetdmnAo", "AKEm"),
        ("notify-keyspace-events", "goznc", "gznoc"),
        ("notify-keyspace-events", "nEz$K", "$znKE"),
        (
            "latency-tracking-info-percentiles",
            "50.00 99.9 100",
            "50 99.9 100",
        ),
        ("latency-tracking-info-percentiles", "", ""),
        ("shutdown-on-sigterm", "default save", "save"),
        ("shutdown-on-sigterm", "force now", "now force"),
        ("maxmemory-clients", "0%", "0"),
        ("save", "", ""),
        ("bind", "", ""),
        ("bind", "127.0.0.1 -::1", "127.0.0.1 -::1"),
        ("locale-collate", "C", "C"),
    ];
    let mut config = Config::default();
    for (name, value, printed) in cases {
        set(&mut config, &[(name, value)]).unwrap();
        assert_eq!(get(&config, name), *printed);
    }
    set(
        &mut config,
        &[(
            "client-output-buffer-limit",
            "NORMAL 1mb 1k 60 replica 2 2 2",
        )],
    )
    .unwrap();
    set(&mut config, &[("client-output-buffer-limit", "")]).unwrap();
    assert_eq!(
        get(&config, "client-output-buffer-limit"),
        "normal 1048576 1000 60 slave 2 2 2 pubsub 33554432 8388608 60"
    );
    assert_eq!(
        config
            .settings()
            .client_output_buffer_limit
            .normal
            .soft_bytes,
        1000
    );
}

#[test]
fn config_set_changes_all_or_nothing_and_says_what_to_do() {
    let mut config = Config::default();
    assert!(set(&mut config, &[("maxmemory", "1mb"), ("timeout", "zz")]).is_err());
    assert_eq!(
        (get(&config, "maxmemory"), config.settings().maxmemory_bytes),
        ("0".into(), 0)
    );
    let pairs = [
        ("maxmemory", "1mb"),
        ("maxmemory-policy", "allkeys-lru"),
        ("timeout", "3"),
    ];
    assert_eq!(set(&mut config, &pairs), Ok(vec![Apply::MaxMemory]));
    assert_eq!(config.settings().maxmemory_bytes, 1 << 20);
    assert_eq!(config.settings().timeout_seconds, 3);
    assert_eq!(set(&mut config, &pairs), Ok(vec![]), "nothing changed");
    assert_eq!(
        set(
            &mut config,
            &[("Slave-Priority", "1"), ("replica-priority", "2")]
        ),
        Ok(vec![])
    );
    assert_eq!(get(&config, "slave-priority"), "2");
    let secret: (&[u8], &[u8]) = (b"requirepass", b"\xff\x00");
    assert_eq!(
        config.set(&[secret], ClientPlace::Remote),
        Ok(vec![Apply::Password])
    );
    assert_eq!(
        config.settings().requirepass.as_deref(),
        Some(&b"\xff\x00"[..])
    );
}

#[test]
fn protected_parameters_can_be_opened_to_local_clients() {
    let mut config = load_arguments(&["--enable-protected-configs", "local"]).unwrap();
    let pair: [(&[u8], &[u8]); 1] = [(b"dbfilename", b"a.rdb")];
    assert!(config.set(&pair, ClientPlace::Remote).is_err());
    assert_eq!(config.set(&pair, ClientPlace::Local), Ok(vec![]));
    assert_eq!(get(&config, "dbfilename"), "a.rdb");
}

#[test]
fn config_get_takes_names_and_patterns() {
    let config = Config::default();
    let names = |patterns: &[&str]| -> Vec<String> {
        let patterns: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.as_bytes()).collect();
        let found = config.matching(&patterns);
        found
            .iter()
            .map(|(name, _)| String::from_utf8(name.clone()).unwrap())
            .collect()
    };
    assert_eq!(names(&["MaxMemory", "maxmemory"]), ["MaxMemory"]);
    assert_eq!(names(&["MaxMemory", "maxmemor*", "nosuch"]).len(), 5);
    assert_eq!(
        names(&["*-PRIORITY"]),
        ["replica-priority", "slave-priority"]
    );
    assert_eq!(names(&["key-load-delay"]), ["key-load-delay"]);
    assert_eq!(names(&["key-load-dela?"]), [""; 0]);
    let all = names(&["*"]);
    assert!(
        inventory(REDIS)
            .chain(inventory(VALKEY))
            .all(|(name, _)| all.iter().any(|n| n == name))
    );
}

/// What the peers' test suite starts every server with.
#[test]
fn the_configuration_of_the_peers_suite_loads() {
    let scratch = Scratch::new("suite");
    let path = scratch.file(
        "default.conf",
        "# comment\nalways-show-logo yes\nnotify-keyspace-events KEA\ndaemonize no\n\
         pidfile /var/run/valkey.pid\nport 6379\ntimeout 0\nbind 127.0.0.1\nloglevel verbose\n\
         logfile ''\ndatabases 16\nlatency-monitor-threshold 1\nrepl-diskless-sync-delay 0\n\
         save ''\nrdbcompression yes\ndbfilename dump.rdb\ndir ./\nslave-serve-stale-data yes\n\
         appendonly no\nappendfsync everysec\nno-appendfsync-on-rewrite no\nactiverehashing yes\n\
         enable-protected-configs yes\nenable-debug-command yes\nenable-module-command yes\n\
         propagation-error-behavior panic\nshutdown-on-sigterm force\nenable-debug-assert yes\n\
         hide-user-data-from-log no\n",
    );
    let config = load_arguments(&[path.to_str().unwrap()]).unwrap();
    assert_eq!(config.file(), Some(path.as_path()));
    assert_eq!(config.settings().enable_debug_command, Permission::Yes);
    let notices = config.notices();
    assert!(
        notices.iter().all(|notice| notice.contains("no effect")),
        "{notices:#?}"
    );
    assert_eq!(notices.len(), 7, "{notices:#?}");
}

#[test]
fn a_bad_directive_is_named_with_its_place_and_reason() {
    let scratch = Scratch::new("errors");
    let cases: &[(&str, &str)] = &[
        (
            "prot 7000",
            "1: unknown directive 'prot'; did you mean 'port'?",
        ),
        ("\n# x\nxyzzyplugh 1", "3: unknown directive 'xyzzyplugh'"),
        (
            "port zz",
            "1: 'port zz': argument couldn't be parsed into an integer",
        ),
        ("port 1 2", "1: 'port 1 2': wrong number of arguments"),
        ("port", "1: 'port ': wrong number of arguments"),
        (
            "requirepass a b",
            "1: 'requirepass (hidden)': wrong number of arguments",
        ),
        (
            "unixsocketperm 1000",
            "1: 'unixsocketperm 1000': argument must be between 0 and 777 inclusive",
        ),
        (
            "unixsocketperm 888",
            "1: 'unixsocketperm 888': argument couldn't be parsed as an octal number",
        ),
        ("logfile \"x", "1: unbalanced quotes"),
        (
            "appendonly yes",
            "1: 'appendonly yes': persistence is not yet supported",
        ),
        (
            "replicaof 127.0.0.1 1",
            "1: 'replicaof 127.0.0.1 1': replication is not yet supported",
        ),
        (
            "user default on",
            "1: 'user': access control lists is not yet supported",
        ),
        ("include", "1: 'include' takes one file name"),
        (
            "include /nonexistent.conf",
            "1: cannot read configuration file '/nonexistent.conf': No such file or directory",
        ),
    ];
    for (content, expected) in cases {
        let path = scratch.file("bad.conf", content);
        let error = load_arguments(&[path.to_str().unwrap()])
            .unwrap_err()
            .to_string();
        assert_eq!(error, format!("{}:{expected}", path.display()), "{content}");
    }
    let error = load_arguments(&["/nonexistent.conf"])
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "cannot read configuration file '/nonexistent.conf': No such file or directory"
    );
}

#[test]
fn files_include_files_but_not_for_ever() {
    let scratch = Scratch::new("include");
    let at = |name: &str| scratch.0.join(name).display().to_string();
    scratch.file("a.d-1.conf", "port 1\ntimeout 1");
    scratch.file("a.d-2.conf", "timeout 2");
    let main = format!(
        "port 5\ninclude {}\ninclude {}\n",
        at("a.d-*.conf"),
        at("none-*.conf")
    );
    scratch.file("main.conf", main);
    let config = load_arguments(&[&at("main.conf")]).unwrap();
    assert_eq!(
        (get(&config, "port"), get(&config, "timeout")),
        ("1".into(), "2".into())
    );
    let config = load_arguments(&["--port", "9", "--include", &at("a.d-1.conf")]).unwrap();
    assert_eq!(get(&config, "port"), "1");

    let itself = scratch.file("loop.conf", format!("include {}", at("loop.conf")));
    let error = load_arguments(&[itself.to_str().unwrap()])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&format!("more than {INCLUDE_DEPTH_MAX} deep")),
        "{error}"
    );
    let error = load_arguments(&["/dev/zero"]).unwrap_err().to_string();
    assert!(error.ends_with("it is larger than 16 MiB"), "{error}");
}

#[test]
fn directives_on_the_command_line() {
    let cases: &[(&[&str], &[(&str, &str)])] = &[
        (
            &["--port", "7000", "--save", "", "--loglevel", "verbose"],
            &[("port", "7000"), ("save", "")],
        ),
        (&["--save", "--port", "7000"], &[("port", "7000")]),
        (
            &["--port 7000", "--bind", "127.0.0.1", "-::1"],
            &[("port", "7000"), ("bind", "127.0.0.1 -::1")],
        ),
        (
            &["--requirepass", "--x", "--port", "1"],
            &[("requirepass", "--x"), ("port", "1")],
        ),
        (&["--bind"], &[("bind", "")]),
        (&["--PORT", "8"], &[("port", "8")]),
        (
            &["--oom-score-adj-values", "1 2 3"],
            &[("oom-score-adj-values", "1 2 3")],
        ),
        (
            &["--client-output-buffer-limit", "pubsub", "1", "2", "3"],
            &[(
                "client-output-buffer-limit",
                "normal 0 0 0 slave 268435456 67108864 60 pubsub 1 2 3",
            )],
        ),
    ];
    for (arguments, expected) in cases {
        let config = load_arguments(arguments).unwrap();
        for (name, value) in *expected {
            assert_eq!(get(&config, name), *value, "{arguments:?}");
        }
    }
    let error = |arguments: &[&str]| load_arguments(arguments).unwrap_err().to_string();
    assert_eq!(
        error(&["--port", "zz"]),
        "command line: 'port zz': argument couldn't be parsed into an integer"
    );
    assert_eq!(
        error(&["-x"]),
        "command line: '-x' is not a directive: they begin with --"
    );
    assert_eq!(
        error(&["--"]),
        "command line: '--' is not a directive: they begin with --"
    );
    assert_eq!(
        error(&["--port", "1", "2"]),
        "command line: 'port 1 2': wrong number of arguments"
    );
}

#[test]
fn the_command_line_names_the_sources() {
    let parse = |arguments: &[&str]| parse_arguments(arguments.iter().map(Into::into).collect());
    assert_eq!(parse(&["--version"]), Ok(Invocation::Version));
    assert_eq!(parse(&["-h"]), Ok(Invocation::Help));
    for (arguments, file, stdin) in [
        (&["a.conf", "--port", "1"][..], Some("a.conf"), false),
        (&["-"], None, true),
        (&["a.conf", "-"], Some("a.conf"), true),
        (&["--port", "1", "-"], None, true),
        (&[], None, false),
    ] {
        let Ok(Invocation::Serve(sources)) = parse(arguments) else {
            panic!("{arguments:?}")
        };
        assert_eq!(sources.file, file.map(PathBuf::from));
        assert_eq!(sources.stdin, stdin, "{arguments:?}");
    }
}

#[test]
fn notices_say_what_happens_instead() {
    let config = load_arguments(&[
        "--io-threads",
        "4",
        "--hz",
        "10",
        "--repl-timeout",
        "5",
        "--lua-replicate-commands",
        "yes",
    ])
    .unwrap();
    let notices = config.notices();
    assert_eq!(notices.len(), 3, "hz has its default: {notices:#?}");
    assert_eq!(
        notices[0],
        "'lua-replicate-commands' (command line) is retired and has no effect"
    );
    assert!(notices[1].starts_with("'io-threads' (command line) has no effect here: every worker"));
    assert!(notices[2].ends_with("has no effect yet: replication is not supported yet"));
    assert_eq!(get(&config, "io-threads"), "4");
}

#[test]
fn rewrite_keeps_the_file_and_changes_the_values() {
    let scratch = Scratch::new("rewrite");
    let path = scratch.file(
        "a.conf",
        "# my comment\nPORT 21420\nbind 127.0.0.1\n\n\nmaxmemory 100mb\nslave-priority 50\n\
         timeout 1\ntimeout 2\nloglevel notice\nrequirepass \"a b\\x01\"\n\
         client-output-buffer-limit replica 1mb 1mb 60\nlogfile ''\nhz 20\nunixsocketperm 700\n# tail\n",
    );
    let mut config = load_arguments(&[path.to_str().unwrap(), "--tcp-keepalive", "7"]).unwrap();
    set(
        &mut config,
        &[("maxmemory", "300mb"), ("proto-max-bulk-len", "1048577")],
    )
    .unwrap();
    config.rewrite().unwrap();
    let expected = format!(
        "# my comment\nport 21420\nbind 127.0.0.1\n\nmaxmemory 300mb\nreplica-priority 50\n\
         timeout 2\n\nloglevel notice\nrequirepass \"a b\\x01\"\n\
         client-output-buffer-limit normal 0 0 0\nlogfile \"\"\nhz 20\nunixsocketperm 700\n# tail\n\n\
         # Generated by CONFIG REWRITE\nclient-output-buffer-limit replica 1mb 1mb 60\n\
         dir \"{}\"\nproto-max-bulk-len 1048577\nsave \"\"\ntcp-keepalive 7\n",
        get(&config, "dir")
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    config.rewrite().unwrap();
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        expected,
        "twice is once"
    );
    let reloaded = load_arguments(&[path.to_str().unwrap()]).unwrap();
    assert_eq!(differences(&reloaded, &config), []);
    assert_eq!(
        fs::read_dir(&scratch.0).unwrap().count(),
        1,
        "no temporary file is left"
    );
}

#[test]
fn rewrite_keeps_what_it_does_not_own_and_the_permissions() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new("rewrite-mode");
    let path = scratch.file("a.conf", "port 1\n");
    let config = load_arguments(&[path.to_str().unwrap()]).unwrap();
    scratch.file(
        "a.conf",
        "include other.conf\nnosuch 1\nlogfile \"\nuser x on\n",
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    config.rewrite().unwrap();
    let content = fs::read_to_string(&path).unwrap();
    assert!(
        content.starts_with("include other.conf\n# ??? nosuch 1\n# ??? logfile \"\nuser x on\n")
    );
    assert!(content.ends_with("\nport 1\nsave \"\"\n"), "{content}");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    fs::remove_file(&path).unwrap();
    config.rewrite().unwrap();
    assert!(path.exists(), "a file that has gone is made again");
    let error = Config::default().rewrite().unwrap_err().to_string();
    assert_eq!(error, "The server is running without a config file");
}

/// The parameters whose values differ.
fn differences(left: &Config, right: &Config) -> Vec<(&'static str, String, String)> {
    let text = |value: &Value| String::from_utf8_lossy(&value.text).into_owned();
    let both = left
        .values
        .iter()
        .map(text)
        .zip(right.values.iter().map(text));
    let named = PARAMS
        .iter()
        .zip(both)
        .map(|(param, (left, right))| (param.name, left, right));
    named.filter(|(_, left, right)| left != right).collect()
}

/// Values that are likely to be accepted by something, and bytes that are not.
fn any_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0u64..2000).prop_map(|number| number.to_string().into_bytes()),
        any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        proptest::sample::select(vec![
            "yes",
            "no",
            "",
            "1gb",
            "50%",
            "normal 1 1 1",
            "debug",
            "KEA",
            "1 2 3",
            "local",
            "a b",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    /// Whatever is set: a failure changes nothing; a success prints a value that sets itself again, and a
    /// rewritten file that loads to the same configuration and is its own rewrite.
    #[test]
    fn set_get_and_rewrite_agree(
        pairs in proptest::collection::vec((0..PARAMS.len(), any_value()), 1..4),
    ) {
        let before = Config::default();
        let mut config = before.clone();
        let pairs: Vec<(&[u8], &[u8])> =
            pairs.iter().map(|(row, value)| (PARAMS[*row].name.as_bytes(), &value[..])).collect();
        if config.set(&pairs, ClientPlace::Local).is_err() {
            prop_assert_eq!(differences(&config, &before), vec![]);
            return Ok(());
        }
        for (name, _) in &pairs {
            let printed = config.get(name).unwrap().to_vec();
            let mut again = config.clone();
            prop_assert_eq!(again.set(&[(name, &printed)], ClientPlace::Local), Ok(vec![]));
            prop_assert_eq!(differences(&again, &config), vec![]);
        }
        let file = config.rewritten(b"# mine\nport 6379\n");
        prop_assert_eq!(config.rewritten(&file), file.clone());
        let mut reloaded = Config::default();
        for line in source::parse_text(&file).unwrap() {
            reloaded.apply_line(line).unwrap();
        }
        prop_assert_eq!(differences(&reloaded, &config), vec![]);
    }

    /// No file panics the reader or the rewriter.
    #[test]
    fn any_file_loads_or_fails_with_one_line(
        lines in proptest::collection::vec((0..PARAMS.len(), any_value()), 0..5),
        noise in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut file = noise;
        for (row, value) in lines {
            file.extend([b"\n", PARAMS[row].name.as_bytes(), b" ", &value[..]].concat());
        }
        let loaded = source::parse_text(&file).and_then(|lines| {
            let mut config = Config::default();
            lines.into_iter().try_for_each(|line| config.apply_line(line))
        });
        if let Err(error) = loaded {
            prop_assert!(!error.to_string().contains('\n'), "{error}");
        }
        let config = Config::default();
        let rewritten = config.rewritten(&file);
        prop_assert_eq!(config.rewritten(&rewritten), rewritten.clone());
    }
}
