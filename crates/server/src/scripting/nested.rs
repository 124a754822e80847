//! The host of a running script: its commands, its log lines, its protocol, its end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::args::{Args, KeyWord};
use engine::spec::{Flags, Group};
use engine::tx::{Step, WalkTx};
use resp::{Proto, Reply};
use script::{Asked, Host, Level, Words};

use super::Kind;
use super::lease::{self, Held, Reaching};
use super::run::Running;
use super::running::Long;
use super::store::{Learned, Reach};
use crate::attending::attend;
use crate::batch::find_keys;
use crate::call;
use crate::connection::Waiting;
use crate::gate;
use crate::registry::{Handler, Row, RowId};
use crate::session::Session;
use crate::stats::bump;

const UNKNOWN: &[u8] = b"ERR Unknown Redis command called from script";
const ARITY: &[u8] = b"ERR Wrong number of args calling Redis command from script";
const NOT_ALLOWED: &[u8] = b"ERR This Redis command is not allowed from script";
const STALE: &[u8] = b"ERR Can not execute the command on a stale replica";
const READ_ONLY: &[u8] = b"ERR Write commands are not allowed from read-only scripts.";
const ON_REPLICA: &[u8] = b"READONLY You can't write against a read only replica.";
const LACKING: &[u8] = b"NOREPLICAS Not enough good replicas to write.";
const FULL: &[u8] = b"OOM command not allowed when used memory > 'maxmemory'.";

/// What a script is allowed and what it has done.
pub(super) struct Rules<'a> {
    /// Its keys.
    pub(super) declared: &'a [KeyWord],
    /// What is known of the keys it touches.
    pub(super) learned: &'a Learned,
    /// It must not write.
    pub(super) read_only: bool,
    /// Memory is full, and it must not take more.
    pub(super) full: bool,
    /// It must not touch keys that it has not declared.
    pub(super) only_declared: bool,
    /// What it is, for those who ask while it runs for long.
    pub(super) subject: Running<'a>,
}

/// Buffers kept from script to script.
#[derive(Default)]
pub(super) struct Scratch {
    /// The reply of the last command.
    reply: Reply,
    /// A reply that lies in several pieces, in one.
    joined: Vec<u8>,
    /// The keys of the command under way.
    keys: Vec<KeyWord>,
}

/// See the module's head.
pub(super) struct Nested<'a, 's, 'k> {
    pub(super) session: &'a mut Session<'s, 'k>,
    pub(super) rules: Rules<'a>,
    pub(super) held: Held,
    scratch: &'a mut Scratch,
    /// Its reply holds an error.
    pub(super) failed: bool,
    /// It has changed something, or told somebody.
    pub(super) changed: bool,
    /// It has to start again under every stripe.
    pub(super) restart: bool,
    /// A key beyond the declared ones was touched.
    pub(super) beyond: bool,
    /// Since when it is known to run.
    since: Option<u64>,
    busy: bool,
}

