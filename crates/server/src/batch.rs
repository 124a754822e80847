//! Bytes to commands to replies: parse what arrived on all ready connections, hash the keys,
//! prefetch, then execute in order.
//!
//! Memory latency is most of what a GET costs. So a worker first collects a batch of commands (of
//! one pipeline, or of many connections), asks the cache for the buckets of all their keys, then
//! for the entries, and only then runs them.
//!
//! Invariants: a connection's collected commands are the first `parsed` bytes of its input; running
//! a command consumes its bytes. A connection that starts to wait or to close in the middle of a
//! batch keeps the rest of its bytes: they are parsed again when it goes on.

use std::ops::Range;

use engine::args::{Args, KeyWord};
use engine::env::Env;
use engine::failure::Failure;
use engine::keyspace::ahead::{Ahead, KEYS_MAX};
use engine::keyspace::{Keyspace, Lease};
use engine::spec::Flags;
use log::warn;
use resp::{Limits, Reply, Span, Step};
use slab::Slab;

use crate::attending::Aside;
use crate::call;
use crate::client::{Client, Fate, ReplyMode};
use crate::connection::{Connection, Waiting};
use crate::delivery::{Delivery, Told};
use crate::eviction::Evictor;
use crate::gate::{self, Verdict};
use crate::limits::{cut_at, is_above_hard, output_limit};
use crate::mailbox::Mailbox;
use crate::pubsub::Desk;
use crate::registry::{InMulti, KeyShape, Missing, RowId};
use crate::replicating::replica::apply;
use crate::scripting;
use crate::server::Server;
use crate::session::{Session, Within};
use crate::settings::Settings;
use crate::stats::{WorkerStats, bump};
use crate::transaction::{self, Spare};

/// Commands collected before they are run.
const COMMANDS_MAX: usize = 64;

/// More than any answer to CLIENT REPLY ON, which ends the muting.
const MUTED_BYTES_MAX: usize = 16 * 1024;

/// What was found at one place of an input.
enum Found {
    /// A command, known or not.
    Command(Result<RowId, Missing>),
    /// An empty line or an empty array: nothing to do.
    Nothing,
    /// Bytes that break the protocol; the text of the error.
    Broken(Vec<u8>),
}

struct Command {
    connection: u32,
    /// Bytes of input that it takes.
    bytes: u32,
    found: Found,
    words: Range<u32>,
    keys: Range<u32>,
    /// The word that is looked up inside the key's collection.
    member: Option<KeyWord>,
    /// Its words are copies in `Batch::inline`, from here on.
    inline: Option<u32>,
}

/// Scratch space of one worker, empty between rounds.
pub struct Batch {
    commands: Vec<Command>,
    words: Vec<Span>,
    keys: Vec<KeyWord>,
    inline: Vec<u8>,
    ahead: Ahead,
}

/// What running a batch needs.
pub struct Surroundings<'s, 'k> {
    /// What the workers share.
    pub server: &'s Server,
    /// This worker's counters.
    pub stats: &'s WorkerStats,
    /// Current settings.
    pub settings: &'s Settings,
    /// Time, limits, counters.
    pub env: &'s mut Env,
    /// Kept from command to command while they need the same stripe.
    pub lease: &'s mut Lease<'k>,
    /// Makes room when memory is full.
    pub evictor: &'s mut Evictor,
    /// This worker's subscribers.
    pub desk: &'s mut Desk,
    /// This worker's compiled scripts.
    pub scripts: &'s mut scripting::State,
    /// Room for the next transaction.
    pub spare: &'s mut Spare,
    /// This worker's mailbox.
    pub mailbox: &'s Mailbox,
    /// Connections to serve in the next round.
    pub ready: &'s mut Vec<usize>,
    /// Connections to write messages to.
    pub told: &'s mut Told,
    /// What serving others while a script is busy needs; `None` while that is done.
    pub aside: Option<Aside<'s>>,
    /// Time stamp at which the last command ended, or this batch began.
    pub mark: u64,
}

impl Batch {
    /// An empty one.
    pub fn new(keyspace: &Keyspace) -> Batch {
        Batch {
            commands: Vec::new(),
            words: Vec::new(),
            keys: Vec::new(),
            inline: Vec::new(),
            ahead: Ahead::new(keyspace.stripe_count()),
        }
    }

