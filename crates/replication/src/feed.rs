//! One replica as its primary sees it: how far it has come, and when it is given up.
//!
//! ```text
//!   Waiting --begin--> Copying --copied--> Copied --ack--> Online
//!      (for a snapshot)          (by length: at once) ------^
//! ```
//! A replica that is given a copy of unknown length finds its end by a mark, and may have read
//! beyond it: the stream begins only when it says that it has the copy.
//!
//! Invariant: what a replica has acknowledged never goes back.

use base::ids::RunId;
use base::time::UnixMillis;
use journal::Offset;

use crate::history::History;

/// Where it is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It waits for a snapshot to begin.
    Waiting,
    /// It is being sent one.
    Copying,
    /// It has been sent one and has not said so yet.
    Copied,
    /// It is sent the stream.
    Online,
}

/// Why a replica is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It has been silent for too long.
    Silent,
    /// Too much of the stream is waiting for it.
    Behind,
}

/// How much may wait for a replica, and how long it may be silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// At once when this much is waiting; 0 = never.
    pub hard_bytes: u64,
    /// After `soft_millis` without a break above this; 0 = never.
    pub soft_bytes: u64,
    /// See `soft_bytes`.
    pub soft_millis: i64,
    /// What is kept for all replicas anyway: no limit is lower.
    pub backlog_bytes: u64,
    /// How long it may be silent.
    pub silence_millis: i64,
}

/// See the module's head.
#[derive(Clone, Debug)]
pub struct Feed {
    phase: Phase,
    acked: Offset,
    durable: Offset,
    heard_at: UnixMillis,
    behind_since: Option<UnixMillis>,
    /// It is of a kind that says how far it is.
    acks: bool,
    /// It has spoken since its copy began: it has all of it.
    spoken: bool,
}

impl Feed {
    /// One that needs a copy. `acks`: it will say how far it is.
    #[must_use]
    pub fn new(acks: bool, now: UnixMillis) -> Feed {
        Feed {
            phase: Phase::Waiting,
            acked: Offset(0),
            durable: Offset(0),
            heard_at: now,
            behind_since: None,
            acks,
            spoken: false,
        }
    }

    /// One that goes on where it was.
    #[must_use]
    pub fn online(now: UnixMillis) -> Feed {
        let mut feed = Feed::new(true, now);
        feed.phase = Phase::Online;
        feed
    }

    /// Where it is on its way.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether it is one of the replicas that count.
    #[must_use]
    pub fn is_online(&self) -> bool {
        matches!(self.phase, Phase::Copied | Phase::Online)
    }

    /// The bytes before this it has.
    #[must_use]
    pub fn acked(&self) -> Offset {
        self.acked
    }

    /// The bytes before this it has on disk.
    #[must_use]
    pub fn durable(&self) -> Offset {
        self.durable
    }

    /// Whether it is online and has the bytes before `upto`.
    #[must_use]
    pub fn has(&self, upto: Offset) -> bool {
        self.is_online() && self.acked >= upto
    }

    /// Whether it is online and has the bytes before `upto` on disk.
    #[must_use]
    pub fn has_on_disk(&self, upto: Offset) -> bool {
        self.is_online() && self.durable >= upto
    }

    /// Whether it lacks nothing of a log that ends at `end` and grows no more.
    #[must_use]
    pub fn has_all(&self, end: Offset) -> bool {
        self.is_online() && self.acked == end
    }

    /// When it was last heard of.
    #[must_use]
    pub fn heard_at(&self) -> UnixMillis {
        self.heard_at
    }

    /// Its copy begins.
    pub fn begin(&mut self) {
        self.phase = Phase::Copying;
    }

    /// All of the copy is on its way. `by_mark`: see the module's head.
    pub fn copied(&mut self, by_mark: bool, now: UnixMillis) {
        let waits = by_mark && self.acks && !self.spoken;
        self.phase = if waits { Phase::Copied } else { Phase::Online };
        self.heard_at = now;
    }

    /// It is alive.
    pub fn heard(&mut self, now: UnixMillis) {
        self.heard_at = now;
    }

    /// It has the bytes before `offset`, and those before `durable` on disk.
    pub fn ack(&mut self, offset: Offset, durable: Option<Offset>, now: UnixMillis) {
        self.acked = self.acked.max(offset);
        self.durable = self.durable.max(durable.unwrap_or_default());
        self.heard_at = now;
        // It may be faster than those who tell us that the copy is sent.
        self.spoken |= self.phase == Phase::Copying;
        if self.phase == Phase::Copied {
            self.phase = Phase::Online;
        }
    }

