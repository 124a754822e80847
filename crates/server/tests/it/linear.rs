//! Whether one order explains what many connections to four workers saw: registers, counters,
//! lists, blocking pops, transactions and scripts. `cargo xtask linear` runs the same for longer.

use std::path::Path;

use testkit::linear::{Plan, Report, run};
use testkit::peers::Kind;
use testkit::process::Server;

const OPERATIONS: usize = 50_000;

fn drive(kills: bool) -> Report {
    let binary = Path::new(env!("CARGO_BIN_EXE_ruddle"));
    let server = Server::start_binary(Kind::Ruddle, binary, &["--workers", "4"]);
    let plan = Plan {
        operations: OPERATIONS,
        connections: 24,
        seed: 1,
        kills,
    };
    let report = run(&server.expect("the server starts"), &plan).expect("every call is answered");
    assert!(report.faults.is_empty(), "{report}\n{}", report.faults[0]);
    println!("{report}");
    // That the run reached what it is about.
    assert!(report.operations > OPERATIONS / 2, "{report}");
    assert!(report.waited > 100 && report.unblocked > 0, "{report}");
    assert!(report.scripts > 500, "{report}");
    assert!(report.transactions > 1000 && report.aborted > 0, "{report}");
    report
}

#[test]
fn answers_of_many_connections_have_an_order() {
    assert_eq!(drive(false).unknown, 0);
}

#[test]
fn answers_have_an_order_while_clients_are_killed() {
    let report = drive(true);
    assert!(
        report.unknown > 0 && report.kills > report.unknown / 2,
        "{report}"
    );
}
