//! Admission: the checks that stand between a command and its handler, in the order in which Redis
//! makes them. A check sees the row, the client and the server, never the handler.

use std::sync::atomic::Ordering::Relaxed;

use base::strings::until_nul;
use engine::failure::Failure;
use engine::spec::Flags;
use resp::Proto;

use crate::client::Client;
use crate::registry::{Handler, InMulti, Missing, Registry, Row, RowId};
use crate::scripting::Kind;
use crate::server::{PauseKind, Server};
use crate::settings::Settings;

/// What becomes of a command.
pub enum Verdict {
    /// It runs.
    Run(RowId),
    /// It is refused with this error.
    Refuse(Option<RowId>, Failure),
    /// It waits until the pause is over.
    Postpone,
    /// The connection is closed without a word (a web browser led astray).
    Drop,
}

/// Longest name and longest argument list quoted in "unknown command" errors, in bytes.
const QUOTED_BYTES_MAX: usize = 128;

/// Decides on a command whose words are `words` and whose row is `found`.
#[inline]
pub fn admit<'a>(
    found: Result<RowId, Missing>,
    words: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
    client: &Client,
    proto: Proto,
    server: &Server,
    settings: &Settings,
) -> Verdict {
    let registry = &server.registry;
    let id = match found {
        Ok(id) => id,
        Err(missing) => return unknown(missing, words, registry),
    };
    let row = registry.row(id);
    if !row.spec.accepts(words.len()) || matches!(row.handler, Handler::Container) {
        return Verdict::Refuse(Some(id), Failure::arity(&row.name));
    }
    if client.upstream.is_some() {
        // Nothing stands against the primary but what lets it wait.
        return match has_to_wait(row, words, client, server) {
            true => Verdict::Postpone,
            false => Verdict::Run(id),
        };
    }
    for check in CHECKS {
        if let Err(failure) = check(row, client, settings) {
            return Verdict::Refuse(Some(id), failure);
        }
    }
    let is_replica = server.replicating.is_replica();
    if is_replica
        && client.card.can_redirect.load(Relaxed)
        && reaches_data(effective_flags(row, client))
    {
        return redirect(id, server);
    }
    if server.scripting.running.is_busy()
        && !row.flags.has(Flags::ALLOW_BUSY)
        && let Some(kind) = server.scripting.running.busy_kind()
    {
        return Verdict::Refuse(Some(id), busy(kind));
    }
    if client.subscriptions.any() && proto == Proto::Resp2 && !WHILE_LISTENING.contains(&&*row.name)
    {
        return Verdict::Refuse(Some(id), only_listening(&row.name));
    }
    if client.monitors && reaches_keys(effective_flags(row, client)) {
        return Verdict::Refuse(Some(id), ONLY_WATCHING);
    }
    if server.saving.is_failing()
        && let Err(failure) = saved_lately(
            known_flags(row, words.clone(), client, server),
            row,
            settings,
        )
    {
        return Verdict::Refuse(Some(id), failure);
    }
    let journal = &server.appending.journal;
    if journal.is_failing()
        && let Err(failure) =
            logged_lately(known_flags(row, words.clone(), client, server), row, server)
    {
        return Verdict::Refuse(Some(id), failure);
    }
    if server.lacks_replicas() && known_flags(row, words.clone(), client, server).has(Flags::WRITE)
    {
        return Verdict::Refuse(Some(id), LACKING);
    }
    if is_replica
        && let Err(failure) = as_replica(
            known_flags(row, words.clone(), client, server),
            server,
            settings,
        )
    {
        return Verdict::Refuse(Some(id), failure);
    }
    if server.loading.is_active() && !row.flags.has(Flags::LOADING)
        || server.loading.is_beside() && row.flags.has(Flags::NO_ASYNC_LOADING)
    {
        return Verdict::Refuse(Some(id), LOADING);
    }
    match has_to_wait(row, words, client, server) {
        true => Verdict::Postpone,
        false => Verdict::Run(id),
    }
}

/// Whether a command waits for the disk or for the end of a pause.
#[inline]
fn has_to_wait<'a>(
    row: &Row,
    words: impl Iterator<Item = &'a [u8]>,
    client: &Client,
    server: &Server,
) -> bool {
    let writes = || effective_flags(row, client).has(Flags::WRITE);
    server.appending.journal.is_behind() && writes()
        || server.is_pausing() && postponed(row, words, client, server)
}

/// Why a script's command must not write: the disk refuses.
pub fn disk_trouble(row: &Row, server: &Server, settings: &Settings) -> Option<Failure> {
    let saved = match server.saving.is_failing() {
        true => saved_lately(row.flags, row, settings),
        false => Ok(()),
    };
    let logged = |()| match server.appending.journal.is_failing() {
        true => logged_lately(row.flags, row, server),
        false => Ok(()),
    };
    saved.and_then(logged).err()
}