    /// Whether no more commands should be collected before the batch is run.
    pub fn is_full(&self) -> bool {
        self.commands.len() >= COMMANDS_MAX || self.keys.len() >= KEYS_MAX
    }

    /// Whether nothing was collected.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Collects the commands that have wholly arrived at a connection, as far as the batch has
    /// room. Returns whether there may be more.
    pub fn collect(
        &mut self,
        id: usize,
        connection: &mut Connection,
        server: &Server,
        settings: &Settings,
    ) -> bool {
        if !matches!(connection.waiting, Waiting::No) || connection.client.fate != Fate::Open {
            return false;
        }
        let limit = output_limit(&connection.client, settings);
        if is_above_hard(limit, connection.out.len_bytes()) {
            return false;
        }
        connection.out.set_limit(cut_at(limit));
        let limits = Limits {
            bulk_bytes_max: settings.proto_max_bulk_len_bytes,
            query_bytes_max: settings
                .client_query_buffer_limit_bytes
                .saturating_sub(connection.client.queued_bytes()),
            authenticated: connection.client.may_speak(settings),
        };
        while !self.is_full() {
            let input = &connection.input.unread()[connection.parsed..];
            if input.is_empty() {
                connection.missing = 0;
                return false;
            }
            let first = self.words.len();
            match connection.parser.next(input, &limits, &mut self.words) {
                Ok(Step::Command { consumed }) => {
                    self.push(id, consumed, first, input, None, server);
                    connection.parsed += consumed;
                }
                Ok(Step::Inline { consumed, args }) => {
                    self.push_inline(id, consumed, first, &args, server);
                    connection.parsed += consumed;
                }
                Ok(Step::Incomplete { missing }) => {
                    connection.missing = missing;
                    return false;
                }
                Err(error) => {
                    let text = [b"ERR Protocol error: ", &error.text()[..]].concat();
                    let found = Found::Broken(text);
                    let (words, keys) = (0..0, 0..0);
                    let connection = id as u32;
                    self.commands.push(Command {
                        connection,
                        bytes: 0,
                        found,
                        words,
                        keys,
                        member: None,
                        inline: None,
                    });
                    return false;
                }
            }
            if !limits.authenticated {
                // The limits change with a login: look at one command at a time until then.
                return true;
            }
        }
        true
    }

    fn push_inline(
        &mut self,
        id: usize,
        consumed: usize,
        first: usize,
        args: &[Vec<u8>],
        server: &Server,
    ) {
        let base = self.inline.len();
        for arg in args {
            let start = (self.inline.len() - base) as u32;
            self.words.push(Span {
                start,
                len: arg.len() as u32,
            });
            self.inline.extend_from_slice(arg);
        }
        let copy = std::mem::take(&mut self.inline);
        self.push(
            id,
            consumed,
            first,
            &copy[base..],
            Some(base as u32),
            server,
        );
        self.inline = copy;
    }

    #[inline]
    fn push(
        &mut self,
        id: usize,
        consumed: usize,
        first: usize,
        buffer: &[u8],
        inline: Option<u32>,
        server: &Server,
    ) {
        let words = &self.words[first..];
        let first_key = self.keys.len();
        let mut member = None;
        let found = match words {
            [] => Found::Nothing,
            [name, rest @ ..] => {
                let second = rest.first().map(|span| span.of(buffer));
                let row = server.registry.resolve(name.of(buffer), second);
                if let Ok(row) = row {
                    let row = server.registry.row(row);
                    find_keys(row.shape, words, buffer, &server.keyspace, &mut self.keys);
                    member = find_member(row.spec.member, words, buffer, &server.keyspace);
                }
                Found::Command(row)
            }
        };
        self.commands.push(Command {
            connection: id as u32,
            bytes: consumed as u32,
            found,
            words: first as u32..self.words.len() as u32,
            keys: first_key as u32..self.keys.len() as u32,
            member,
            inline,
        });
    }

