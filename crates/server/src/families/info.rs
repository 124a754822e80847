//! INFO: the row and the choice of sections; what is in them is in `crate::info`.

use engine::args::Args;
use engine::failure::Failure;
use engine::spec::{Arg, ArgKind, Flags, Group, Run, Spec};
use resp::Reply;

use crate::info::{View, report};
use crate::session::{ControlRun, Session};

/// The table of this family.
pub(super) const COMMANDS: &[Spec<ControlRun>] = &[Spec {
    flags: Flags::LOADING.or(Flags::STALE),
    categories: &["dangerous"],
    summary: "Reports on the server: what it is, does, holds and counts.",
    tips: &[
        "nondeterministic_output",
        "request_policy:all_shards",
        "response_policy:special",
    ],
    history: &[("7.0.0", "More than one section.")],
    args: &[Arg::new("section", ArgKind::String).optional().multiple()],
    ..Spec::new("info", -1, Group::Server, Run::Do(info))
}];

fn info(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let asked: Vec<&[u8]> = args.rest().collect();
    let mut view = View {
        server: session.server,
        lease: session.lease,
    };
    out.verbatim(b"txt", report(&asked, &mut view).as_bytes());
    Ok(())
}
