//! Scripts: EVAL, EVALSHA and their read-only forms, SCRIPT.

use base::strings::eq_ignore_case;
use engine::args::Args;
use engine::failure::Failure;
use engine::spec::{Arg, ArgKind, Begin, Find, Flags, Group, KeySpec, Run, Spec};
use resp::Reply;

use super::reply_help;
use crate::mailbox::Message;
use crate::scripting::Kind;
use crate::scripting::run::{self, Asked};
use crate::scripting::running::Killed;
use crate::scripting::store::Sha;
use crate::session::{ControlRun, Session};

/// Flags of all commands that run a script.
pub(super) const RUNNER: Flags = Flags::NOSCRIPT
    .or(Flags::STALE)
    .or(Flags::SKIP_MONITOR)
    .or(Flags::NO_MANDATORY_KEYS);
/// Of those that may write.
pub(super) const WRITER: Flags = RUNNER.or(Flags::MAY_REPLICATE);
/// Of those that may not.
pub(super) const READER: Flags = RUNNER.or(Flags::READONLY);

const fn keys(flags: &'static [&'static str], notes: Option<&'static str>) -> KeySpec {
    KeySpec {
        flags,
        begin: Begin::Index(2),
        find: Find::KeyNum {
            at: 0,
            first: 1,
            step: 1,
        },
        notes,
    }
}

const UPDATES: &[&str] = &["RW", "access", "update"];
const READS: &[&str] = &["RO", "access"];
const ANY_UPDATE: &str =
    "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE";
const ANY_ACCESS: &str =
    "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS";
/// Keys of a command that may write.
pub(super) const WRITER_KEYS: &[KeySpec] = &[keys(UPDATES, Some(ANY_UPDATE))];
/// Keys of a command that may not.
pub(super) const READER_KEYS: &[KeySpec] = &[keys(READS, Some(ANY_ACCESS))];
const NAMED_WRITER_KEYS: &[KeySpec] = &[keys(UPDATES, None)];
const NAMED_READER_KEYS: &[KeySpec] = &[keys(READS, None)];

/// What follows the script or the function's name.
pub(super) const NUMKEYS: Arg = Arg::new("numkeys", ArgKind::Integer);
/// The keys.
pub(super) const KEYS: Arg = Arg::KEY.optional().multiple();
/// The rest.
pub(super) const ARGS: Arg = Arg::new("arg", ArgKind::String).optional().multiple();
const SCRIPT: Arg = Arg::new("script", ArgKind::String);
const SHA1: Arg = Arg::new("sha1", ArgKind::String);

const fn runner(
    name: &'static str,
    flags: Flags,
    keys: &'static [KeySpec],
    run: ControlRun,
) -> Spec<ControlRun> {
    Spec {
        flags,
        keys,
        complexity: "That of the script",
        ..Spec::new(name, -3, Group::Scripting, Run::Do(run))
    }
}

/// The table of this family.
pub(super) const COMMANDS: &[Spec<ControlRun>] = &[
    Spec {
        since: "2.6.0",
        summary: "Runs a Lua script.",
        args: &[SCRIPT, NUMKEYS, KEYS, ARGS],
        ..runner("eval", WRITER, WRITER_KEYS, eval)
    },
    Spec {
        since: "2.6.0",
        summary: "Runs a Lua script that the server knows, by its SHA-1.",
        args: &[SHA1, NUMKEYS, KEYS, ARGS],
        ..runner("evalsha", WRITER, NAMED_WRITER_KEYS, evalsha)
    },
    Spec {
        since: "7.0.0",
        summary: "Runs a Lua script that must not write, by its SHA-1.",
        args: &[SHA1, NUMKEYS, KEYS, ARGS],
        ..runner("evalsha_ro", READER, NAMED_READER_KEYS, evalsha_ro)
    },
    Spec {
        since: "7.0.0",
        summary: "Runs a Lua script that must not write.",
        args: &[SCRIPT, NUMKEYS, KEYS, ARGS],
        ..runner("eval_ro", READER, READER_KEYS, eval_ro)
    },
    Spec {
        since: "2.6.0",
        summary: "Manages the Lua scripts that the server knows: subcommands.",
        complexity: "See each subcommand",
        ..Spec::new("script", -2, Group::Scripting, Run::Container(SUBCOMMANDS))
    },
];

/// How a flush may be done; all ways are one here.
pub(super) const FLUSH_TYPES: &[Arg] = &[Arg::word("async", "ASYNC"), Arg::word("sync", "SYNC")];
const EVERYWHERE: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
const ONCE: &[&str] = &["request_policy:all_shards", "response_policy:one_succeeded"];

