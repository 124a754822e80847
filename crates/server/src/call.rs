//! Running one admitted command, whoever sent it: a batch or EXEC.

use engine::args::Args;
use engine::dispatch::{Call, Outcome, execute};
use engine::failure::Failure;
use resp::Reply;

use crate::client::ReplyMode;
use crate::connection::Waiting;
use crate::registry::{Handler, RowId};
use crate::session::{ControlRun, Session};
use crate::stats::bump;

/// Runs a command and counts it; returns what its client has to wait for, if anything.
#[inline]
pub fn run(
    id: RowId,
    args: Args<'_>,
    session: &mut Session<'_, '_>,
    out: &mut Reply,
) -> Option<Waiting> {
    let server = session.server;
    let mut waiting = None;
    let mut failed = false;
    match server.registry.row(id).handler {
        Handler::Data(run) => {
            session.env.touch = !session.client.no_touch;
            let call = Call {
                run,
                db: session.client.db,
                args,
            };
            match execute(call, session.lease, session.env, out) {
                Outcome::Done => {}
                Outcome::Failed(failure) => {
                    failed = true;
                    server.count_error(failure.text(), session.stats);
                }
                Outcome::Walking(walk) => {
                    let muted = session.client.reply_mode != ReplyMode::On;
                    waiting = Some(Waiting::Walk { walk, muted });
                }
            }
        }
        Handler::Control(run) => {
            if let Err(failure) = run_control(run, id, args, session, out) {
                failed = true;
                out.error(failure.text());
                server.count_error(failure.text(), session.stats);
            }
            waiting = session.waiting.take();
        }
        // Refused by the gate: a container alone has the wrong number of words.
        Handler::Container => {}
    }
    let stats = &session.stats.commands[usize::from(id.0)];
    bump(&stats.calls, 1);
    let end = server.ticks.raw();
    let nanos = server.ticks.delta_as_nanos(*session.mark, end);
    *session.mark = end;
    bump(&stats.nanos, nanos);
    bump(&stats.failed, u64::from(failed));
    bump(&session.stats.commands_processed, 1);
    session.client.commands += 1;
    waiting
}

fn run_control(
    run: ControlRun,
    id: RowId,
    mut args: Args<'_>,
    session: &mut Session<'_, '_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    session.lease.release();
    session.stats.publish(&session.env.stats);
    if session.server.registry.row(id).parent.is_some() {
        args.skip(1);
    }
    let start = out.mark();
    let result = run(session, &mut args, out);
    if !session.lease.is_pinned() {
        session.settle();
        session.lease.release();
    }
    if result.is_err() {
        out.truncate(start);
    }
    result
}