impl<'a, 's, 'k> Nested<'a, 's, 'k> {
    pub(super) fn new(
        session: &'a mut Session<'s, 'k>,
        rules: Rules<'a>,
        held: Held,
        scratch: &'a mut Scratch,
    ) -> Nested<'a, 's, 'k> {
        scratch.reply.set_proto(Proto::Resp2);
        session.env.scripted = true;
        session.env.script_micros.set(0);
        Nested {
            session,
            rules,
            held,
            scratch,
            failed: false,
            changed: false,
            restart: false,
            beyond: false,
            since: None,
            busy: false,
        }
    }

    /// The script is over.
    pub(super) fn finish(&mut self) {
        let server = self.session.server;
        self.session.env.unrecorded = false;
        self.session.env.scripted = false;
        if self.since.is_some() {
            let worker = self.session.client.card.worker;
            server.scripting.running.leave(worker);
            server
                .keyspace
                .set_held_up(server.scripting.running.is_busy());
        }
        if !self.restart {
            self.rules.learned.note(match self.beyond {
                true => Reach::Beyond,
                false => Reach::Declared,
            });
        }
    }

    /// Why the command must not run.
    fn refusal(&self, row: &Row, count: usize) -> Option<&'static [u8]> {
        if !row.spec.accepts(count) || matches!(row.handler, Handler::Container) {
            return Some(ARITY);
        }
        if row.flags.has(Flags::NOSCRIPT) && !self.may_all_the_same(row) {
            return Some(NOT_ALLOWED);
        }
        if !row.flags.has(Flags::STALE) && self.session.is_stale_replica() {
            return Some(STALE);
        }
        if self.rules.read_only && may_write(row) {
            return Some(READ_ONLY);
        }
        if row.flags.has(Flags::WRITE) && self.session.is_read_only_replica() {
            return Some(ON_REPLICA);
        }
        if row.flags.has(Flags::WRITE) && self.session.server.lacks_replicas() {
            return Some(LACKING);
        }
        if self.rules.full && !self.changed && row.flags.has(Flags::DENYOOM) {
            return Some(FULL);
        }
        None
    }

    /// Whether a command that is not for scripts may be called by one, for tests.
    #[cold]
    fn may_all_the_same(&self, row: &Row) -> bool {
        let scripting = &self.session.server.scripting;
        scripting.any_command.load(Ordering::Relaxed)
            && matches!(row.spec.group, Group::Server | Group::Connection)
    }

    /// Counts and gives an error for a command that does not run.
    fn refuse(&self, text: Vec<u8>) -> Asked {
        let session = &self.session;
        session.server.count_error(&text, session.stats);
        let counted = true;
        Asked::Refused { text, counted }
    }

    /// Sees to it that the command's data are leased.
    fn reach(&mut self, row: &Row, words: &Words) -> Reaching {
        let wide = lease::looks_around(row, |asks| {
            asks(&Args::new(&words.buffer, &words.spans, &self.scratch.keys))
        });
        let undeclared = lease::undeclared(&self.scratch.keys, self.rules.declared);
        if self.rules.only_declared
            && let Some(key) = undeclared
        {
            return Reaching::Undeclared(key.word);
        }
        self.beyond |= wide || undeclared.is_some();
        if self.held == Held::All {
            return Reaching::Covered;
        }
        if wide && !self.session.lease.covers_all() {
            return match self.changed {
                false => Reaching::Restart,
                true if self.session.lease.extend_to_all() => Reaching::Covered,
                true => Reaching::Missing(0),
            };
        }
        lease::reach(self.session.lease, &self.scratch.keys, self.changed)
    }

    fn run_row(&mut self, id: RowId, words: &Words) -> Asked {
        let server = self.session.server;
        let row = server.registry.row(id);
        if let Some(text) = self.refusal(row, words.spans.len()) {
            let stats = &self.session.stats.commands[usize::from(id.0)];
            bump(&stats.rejected, 1);
            return self.refuse(text.to_vec());
        }
        // As in Redis, what has begun to write goes on.
        if !self.changed
            && let Some(why) = gate::disk_trouble(row, server, self.session.settings)
        {
            return self.refuse(why.text().to_vec());
        }
        self.scratch.keys.clear();
        let (buffer, spans) = (&words.buffer[..], &words.spans[..]);
        find_keys(
            row.shape,
            spans,
            buffer,
            &server.keyspace,
            &mut self.scratch.keys,
        );
        match self.reach(row, words) {
            Reaching::Covered => {}
            Reaching::Restart => {
                self.rules.learned.note(Reach::Beyond);
                self.restart = true;
                return Asked::End;
            }
            Reaching::Missing(word) => return self.refuse(unreachable_key(words, word)),
            Reaching::Undeclared(word) => return self.refuse(undeclared_key(words, word)),
        }
        if may_write(row) {
            if !self.changed && self.since.is_some() {
                let worker = self.session.client.card.worker;
                server.scripting.running.set_wrote(worker);
            }
            self.changed = true;
        }
        let mut args = Args::new(buffer, spans, &self.scratch.keys);
        if let Some(Waiting::Walk { mut walk, .. }) =
            call::run(id, &mut args, self.session, &mut self.scratch.reply)
        {
            let session = &mut *self.session;
            let mut tx = WalkTx::new(session.lease, session.env, session.client.db);
            while walk.step(&mut tx, &mut self.scratch.reply) == Step::More {}
        }
        Asked::Ran
    }

    /// The script has been running for a while: enters it, or makes it busy.
    fn look_at_the_clock(&mut self) {
        let server = self.session.server;
        let (now, worker) = (server.ticks_nanos(), self.session.client.card.worker);
        let running = &server.scripting.running;
        let Some(since) = self.since else {
            self.since = Some(now);
            running.enter(
                worker,
                Long {
                    kind: self.rules.subject.kind,
                    name: self.rules.subject.name.to_vec(),
                    words: self.rules.subject.words(),
                    since: now,
                    busy: false,
                    wrote: self.changed,
                },
            );
            return;
        };
        let threshold = Duration::from_millis(self.session.settings.busy_reply_threshold_millis);
        if !self.busy && now - since >= threshold.as_nanos() as u64 {
            self.busy = true;
            running.set_busy(worker);
            server.keyspace.set_held_up(true);
            log::warn!(
                "Slow script detected: still in execution after {} milliseconds. You can try \
                 killing the script using the {} command. Script name is: {}.",
                (now - since) / 1_000_000,
                match self.rules.subject.kind {
                    Kind::Script => "SCRIPT KILL",
                    Kind::Function => "FUNCTION KILL",
                },
                String::from_utf8_lossy(self.rules.subject.name)
            );
        }
    }
}