/// What others are told while a script runs for too long.
pub fn busy(kind: Kind) -> Failure {
    match kind {
        Kind::Script => Failure::BUSY,
        Kind::Function => Failure::fixed(
            "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN \
             NOSAVE.",
        ),
    }
}

/// Redis counts a client that monitors as a replica.
const ONLY_WATCHING: Failure = Failure::fixed("ERR Replica can't interact with the keyspace");

fn reaches_data(flags: Flags) -> bool {
    flags.has(Flags::READONLY) || flags.has(Flags::WRITE)
}

/// What a replica tells a client that can go to its primary (CLIENT CAPA). While the primary is
/// becoming a replica it would be sent back: it waits.
#[cold]
fn redirect(id: RowId, server: &Server) -> Verdict {
    if server.replicating.failover.is_active() {
        return Verdict::Postpone;
    }
    match server.replicating.replica.primary() {
        Some(primary) => {
            let place = [&primary.host[..], b":", primary.port.to_string().as_bytes()].concat();
            Verdict::Refuse(
                Some(id),
                Failure::owned([b"REDIRECT ", &place[..]].concat()),
            )
        }
        // It has just become one.
        None => Verdict::Run(id),
    }
}

fn reaches_keys(flags: Flags) -> bool {
    [Flags::READONLY, Flags::WRITE, Flags::MAY_REPLICATE]
        .iter()
        .any(|&flag| flags.has(flag))
}

/// `min-replicas-to-write`.
pub const LACKING: Failure = Failure::fixed("NOREPLICAS Not enough good replicas to write.");

const LOADING: Failure = Failure::fixed("LOADING Redis is loading the dataset in memory");

/// What a client may send that listens to channels and speaks RESP2, where messages cannot be told
/// from replies.
const WHILE_LISTENING: &[&str] = &[
    "subscribe",
    "unsubscribe",
    "psubscribe",
    "punsubscribe",
    "ssubscribe",
    "sunsubscribe",
    "ping",
    "quit",
    "reset",
];

#[cold]
fn only_listening(name: &str) -> Failure {
    Failure::owned(format!(
        "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET \
         are allowed in this context"
    ))
}

type Check = fn(&Row, &Client, &Settings) -> Result<(), Failure>;

/// The checks in order. Later capabilities add theirs here (ACL, cluster, memory, replica,
/// loading).
const CHECKS: &[Check] = &[enabled, logged_in, queueable];

fn enabled(row: &Row, client: &Client, settings: &Settings) -> Result<(), Failure> {
    if !row.flags.has(Flags::PROTECTED) || settings.enable_debug_command.allows(client.card.place())
    {
        return Ok(());
    }
    // DEBUG is the only protected command so far.
    Err(Failure::fixed(
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", \
         you can run it from a local connection, otherwise you need to set this option in the \
         configuration file, and then restart the server.",
    ))
}

fn logged_in(row: &Row, client: &Client, settings: &Settings) -> Result<(), Failure> {
    if client.may_speak(settings) || row.flags.has(Flags::NO_AUTH) {
        return Ok(());
    }
    Err(Failure::fixed("NOAUTH Authentication required."))
}

fn queueable(row: &Row, client: &Client, _: &Settings) -> Result<(), Failure> {
    if client.transaction.is_none() || !row.flags.has(Flags::NO_MULTI) {
        return Ok(());
    }
    Err(Failure::fixed(
        "ERR Command not allowed inside a transaction",
    ))
}

/// What a command may do: EXEC, whatever one of the queued commands may.
#[inline]
pub fn effective_flags(row: &Row, client: &Client) -> Flags {
    match &client.transaction {
        Some(transaction) if row.in_multi == InMulti::Exec => row.flags.or(transaction.flags()),
        _ => row.flags,
    }
}

/// What a command may do as far as that is known before it runs or is queued: a script that is to
/// be queued may do what its first line says. (One that is to run looks at its flags itself.)
#[cold]
pub fn known_flags<'a>(
    row: &Row,
    mut words: impl Iterator<Item = &'a [u8]>,
    client: &Client,
    server: &Server,
) -> Flags {
    let flags = effective_flags(row, client);
    if client.transaction.is_none() || !row.flags.has(Flags::NO_MANDATORY_KEYS) {
        return flags;
    }
    let subject = words.nth(1).unwrap_or_default();
    let Some(said) = server.scripting.flags_of(&row.name, subject) else {
        return flags;
    };
    let reads = said.has(script::Flags::NO_WRITES);
    let says = [
        (Flags::WRITE, !reads),
        (
            Flags::DENYOOM,
            !reads && !said.has(script::Flags::ALLOW_OOM),
        ),
        (Flags::STALE, said.has(script::Flags::ALLOW_STALE)),
    ];
    says.iter()
        .fold(flags, |flags, &(flag, is_set)| match is_set {
            true => flags.or(flag),
            false => flags.without(flag),
        })
}

