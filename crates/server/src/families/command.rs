//! COMMAND: what the commands are, as clients and proxies ask. Everything here is read off the
//! rows.
//!
//! `describe` writes the ten elements of COMMAND INFO, `document` the map of COMMAND DOCS.

mod describe;
mod document;
mod keys;

use base::glob::glob_match;
use engine::args::Args;
use engine::failure::Failure;
use engine::spec::{Arg, ArgKind, Flags, Group, Run, Spec};
use resp::Reply;

use crate::families::reply_help;
use crate::registry::{Registry, RowId, categories};
use crate::session::{ControlRun, Session};

const FLAGS: Flags = Flags::LOADING.or(Flags::STALE);
const CONNECTION: &[&str] = &["connection"];
const UNORDERED: &[&str] = &["nondeterministic_output_order"];
const NAMES: &[Arg] = &[Arg::new("command-name", ArgKind::String)
    .optional()
    .multiple()];
const FULL_COMMAND: &[Arg] = &[
    Arg::new("command", ArgKind::String),
    Arg::new("arg", ArgKind::String).optional().multiple(),
];
const FILTER: Arg = Arg::one_of(
    "filterby",
    &[
        Arg::new("module-name", ArgKind::String).token("MODULE"),
        Arg::new("category", ArgKind::String).token("ACLCAT"),
        Arg::new("pattern", ArgKind::Pattern).token("PATTERN"),
    ],
);

/// The table of this family.
pub(super) const COMMANDS: &[Spec<ControlRun>] = &[Spec {
    flags: FLAGS,
    categories: CONNECTION,
    since: "2.8.13",
    summary: "Describes all commands.",
    complexity: "O(N), N being the number of commands",
    tips: UNORDERED,
    ..Spec::new("command", -1, Group::Server, Run::Both(info, SUBCOMMANDS))
}];

const fn subcommand(name: &'static str, arity: i16, run: ControlRun) -> Spec<ControlRun> {
    Spec {
        flags: FLAGS,
        categories: CONNECTION,
        since: "2.8.13",
        ..Spec::new(name, arity, Group::Server, Run::Do(run))
    }
}

const SUBCOMMANDS: &[Spec<ControlRun>] = &[
    Spec {
        summary: "Counts the commands.",
        ..subcommand("count", 2, count)
    },
    Spec {
        since: "7.0.0",
        summary: "Documents commands.",
        complexity: "O(N), N being the number of commands asked for",
        tips: UNORDERED,
        args: NAMES,
        ..subcommand("docs", -2, docs)
    },
    Spec {
        summary: "Finds the keys in a command line.",
        complexity: "O(N), N being the number of its words",
        args: FULL_COMMAND,
        ..subcommand("getkeys", -3, get_keys)
    },
    Spec {
        since: "7.0.0",
        summary: "Finds the keys in a command line, and what the command does with them.",
        complexity: "O(N), N being the number of its words",
        args: FULL_COMMAND,
        ..subcommand("getkeysandflags", -3, get_keys_and_flags)
    },
    Spec {
        since: "5.0.0",
        summary: "Explains the subcommands.",
        ..subcommand("help", 2, help)
    },
    Spec {
        summary: "Describes commands: number of words, flags, keys, categories.",
        complexity: "O(N), N being the number of commands asked for",
        tips: UNORDERED,
        history: &[("7.0.0", "Without a name: all commands.")],
        args: NAMES,
        ..subcommand("info", -2, info)
    },
    Spec {
        since: "7.0.0",
        summary: "Lists the names of commands and subcommands.",
        complexity: "O(N), N being the number of commands",
        tips: UNORDERED,
        args: &[FILTER.token("FILTERBY").optional()],
        ..subcommand("list", -2, list)
    },
];