    /// Whether it counts among those that are not far behind in time.
    #[must_use]
    pub fn is_good(&self, lag_millis_max: i64, now: UnixMillis) -> bool {
        // Compat: whole seconds.
        let lag = now.as_secs() - self.heard_at.as_secs();
        self.is_online() && lag * 1000 <= lag_millis_max
    }

    /// Whether to give it up, when so many bytes are waiting for it.
    pub fn look(&mut self, waiting_bytes: u64, limits: &Limits, now: UnixMillis) -> Option<Cut> {
        let above = |limit: u64| limit > 0 && waiting_bytes > limit.max(limits.backlog_bytes);
        if above(limits.hard_bytes) {
            return Some(Cut::Behind);
        }
        if above(limits.soft_bytes) {
            let since = *self.behind_since.get_or_insert(now);
            if now.millis_since(since) > limits.soft_millis {
                return Some(Cut::Behind);
            }
        } else {
            self.behind_since = None;
        }
        let silent = now.millis_since(self.heard_at) > limits.silence_millis;
        (silent && self.acks && self.is_online()).then_some(Cut::Silent)
    }
}

/// What a primary still has of its log.
pub trait Shelf {
    /// A place in memory, from where on bytes are kept for one replica.
    type Place;

    /// Whether every change of the data since the history began is in the log.
    fn is_complete(&self) -> bool;

    /// A place at `from`; none if the bytes from there on are not all in memory, or `from` lies
    /// beyond the end.
    fn place(&self, from: Offset) -> Option<Self::Place>;

    /// A place at the first byte in memory, if files hold everything from `from` up to there.
    fn place_behind_files(&self, from: Offset) -> Option<Self::Place>;
}

/// How a replica goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way<P> {
    /// From this place in memory.
    Continue(P),
    /// From this byte in the files up to that place in memory, and on from there.
    Rewind(Offset, P),
    /// With a copy of everything.
    Anew(Why),
}

/// Why a replica needs a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It names no history.
    Nameless,
    /// What it has is not part of this history.
    Stranger,
    /// The data have changed without the log.
    Unlogged,
    /// The bytes that it lacks are gone, or it asks for bytes that never were.
    Gone,
}

/// What a replica asks for that has been one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The history it has.
    pub id: Option<RunId>,
    /// Number of the first byte that it lacks, counted from 1.
    pub next: i64,
}

impl Request {
    /// From where on it can go on, if what it has is part of `history`. Whether the bytes from
    /// there on are still at hand is another question.
    #[must_use]
    pub fn from(&self, history: &History) -> Option<Offset> {
        let from = Offset(u64::try_from(self.next.checked_sub(1)?).ok()?);
        let shared = self.id.is_some_and(|id| history.shares(id, from));
        shared.then_some(from)
    }

    /// How it goes on with a primary of this history. The history must not change between this and
    /// the moment when the replica is known to be fed: it is told the name that is in force.
    pub fn way<S: Shelf>(&self, history: &History, shelf: &S) -> Way<S::Place> {
        let Some(from) = self.from(history) else {
            return Way::Anew(match self.id {
                None => Why::Nameless,
                Some(_) => Why::Stranger,
            });
        };
        if !shelf.is_complete() {
            return Way::Anew(Why::Unlogged);
        }
        if let Some(place) = shelf.place(from) {
            return Way::Continue(place);
        }
        match shelf.place_behind_files(from) {
            Some(place) => Way::Rewind(from, place),
            None => Way::Anew(Why::Gone),
        }
    }
}

#[cfg(test)]
mod tests {
    use base::rng::Rng;

    use super::*;

    const LIMITS: Limits = Limits {
        hard_bytes: 1000,
        soft_bytes: 500,
        soft_millis: 2000,
        backlog_bytes: 0,
        silence_millis: 5000,
    };

    fn at(millis: i64) -> UnixMillis {
        UnixMillis(millis)
    }

    #[test]
    fn a_copy_by_mark_waits_for_the_word_of_the_replica() {
        let mut feed = Feed::new(true, at(0));
        feed.begin();
        assert!(!feed.is_online());
        feed.copied(true, at(10));
        assert_eq!(feed.phase(), Phase::Copied);
        feed.ack(Offset(7), Some(Offset(3)), at(20));
        assert_eq!(feed.phase(), Phase::Online);
        assert_eq!((feed.acked(), feed.durable()), (Offset(7), Offset(3)));
        feed.ack(Offset(6), None, at(30));
        assert_eq!((feed.acked(), feed.durable()), (Offset(7), Offset(3)));
        let mut feed = Feed::new(true, at(0));
        feed.begin();
        feed.ack(Offset(7), None, at(5));
        feed.copied(true, at(10));
        assert_eq!(feed.phase(), Phase::Online, "it has spoken already");
        for (by_mark, acks) in [(false, true), (true, false)] {
            let mut feed = Feed::new(acks, at(0));
            feed.begin();
            feed.copied(by_mark, at(10));
            assert_eq!(feed.phase(), Phase::Online);
        }
    }

