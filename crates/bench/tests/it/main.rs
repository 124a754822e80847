//! The load generator from its command line to its JSON, against a small store in the same process.
//!
//! The store answers in pieces of a few bytes, so replies arrive split in every way.

mod store;

use std::path::PathBuf;
use std::process::ExitCode;

use bench::Report;
use store::{Faults, Store};

/// Runs the generator with these options, returns whether it was content, and its report if it
/// wrote one.
fn bench(store: &Store, name: &str, options: &str) -> (bool, Option<Report>) {
    let json: PathBuf =
        std::env::temp_dir().join(format!("ruddle-bench-{}-{name}.json", std::process::id()));
    let command = format!(
        "bench -p {} -q --json {} {options}",
        store.port,
        json.display()
    );
    let exit = bench::main(command.split_whitespace().map(Into::into));
    let report = std::fs::read(&json)
        .ok()
        .map(|text| serde_json::from_slice(&text).unwrap());
    let _ = std::fs::remove_file(&json);
    (exit == ExitCode::SUCCESS, report)
}

#[test]
fn every_reply_is_counted_and_checked() {
    let store = Store::start(Faults::None);
    for (name, options) in [
        ("plain", "-c 3 -P 1 -d 64"),
        ("pipelined", "-c 3 -P 16 -d 64"),
        ("sizes", "-c 2 -P 7 -d 0-300"),
        ("threads", "-c 4 -P 5 -d 8 --threads 3 --resp3"),
        ("zipf", "-c 2 -P 3 -d 10 --key-pattern zipf"),
        ("paced", "-c 2 -P 10 -d 10 --rate 20000"),
    ] {
        let options =
            format!("{options} --check --prefill -r 50 -n 1001 -t ping,set,get,mget10,mix,incr");
        let (content, report) = bench(&store, name, &options);
        assert!(content, "{name}");
        for result in report.unwrap().results {
            assert_eq!(
                (result.replies, result.misses),
                (1001, 0),
                "{name} {}",
                result.scenario
            );
            assert!(result.min_us <= result.p50_us && result.p50_us <= result.max_us);
            assert!(result.seconds > 0.0 && result.sent_bytes > 0 && result.received_bytes > 0);
        }
        store.clear();
    }
}

#[test]
fn nil_is_a_miss_and_not_a_fault() {
    let store = Store::start(Faults::None);
    let (content, report) = bench(&store, "misses", "--check -n 20 -c 2 -t get,mget10");
    assert!(content);
    let misses: Vec<u64> = report
        .unwrap()
        .results
        .iter()
        .map(|result| result.misses)
        .collect();
    assert_eq!(misses, [20, 200]);
}

#[test]
fn wrong_values_and_errors_are_found() {
    let store = Store::start(Faults::WrongValues);
    let (content, report) = bench(
        &store,
        "wrong",
        "--check --prefill -r 10 -n 20 -t get,mget10",
    );
    assert!(!content);
    for result in report.unwrap().results {
        assert_eq!(result.mismatches, 20, "{}", result.scenario);
        assert!(result.first_fault.is_some());
    }
    let (content, report) = bench(&store, "unknown", "-n 20 NONSENSE __key__");
    assert!(!content);
    let result = &report.unwrap().results[0];
    assert_eq!((result.replies, result.errors), (20, 20));
    assert_eq!(result.first_fault.as_deref(), Some("ERR unknown command"));
}

#[test]
fn a_closed_connection_ends_the_run() {
    let store = Store::start(Faults::Closes);
    let (content, report) = bench(&store, "closed", "-n 20 -t get");
    assert!(!content && report.is_none());
}

#[test]
fn duration_limits_the_run() {
    let store = Store::start(Faults::None);
    // In open loop the end comes between two batches, with nothing under way.
    for pace in ["", "--rate 100"] {
        let options = format!("--duration 0.05 -c 2 -t ping {pace}");
        let (content, report) = bench(&store, "duration", &options);
        assert!(content);
        assert!(report.unwrap().results[0].seconds >= 0.05);
    }
}
