//! MIGRATE: keys on their way to another server.
//!
//! The command dumps its keys under their lease and lets its client wait ([`depart`]). A thread
//! speaks with the target (`target`) and sends what came of it to the client's worker, which
//! deletes the keys that were taken ([`arrive`]) and answers. So nobody waits for the network but
//! who asked.
//!
//! Redis stops for as long as a MIGRATE takes, and no key can change meanwhile. Here it can: each
//! key is watched (`engine::watch`) from the lease it was dumped under, and one that has changed is
//! not deleted. It stays, and the error says that the target has its former value.
//!
//! Threads exist while there is something to do and ten seconds longer, [`THREADS_MAX`] at most;
//! they are not waited for when the process ends. Open connections are kept as long, as in Redis.
//! What waits is bounded by the clients: each has one MIGRATE at most.

mod target;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use base::ids::{ClientId, DbIndex};
use base::time::UnixMillis;
use engine::args::{Args, KeyWord};
use engine::dispatch::{Call, execute_leased, expire_if_due};
use engine::dump::value_of;
use engine::env::Env;
use engine::failure::Failure;
use engine::keyspace::{Key, Lease};
use engine::tx::ReadTx;
use engine::watch::Flag;
use parking_lot::{Condvar, Mutex};
use rdb::{Encoder, payload};
use resp::{Proto, Reply, Span};

use crate::mailbox::{Mailbox, Message, WorkerId};
use crate::registry::{Handler, Registry};
use target::{Broken, Stage, Target};

/// Migrations under way at once; the next ones wait.
const THREADS_MAX: usize = 16;
/// Open connections that are kept for the next MIGRATE.
const KEPT_MAX: usize = 64;
/// How long they are kept, and how long a thread waits for more to do.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// What MIGRATE was told.
pub struct Order {
    /// The target.
    pub host: Vec<u8>,
    /// Its port.
    pub port: u16,
    /// The database there.
    pub db: i64,
    /// The longest single wait.
    pub timeout: Duration,
    /// The keys stay here.
    pub copy: bool,
    /// Keys of the same name there are overwritten.
    pub replace: bool,
    /// What to say there first.
    pub login: Option<Login>,
}

/// Name and password at the target.
pub struct Login {
    /// The user, if it is not the default one.
    pub user: Option<Vec<u8>>,
    /// The password.
    pub password: Vec<u8>,
}

/// A key and its value at the moment of the dump.
struct Item {
    key: Box<[u8]>,
    hash: u64,
    payload: Vec<u8>,
    deadline: Option<UnixMillis>,
    /// Raised when the key changes.
    changed: Flag,
}

impl Item {
    fn key(&self) -> Key<'_> {
        Key {
            bytes: &self.key,
            hash: self.hash,
        }
    }
}

/// What is to be moved.
pub struct Cargo {
    items: Vec<Item>,
    db: DbIndex,
    /// When it was dumped, by either clock.
    dumped_at: UnixMillis,
    dumped: Instant,
}

impl Cargo {
    /// Milliseconds that a key has left to live, 0 = for ever.
    fn ttl_ms(&self, item: &Item) -> i64 {
        let Some(deadline) = item.deadline else {
            return 0;
        };
        let since = i64::try_from(self.dumped.elapsed().as_millis()).unwrap_or(i64::MAX);
        (deadline.0 - self.dumped_at.0).saturating_sub(since).max(1)
    }
}

/// The client that waits.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    /// Who it is.
    pub id: ClientId,
    /// Whose it is.
    pub worker: WorkerId,
    /// Where its worker keeps it.
    pub place: usize,
}

struct Job {
    order: Order,
    cargo: Cargo,
    sender: Sender,
}

/// A migration that the target has answered, on its way to the client's worker.
pub struct Migrated {
    /// Who asked.
    pub sender: Sender,
    copy: bool,
    cargo: Cargo,
    /// Numbers of the items that the target took.
    taken: Vec<usize>,
    failure: Option<Failure>,
}

#[derive(Default)]
struct State {
    jobs: Vec<Job>,
    /// Threads, and those of them that wait.
    threads: usize,
    idle: usize,
    /// Open connections by host, port.
    kept: Vec<(Vec<u8>, u16, Target)>,
}

impl State {
    /// Closes the connections that nobody has used for long.
    fn prune(&mut self) {
        self.kept
            .retain(|(.., target)| target.used.elapsed() < KEPT_FOR);
    }
}

