//! CONFIG: reading, changing and writing back the configuration, and setting the counters to zero.
//!
//! A change is all or nothing: `Config::set` checks it, the steps of [`APPLY`] carry it out, and
//! when one of them fails the configuration of before is put back and carried out again.

use engine::args::Args;
use engine::failure::Failure;
use engine::spec::{Arg, ArgKind, Flags, Group, Run, Spec};
use log::{info, warn};
use resp::Reply;

use crate::config::params::{Apply, Param};
use crate::config::settings::Settings;
use crate::config::{Config, Extent, Fault, io_text};
use crate::descriptors::allow_clients;
use crate::families::reply_help;
use crate::logging;
use crate::server::Server;
use crate::session::{ControlRun, Session};
use crate::settings::engine_limits;

const FLAGS: Flags = Flags::ADMIN
    .or(Flags::NOSCRIPT)
    .or(Flags::LOADING)
    .or(Flags::STALE);
const EVERYWHERE: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
const PARAMETER: Arg = Arg::new("parameter", ArgKind::String);

/// The table of this family.
pub(super) const COMMANDS: &[Spec<ControlRun>] = &[Spec {
    since: "2.0.0",
    complexity: "Depends on the subcommand",
    summary: "Reads and changes the configuration.",
    ..Spec::new("config", -2, Group::Server, Run::Container(SUBCOMMANDS))
}];

const SUBCOMMANDS: &[Spec<ControlRun>] = &[
    Spec {
        flags: FLAGS,
        since: "2.0.0",
        summary: "Returns the parameters whose names match, with their values.",
        complexity: "O(N), N being the number of parameters asked for",
        history: &[("7.0.0", "More than one pattern.")],
        args: &[PARAMETER.multiple()],
        ..Spec::new("get", -3, Group::Server, Run::Do(get))
    },
    Spec {
        flags: FLAGS,
        since: "2.0.0",
        summary: "Changes parameters while the server runs.",
        complexity: "O(N), N being the number of parameters given",
        tips: EVERYWHERE,
        history: &[("7.0.0", "More than one parameter.")],
        args: &[Arg::block("data", &[PARAMETER, Arg::new("value", ArgKind::String)]).multiple()],
        ..Spec::new("set", -4, Group::Server, Run::Do(set))
    },
    Spec {
        flags: FLAGS,
        since: "2.0.0",
        summary: "Sets the counters that INFO shows to zero.",
        tips: EVERYWHERE,
        ..Spec::new("resetstat", 2, Group::Server, Run::Do(reset_stat))
    },
    Spec {
        flags: FLAGS,
        since: "2.8.0",
        summary: "Writes the configuration in force to the file it was read from.",
        tips: EVERYWHERE,
        ..Spec::new("rewrite", 2, Group::Server, Run::Do(rewrite))
    },
    Spec {
        flags: Flags::LOADING.or(Flags::STALE),
        since: "5.0.0",
        summary: "Explains the subcommands.",
        ..Spec::new("help", 2, Group::Server, Run::Do(help))
    },
];

const HELP: &[&str] = &[
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern> [<pattern> ...]",
    "    Show the parameters whose names match one of the glob patterns.",
    "SET <parameter> <value> [<parameter> <value> ...]",
    "    Change parameters, all of them or none.",
    "RESETSTAT",
    "    Set the counters of INFO to zero.",
    "REWRITE",
    "    Write the configuration to the file it came from.",
    "HELP",
    "    Show these lines.",
];

fn get(session: &mut Session<'_, '_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    let patterns: Vec<&[u8]> = args.rest().collect();
    let config = session.server.config.lock();
    let found = config.matching(&patterns);
    out.map(found.len());
    for (name, value) in found {
        out.bulk(&name);
        out.bulk(value);
    }
    Ok(())
}

