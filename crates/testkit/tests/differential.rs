//! The differential runner, tried on the peers alone: it must be silent where there is nothing to
//! find, and must find what is known to be there. Ruddle itself is judged by `cargo xtask
//! differential`.

use testkit::differential::{Plan, run};
use testkit::peers::Kind;

fn plan(subject: Kind, peer: Kind, accept_known: bool) -> Plan {
    Plan {
        subject,
        peer,
        seed: 1,
        commands: 10_000,
        accept_known,
        events: false,
    }
}

#[test]
fn a_server_does_not_differ_from_itself() {
    let report = run(&plan(Kind::Redis, Kind::Redis, true)).unwrap();
    assert!(
        report.difference.is_none(),
        "{}",
        report.difference.unwrap()
    );
    assert_eq!(report.commands, 10_000);
}

/// The canary: a known difference must be found, and shrunk to what matters.
#[test]
fn a_known_difference_is_found_and_made_small() {
    let report = run(&plan(Kind::Redis, Kind::Valkey, false)).unwrap();
    let found = report.difference.expect("the peers differ");
    assert!(found.steps.len() <= 3, "not minimal:\n{found}");
}