const SUBCOMMANDS: &[Spec<ControlRun>] = &[
    Spec {
        flags: Flags::NOSCRIPT,
        since: "3.2.0",
        summary: "Refused: there is no debugger.",
        args: &[Arg::one_of(
            "mode",
            &[
                Arg::word("yes", "YES"),
                Arg::word("sync", "SYNC"),
                Arg::word("no", "NO"),
            ],
        )],
        ..subcommand("debug", 3, debug)
    },
    Spec {
        flags: Flags::NOSCRIPT,
        summary: "Tells which scripts the server knows.",
        complexity: "O(N), N being the number of scripts asked for",
        tips: &[
            "request_policy:all_shards",
            "response_policy:agg_logical_and",
        ],
        args: &[SHA1.multiple()],
        ..subcommand("exists", -3, exists)
    },
    Spec {
        flags: Flags::NOSCRIPT,
        summary: "Forgets all scripts.",
        complexity: "O(N), N being the number of scripts",
        tips: EVERYWHERE,
        history: &[("6.2.0", "The words `ASYNC` and `SYNC`.")],
        args: &[Arg::one_of("flush-type", FLUSH_TYPES)
            .optional()
            .since("6.2.0")],
        ..subcommand("flush", -2, flush)
    },
    Spec {
        flags: Flags::LOADING.or(Flags::STALE),
        since: "5.0.0",
        summary: "Explains the subcommands.",
        ..subcommand("help", 2, help)
    },
    Spec {
        flags: Flags::NOSCRIPT.or(Flags::ALLOW_BUSY),
        summary: "Ends the script that is running, unless it has written.",
        tips: ONCE,
        ..subcommand("kill", 2, kill)
    },
    Spec {
        flags: Flags::NOSCRIPT.or(Flags::STALE),
        summary: "Keeps a script without running it.",
        complexity: "O(N), N being the script's length",
        tips: EVERYWHERE,
        args: &[SCRIPT],
        ..subcommand("load", 3, load)
    },
    Spec {
        flags: Flags::NOSCRIPT.or(Flags::STALE),
        since: "8.0.0",
        summary: "Returns the text of a script.",
        args: &[SHA1],
        ..subcommand("show", 3, show)
    },
];

const fn subcommand(name: &'static str, arity: i16, run: ControlRun) -> Spec<ControlRun> {
    Spec {
        since: "2.6.0",
        ..Spec::new(name, arity, Group::Scripting, Run::Do(run))
    }
}

const HELP: &[&str] = &[
    "SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DEBUG (YES|SYNC|NO)",
    "    Refused: there is no debugger.",
    "EXISTS <sha1> [<sha1> ...]",
    "    Tell which scripts the server knows.",
    "FLUSH [ASYNC|SYNC]",
    "    Forget all scripts. The words change nothing.",
    "KILL",
    "    End the script that is running, unless it has written.",
    "LOAD <script>",
    "    Keep a script without running it.",
    "SHOW <sha1>",
    "    Return the text of a script.",
    "HELP",
    "    Print this help.",
];

fn help(_: &mut Session<'_, '_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    reply_help(HELP, out);
    Ok(())
}

fn eval(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    run::run(session, args, out, Asked::Text, false)
}

fn eval_ro(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    run::run(session, args, out, Asked::Text, true)
}

fn evalsha(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    run::run(session, args, out, Asked::Name, false)
}

fn evalsha_ro(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    run::run(session, args, out, Asked::Name, true)
}

fn debug(_: &mut Session<'_, '_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    if args.accept("no") {
        out.ok();
        return Ok(());
    }
    if args.accept("yes") || args.accept("sync") {
        return Err(Failure::fixed("ERR there is no debugger for scripts"));
    }
    Err(Failure::fixed("ERR Use SCRIPT DEBUG YES/SYNC/NO"))
}

fn exists(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let store = &session.server.scripting.store;
    out.array(args.left());
    for name in args.rest() {
        let known = Sha::parse(name).is_some_and(|sha| store.get(&sha).is_some());
        out.int(i64::from(known));
    }
    Ok(())
}

fn show(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let sha = Sha::parse(args.bytes());
    let script = sha.and_then(|sha| session.server.scripting.store.get(&sha));
    match script {
        Some(script) => out.bulk(&script.source),
        None => return Err(Failure::fixed("NOSCRIPT No matching script.")),
    }
    Ok(())
}

/// Takes the one word that a flush may have.
pub(super) fn flush_type(args: &mut Args<'_>, wrong: Failure) -> Result<(), Failure> {
    let known = |word: &[u8]| eq_ignore_case(word, b"ASYNC") || eq_ignore_case(word, b"SYNC");
    match (args.left(), args.peek()) {
        (0, _) => Ok(()),
        (1, Some(word)) if known(word) => Ok(()),
        _ => Err(wrong),
    }
}

fn flush(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    flush_type(
        args,
        Failure::fixed("ERR SCRIPT FLUSH only support SYNC|ASYNC option"),
    )?;
    session.server.scripting.store.flush();
    let_go(session);
    out.ok();
    Ok(())
}

/// Scripts or functions were flushed: the workers let go of what they have compiled of them, this
/// one at once.
pub(super) fn let_go(session: &mut Session<'_, '_>) {
    let (server, worker) = (session.server, session.client.card.worker);
    session.scripts.forget_flushed(&server.scripting, worker);
    server.broadcast(|| Message::LetGo);
}

fn load(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let sha = run::load(session, args.bytes())?;
    out.bulk(&sha.0);
    Ok(())
}

fn kill(session: &mut Session<'_, '_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    answer_kill(session, Kind::Script, out)
}

/// SCRIPT KILL and FUNCTION KILL.
pub(super) fn answer_kill(
    session: &mut Session<'_, '_>,
    kind: Kind,
    out: &mut Reply,
) -> Result<(), Failure> {
    match session.server.scripting.running.kill(kind) {
        Killed::Yes => out.ok(),
        Killed::Idle => {
            return Err(Failure::fixed("NOTBUSY No scripts in execution right now."));
        }
        Killed::Other(kind) => return Err(crate::gate::busy(kind)),
        Killed::Wrote => {
            return Err(Failure::fixed(
                "UNKILLABLE Sorry the script already executed write commands against the dataset. \
                 You can either wait the script termination or kill the server in a hard way using \
                 the SHUTDOWN NOSAVE command.",
            ));
        }
    }
    Ok(())
}