    /// Runs what was collected, in order, and empties the batch.
    pub fn run(&mut self, connections: &mut Slab<Connection>, around: &mut Surroundings<'_, '_>) {
        if self.keys.len() > 1 {
            self.prefetch(connections, around.lease);
        }
        if around.settings.maxmemory_bytes != 0 {
            around.evictor.look(around.server);
        }
        // The primary's connection, once a command of it has to wait: none overtakes it.
        let mut stalled = None;
        for (at, command) in self.commands.iter().enumerate() {
            let Some(connection) = connections.get_mut(command.connection as usize) else {
                continue;
            };
            if stalled == Some(command.connection) {
                continue;
            }
            let own = connection.client.card.worker;
            let mut disturbed = false;
            if matches!(connection.waiting, Waiting::No) && connection.client.fate == Fate::Open {
                if self.runs_scripts(command, connection, around) {
                    disturbed = self.run_apart(command, connections, around);
                } else if !self.run_one(command, connection, None, around) {
                    stalled = Some(command.connection);
                }
            }
            if around.mailbox.has_left_news() {
                let mut delivery = Delivery {
                    server: around.server,
                    own,
                    desk: around.desk,
                    connections,
                    ready: around.ready,
                    told: around.told,
                };
                delivery.deliver_mail(around.mailbox);
            }
            if disturbed {
                self.give_back(at + 1, connections, around);
                break;
            }
        }
        around.lease.release();
        self.commands.clear();
        self.words.clear();
        self.keys.clear();
        self.inline.clear();
    }

    /// Whether a command may run scripts, so that others are to be served meanwhile.
    #[inline]
    fn runs_scripts(
        &self,
        command: &Command,
        connection: &Connection,
        around: &Surroundings<'_, '_>,
    ) -> bool {
        let Found::Command(Ok(id)) = command.found else {
            return false;
        };
        // A primary sends what its scripts have done.
        if connection.client.upstream.is_some() {
            return false;
        }
        let registry = &around.server.registry;
        let flags = gate::effective_flags(registry.row(id), &connection.client);
        flags.has(Flags::NO_MANDATORY_KEYS) && around.aside.is_some()
    }

    /// Runs a command with its connection out of the others' way. Whether others were served
    /// meanwhile; then what is collected of them does not hold any more.
    fn run_apart(
        &self,
        command: &Command,
        connections: &mut Slab<Connection>,
        around: &mut Surroundings<'_, '_>,
    ) -> bool {
        let at = command.connection as usize;
        let kept = around
            .aside
            .as_mut()
            .and_then(|aside| aside.stand_in.take());
        let mut apart = kept.unwrap_or_else(|| Box::new(Connection::stand_in()));
        std::mem::swap(&mut connections[at], &mut *apart);
        self.run_one(command, &mut apart, Some(connections), around);
        connections[at].relieve(&mut apart);
        let Some(aside) = &mut around.aside else {
            return false;
        };
        *aside.stand_in = Some(apart);
        aside.attended.replace(false)
    }

    /// Leaves the commands from `first` on to the next round.
    #[cold]
    fn give_back(
        &self,
        first: usize,
        connections: &mut Slab<Connection>,
        around: &mut Surroundings<'_, '_>,
    ) {
        for command in &self.commands[first..] {
            let id = command.connection as usize;
            if let Some(connection) = connections.get_mut(id) {
                connection.rewind();
                connection.enqueue(id, around.ready);
            }
        }
    }

    fn prefetch(&mut self, connections: &Slab<Connection>, lease: &Lease<'_>) {
        let keys = self.commands.iter().flat_map(|command| {
            let db = connections[command.connection as usize].client.db;
            let range = command.keys.start as usize..command.keys.end as usize;
            let member = command.member.map(|member| member.hash);
            let hashes = self.keys[range].iter().map(|key| key.hash);
            hashes.map(move |hash| (db, hash, member))
        });
        for (db, hash, member) in keys {
            if !self.ahead.add(lease, db, hash, member) {
                break;
            }
        }
        self.ahead.run(lease);
    }