struct Shared {
    state: Mutex<State>,
    asked: Condvar,
    mailboxes: Vec<Mailbox>,
}

/// See the module's head.
pub struct Migrations(Arc<Shared>);

impl Migrations {
    /// Nothing is under way. The mailboxes are those of the workers.
    pub fn new(mailboxes: Vec<Mailbox>) -> Migrations {
        Migrations(Arc::new(Shared {
            state: Mutex::default(),
            asked: Condvar::new(),
            mailboxes,
        }))
    }

    /// Open connections that nobody uses at the moment.
    pub fn kept_connections(&self) -> usize {
        self.0.state.lock().kept.len()
    }

    /// Lets a thread do this.
    fn submit(&self, job: Job) {
        let mut state = self.0.state.lock();
        state.jobs.push(job);
        if state.idle >= state.jobs.len() || state.threads >= THREADS_MAX {
            self.0.asked.notify_one();
            return;
        }
        let shared = Arc::clone(&self.0);
        let thread = thread::Builder::new().name("migrate".to_owned());
        match thread.spawn(move || shared.serve()) {
            Ok(_) => state.threads += 1,
            // One of the others comes to it.
            Err(_) if state.threads > 0 => {}
            Err(error) => {
                let failure = Failure::owned(format!("ERR No thread for MIGRATE: {error}"));
                if let Some(job) = state.jobs.pop() {
                    drop(state);
                    self.0.report(job, Vec::new(), Some(failure));
                }
            }
        }
    }
}

impl Shared {
    /// A thread's life.
    fn serve(&self) {
        while let Some((job, open)) = self.next() {
            let Job { order, cargo, .. } = &job;
            let (result, target) = target::deliver(order, cargo, open);
            if let Some(target) = target {
                self.keep(order, target);
            }
            let (taken, failure) = match result {
                Ok(answers) => {
                    let refused = answers.refusal.map(|error| refusal(&error));
                    let broken = answers.broken.as_ref().map(broken);
                    (answers.taken, refused.or(broken))
                }
                Err(why) => (Vec::new(), Some(broken(&why))),
            };
            self.report(job, taken, failure);
        }
    }

    /// Waits for something to do; with it comes a connection, if one is kept. `None` when nothing
    /// has come for long.
    fn next(&self) -> Option<(Job, Option<Target>)> {
        let mut state = self.state.lock();
        let until = Instant::now() + KEPT_FOR;
        loop {
            state.prune();
            if !state.jobs.is_empty() {
                let job = state.jobs.remove(0);
                let Order { host, port, .. } = &job.order;
                let same = |(name, number, _): &(Vec<u8>, u16, _)| name == host && number == port;
                let at = state.kept.iter().rposition(same);
                let open = at.map(|at| state.kept.remove(at).2);
                return Some((job, open));
            }
            state.idle += 1;
            let timeout = self.asked.wait_until(&mut state, until);
            state.idle -= 1;
            if timeout.timed_out() && state.jobs.is_empty() {
                state.prune();
                state.threads -= 1;
                if state.threads == 0 {
                    state.kept.clear();
                }
                return None;
            }
        }
    }

    fn keep(&self, order: &Order, target: Target) {
        let mut state = self.state.lock();
        if state.kept.len() >= KEPT_MAX {
            state.kept.remove(0);
        }
        state.kept.push((order.host.clone(), order.port, target));
    }

    /// Sends the client's worker what came of it.
    fn report(&self, job: Job, taken: Vec<usize>, failure: Option<Failure>) {
        let Job {
            order,
            mut cargo,
            sender,
        } = job;
        // The worker has better things to do than to free them.
        cargo
            .items
            .iter_mut()
            .for_each(|item| item.payload = Vec::new());
        let migrated = Migrated {
            sender,
            copy: order.copy,
            cargo,
            taken,
            failure,
        };
        self.mailboxes[usize::from(sender.worker.0)].send(Message::Migrated(Box::new(migrated)));
    }
}

fn refusal(error: &[u8]) -> Failure {
    Failure::owned([b"ERR Target instance replied with error: ", error].concat())
}

fn broken(broken: &Broken) -> Failure {
    Failure::fixed(match broken.stage {
        Stage::Connecting => "IOERR error or timeout connecting to the client",
        Stage::Writing => "IOERR error or timeout writing to target instance",
        Stage::Reading => "IOERR error or timeout reading to target instance",
    })
}

