//! A server: its data, which are its log from the first byte on, its disk, its clients that wait,
//! and the orders it is given. The sides of its links are in `primary` and `replica`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base::ids::RunId;
use base::rng::Rng;
use base::time::UnixMillis;
use journal::Offset;
use replication::feed::Limits;
use replication::handover::{Patience, Step};
use replication::history::{History, Role};
use replication::quorum::{Era, Vote, Votes, different};

use crate::book::{Asked, Book, record};
use crate::disk::{Disk, Remark};
use crate::net::{End, LinkId, Net};
use crate::primary::Attached;
use crate::replica::Upstream;
use crate::world::Score;

/// Bytes of a client's reply.
const REPLY_BYTES: u64 = 5;
/// Time between two pings of the stream.
const PING_MILLIS: i64 = 1_000;
/// Time between two questions how far the replicas are.
const ASK_MILLIS: i64 = 200;

/// What all servers share.
pub(crate) struct Around {
    pub(crate) now: i64,
    pub(crate) rng: Rng,
    pub(crate) net: Net,
    pub(crate) book: Book,
    pub(crate) score: Score,
    /// Which servers run.
    pub(crate) up: Vec<bool>,
    /// What those had who have asked for a stream.
    pub(crate) asked: BTreeMap<LinkId, Asked>,
    /// Who has just taken over from its primary.
    pub(crate) took_over: Option<usize>,
    pub(crate) traced: bool,
}

impl Around {
    pub(crate) fn time(&self) -> UnixMillis {
        UnixMillis(self.now)
    }

    pub(crate) fn say(&mut self, id: LinkId, to: End, bytes: Vec<u8>) {
        self.net.send(id, to, bytes, self.now, &mut self.rng);
    }

    pub(crate) fn new_name(&mut self) -> RunId {
        RunId::generate(&mut self.rng)
    }

    pub(crate) fn trace(&self, what: impl FnOnce() -> String) {
        if self.traced {
            println!("{:>8} {}", self.now, what());
        }
    }
}

/// How a server is set up.
pub(crate) struct Rules {
    pub(crate) backlog: usize,
    pub(crate) limits: Limits,
    pub(crate) timeout_millis: i64,
    /// A full copy takes the place of the old data while it comes (`repl-diskless-load
    /// flush-before-load`), and not when it is there.
    pub(crate) in_place: bool,
    /// Copies that it sends end with a mark.
    pub(crate) by_mark: bool,
}

/// A client that waits for the reply to a write.
struct Client {
    start: u64,
    upto: usize,
    number: usize,
    replicas: usize,
}

/// FAILOVER under way.
pub(crate) struct Handing {
    target: usize,
    patience: Patience,
    pub(crate) begun: bool,
}

/// See the module's head.
pub(crate) struct Node {
    pub(crate) at: usize,
    pub(crate) up: bool,
    pub(crate) follows: Option<usize>,
    pub(crate) hands_over: bool,
    pub(crate) history: History,
    /// For the judge: all names that the data went by, and from where on.
    pub(crate) names: Vec<(RunId, usize)>,
    pub(crate) log: Vec<u8>,
    /// The log from there on is in memory.
    pub(crate) memory_from: usize,
    pub(crate) disk: Disk,
    pub(crate) rules: Rules,
    pub(crate) upstream: Upstream,
    pub(crate) attached: Vec<Attached>,
    pub(crate) handing: Option<Handing>,
    era: u64,
    votes: Votes,
    clients: VecDeque<Client>,
    /// Which of their replies are errors.
    doubtful: BTreeSet<u64>,
    position: u64,
    pinged_at: i64,
    asked_at: i64,
}

impl Node {
    pub(crate) fn new(at: usize, disk: Disk, rules: Rules, around: &mut Around) -> Node {
        let id = around.new_name();
        Node {
            at,
            up: true,
            follows: None,
            hands_over: false,
            history: History::new(id),
            names: vec![(id, 0)],
            log: Vec::new(),
            memory_from: 0,
            disk,
            rules,
            upstream: Upstream::None,
            attached: Vec::new(),
            handing: None,
            era: 0,
            votes: Votes::default(),
            clients: VecDeque::new(),
            doubtful: BTreeSet::new(),
            position: 0,
            pinged_at: 0,
            asked_at: 0,
        }
    }

    pub(crate) fn end(&self) -> Offset {
        Offset(self.log.len() as u64)
    }

    fn remark(&self) -> Remark {
        Remark {
            history: self.history,
            names: self.names.clone(),
        }
    }