    /// Runs a command; `false` if it has to wait, and with it what follows on its connection.
    #[inline]
    fn run_one(
        &self,
        command: &Command,
        connection: &mut Connection,
        others: Option<&mut Slab<Connection>>,
        around: &mut Surroundings<'_, '_>,
    ) -> bool {
        if connection.client.upstream.is_some() {
            return self.run_streamed(command, connection, others, around);
        }
        self.run_admitted(command, connection, others, around);
        true
    }

    /// Runs a command of the primary that this server follows; `false` if it has to wait.
    fn run_streamed(
        &self,
        command: &Command,
        connection: &mut Connection,
        others: Option<&mut Slab<Connection>>,
        around: &mut Surroundings<'_, '_>,
    ) -> bool {
        let (server, keys) = (
            around.server,
            command.keys.start as usize..command.keys.end as usize,
        );
        let row = match &command.found {
            Found::Command(found) => found.ok(),
            Found::Nothing => None,
            Found::Broken(text) => {
                let text = String::from_utf8_lossy(text);
                warn!("The stream of the master cannot be understood: {text}");
                connection.client.fate = Fate::CloseNow;
                return true;
            }
        };
        let client = &connection.client;
        if !apply::lease(row, &self.keys[keys], client, server, around.lease) {
            // A script holds what it needs for long: its worker tries again in a while.
            connection.rewind();
            if let Some(upstream) = &mut connection.client.upstream {
                upstream.stalled = true;
            }
            return false;
        }
        let raw = &connection.input.unread()[..command.bytes as usize];
        let Some(upstream) = connection.client.upstream.as_deref_mut() else {
            return true;
        };
        if server.replicating.replica.is_current(upstream.number()) {
            let before = upstream.note(raw);
            let ordinary = apply::enter(around.env);
            self.run_admitted(command, connection, others, around);
            if let Waiting::Pause = connection.waiting
                && let Some(upstream) = connection.client.upstream.as_deref_mut()
            {
                upstream.forget(before);
            }
            // What ran was settled already; what was refused is part of the stream all the same.
            apply::settle(&mut connection.client, server, around.env);
            apply::leave(around.env, ordinary);
        } else {
            connection.client.fate = Fate::CloseNow;
        }
        around.lease.unpin_kept();
        true
    }

    #[inline]
    fn run_admitted(
        &self,
        command: &Command,
        connection: &mut Connection,
        others: Option<&mut Slab<Connection>>,
        around: &mut Surroundings<'_, '_>,
    ) {
        let bytes = command.bytes as usize;
        connection.dirty = true;
        match &command.found {
            Found::Nothing => {}
            Found::Broken(text) => {
                if connection.client.reply_mode == ReplyMode::On {
                    connection.out.error(text);
                }
                connection.client.fate = Fate::CloseAfterReply;
            }
            Found::Command(found) => {
                let Connection {
                    input,
                    client,
                    out,
                    held,
                    ..
                } = &mut *connection;
                let buffer = match command.inline {
                    None => &input.unread()[..bytes],
                    Some(start) => &self.inline[start as usize..],
                };
                client.last_command = found.ok();
                let words = &self.words[command.words.start as usize..command.words.end as usize];
                let keys = &self.keys[command.keys.start as usize..command.keys.end as usize];
                let mut args = Args::hashed(buffer, words, keys, command.member);
                let verdict = gate::admit(
                    *found,
                    words.iter().map(|span| span.of(buffer)),
                    client,
                    out.proto(),
                    around.server,
                    around.settings,
                );
                let verdict = if around.settings.maxmemory_bytes == 0 || client.upstream.is_some() {
                    verdict
                } else {
                    within_memory(verdict, &args, client, out, around)
                };
                let demand = client.demand(around.settings);
                let before = demand.map(|_| (client.wrote, out.len_bytes()));
                let waiting = handle(verdict, &mut args, client, out, others, around);
                if let (Some(demand), Some((wrote, start))) = (demand, before)
                    && client.wrote != wrote
                {
                    let place = (start, out.len_bytes());
                    let upto = (client.wrote, around.server.replicating.era());
                    held.wait_for_replicas(place, upto, demand, around.env.now);
                }
                if out.is_cut() {
                    // The end of the round says why.
                    client.fate = Fate::CloseNow;
                }
                match waiting {
                    None => {}
                    Some(Waiting::Pause) => return connection.postpone(),
                    Some(waiting) => connection.waiting = waiting,
                }
            }
        }
        connection.input.consume(bytes);
        connection.parsed -= bytes;
        if connection.client.fate != Fate::Open || !matches!(connection.waiting, Waiting::No) {
            connection.rewind();
        }
    }
}