const HELP: &[&str] = &[
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(without a subcommand)",
    "    Describe all commands.",
    "COUNT",
    "    Count the commands.",
    "DOCS [<command> ...]",
    "    Document these commands, or all.",
    "GETKEYS <command> [<arg> ...]",
    "    Find the keys in a command line.",
    "GETKEYSANDFLAGS <command> [<arg> ...]",
    "    Find the keys in a command line and what is done with them.",
    "INFO [<command> ...]",
    "    Describe these commands, or all.",
    "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
    "    List the names of commands and subcommands.",
    "HELP",
    "    Show these lines.",
];

fn count(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    args.end()?;
    out.int(session.server.registry.top().len() as i64);
    Ok(())
}

fn help(_: &mut Session<'_, '_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    reply_help(HELP, out);
    Ok(())
}

/// The row of `config` or `config|get`.
fn find(registry: &Registry, name: &[u8]) -> Option<RowId> {
    let mut parts = name.split(|&byte| byte == b'|');
    let command = parts.next()?;
    let Some(subcommand) = parts.next() else {
        return registry.command(command);
    };
    let id = registry.resolve(command, Some(subcommand)).ok()?;
    let is_subcommand = registry.row(id).parent.is_some();
    (is_subcommand && parts.next().is_none()).then_some(id)
}

fn info(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let registry = &session.server.registry;
    if args.left() == 0 {
        out.array(registry.top().len());
        for &id in registry.top() {
            describe::describe(registry, id, out);
        }
        return Ok(());
    }
    out.array(args.left());
    for name in args.rest() {
        match find(registry, name) {
            Some(id) => describe::describe(registry, id, out),
            None => out.null(),
        }
    }
    Ok(())
}

fn docs(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let registry = &session.server.registry;
    let found: Vec<RowId> = match args.left() {
        0 => registry.top().to_vec(),
        _ => args
            .rest()
            .filter_map(|name| find(registry, name))
            .collect(),
    };
    out.map(found.len());
    for id in found {
        document::document(registry, id, out);
    }
    Ok(())
}

/// What COMMAND LIST filters by.
#[derive(Clone, Copy)]
enum Filter {
    Module,
    Category,
    Pattern,
}

const FILTERS: &[(&str, Filter)] = &[
    ("module", Filter::Module),
    ("aclcat", Filter::Category),
    ("pattern", Filter::Pattern),
];

fn list(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let mut filter = None;
    if args.left() > 0 {
        let filterby = args.accept("filterby");
        let kind = args.option(FILTERS);
        let word = args.bytes();
        if !filterby {
            return Err(Failure::SYNTAX);
        }
        args.end()?;
        filter = kind.map(|kind| (kind, word));
    }
    let registry = &session.server.registry;
    let length = out.array_later();
    let mut count = 0;
    for (_, row) in registry.rows() {
        let wanted = match filter {
            None => true,
            // There are no modules.
            Some((Filter::Module, _)) => false,
            Some((Filter::Category, category)) => categories(row)
                .iter()
                .any(|own| own.as_bytes().eq_ignore_ascii_case(category)),
            Some((Filter::Pattern, pattern)) => glob_match(pattern, row.name.as_bytes(), true),
        };
        if wanted {
            out.bulk(row.name.as_bytes());
            count += 1;
        }
    }
    out.finish(length, count);
    Ok(())
}

fn get_keys(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let words: Vec<&[u8]> = args.rest().collect();
    let keys = keys::keys_of(&session.server.registry, &words)?;
    out.array(keys.len());
    keys.iter().for_each(|key| out.bulk(words[key.word]));
    Ok(())
}

fn get_keys_and_flags(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let words: Vec<&[u8]> = args.rest().collect();
    let keys = keys::keys_of(&session.server.registry, &words)?;
    out.array(keys.len());
    for key in keys {
        out.array(2);
        out.bulk(words[key.word]);
        out.set(key.flags.len());
        for flag in key.flags {
            out.simple(flag.as_bytes());
        }
    }
    Ok(())
}