    /// A client writes, and its reply waits for so many replicas.
    pub(crate) fn write(&mut self, replicas: usize, patience: i64, around: &mut Around) {
        if !self.up || self.follows.is_some() || self.handing.is_some() {
            return;
        }
        let padding = around.rng.below(12) as usize;
        let number = around.book.writes.len();
        let record = record(number, padding);
        self.log.extend_from_slice(&record);
        around.book.add(self.log.len());
        let start = self.position;
        self.position += REPLY_BYTES;
        if replicas == 0 {
            return;
        }
        self.votes.push(Vote {
            start,
            end: self.position,
            upto: self.end(),
            era: Era(self.era),
            replicas,
            until: (patience > 0).then(|| UnixMillis(around.now + patience)),
        });
        self.clients.push_back(Client {
            start,
            upto: self.log.len(),
            number,
            replicas,
        });
    }

    /// Sends the replies that can go.
    pub(crate) fn heed_replicas(&mut self, around: &mut Around) {
        let attached = &self.attached;
        let has = |upto| {
            let having = attached.iter().filter(|it| it.has_on_disk(upto));
            different(having.map(|it| it.port))
        };
        let doubtful = self.votes.decide(around.time(), Era(self.era), has);
        let barrier = self.votes.barrier().unwrap_or(u64::MAX);
        // With `appendfsync always` replies wait for the disk here, too, once its files are whole.
        let own = self.disk.restorable().filter(|_| self.disk.always);
        let may_go = |client: &mut Client| {
            client.start < barrier && own.is_none_or(|durable| client.upto <= durable)
        };
        self.doubtful.extend(doubtful.iter().map(|vote| vote.start));
        while let Some(client) = self.clients.pop_front_if(may_go) {
            if self.doubtful.remove(&client.start) {
                around.score.doubtful += 1;
                continue;
            }
            around.trace(|| format!("{} acknowledges w{}", self.at, client.number));
            around.score.acknowledged += 1;
            around
                .book
                .acknowledge(client.number, self.at, client.replicas);
        }
    }

    /// REPLICAOF.
    pub(crate) fn follow(&mut self, whom: usize, hands_over: bool, around: &mut Around) {
        around.trace(|| format!("{} follows {whom}, hands over: {hands_over}", self.at));
        self.close_upstream(around);
        self.era += 1;
        self.follows = Some(whom);
        self.hands_over = hands_over;
        self.upstream = Upstream::Idle { until: around.now };
    }

    /// REPLICAOF NO ONE.
    pub(crate) fn lead(&mut self, around: &mut Around) {
        self.handing = None;
        self.hands_over = false;
        if self.follows.take().is_none() {
            return;
        }
        let name = around.new_name();
        around.trace(|| format!("{} leads from {} as {name}", self.at, self.log.len()));
        self.close_upstream(around);
        self.upstream = Upstream::None;
        self.era += 1;
        self.history.branch(name, self.end());
        self.names.push((name, self.log.len()));
        around.book.name(name, &self.log);
        self.disconnect_replicas(around);
    }

    /// Its replicas that count.
    pub(crate) fn online(&self) -> impl Iterator<Item = usize> {
        let online = self.attached.iter().filter(|it| it.is_online());
        online.map(|it| it.port)
    }

    /// FAILOVER to one of those.
    pub(crate) fn hand_over(&mut self, target: usize, patience: Patience, around: &Around) {
        if self.up && self.follows.is_none() && self.handing.is_none() {
            around.trace(|| format!("{} is to hand over to {target}: {patience:?}", self.at));
            self.handing = Some(Handing {
                target,
                patience,
                begun: false,
            });
        }
    }

    fn tick_handing(&mut self, around: &mut Around) {
        let Some(handing) = self.handing.as_mut().filter(|handing| !handing.begun) else {
            return;
        };
        let (target, end) = (handing.target, Offset(self.log.len() as u64));
        let ready = |it: &&Attached| it.port == target && it.has_all(end);
        let ready = self.attached.iter().find(ready).map(|it| it.port);
        match handing.patience.step(ready, around.time()) {
            Step::To(_) | Step::Regardless => {
                handing.begun = true;
                self.follow(target, true, around);
            }
            Step::GiveUp => self.handing = None,
            Step::Wait => {}
        }
    }

    /// The data are gone or half: what is left is of no history.
    pub(crate) fn begin_anew(&mut self, around: &mut Around) {
        let name = around.new_name();
        self.log.clear();
        self.memory_from = 0;
        self.history = History::new(name);
        self.names = vec![(name, 0)];
        self.disconnect_replicas(around);
    }

