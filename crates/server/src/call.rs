//! Running one admitted command, whoever sent it: a batch or EXEC.

use engine::args::Args;
use engine::dispatch::{self, Call, Outcome, execute};
use engine::failure::Failure;
use engine::spec::{DataRun, Flags, Group};
use resp::Reply;

use crate::client::ReplyMode;
use crate::connection::Waiting;
use crate::monitor::{self, Source};
use crate::registry::{Handler, Row, RowId};
use crate::replicating::replica::apply;
use crate::session::{ControlRun, Session, Within};
use crate::stats::bump;
use crate::waking;

/// Runs a command and counts it; returns what its client has to wait for, if anything.
#[inline]
pub fn run(
    id: RowId,
    args: &mut Args<'_>,
    session: &mut Session<'_, '_>,
    out: &mut Reply,
) -> Option<Waiting> {
    let server = session.server;
    let mut waiting = None;
    let mut failed = false;
    let row = server.registry.row(id);
    let mut shown = server.monitors.any().then(|| args.words());
    // A script is shown before what it runs.
    if let Some(words) = shown.take_if(|_| runs_script(row)) {
        show(row, words, session);
    }
    match row.handler {
        Handler::Data(run) => {
            session.env.touch = !session.client.no_touch;
            session.env.reader.set(session.client.reader());
            let start = out.mark();
            let db = session.client.db;
            match execute(Call { run, db, args }, session.lease, session.env, out) {
                Outcome::Done => note_end(run, row, session),
                Outcome::Failed(failure) => {
                    failed = true;
                    note_data_failure(row, &failure, session);
                }
                Outcome::Walking(walk) => {
                    let muted = session.client.reply_mode != ReplyMode::On;
                    let held = Reply::new(out.proto());
                    waiting = Some(Waiting::Walk { walk, muted, held });
                }
                Outcome::Waiting(wait) => {
                    if session.within == Within::Nothing {
                        // Before anybody can see that it waits, and shows a command of his own.
                        if let Some(words) = shown.take() {
                            show(row, words, session);
                        }
                        out.truncate(start);
                        waiting = Some(waking::begin(
                            run,
                            &args.again(),
                            *wait,
                            out.proto(),
                            session,
                        ));
                    }
                }
            }
        }
        Handler::Control(run) => {
            if row.flags.has(Flags::READONLY) && !runs_script(row) {
                remember(args, session);
            }
            let done = match row.keeps_lease {
                true => run(session, args, out),
                false => run_control(run, row, args, session, out),
            };
            if let Err(failure) = done {
                failed = true;
                note_failure(row, &failure, session);
                out.error(failure.text());
                if !failure.is_counted() {
                    server.count_error(failure.text(), session.stats);
                }
            }
            failed |= std::mem::take(&mut session.failed);
            waiting = session.waiting.take();
        }
        // Refused by the gate: a container alone has the wrong number of words.
        Handler::Container => {}
    }
    if let Some(words) = shown {
        show(row, words, session);
    }
    // One that waits is counted when it goes on.
    let waits = matches!(waiting, Some(Waiting::Blocked(_)));
    count(id, waits, failed, session);
    waiting
}

/// Counts a command and its time.
#[inline]
fn count(id: RowId, waits: bool, failed: bool, session: &mut Session<'_, '_>) {
    let stats = &session.stats.commands[usize::from(id.0)];
    bump(&stats.calls, u64::from(!waits));
    let ticks = &session.server.ticks;
    let end = ticks.raw();
    bump(&stats.nanos, ticks.delta_as_nanos(*session.mark, end));
    *session.mark = end;
    bump(&stats.failed, u64::from(failed));
    bump(&session.stats.commands_processed, 1);
    session.client.commands += u64::from(!waits);
}

/// What the server does besides when a data command was run.
#[inline]
fn note_end(run: DataRun, row: &Row, session: &Session<'_, '_>) {
    if matches!(run, DataRun::WriteAll(_)) && row.spec.name == "flushall" {
        session.stats.publish(&session.env.stats);
        let changes = session.server.totals().changes;
        session.server.saving.forget(changes, session.settings);
    }
}

/// What the primary has done must not fail here.
fn note_failure(row: &Row, failure: &Failure, session: &Session<'_, '_>) {
    if session.client.upstream.is_some() {
        apply::complain(&row.name, failure.text(), session.server, session.settings);
    }
}

/// A data command has failed; what it has to say to the operator.
fn note_data_failure(row: &Row, failure: &Failure, session: &Session<'_, '_>) {
    session.server.count_error(failure.text(), session.stats);
    note_failure(row, failure, session);
    if let Some(complaint) = session.env.take_complaint() {
        log::warn!("{complaint}");
    }
}

/// Shows a command to those who monitor.
fn show<'a>(row: &Row, words: impl Iterator<Item = &'a [u8]>, session: &Session<'_, '_>) {
    let Session { server, client, .. } = session;
    let source = match session.within {
        Within::Script => Source::Script,
        Within::Nothing | Within::Transaction => Source::Client(&client.card),
    };
    monitor::show(server, client.card.worker, client.db.0, source, row, words);
}

/// Whether a command runs others in its turn.
fn runs_script(row: &Row) -> bool {
    row.spec.group == Group::Scripting
}

/// Remembers the keys that a control command is about to look at, if its client caches them. A
/// script's keys are remembered by the commands that it runs.
fn remember(args: &Args<'_>, session: &mut Session<'_, '_>) {
    if let Some(reader) = session.client.reader() {
        session.lease.cover(args.keys().iter().map(|key| key.hash));
        dispatch::remember(args, reader, session.lease, session.env);
    }
}

fn run_control(
    run: ControlRun,
    row: &Row,
    args: &mut Args<'_>,
    session: &mut Session<'_, '_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    session.lease.release();
    session.stats.publish(&session.env.stats);
    if row.parent.is_some() {
        args.skip(1);
    }
    let start = out.mark();
    let result = run(session, args, out);
    if !session.lease.is_pinned() {
        session.settle();
        session.lease.release();
    }
    if result.is_err() {
        out.truncate(start);
    }
    result
}
