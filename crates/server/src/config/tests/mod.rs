//! The configuration against Redis 8.2.3: what is known, what is printed, what is refused and how.
//!
//! Expected texts were taken from the real server. `tests/data/config-*.txt` are its CONFIG GET *
//! and Valkey's.

use std::fs;
use std::path::PathBuf;

use super::cli::{Invocation, parse_arguments};
use super::settings::{BindHost, ClientPlace, EvictionPolicy, OutputLimit, Permission};
use super::*;

mod rewrite;
mod set;
mod sources;

const REDIS: &str = include_str!("../../../tests/data/config-redis-8.2.txt");
const VALKEY: &str = include_str!("../../../tests/data/config-valkey-9.1.txt");

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
        // `dir` depends on where we are.
        if name != "dir" && config.get(name.as_bytes()) != Some(default.as_bytes()) {
            wrong.push((
                name,
                default,
                config.get(name.as_bytes()).map(String::from_utf8_lossy),
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
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
