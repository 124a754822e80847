//! Functions: FUNCTION, FCALL, FCALL_RO.

use base::glob::glob_match;
use base::strings::eq_ignore_case;
use engine::args::Args;
use engine::failure::Failure;
use engine::spec::{Arg, ArgKind, Flags, Group, KeySpec, Run, Spec};
use rdb::Encoder;
use rdb::payload::{self, Refusal};
use resp::Reply;

use super::reply_help;
use super::script::{
    ARGS, FLUSH_TYPES, KEYS, NUMKEYS, READER, READER_KEYS, WRITER, WRITER_KEYS, answer_kill,
    flush_type, let_go,
};
use crate::scripting::libraries::{Libraries, Library, metadata};
use crate::scripting::run::{self, Asked};
use crate::scripting::{Kind, Scripting};
use crate::session::{ControlRun, Session};

const FUNCTION_NAME: Arg = Arg::new("function", ArgKind::String);

/// The table of this family.
pub(super) const COMMANDS: &[Spec<ControlRun>] = &[
    Spec {
        summary: "Calls a function.",
        ..caller("fcall", WRITER, WRITER_KEYS, fcall)
    },
    Spec {
        summary: "Calls a function that must not write.",
        ..caller("fcall_ro", READER, READER_KEYS, fcall_ro)
    },
    Spec {
        since: "7.0.0",
        summary: "Manages libraries of functions: subcommands.",
        complexity: "See each subcommand",
        ..Spec::new(
            "function",
            -2,
            Group::Scripting,
            Run::Container(SUBCOMMANDS),
        )
    },
];

const fn caller(
    name: &'static str,
    flags: Flags,
    keys: &'static [KeySpec],
    run: ControlRun,
) -> Spec<ControlRun> {
    Spec {
        flags,
        keys,
        since: "7.0.0",
        complexity: "That of the function",
        args: &[FUNCTION_NAME, NUMKEYS, KEYS, ARGS],
        ..Spec::new(name, -3, Group::Scripting, Run::Do(run))
    }
}

const CHANGER: Flags = Flags::WRITE.or(Flags::NOSCRIPT);
const EVERYWHERE: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

const SUBCOMMANDS: &[Spec<ControlRun>] = &[
    Spec {
        flags: CHANGER,
        summary: "Deletes a library and its functions.",
        tips: EVERYWHERE,
        args: &[Arg::new("library-name", ArgKind::String)],
        ..subcommand("delete", 3, delete)
    },
    Spec {
        flags: Flags::NOSCRIPT,
        summary: "Returns all libraries in a form for FUNCTION RESTORE.",
        complexity: "O(N), N being the number of functions",
        ..subcommand("dump", 2, dump)
    },
    Spec {
        flags: CHANGER,
        summary: "Deletes all libraries.",
        complexity: "O(N), N being the number of functions",
        tips: EVERYWHERE,
        args: &[Arg::one_of("flush-type", FLUSH_TYPES).optional()],
        ..subcommand("flush", -2, flush)
    },
    Spec {
        flags: Flags::LOADING.or(Flags::STALE),
        summary: "Explains the subcommands.",
        ..subcommand("help", 2, help)
    },
    Spec {
        flags: Flags::NOSCRIPT.or(Flags::ALLOW_BUSY),
        summary: "Ends the function that is running, unless it has written.",
        tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
        ..subcommand("kill", 2, kill)
    },
    Spec {
        flags: Flags::NOSCRIPT,
        summary: "Lists libraries and their functions.",
        complexity: "O(N), N being the number of functions",
        tips: &["nondeterministic_output_order"],
        args: &[
            Arg::new("library-name-pattern", ArgKind::String)
                .token("LIBRARYNAME")
                .optional(),
            Arg::word("withcode", "WITHCODE").optional(),
        ],
        ..subcommand("list", -2, list)
    },
    Spec {
        flags: CHANGER.or(Flags::DENYOOM),
        summary: "Makes a library of functions.",
        tips: EVERYWHERE,
        args: &[
            Arg::word("replace", "REPLACE").optional(),
            Arg::new("function-code", ArgKind::String),
        ],
        ..subcommand("load", -3, load)
    },
    Spec {
        flags: CHANGER.or(Flags::DENYOOM),
        summary: "Makes the libraries that FUNCTION DUMP has returned.",
        complexity: "O(N), N being the number of functions",
        tips: EVERYWHERE,
        args: &[
            Arg::new("serialized-value", ArgKind::String),
            Arg::one_of(
                "policy",
                &[
                    Arg::word("flush", "FLUSH"),
                    Arg::word("append", "APPEND"),
                    Arg::word("replace", "REPLACE"),
                ],
            )
            .optional(),
        ],
        ..subcommand("restore", -3, restore)
    },
    Spec {
        flags: Flags::NOSCRIPT.or(Flags::ALLOW_BUSY),
        summary: "Tells about the function that is running, and how many there are.",
        tips: &[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ],
        ..subcommand("stats", 2, stats)
    },
];