    #[test]
    fn who_is_silent_or_far_behind_is_given_up() {
        let mut feed = Feed::online(at(0));
        assert_eq!(feed.look(1000, &LIMITS, at(0)), None);
        assert_eq!(feed.look(1001, &LIMITS, at(0)), Some(Cut::Behind));
        assert_eq!(feed.look(501, &LIMITS, at(2000)), None, "since 0");
        assert_eq!(feed.look(501, &LIMITS, at(2001)), Some(Cut::Behind));
        assert_eq!(feed.look(500, &LIMITS, at(2002)), None);
        assert_eq!(feed.look(501, &LIMITS, at(4000)), None, "a new beginning");
        assert_eq!(feed.look(0, &LIMITS, at(5000)), None);
        assert_eq!(feed.look(0, &LIMITS, at(5001)), Some(Cut::Silent));
        feed.heard(at(5001));
        assert_eq!(feed.look(0, &LIMITS, at(5002)), None);
        let more = Limits {
            backlog_bytes: 2000,
            ..LIMITS
        };
        assert_eq!(feed.look(2000, &more, at(5002)), None);
        assert_eq!(feed.look(2001, &more, at(5002)), Some(Cut::Behind));
    }

    #[test]
    fn who_waits_for_a_copy_or_never_speaks_is_not_silent() {
        let late = at(1_000_000);
        assert_eq!(Feed::new(true, at(0)).look(0, &LIMITS, late), None);
        let mut feed = Feed::new(false, at(0));
        feed.begin();
        feed.copied(false, at(0));
        assert_eq!(feed.look(0, &LIMITS, late), None);
    }

    #[test]
    fn good_are_those_who_spoke_lately() {
        let feed = Feed::online(at(1000));
        assert!(feed.is_good(1000, at(2999)));
        assert!(!feed.is_good(1000, at(3000)));
        assert!(!Feed::new(true, at(1000)).is_good(1000, at(1000)));
    }

    /// Memory from 50 to 90, files from 10 on.
    struct Fifty {
        complete: bool,
    }

    impl Shelf for Fifty {
        type Place = Offset;

        fn is_complete(&self) -> bool {
            self.complete
        }

        fn place(&self, from: Offset) -> Option<Offset> {
            (50..=90).contains(&from.0).then_some(from)
        }

        fn place_behind_files(&self, from: Offset) -> Option<Offset> {
            (10..50).contains(&from.0).then_some(Offset(50))
        }
    }

    #[test]
    fn a_replica_goes_on_from_memory_or_files_or_gets_a_copy() {
        let mut rng = Rng::from_seed(4);
        let (id, other) = (RunId::generate(&mut rng), RunId::generate(&mut rng));
        let history = History::new(id);
        let way = |id, next, complete| {
            let request = Request { id, next };
            request.way(&history, &Fifty { complete })
        };
        assert_eq!(way(Some(id), 51, true), Way::Continue(Offset(50)));
        assert_eq!(way(Some(id), 91, true), Way::Continue(Offset(90)));
        assert_eq!(way(Some(id), 92, true), Way::Anew(Why::Gone));
        assert_eq!(way(Some(id), 50, true), Way::Rewind(Offset(49), Offset(50)));
        assert_eq!(way(Some(id), 10, true), Way::Anew(Why::Gone));
        assert_eq!(way(Some(id), 51, false), Way::Anew(Why::Unlogged));
        assert_eq!(way(Some(other), 51, true), Way::Anew(Why::Stranger));
        assert_eq!(way(None, 51, true), Way::Anew(Why::Nameless));
    }

    #[test]
    fn a_request_is_for_the_byte_after_what_is_there() {
        let mut rng = Rng::from_seed(3);
        let (id, other) = (RunId::generate(&mut rng), RunId::generate(&mut rng));
        let history = History::new(id);
        let request = |id, next| Request { id, next }.from(&history);
        assert_eq!(request(Some(id), 8), Some(Offset(7)));
        assert_eq!(request(Some(id), 1), Some(Offset(0)));
        assert_eq!(request(Some(id), 0), None);
        assert_eq!(request(Some(id), -1), None);
        assert_eq!(request(Some(id), i64::MIN), None);
        assert_eq!(request(Some(other), 8), None);
        assert_eq!(request(None, -1), None);
    }
}
