//! This server as a replica: whom it follows and how far that is.
//!
//! ```text
//! REPLICAOF -> Replica (state) -> thread `link`: connect, handshake, full copy (`transfer`)
//!           -> Message::Follow -> a worker: takes the data over, then applies the stream (`apply`)
//! ```
//! The thread does what takes long and changes nothing that clients see, but for the flushing
//! before a load. A worker installs the outcome under a lease on all stripes, and from then on the
//! primary is one of its connections. When that is closed the thread begins again.
//!
//! Invariants: what is done for one order (a REPLICAOF) is done only while its number is the one in
//! force; orders change only under a lease on all stripes. So once REPLICAOF NO ONE has been
//! answered, nothing of the stream is applied any more.

pub mod apply;
pub mod arrival;
mod link;
mod record;
pub mod report;
mod transfer;
mod wire;

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use base::time::UnixMillis;
use log::info;
use parking_lot::{Condvar, Mutex};

use crate::clients::Card;
pub use crate::config::settings::Primary;
use crate::mailbox::Message;
use crate::server::Server;

pub use link::serve;

/// After a failure the primary is tried again so much later.
const RETRY: Duration = Duration::from_secs(1);

/// How far a replica is with its primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It is to connect.
    Connect,
    /// It is connecting.
    Connecting,
    /// It introduces itself.
    Handshake,
    /// It receives or loads a full copy.
    Transfer,
    /// The stream flows.
    Connected,
}

impl Phase {
    /// The word of ROLE.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Connect => "connect",
            Phase::Connecting => "connecting",
            Phase::Handshake => "handshake",
            Phase::Transfer => "sync",
            Phase::Connected => "connected",
        }
    }
}

/// A full copy on its way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Copying {
    /// Its length, if that was said.
    pub total_bytes: u64,
    /// What has come of it.
    pub read_bytes: u64,
    /// When the last of that came.
    pub heard: UnixMillis,
}

/// How it stands, for INFO and ROLE.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whom it follows.
    pub primary: Primary,
    /// How far it is.
    pub phase: Phase,
    /// The link has been as it is, up or down, since then; `None`: it never was up.
    pub since: Option<UnixMillis>,
    /// When the primary was last heard, if the stream flows.
    pub heard: Option<UnixMillis>,
    /// The full copy under way.
    pub copying: Option<Copying>,
    /// Attempts to connect since the link went down, and all of them.
    pub attempts: (u64, u64),
    /// For how long in all the link was down.
    pub lost_millis: i64,
}

/// What the thread is to do.
#[derive(Clone, Debug)]
struct Order {
    primary: Primary,
    /// Names the REPLICAOF that it comes from.
    number: u64,
    /// The primary is our replica, which takes over from us (FAILOVER).
    hands_over: bool,
}

/// What the thread does next.
enum Task {
    /// It is to follow somebody.
    Follow(Order),
    /// It has waited as long as it wanted to.
    Look,
    /// The process ends.
    End,
}

struct State {
    primary: Option<Primary>,
    phase: Phase,
    hands_over: bool,
    card: Option<Arc<Card>>,
    since: Option<UnixMillis>,
    copying: Option<Copying>,
    attempts: (u64, u64),
    lost_millis: i64,
    ending: bool,
}

/// See the module's head.
pub struct Replica {
    state: Mutex<State>,
    changed: Condvar,
    /// The stream flows.
    up: AtomicBool,
    /// The number of the order in force.
    number: AtomicU64,
    /// How often all data were replaced.
    renewals: AtomicU64,
}

impl Default for Replica {
    fn default() -> Replica {
        Replica {
            state: Mutex::new(State {
                primary: None,
                phase: Phase::Connect,
                hands_over: false,
                card: None,
                since: None,
                copying: None,
                attempts: (0, 0),
                lost_millis: 0,
                ending: false,
            }),
            changed: Condvar::new(),
            up: AtomicBool::new(false),
            number: AtomicU64::new(0),
            renewals: AtomicU64::new(0),
        }
    }
}

impl Replica {
    /// Whether the stream of the primary flows.
    #[inline]
    pub fn is_up(&self) -> bool {
        self.up.load(Relaxed)
    }

    /// Whether an order is the one in force.
    #[inline]
    pub fn is_current(&self, number: u64) -> bool {
        self.number.load(SeqCst) == number
    }

    /// How often all data were replaced by a copy of a primary's.
    pub fn renewals(&self) -> u64 {
        self.renewals.load(Relaxed)
    }

    /// All data were replaced. Under a lease on all stripes.
    fn note_renewal(&self) {
        self.renewals.fetch_add(1, Relaxed);
    }

    /// The number of the order in force.
    #[inline]
    pub fn order_number(&self) -> u64 {
        self.number.load(SeqCst)
    }

    /// Whom it follows.
    pub fn primary(&self) -> Option<Primary> {
        self.state.lock().primary.clone()
    }

    /// How it stands, if it is a replica.
    pub fn report(&self) -> Option<Report> {
        let state = self.state.lock();
        let heard = |card: &Arc<Card>| UnixMillis(card.last_active.load(Relaxed) as i64);
        Some(Report {
            primary: state.primary.clone()?,
            phase: state.phase,
            since: state.since,
            heard: state.card.as_ref().map(heard),
            copying: state.copying,
            attempts: state.attempts,
            lost_millis: state.lost_millis,
        })
    }