const fn subcommand(name: &'static str, arity: i16, run: ControlRun) -> Spec<ControlRun> {
    Spec {
        since: "7.0.0",
        ..Spec::new(name, arity, Group::Scripting, Run::Do(run))
    }
}

const HELP: &[&str] = &[
    "FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DELETE <LIBRARY NAME>",
    "    Delete a library and its functions.",
    "DUMP",
    "    Return all libraries in a form for FUNCTION RESTORE.",
    "FLUSH [ASYNC|SYNC]",
    "    Delete all libraries. The words change nothing.",
    "KILL",
    "    End the function that is running, unless it has written.",
    "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
    "    List libraries and their functions.",
    "LOAD [REPLACE] <FUNCTION CODE>",
    "    Make a library.",
    "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
    "    Make the libraries of a payload: instead of all others, beside them (the",
    "    default), or instead of those with the same names.",
    "STATS",
    "    Tell about the function that is running, and how many there are.",
    "HELP",
    "    Print this help.",
];

fn help(_: &mut Session<'_, '_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    reply_help(HELP, out);
    Ok(())
}

fn fcall(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    run::run(session, args, out, Asked::Function, false)
}

fn fcall_ro(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    run::run(session, args, out, Asked::Function, true)
}

/// A change to the libraries, as a command's words say it.
type Change<T> = fn(&mut Libraries, &mut Args<'_>) -> Result<T, Failure>;

/// Changes the libraries, with all stripes leased: who begins a snapshot holds them, too, and so
/// sees a change if and only if its effect comes before the snapshot in the log. The command is its
/// own effect.
fn apply<T>(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    change: Change<T>,
) -> Result<T, Failure> {
    session.lease.cover_all();
    let scripting = &session.server.scripting;
    let result = scripting.change_libraries(|libraries| change(libraries, args))?;
    let (env, db) = (&session.env, session.client.db);
    env.stats.changes.set(env.stats.changes.get() + 1);
    env.record(db, || args.words().map(<[u8]>::to_vec).collect());
    Ok(result)
}

/// Does again what a command has done; `None` if the command with this row's name changes no
/// libraries. `args` begin behind the subcommand.
pub(crate) fn replay(
    name: &str,
    scripting: &Scripting,
    args: &mut Args<'_>,
) -> Option<Result<(), Failure>> {
    let change: Change<()> = match name {
        "function|delete" => delete_from,
        "function|flush" => flush_all,
        "function|load" => |libraries, args| load_into(libraries, args).map(drop),
        "function|restore" => restore_into,
        _ => return None,
    };
    Some(scripting.change_libraries(|libraries| change(libraries, args)))
}

fn delete(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    apply(session, args, delete_from)?;
    out.ok();
    Ok(())
}

fn delete_from(libraries: &mut Libraries, args: &mut Args<'_>) -> Result<(), Failure> {
    match libraries.remove(args.bytes()) {
        Some(_) => Ok(()),
        None => Err(Failure::fixed("ERR Library not found")),
    }
}

fn dump(session: &mut Session<'_, '_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    let mut encoder = Encoder::new(session.env.limits.dump);
    let mut payload = Vec::new();
    let libraries = session.server.scripting.libraries.read();
    let sources = libraries.iter().map(Library::source);
    payload::write_libraries(sources, &mut encoder, &mut payload);
    out.bulk(&payload);
    Ok(())
}

/// Too many words for a subcommand; it is quoted as it was sent.
fn wrong_count(args: &Args<'_>) -> Failure {
    Failure::owned(
        [
            b"ERR unknown subcommand or wrong number of arguments for '",
            args.word(1),
            b"'. Try FUNCTION HELP.",
        ]
        .concat(),
    )
}

fn flush(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    apply(session, args, flush_all)?;
    let_go(session);
    out.ok();
    Ok(())
}

fn flush_all(libraries: &mut Libraries, args: &mut Args<'_>) -> Result<(), Failure> {
    if args.left() > 1 {
        return Err(wrong_count(args));
    }
    flush_type(
        args,
        Failure::fixed("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"),
    )?;
    *libraries = Libraries::default();
    Ok(())
}

fn kill(session: &mut Session<'_, '_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    answer_kill(session, Kind::Function, out)
}

fn list(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let (mut with_code, mut pattern) = (false, None);
    while args.left() > 0 {
        let word = args.bytes();
        if !with_code && eq_ignore_case(word, b"withcode") {
            with_code = true;
        } else if pattern.is_none() && eq_ignore_case(word, b"libraryname") {
            if args.left() == 0 {
                return Err(Failure::fixed("ERR library name argument was not given"));
            }
            pattern = Some(args.bytes());
        } else {
            return Err(Failure::owned([b"ERR Unknown argument ", word].concat()));
        }
    }
    let libraries = session.server.scripting.libraries.read();
    let later = out.array_later();
    let mut count = 0;
    for library in libraries.iter() {
        if pattern.is_none_or(|pattern| glob_match(pattern, library.name(), true)) {
            describe(library, with_code, out);
            count += 1;
        }
    }
    out.finish(later, count);
    Ok(())
}

fn describe(library: &Library, with_code: bool, out: &mut Reply) {
    out.map(3 + usize::from(with_code));
    out.bulk(b"library_name");
    out.bulk(library.name());
    out.bulk(b"engine");
    out.bulk(b"LUA");
    out.bulk(b"functions");
    out.array(library.functions().len());
    for function in library.functions() {
        out.map(3);
        out.bulk(b"name");
        out.bulk(&function.name);
        out.bulk(b"description");
        match &function.description {
            Some(text) => out.bulk(text),
            None => out.null(),
        }
        out.bulk(b"flags");
        out.set(function.flags.names().count());
        function
            .flags
            .names()
            .for_each(|name| out.simple(name.as_bytes()));
    }
    if with_code {
        out.bulk(b"library_code");
        out.bulk(library.source());
    }
}

fn load(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let name = apply(session, args, load_into)?;
    out.bulk(&name);
    Ok(())
}

fn load_into(libraries: &mut Libraries, args: &mut Args<'_>) -> Result<Vec<u8>, Failure> {
    let mut replace = false;
    while args.left() > 1 {
        let word = args.bytes();
        if !eq_ignore_case(word, b"replace") {
            return Err(Failure::owned(
                [b"ERR Unknown option given: ", word].concat(),
            ));
        }
        replace = true;
    }
    libraries.load(args.bytes(), replace)
}

fn restore(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    apply(session, args, restore_into)?;
    out.ok();
    Ok(())
}

fn restore_into(libraries: &mut Libraries, args: &mut Args<'_>) -> Result<(), Failure> {
    let payload = args.bytes();
    const WRONG_POLICY: Failure = Failure::fixed(
        "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
    );
    let (flush, replace) = match (args.left(), args.peek().unwrap_or_default()) {
        (0, _) => (false, false),
        (1, word) if eq_ignore_case(word, b"append") => (false, false),
        (1, word) if eq_ignore_case(word, b"flush") => (true, false),
        (1, word) if eq_ignore_case(word, b"replace") => (false, true),
        (1, _) => return Err(WRONG_POLICY),
        _ => return Err(wrong_count(args)),
    };
    let sources = payload::read_libraries(payload).map_err(|refusal| match refusal {
        Refusal::VersionOrChecksum => {
            Failure::fixed("ERR DUMP payload version or checksum are wrong")
        }
        Refusal::Kind => Failure::fixed("ERR given type is not a function"),
        Refusal::Format => Failure::fixed("ERR Failed loading library data"),
    })?;
    if flush {
        *libraries = Libraries::default();
    }
    for source in &sources {
        let name = metadata(source)?.name;
        if !replace && libraries.get(&name).is_some() {
            return Err(Failure::owned(
                [b"ERR Library ", &name[..], b" already exists"].concat(),
            ));
        }
        libraries.load(source, replace)?;
    }
    Ok(())
}

fn stats(session: &mut Session<'_, '_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    let server = session.server;
    out.map(2);
    out.bulk(b"running_script");
    match server.scripting.running.all().first() {
        None => out.null(),
        Some(long) => {
            out.map(3);
            out.bulk(b"name");
            out.bulk(&long.name);
            out.bulk(b"command");
            out.array(long.words.len());
            long.words.iter().for_each(|word| out.bulk(word));
            out.bulk(b"duration_ms");
            let nanos = server.ticks_nanos().saturating_sub(long.since);
            out.int((nanos / 1_000_000) as i64);
        }
    }
    let libraries = server.scripting.libraries.read();
    out.bulk(b"engines");
    out.map(1);
    out.bulk(b"LUA");
    out.map(2);
    out.bulk(b"libraries_count");
    out.int(libraries.len() as i64);
    out.bulk(b"functions_count");
    out.int(libraries.function_count() as i64);
    Ok(())
}