fn set(session: &mut Session<'_, '_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    let words: Vec<&[u8]> = args.rest().collect();
    let (pairs, []) = words.as_chunks::<2>() else {
        return Err(Failure::SYNTAX);
    };
    let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|&[name, value]| (name, value)).collect();
    let server = session.server;
    let mut config = server.config.lock();
    let before = config.clone();
    let applies = config
        .set(&pairs, session.client.card.place())
        .map_err(|error| Failure::owned(format!("ERR {error}")))?;
    for (done, &apply) in applies.iter().enumerate() {
        let Err(fault) = carry_out(apply, &mut config, before.settings(), server) else {
            continue;
        };
        let failed = std::mem::replace(&mut *config, before.clone());
        for &earlier in &applies[..done] {
            // What was in force a moment ago can be put in force again; if not, the log says so.
            if let Err(fault) = carry_out(earlier, &mut config, failed.settings(), server) {
                warn!("a failed CONFIG SET could not be undone: {fault}");
            }
        }
        return Err(refusal(apply, &pairs, &fault));
    }
    // This worker obeys from the next command on, the others from their next round.
    session.env.limits = engine_limits(config.settings(), &server.keyspace);
    server.settings.set(config.settings().clone());
    server.replicating.primary.apply(server, session.env.now);
    if config.settings().primary.wants_quorum() {
        server
            .replicating
            .primary
            .count_writes(server, session.env.now);
    }
    if applies.contains(&Apply::Journal) {
        server.appending.apply(config.settings(), before.settings());
    }
    if applies.contains(&Apply::Paces) {
        server.set_paces(config.settings());
    }
    out.ok();
    Ok(())
}

/// The error for a step that failed: it names the first parameter that asked for the step.
fn refusal(apply: Apply, pairs: &[(&[u8], &[u8])], fault: &Fault) -> Failure {
    let asks = |name: &&[u8]| Param::find(name).is_some_and(|param| param.apply == apply);
    let name = pairs.iter().map(|(name, _)| *name).find(asks);
    let name = String::from_utf8_lossy(name.unwrap_or_default());
    Failure::owned(format!(
        "ERR CONFIG SET failed (possibly related to argument '{name}') - {fault}"
    ))
}

/// Puts one change into force. What the workers read from the settings needs no step of its own.
fn carry_out(
    apply: Apply,
    config: &mut Config,
    before: &Settings,
    server: &Server,
) -> Result<(), Fault> {
    let settings = config.settings();
    match apply {
        // A new password is asked of new connections; those that are in stay in.
        Apply::OnRead | Apply::Password => Ok(()),
        // The workers evict before the next command that needs memory.
        Apply::MaxMemory => Ok(()),
        // Once all settings are in force.
        Apply::Backlog => {
            let bytes = settings.primary.backlog_bytes;
            server.appending.journal.set_backlog(bytes);
            Ok(())
        }
        Apply::Journal | Apply::Paces => Ok(()),
        Apply::LogLevel => {
            logging::set_level(settings.loglevel);
            Ok(())
        }
        Apply::Listeners => server.doors.rebind(settings, before).map_err(|error| {
            warn!("{error}");
            match settings.port == before.port {
                true => "Failed to bind to specified addresses.".into(),
                false => "Unable to listen on this port. Check server logs.".into(),
            }
        }),
        Apply::MaxClients => allow_clients(settings.maxclients),
        Apply::WorkingDirectory => {
            std::env::set_current_dir(&settings.dir).map_err(|error| io_text(&error))
        }
    }
}

fn reset_stat(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    args.end()?;
    session.server.reset_stats();
    out.ok();
    Ok(())
}

fn rewrite(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    args.end()?;
    rewrite_file(session, Extent::Changed, out)
}

/// Writes the configuration into its file; DEBUG can ask for more of it.
pub(super) fn rewrite_file(
    session: &Session<'_, '_>,
    extent: Extent,
    out: &mut Reply,
) -> Result<(), Failure> {
    let config = session.server.config.lock();
    config.rewrite(extent).map_err(|error| {
        warn!("CONFIG REWRITE failed: {error}");
        Failure::owned(format!("ERR {error}"))
    })?;
    info!("CONFIG REWRITE executed with success.");
    out.ok();
    Ok(())
}

fn help(_: &mut Session<'_, '_>, _: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    reply_help(HELP, out);
    Ok(())
}
