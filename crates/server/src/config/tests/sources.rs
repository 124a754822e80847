//! Files, includes and the command line.

use super::*;
use crate::config::source::INCLUDE_DEPTH_MAX;

/// Names and values as CONFIG GET prints them.
type Values = &'static [(&'static str, &'static str)];

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
    assert_eq!(notices.len(), 3, "{notices:#?}");
}

/// Content of a file, and the error less the path of the file.
const BAD: &[(&str, &str)] = &[
    (
        "prt 7000",
        "1: unknown directive 'prt'; did you mean 'port'?",
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
        "cluster-enabled yes",
        "1: 'cluster-enabled yes': cluster mode is not yet supported",
    ),
    (
        "replicaof 127.0.0.1 x",
        "1: 'replicaof 127.0.0.1 x': Invalid master port",
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

#[test]
fn a_bad_directive_is_named_with_its_place_and_reason() {
    let scratch = Scratch::new("errors");
    for (content, expected) in BAD {
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

/// Arguments, and some of the values that they give.
const ARGUMENTS: &[(&[&str], Values)] = &[
    (
        &["--port", "7000", "--save", "", "--loglevel", "verbose"],
        &[("port", "7000"), ("save", "")],
    ),
    (&["--save", "--port", "7000"], &[("port", "7000")]),
    (
        &["--save", "60", "1", "--save", "300 10"],
        &[("save", "60 1 300 10")],
    ),
    (
        &["--save", "60", "1", "--save", "", "--save", "5", "6"],
        &[("save", "5 6")],
    ),
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

#[test]
fn directives_on_the_command_line() {
    for (arguments, expected) in ARGUMENTS {
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

/// As the peers' suite has it: the first words after the file without `--`, quotes within a word.
#[test]
fn the_first_directive_after_the_file_needs_no_mark() {
    let scratch = Scratch::new("bare");
    let path = scratch.file("bare.conf", "port 7000\n");
    let file = path.to_str().unwrap();
    let quoted = ["--maxmemory '700mb'", "--maxmemory-policy 'volatile-lru'"];
    let config = load_arguments(&[file, "loglevel", "verbose", quoted[0], quoted[1]]).unwrap();
    assert_eq!(get(&config, "loglevel"), "verbose");
    assert_eq!(get(&config, "maxmemory"), "734003200");
    assert_eq!(get(&config, "maxmemory-policy"), "volatile-lru");
    let error = |arguments: &[&str]| load_arguments(arguments).unwrap_err().to_string();
    assert_eq!(
        error(&[file, "port", "--loglevel", "debug"]),
        "command line: 'port ': wrong number of arguments"
    );
    assert_eq!(
        error(&[file, "-x", "1"]),
        "command line: '-x' is not a directive: they begin with --"
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
        "--repl-mptcp",
        "yes",
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