/// Refuses writes while snapshots fail.
#[cold]
fn saved_lately(flags: Flags, row: &Row, settings: &Settings) -> Result<(), Failure> {
    let concerned = flags.has(Flags::WRITE) || row.name == "ping";
    if !concerned || settings.save_points.is_empty() || !settings.stop_writes_on_bgsave_error {
        return Ok(());
    }
    Err(Failure::fixed(
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist \
         to disk. Commands that may modify the data set are disabled, because this instance is \
         configured to report errors during writes if RDB snapshotting fails \
         (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the \
         RDB error.",
    ))
}

/// Refuses on a replica what only its primary may do, or what would show old data.
#[cold]
fn as_replica(flags: Flags, server: &Server, settings: &Settings) -> Result<(), Failure> {
    if settings.replica.read_only && flags.has(Flags::WRITE) {
        return Err(Failure::READ_ONLY);
    }
    if !settings.replica.serve_stale
        && !server.replicating.replica.is_up()
        && !flags.has(Flags::STALE)
    {
        return Err(MASTER_DOWN);
    }
    Ok(())
}

/// See its text.
pub const MASTER_DOWN: Failure = Failure::fixed(
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
);

/// Refuses writes while the append-only file cannot be written.
#[cold]
fn logged_lately(flags: Flags, row: &Row, server: &Server) -> Result<(), Failure> {
    if !flags.has(Flags::WRITE) && row.name != "ping" {
        return Ok(());
    }
    let status = server.appending.journal.status();
    let why = status.failure.unwrap_or_default();
    Err(Failure::owned(format!(
        "MISCONF Errors writing to the AOF file: {why}"
    )))
}

fn postponed<'a>(
    row: &Row,
    mut words: impl Iterator<Item = &'a [u8]>,
    client: &Client,
    server: &Server,
) -> bool {
    match (server.pause_kind(), &client.transaction) {
        // As in Redis, nothing at all: not even the end of the pause can be ordered.
        (Some(PauseKind::All), _) => true,
        (Some(PauseKind::Write), Some(transaction)) if row.in_multi == InMulti::Exec => {
            transaction.commands().any(|queued| {
                let subject = queued.words.get(1).map(|word| word.of(queued.buffer));
                may_change(server.registry.row(queued.row), subject, server)
            })
        }
        (Some(PauseKind::Write), _) => may_change(row, words.nth(1), server),
        (None, _) => false,
    }
}

/// Whether a command, whose first argument is `subject`, may change something: not a script that
/// says it does not.
fn may_change(row: &Row, subject: Option<&[u8]>, server: &Server) -> bool {
    let may = row.flags.has(Flags::WRITE) || row.flags.has(Flags::MAY_REPLICATE);
    let subject = subject.unwrap_or_default();
    may && !server.scripting.says_it_only_reads(&row.name, subject)
}

#[cold]
fn unknown<'a>(
    missing: Missing,
    mut words: impl Iterator<Item = &'a [u8]>,
    registry: &Registry,
) -> Verdict {
    let name = words.next().unwrap_or_default();
    if name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:") {
        return Verdict::Drop;
    }
    let mut text = Vec::new();
    match missing {
        Missing::Command => {
            text.extend_from_slice(b"ERR unknown command '");
            text.extend_from_slice(quoted_part(name, QUOTED_BYTES_MAX));
            text.extend_from_slice(b"', with args beginning with: ");
            quote_arguments(words, &mut text);
            Verdict::Refuse(None, Failure::owned(text))
        }
        Missing::Subcommand(container) => {
            let second = words.next().unwrap_or_default();
            text.extend_from_slice(b"ERR unknown subcommand '");
            text.extend_from_slice(quoted_part(second, QUOTED_BYTES_MAX));
            text.extend_from_slice(b"'. Try ");
            text.extend(registry.row(container).name.to_ascii_uppercase().bytes());
            text.extend_from_slice(b" HELP.");
            Verdict::Refuse(Some(container), Failure::owned(text))
        }
    }
}

/// What is shown of a word, in at most so many bytes.
fn quoted_part(word: &[u8], bytes_max: usize) -> &[u8] {
    until_nul(&word[..word.len().min(bytes_max)])
}

fn quote_arguments<'a>(words: impl Iterator<Item = &'a [u8]>, text: &mut Vec<u8>) {
    let mut quoted = 0;
    for word in words {
        if quoted >= QUOTED_BYTES_MAX {
            break;
        }
        let shown = quoted_part(word, QUOTED_BYTES_MAX - quoted);
        text.push(b'\'');
        text.extend_from_slice(shown);
        text.extend_from_slice(b"' ");
        quoted += shown.len() + 3;
    }
}
