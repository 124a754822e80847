//! CONFIG SET: what is refused and how, what is printed afterwards.

use super::*;

const INT: &str = "argument couldn't be parsed into an integer";
const NO_COUNT: &str = "number of replicas is not an integer or out of range";
const LIMITS: &str = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";

/// Parameter, value, and what Redis says of it.
const REFUSED: &[(&str, &str, &str)] = &[
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
    (
        "min-replicas-to-ack-users",
        "alice 1 bob",
        "each user needs a number of replicas",
    ),
    (
        "min-replicas-to-ack-users",
        "alice 1 alice 2",
        "each user is to be named once",
    ),
    ("min-replicas-to-ack-users", "alice -1", NO_COUNT),
    ("min-replicas-to-ack-users", "alice many", NO_COUNT),
    ("min-replicas-to-ack-users", "alice 99999999999", NO_COUNT),
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
    ("import-mode", "yes", "importing is not yet supported"),
];

#[test]
fn config_set_refuses_with_the_texts_of_redis() {
    let mut config = Config::default();
    for (name, value, fault) in REFUSED {
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
            "CONFIG SET failed (possibly related to argument 'maxmemory') - \
             argument must be a memory value",
        ),
        (
            &[
                ("port", "1"),
                ("Databases", "1"),
                ("port", "2"),
                ("xx", "1"),
            ],
            "CONFIG SET failed (possibly related to argument 'Databases') - \
             can't set immutable config",
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