    /// Whom to follow from now on, if anybody. What was under way for another is given up; the
    /// connection to be closed comes back. Under a lease on all stripes.
    fn order(
        &self,
        primary: Option<Primary>,
        hands_over: bool,
        now: UnixMillis,
    ) -> Option<Arc<Card>> {
        let mut state = self.state.lock();
        self.number.fetch_add(1, SeqCst);
        if self.up.swap(false, SeqCst) {
            state.since = Some(now);
        }
        state.primary = primary;
        state.phase = Phase::Connect;
        state.hands_over = hands_over;
        state.copying = None;
        state.attempts = (0, 0);
        self.changed.notify_all();
        state.card.take()
    }

    /// Waits until there is something to do; at most for `patience`, if there is one.
    fn next(&self, patience: Option<Duration>) -> Task {
        let mut state = self.state.lock();
        loop {
            if state.ending {
                return Task::End;
            }
            if let Some(primary) = &state.primary
                && state.phase == Phase::Connect
            {
                let order = Order {
                    primary: primary.clone(),
                    number: self.number.load(SeqCst),
                    hands_over: state.hands_over,
                };
                state.phase = Phase::Connecting;
                state.attempts.0 += 1;
                state.attempts.1 += 1;
                return Task::Follow(order);
            }
            match patience {
                None => self.changed.wait(&mut state),
                Some(patience) => {
                    if self.changed.wait_for(&mut state, patience).timed_out() {
                        return Task::Look;
                    }
                }
            }
        }
    }

    /// An attempt has failed: the next one comes later, unless something else is wanted before.
    fn rest(&self, order: &Order) {
        let mut state = self.state.lock();
        if state.ending || !self.is_current(order.number) {
            return;
        }
        state.phase = Phase::Connect;
        state.copying = None;
        self.changed.wait_for(&mut state, RETRY);
    }

    /// Goes on to a phase, if the order is still in force; whether it is.
    fn enter(&self, order: &Order, phase: Phase) -> bool {
        let mut state = self.state.lock();
        let current = self.is_current(order.number) && !state.ending;
        if current {
            state.phase = phase;
            state.copying = None;
        }
        current
    }

    /// How far the full copy is.
    fn note_copying(&self, copying: Copying) {
        self.state.lock().copying = Some(copying);
    }

    /// Whether what is done for an order is in vain.
    fn is_over(&self, order: &Order) -> bool {
        !self.is_current(order.number) || self.state.lock().ending
    }

    /// The stream flows, over this connection. Under a lease on all stripes.
    fn connected(&self, card: &Arc<Card>, now: UnixMillis) {
        let mut state = self.state.lock();
        if let Some(since) = state.since {
            state.lost_millis += now.millis_since(since).max(0);
        }
        state.phase = Phase::Connected;
        state.hands_over = false;
        state.copying = None;
        state.attempts.0 = 0;
        state.since = Some(now);
        state.card = Some(Arc::clone(card));
        self.up.store(true, SeqCst);
    }

    /// The connection of this order was closed.
    pub fn lost(&self, number: u64, now: UnixMillis) {
        let mut state = self.state.lock();
        if !self.is_current(number) || state.phase != Phase::Connected {
            return;
        }
        info!("Connection with master lost.");
        state.phase = Phase::Connect;
        state.since = Some(now);
        state.card = None;
        self.up.store(false, SeqCst);
        self.changed.notify_all();
    }

    /// Lets the thread return.
    pub fn end(&self) {
        self.state.lock().ending = true;
        self.changed.notify_all();
    }
}

/// Makes this server a replica of `primary`, or goes on as one of another. Under a lease on all
/// stripes.
pub fn follow(server: &Server, primary: Primary, hands_over: bool) {
    let (replicating, journal) = (&server.replicating, &server.appending.journal);
    if !replicating.is_replica() {
        if journal.keep(server.settings.get().primary.backlog_bytes) {
            replicating.begin_anew(journal);
        }
        journal.set_copy(true);
        replicating.set_replica(true);
        server.broadcast(|| Message::Demoted);
    }
    close(
        server,
        replicating
            .replica
            .order(Some(primary), hands_over, server.now()),
    );
}

/// Makes this server a primary whose history goes on from here under a name of its own. Under a
/// lease on all stripes.
pub fn lead(server: &Server) {
    let (replicating, journal) = (&server.replicating, &server.appending.journal);
    if !replicating.is_replica() {
        return;
    }
    close(server, replicating.replica.order(None, false, server.now()));
    let mut history = replicating.history();
    history.branch(super::new_name(), journal.end());
    replicating.set_history(history, journal);
    replicating.set_replica(false);
    // Who follows from here on may have seen another database selected.
    journal.selected(true);
    journal.set_copy(false);
    replicating.primary.disconnect_all(server);
}

/// Closes the connection to a primary.
fn close(server: &Server, card: Option<Arc<Card>>) {
    if let Some(card) = card {
        card.killed.store(true, Relaxed);
        server.mailboxes[usize::from(card.worker.0)].send(Message::Close(card));
    }
}