/// Dumps those of the keys that are there and sends them on their way; whether there were any. From
/// now on they are watched, unless they are to stay here anyway. The lease is left with their
/// stripes.
pub fn depart(
    migrations: &Migrations,
    order: Order,
    keys: &[&[u8]],
    db: DbIndex,
    sender: Sender,
    lease: &mut Lease<'_>,
    env: &Env,
) -> bool {
    let keyspace = lease.keyspace();
    let keys: Vec<Key<'_>> = keys.iter().map(|bytes| keyspace.key(bytes)).collect();
    lease.cover(keys.iter().map(|key| key.hash));
    let mut encoder = Encoder::new(env.limits.dump);
    let mut items = Vec::new();
    for key in keys {
        if env.expire {
            expire_if_due(key, db, lease, env);
        }
        let Some(entry) = ReadTx::new(lease, env, db).find(key) else {
            continue;
        };
        let mut item = Item {
            key: key.bytes.into(),
            hash: key.hash,
            payload: Vec::new(),
            deadline: entry.deadline(),
            changed: Flag::default(),
        };
        payload::write(value_of(entry.value()), &mut encoder, &mut item.payload);
        if !order.copy {
            let watchers = lease.stripe_mut(key.hash).watchers_mut();
            watchers.watch(db, key, &item.changed);
        }
        items.push(item);
    }
    if items.is_empty() {
        return false;
    }
    let cargo = Cargo {
        items,
        db,
        dumped_at: env.now,
        dumped: Instant::now(),
    };
    migrations.submit(Job {
        order,
        cargo,
        sender,
    });
    true
}

/// Deletes the keys that the target took, as DEL would, unless they have changed since; what the
/// client is to be told. The lease is left with their stripes.
pub fn arrive(
    migrated: &Migrated,
    registry: &Registry,
    lease: &mut Lease<'_>,
    env: &Env,
) -> Result<(), Failure> {
    let Migrated { cargo, taken, .. } = migrated;
    let failure = migrated.failure.clone().map_or(Ok(()), Err);
    if migrated.copy {
        return failure;
    }
    lease.cover(cargo.items.iter().map(|item| item.hash));
    let mut moved = Vec::new();
    let mut changed = 0;
    for item in taken.iter().filter_map(|&nth| cargo.items.get(nth)) {
        // One whose time was up is gone from here, and soon there.
        let is_past = item.deadline.is_some_and(|deadline| deadline <= env.now);
        match item.changed.is_raised() && !is_past {
            false => moved.push(item),
            true => changed += 1,
        }
    }
    for item in &cargo.items {
        let watchers = lease.stripe_mut(item.hash).watchers_mut();
        watchers.unwatch(cargo.db, item.key(), &item.changed);
    }
    delete(&moved, cargo.db, registry, lease, env);
    match changed {
        0 => failure,
        changed => failure.and_then(|()| Err(has_changed(changed, cargo.items.len()))),
    }
}

fn has_changed(changed: usize, all: usize) -> Failure {
    Failure::owned(format!(
        "ERR Changed while on their way to the target, which has their former values; not deleted \
         here: {changed} of {all} keys"
    ))
}

/// Runs DEL, with all that follows from it.
fn delete(items: &[&Item], db: DbIndex, registry: &Registry, lease: &mut Lease<'_>, env: &Env) {
    let row = registry.command(b"del").map(|id| registry.row(id));
    let Some(Handler::Data(run)) = row.map(|row| &row.handler) else {
        return;
    };
    if items.is_empty() {
        return;
    }
    let mut buffer = b"DEL".to_vec();
    let mut words = vec![Span { start: 0, len: 3 }];
    let mut keys = Vec::new();
    for (nth, item) in items.iter().enumerate() {
        words.push(Span {
            start: buffer.len() as u32,
            len: item.key.len() as u32,
        });
        buffer.extend_from_slice(&item.key);
        keys.push(KeyWord {
            word: nth as u32 + 1,
            hash: item.hash,
        });
    }
    let args = &mut Args::new(&buffer, &words, &keys);
    let run = *run;
    env.reader.set(None);
    execute_leased(
        Call { run, db, args },
        lease,
        env,
        &mut Reply::new(Proto::Resp2),
    );
}