/// Makes room in memory for a command that is about to run; refuses it if it needs room and there
/// is none.
fn within_memory(
    verdict: Verdict,
    args: &Args<'_>,
    client: &mut Client,
    out: &mut Reply,
    around: &mut Surroundings<'_, '_>,
) -> Verdict {
    let Verdict::Run(id) = verdict else {
        return verdict;
    };
    let server = around.server;
    let row = server.registry.row(id);
    let flags = match row.flags.has(Flags::NO_MANDATORY_KEYS) {
        true => gate::known_flags(row, args.words(), client, server),
        false => gate::effective_flags(row, client),
    };
    let admitted = around.evictor.admit(
        flags,
        server,
        around.settings,
        around.lease,
        around.env,
        client,
    );
    if let Some(caching) = &mut client.caching {
        caching.tell(out);
    }
    match admitted {
        Ok(()) => Verdict::Run(id),
        Err(failure) => Verdict::Refuse(Some(id), failure),
    }
}

/// Carries a verdict out; returns what the connection has to wait for, if anything.
#[inline]
fn handle(
    verdict: Verdict,
    args: &mut Args<'_>,
    client: &mut Client,
    out: &mut Reply,
    others: Option<&mut Slab<Connection>>,
    around: &mut Surroundings<'_, '_>,
) -> Option<Waiting> {
    let start = out.mark();
    // What a primary sends has no limit, and is worth no detour.
    let waiting = match client.reply_mode == ReplyMode::On || client.upstream.is_some() {
        true => carry_out(verdict, args, client, out, others, around),
        false => carry_out_muted(verdict, args, client, out, others, around),
    };
    if let Some(Waiting::Pause) = waiting {
        return waiting;
    }
    if client.reply_mode != ReplyMode::On {
        out.truncate(start);
        end_muted(client, out);
    }
    if client.caching.is_some() {
        end_of_caching(client, out, around.server);
    }
    waiting
}

/// The same for a client that gets no reply: what is written goes nowhere, however much it is, and
/// counts for no limit, unless the command ends the silence.
#[cold]
fn carry_out_muted(
    verdict: Verdict,
    args: &mut Args<'_>,
    client: &mut Client,
    out: &mut Reply,
    others: Option<&mut Slab<Connection>>,
    around: &mut Surroundings<'_, '_>,
) -> Option<Waiting> {
    let mut apart = Reply::limited(out.proto(), MUTED_BYTES_MAX);
    let waiting = carry_out(verdict, args, client, &mut apart, others, around);
    out.set_proto(apart.proto());
    if client.reply_mode == ReplyMode::On {
        out.append(&mut apart);
    }
    waiting
}

/// What a client is told that gets no reply to the command it has sent.
fn end_muted(client: &mut Client, out: &mut Reply) {
    out.raw(&std::mem::take(&mut client.unmuted));
    client.reply_mode = match client.reply_mode {
        ReplyMode::SkipNext => ReplyMode::Skip,
        ReplyMode::Skip | ReplyMode::On => ReplyMode::On,
        ReplyMode::Off => ReplyMode::Off,
    };
}

#[inline]
fn carry_out(
    verdict: Verdict,
    args: &mut Args<'_>,
    client: &mut Client,
    out: &mut Reply,
    others: Option<&mut Slab<Connection>>,
    around: &mut Surroundings<'_, '_>,
) -> Option<Waiting> {
    let mut waiting = None;
    // A script that is not over tells what it has done when it is.
    let settles = around.aside.is_some();
    match verdict {
        Verdict::Run(id) if queue(id, args, client, around.server) => out.queued(),
        Verdict::Run(id) => {
            let mut session = Session {
                server: around.server,
                stats: around.stats,
                client,
                env: around.env,
                lease: around.lease,
                desk: around.desk,
                settings: around.settings,
                evictor: around.evictor,
                scripts: around.scripts,
                spare: around.spare,
                others: match (others, &mut around.aside) {
                    (Some(connections), Some(aside)) => {
                        Some(aside.others(connections, around.ready, around.told, around.mailbox))
                    }
                    _ => None,
                },
                within: Within::Nothing,
                mark: &mut around.mark,
                failed: false,
                waiting: None,
            };
            waiting = call::run(id, args, &mut session, out);
            if settles {
                session.settle();
            }
        }
        Verdict::Refuse(id, failure) => refuse(id, &failure, client, out, around),
        Verdict::Postpone => waiting = Some(Waiting::Pause),
        Verdict::Drop => {
            around.server.warn_of_browser(&client.card, around.env.now);
            client.fate = Fate::CloseNow;
        }
    }
    waiting
}

