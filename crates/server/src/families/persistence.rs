//! Snapshots on disk, and the append-only file: SAVE, BGSAVE, LASTSAVE, BGREWRITEAOF, WAITAOF.

use std::sync::atomic::Ordering;

use engine::args::Args;
use engine::failure::Failure;
use engine::spec::{Arg, ArgKind, Flags, Group, Run, Spec};
use resp::Reply;

use crate::client::ReplyMode;
use crate::connection::Waiting;
use crate::held::{DiskWish, NO_FILE};
use crate::saving::{Busy, Stage};
use crate::session::{ControlRun, Session};

const OPERATOR: Flags = Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::NO_ASYNC_LOADING);

/// The table of this family.
pub(super) const COMMANDS: &[Spec<ControlRun>] = &[
    Spec {
        flags: OPERATOR,
        summary: "Writes the append-only file anew, from the data as they are, beside the other \
                  commands.",
        ..Spec::new("bgrewriteaof", 1, Group::Server, Run::Do(bgrewriteaof))
    },
    Spec {
        flags: Flags::BLOCKING,
        categories: &["connection"],
        since: "7.2.0",
        summary: "Waits until what the connection has written is in append-only files on disk.",
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        args: &[
            Arg::new("numlocal", ArgKind::Integer),
            Arg::new("numreplicas", ArgKind::Integer),
            Arg::new("timeout", ArgKind::Integer),
        ],
        ..Spec::new("waitaof", 4, Group::GenericOfTypes, Run::Do(waitaof))
    },
    Spec {
        flags: OPERATOR,
        summary: "Writes a snapshot of all databases to disk, beside the other commands.",
        history: &[("3.2.2", "The word `SCHEDULE`.")],
        args: &[Arg::word("schedule", "SCHEDULE").optional().since("3.2.2")],
        ..Spec::new("bgsave", -1, Group::Server, Run::Do(bgsave))
    },
    Spec {
        flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
        categories: &["admin", "dangerous"],
        summary: "Tells when a snapshot was last written, in seconds since 1970.",
        tips: &["nondeterministic_output"],
        ..Spec::new("lastsave", 1, Group::Server, Run::Do(lastsave))
    },
    Spec {
        flags: OPERATOR.or(Flags::NO_MULTI),
        summary: "Writes a snapshot of all databases to disk and answers when it is there.",
        complexity: "O(N), N being the number of keys",
        ..Spec::new("save", 1, Group::Server, Run::Do(save))
    },
];

const IN_PROGRESS: Failure = Failure::fixed("ERR Background save already in progress");
const REWRITE_ACTIVE: Failure = Failure::fixed(
    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in \
     order to schedule a BGSAVE whenever possible.",
);
const ENDING: Failure = Failure::fixed("ERR The server is about to end");
const NONE_TO_CANCEL: Failure =
    Failure::fixed("ERR Background saving is currently not in progress or scheduled");

fn refusal(busy: Busy) -> Failure {
    match busy {
        Busy::Saving => IN_PROGRESS,
        Busy::Ending => ENDING,
    }
}

/// The other clients are served meanwhile: this one alone waits.
fn save(session: &mut Session<'_, '_>, _: &mut Args<'_>, _: &mut Reply) -> Result<(), Failure> {
    session.server.saving.ask().map_err(refusal)?;
    let muted = session.client.reply_mode != ReplyMode::On;
    session.waiting = Some(Waiting::Save { muted });
    Ok(())
}

/// What the word after BGSAVE can be.
#[derive(Clone, Copy)]
enum Word {
    Schedule,
    Cancel,
}

const WORDS: &[(&str, Word)] = &[("schedule", Word::Schedule), ("cancel", Word::Cancel)];

fn bgsave(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let word = args.option(WORDS);
    args.end()?;
    let saving = &session.server.saving;
    match word {
        Some(Word::Cancel) => match saving.cancel().ok_or(NONE_TO_CANCEL)? {
            Stage::Running => out.simple(b"Background saving cancelled"),
            Stage::Waiting => out.simple(b"Scheduled background saving cancelled"),
        },
        Some(Word::Schedule) | None => {
            let rewriting = session.server.appending.is_busy();
            let pinned = session.lease.is_pinned();
            if rewriting && word.is_none() && !pinned && !saving.is_busy() {
                return Err(REWRITE_ACTIVE);
            }
            saving.ask().map_err(refusal)?;
            // A transaction holds what the snapshot has to wait for; two are taken in turn.
            let word = match pinned || rewriting {
                true => "scheduled",
                false => "started",
            };
            out.simple(format!("Background saving {word}").as_bytes());
        }
    }
    Ok(())
}

fn lastsave(
    session: &mut Session<'_, '_>,
    _: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    out.int(session.server.saving.report().saved_at.as_secs());
    Ok(())
}

fn bgrewriteaof(
    session: &mut Session<'_, '_>,
    _: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let server = session.server;
    if !server.appending.ask() {
        return Err(REWRITING);
    }
    // A transaction holds what the snapshot has to wait for; two snapshots are taken in turn.
    let word = match session.lease.is_pinned() || server.saving.is_busy() {
        true => "scheduled",
        false => "started",
    };
    out.simple(format!("Background append only file rewriting {word}").as_bytes());
    Ok(())
}

const REWRITING: Failure =
    Failure::fixed("ERR Background append only file rewriting already in progress");

fn waitaof(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    const RANGE: Failure = Failure::fixed("ERR value is out of range, value must between 0 and 1");
    let local = args.int_or(Failure::fixed(
        "ERR value is not an integer or out of range",
    ));
    args.check()?;
    if !(0..=1).contains(&local) {
        return Err(RANGE);
    }
    let replicas = args.int_or(Failure::fixed(
        "ERR value is not an integer or out of range",
    ));
    args.check()?;
    if replicas < 0 {
        return Err(Failure::fixed(
            "ERR value is out of range, must be positive",
        ));
    }
    let millis = args.int_or(Failure::fixed(
        "ERR timeout is not an integer or out of range",
    ));
    args.end()?;
    if millis < 0 {
        return Err(Failure::fixed("ERR timeout is negative"));
    }
    if session.server.replicating.is_replica() {
        return Err(Failure::fixed(
            "ERR WAITAOF cannot be used with replica instances. Please also note that writes to \
             replicas are just local and are not propagated.",
        ));
    }
    let journal = &session.server.appending.journal;
    if local > 0 && !journal.is_on() {
        return Err(NO_FILE);
    }
    let wish = DiskWish {
        upto: session.client.wrote,
        durable: true,
        local: local > 0,
        replicas: usize::try_from(replicas).unwrap_or(usize::MAX),
        until: (millis > 0).then(|| session.env.now.saturating_add(millis)),
        muted: session.client.reply_mode != ReplyMode::On,
    };
    await_wish(wish, session, out);
    Ok(())
}

/// Answers WAIT or WAITAOF, or lets the client wait.
pub(super) fn await_wish(wish: DiskWish, session: &mut Session<'_, '_>, out: &mut Reply) {
    if wish.is_met(session.server) || session.lease.is_pinned() {
        return wish.reply(session.server, out);
    }
    session.server.replicating.primary.ask();
    let card = &session.client.card;
    card.awaits_copies.store(true, Ordering::Release);
    session.waiting = Some(Waiting::Disk(wish));
}