/// Whether the command is a write, or counts as one in scripts.
fn may_write(row: &Row) -> bool {
    row.flags.has(Flags::WRITE) || row.flags.has(Flags::MAY_REPLICATE)
}

fn unreachable_key(words: &Words, word: u32) -> Vec<u8> {
    let name = words.iter().nth(word as usize).unwrap_or_default();
    [
        b"ERR The script has changed data and then needs '",
        name,
        b"', which it did not declare and which another script holds",
    ]
    .concat()
}

fn undeclared_key(words: &Words, word: u32) -> Vec<u8> {
    let name = words.iter().nth(word as usize).unwrap_or_default();
    [
        b"ERR Script tried to access a key it did not declare: '",
        name,
        b"' (see script-undeclared-keys)",
    ]
    .concat()
}

impl Host for Nested<'_, '_, '_> {
    fn run(&mut self, words: &Words) -> Asked {
        self.scratch.reply.clear();
        let mut names = words.iter();
        let name = names.next().unwrap_or_default();
        match self.session.server.registry.resolve(name, names.next()) {
            Ok(id) => self.run_row(id, words),
            Err(_) => self.refuse(UNKNOWN.to_vec()),
        }
    }

    fn reply(&mut self) -> &[u8] {
        if self.scratch.reply.contiguous().is_none() {
            self.scratch.joined.clear();
            self.scratch.reply.copy_to(&mut self.scratch.joined);
            return &self.scratch.joined;
        }
        self.scratch.reply.contiguous().unwrap_or_default()
    }

    fn note_error(&mut self, text: &[u8], counted: bool) {
        self.failed = true;
        if !counted {
            self.session.server.count_error(text, self.session.stats);
        }
    }

    fn set_proto(&mut self, proto: Proto) {
        self.scratch.reply.set_proto(proto);
    }

    fn proto(&self) -> Proto {
        self.scratch.reply.proto()
    }

    fn set_recorded(&mut self, recorded: bool) {
        self.session.env.unrecorded = !recorded;
    }

    fn log(&mut self, level: Level, text: &[u8]) {
        log(level, text);
    }

    fn may_run(&mut self, words: &Words) -> Option<bool> {
        let mut names = words.iter();
        let name = names.next().unwrap_or_default();
        let registry = &self.session.server.registry;
        registry.resolve(name, names.next()).ok().map(|_| true)
    }

    fn interrupted(&mut self) -> bool {
        self.look_at_the_clock();
        if !self.busy {
            return false;
        }
        let (server, worker) = (self.session.server, self.session.client.card.worker);
        // One of those who are waiting may want to end it.
        attend(self.session);
        server.scripting.running.is_killed(worker)
            || server.mailboxes[usize::from(worker.0)].says_stop()
    }
}

fn log(level: Level, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    match level {
        Level::Debug => log::trace!("{text}"),
        Level::Verbose => log::debug!("{text}"),
        Level::Notice => log::info!("{text}"),
        Level::Warning => log::warn!("{text}"),
    }
}

/// The host of a library that is being loaded: it can call nothing, and must not take long.
#[derive(Default)]
pub(super) struct NoCommands {
    looks: u32,
}

/// Looks at the clock, a millisecond or less apart, until loading is given up.
const LOOKS_MAX: u32 = 500;

impl Host for NoCommands {
    fn run(&mut self, _: &Words) -> Asked {
        let (text, counted) = (NOT_ALLOWED.to_vec(), false);
        Asked::Refused { text, counted }
    }

    fn reply(&mut self) -> &[u8] {
        b""
    }

    fn note_error(&mut self, _: &[u8], _: bool) {}

    fn set_proto(&mut self, _: Proto) {}

    fn proto(&self) -> Proto {
        Proto::Resp2
    }

    fn set_recorded(&mut self, _: bool) {}

    fn log(&mut self, level: Level, text: &[u8]) {
        log(level, text);
    }

    fn may_run(&mut self, _: &Words) -> Option<bool> {
        None
    }

    fn interrupted(&mut self) -> bool {
        self.looks += 1;
        self.looks > LOOKS_MAX
    }
}