/// The command of a client that caches keys is over and answered.
#[cold]
fn end_of_caching(client: &mut Client, out: &mut Reply, server: &Server) {
    // What CLIENT CACHING said holds for the next command that is none of CLIENT's, or for a whole
    // transaction.
    let last = client.last_command.map(|id| server.registry.row(id));
    let about_client = last.is_some_and(|row| row.name.starts_with("client|"));
    let keeps_given = about_client || client.transaction.is_some();
    if let Some(caching) = &mut client.caching {
        caching.end_command(keeps_given, out);
    }
}

/// Takes an admitted command into the client's transaction instead of running it; whether it did.
#[inline]
fn queue(row: RowId, args: &Args<'_>, client: &mut Client, server: &Server) -> bool {
    let Some(transaction) = &mut client.transaction else {
        return false;
    };
    let declared = server.registry.row(row);
    if declared.in_multi != InMulti::Queued {
        return false;
    }
    // What EXEC will not run takes no memory.
    let watched = client.watched.as_deref();
    if transaction.broken || watched.is_some_and(|watched| watched.flag.is_raised()) {
        return true;
    }
    transaction.push(row, declared, args);
    true
}

/// Answers a refused command, which breaks its transaction.
fn refuse(
    id: Option<RowId>,
    failure: &Failure,
    client: &mut Client,
    out: &mut Reply,
    around: &mut Surroundings<'_, '_>,
) {
    let server = around.server;
    if client.upstream.is_some() {
        let name = id.map_or("<unknown>", |id| &*server.registry.row(id).name);
        apply::complain(name, failure.text(), server, around.settings);
    }
    if let Some(RowId(id)) = id {
        bump(&around.stats.commands[usize::from(id)].rejected, 1);
    }
    if id.is_some_and(|id| server.registry.row(id).in_multi == InMulti::Exec) {
        around.lease.release();
        transaction::discard(client, around.lease);
        let failure = transaction::aborted(failure);
        server.count_error(failure.text(), around.stats);
        return out.error(failure.text());
    }
    if let Some(transaction) = &mut client.transaction {
        transaction.broken = true;
    }
    server.count_error(failure.text(), around.stats);
    out.error(failure.text());
}

/// The word that a command looks up inside its key's collection (`Spec::member`), hashed.
#[inline]
fn find_member(word: u8, words: &[Span], buffer: &[u8], keyspace: &Keyspace) -> Option<KeyWord> {
    if word == 0 {
        return None;
    }
    let bytes = words.get(usize::from(word))?.of(buffer);
    Some(KeyWord {
        word: u32::from(word),
        hash: keyspace.hash(bytes),
    })
}

/// Appends the command's keys with their hashes.
#[inline]
pub(crate) fn find_keys(
    shape: KeyShape,
    words: &[Span],
    buffer: &[u8],
    keyspace: &Keyspace,
    keys: &mut Vec<KeyWord>,
) {
    let mut add = |word: usize| {
        let hash = keyspace.hash(words[word].of(buffer));
        keys.push(KeyWord {
            word: word as u32,
            hash,
        });
    };
    match shape {
        KeyShape::None => {}
        KeyShape::First if words.len() > 1 => add(1),
        KeyShape::First => {}
        KeyShape::Specs(specs) => {
            for spec in specs {
                let found = spec.words(words.len(), |at| words[at].of(buffer));
                found.into_iter().flatten().for_each(&mut add);
            }
        }
    }
}