    pub(crate) fn disconnect_replicas(&mut self, around: &mut Around) {
        for it in self.attached.extract_if(.., |it| it.has_asked()) {
            around.net.close(it.link, End::Primary);
        }
    }

    /// The process ends, or the machine does: then nobody is told.
    pub(crate) fn crash(&mut self, told: bool, around: &mut Around) {
        around.trace(|| format!("{} crashes at {}", self.at, self.log.len()));
        self.up = false;
        around.up[self.at] = false;
        around.net.crash(self.at, told);
        self.attached.clear();
        self.upstream = Upstream::None;
        self.handing = None;
        self.votes = Votes::default();
        self.clients.clear();
        self.doubtful.clear();
    }

    /// It starts again, with what the disk gives back, following whom it is configured to.
    pub(crate) fn restart(&mut self, follows: Option<usize>, around: &mut Around) {
        let (log, remark) = self.disk.restart(&mut around.rng);
        let new = around.new_name();
        self.up = true;
        around.up[self.at] = true;
        self.follows = follows;
        self.hands_over = false;
        self.era = 0;
        self.log = log;
        self.memory_from = self.log.len();
        let role = match follows {
            Some(_) => Role::Replica,
            None => Role::Primary,
        };
        match remark {
            Some(remark) => {
                self.history = remark.history;
                self.names = remark.names;
                self.history.restart(role, new, self.end());
                if self.history.id() == new {
                    self.names.push((new, self.log.len()));
                }
            }
            None => {
                self.history = History::new(new);
                self.names = vec![(new, 0)];
            }
        }
        around.book.name(new, &self.log);
        around.book.note_durable(self.at, &self.log);
        around.trace(|| {
            let (len, id) = (self.log.len(), self.history.id());
            format!("{} restarts at {len} as {id}, follows {follows:?}", self.at)
        });
        self.upstream = match follows {
            Some(_) => Upstream::Idle { until: around.now },
            None => Upstream::None,
        };
    }

    /// What time brings about.
    pub(crate) fn tick(&mut self, around: &mut Around) {
        if !self.up {
            return;
        }
        self.tick_upstream(around);
        if self.disk.tick(&self.log, &self.remark(), around.now) {
            // Bytes are noted once more rather than not at all.
            let durable = self.disk.restorable().unwrap_or(0);
            around.book.note_durable(self.at, &self.log[..durable]);
        }
        self.tick_handing(around);
        self.heed_replicas(around);
        self.add_for_replicas(around);
        self.feed_replicas(around);
        self.trim();
    }

    /// PING and REPLCONF GETACK, each unlike all others: what two logs have in common by chance
    /// would deceive the judge.
    fn add_for_replicas(&mut self, around: &Around) {
        let fed = self.attached.iter().any(Attached::has_asked);
        if !fed || self.follows.is_some() || self.handing.is_some() {
            return;
        }
        if around.now - self.pinged_at >= PING_MILLIS {
            self.pinged_at = around.now;
            let text = format!("ping {} {}\n", self.at, around.now);
            self.log.extend_from_slice(text.as_bytes());
        }
        if !self.votes.is_empty() && around.now - self.asked_at >= ASK_MILLIS {
            self.asked_at = around.now;
            let text = format!("getack {} {}\n", self.at, around.now);
            self.log.extend_from_slice(text.as_bytes());
        }
    }

    /// Forgets what nobody needs.
    fn trim(&mut self) {
        let backlog = self.log.len().saturating_sub(self.rules.backlog);
        let cursors = self.attached.iter().filter_map(|it| it.cursor);
        let file = self.disk.needs_from();
        let until = cursors.chain(file).chain([backlog]).min().unwrap_or(0);
        self.memory_from = self.memory_from.max(until.min(self.log.len()));
    }

    pub(crate) fn rewrite(&mut self, book: &mut Book) {
        let remark = self.remark();
        if self.up && self.disk.rewrite(&self.log, &remark) {
            book.note_durable(self.at, &self.log);
        }
    }

    /// *One name, one sequence.*
    pub(crate) fn check(&self, book: &mut Book) {
        if !self.up {
            return;
        }
        match self.follows {
            None => book.writes_as(self.at, self.history.id(), &self.log),
            Some(_) => book.has_as(self.at, self.history.id(), &self.log),
        }
        if let Some(previous) = self.history.previous() {
            let until = self.log.len().min(previous.until.0 as usize);
            book.has_as(self.at, previous.id, &self.log[..until]);
        }
    }
}
