//! What happens, and who decides it: a seed. Of the two kinds of worlds the second one is guarded:
//! somebody looks after its one primary, as Sentinel does.

use std::collections::BTreeMap;

use base::rng::Rng;
use base::time::UnixMillis;
use replication::feed::Limits;
use replication::handover::Patience;

use crate::book::Book;
use crate::disk::Disk;
use crate::net::{End, Net};
use crate::node::{Around, Node, Rules};

/// Things that happen in a world.
const STEPS: usize = 260;
/// Time between two looks once everything is well, and how long that may take until rest.
const CALM_MILLIS: i64 = 100;
const REST_MILLIS: i64 = 60_000;

/// See the module's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Anything,
    Guarded,
}

/// What has happened, to be sure that it does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Score {
    pub(crate) partial: u64,
    pub(crate) rewound: u64,
    pub(crate) full: u64,
    pub(crate) installed: u64,
    pub(crate) acknowledged: u64,
    pub(crate) doubtful: u64,
    pub(crate) elections: u64,
    pub(crate) handed: u64,
    /// Acknowledged writes of which no survivor knew.
    pub(crate) lost: u64,
}

impl Score {
    pub(crate) fn add(&mut self, other: &Score) {
        self.partial += other.partial;
        self.rewound += other.rewound;
        self.full += other.full;
        self.installed += other.installed;
        self.acknowledged += other.acknowledged;
        self.doubtful += other.doubtful;
        self.elections += other.elections;
        self.handed += other.handed;
        self.lost += other.lost;
    }
}

/// See the module's head.
pub(crate) struct World {
    kind: Kind,
    nodes: Vec<Node>,
    around: Around,
    /// In a guarded world: the primary, and since when it is gone.
    primary: usize,
    gone_since: Option<i64>,
    isolated: Option<usize>,
}

impl World {
    pub(crate) fn new(kind: Kind, seed: u64, traced: bool) -> World {
        let mut rng = Rng::from_seed(seed);
        let count = rng.in_range(3..6) as usize;
        let mut around = Around {
            now: 1_000_000,
            rng,
            net: Net::new(),
            book: Book::default(),
            score: Score::default(),
            up: vec![true; count],
            asked: BTreeMap::new(),
            took_over: None,
            traced,
        };
        let nodes = (0..count).map(|at| node(kind, at, &mut around)).collect();
        let mut world = World {
            kind,
            nodes,
            around,
            primary: 0,
            gone_since: None,
            isolated: None,
        };
        for at in 1..count {
            let whom = match kind {
                Kind::Anything => world.below(at as u64 + 1) as usize,
                Kind::Guarded => 0,
            };
            if whom < at {
                world.nodes[at].follow(whom, false, &mut world.around);
            }
        }
        world
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.around.rng.below(bound)
    }

    fn pick(&mut self) -> usize {
        self.below(self.nodes.len() as u64) as usize
    }

    pub(crate) fn run(mut self) -> Score {
        for _ in 0..STEPS {
            let millis = match self.below(250) {
                0 => 4_000,
                _ => self.below(120),
            };
            self.around.now += millis as i64;
            self.happen();
            self.go_on();
        }
        self.come_to_rest();
        self.around.score
    }

    /// Everything that is due.
    fn go_on(&mut self) {
        for at in 0..self.nodes.len() {
            // What was done since the last look, by whatever name it was done.
            self.nodes[at].check(&mut self.around.book);
            self.nodes[at].tick(&mut self.around);
            self.nodes[at].check(&mut self.around.book);
            self.note_take_over();
        }
        while let Some((link, to, at, _, piece)) = self.around.net.due(self.around.now) {
            let node = &mut self.nodes[at];
            match to {
                End::Replica => node.hear_primary(link, piece, &mut self.around),
                End::Primary => node.hear_replica(link, piece, &mut self.around),
            }
            node.check(&mut self.around.book);
            self.note_take_over();
        }
        for node in &self.nodes {
            node.check(&mut self.around.book);
        }
        if self.kind == Kind::Guarded {
            self.guard();
        }
    }

    fn note_take_over(&mut self) {
        if let Some(at) = self.around.took_over.take() {
            self.around.score.handed += 1;
            self.primary = at;
            self.gone_since = None;
        }
    }

    /// Something happens.
    fn happen(&mut self) {
        let (at, other) = (self.pick(), self.pick());
        match self.below(100) {
            0..35 => self.write(at),
            35..39 => self.disturb(at, other),
            39..44 if self.kind == Kind::Anything => {
                self.around.net.unblock_one(&mut self.around.rng);
            }
            44..46 => self.crash(at),
            46..52 => self.restart_one(),
            52..55 => {
                let disk = &mut self.nodes[at].disk;
                disk.stalled = !disk.stalled && self.around.rng.below(2) == 0;
            }
            55..57 => self.nodes[at].rewrite(&mut self.around.book),
            57..60 => self.nodes[at].rules.backlog = self.below(400) as usize,
            60..64 => self.hand_over(at),
            64..66 => self.around.net.delay_millis = [20, 100, 500][self.below(3) as usize],
            66..69 if self.kind == Kind::Anything => self.follow(at, other),
            69..70 if self.kind == Kind::Anything => self.promote(at),
            66..69 if self.kind == Kind::Guarded => self.isolate(),
            _ => {}
        }
    }

    fn write(&mut self, at: usize) {
        // More often where it counts.
        let elsewhere = self.below(8) == 0;
        let at = match self.kind {
            Kind::Guarded if !elsewhere => self.primary,
            _ => at,
        };
        let replicas = [0, 1, 1, 2, self.nodes.len() - 1][self.below(5) as usize];
        let patience = [0, 700, 3_000][self.below(3) as usize];
        self.nodes[at].write(replicas, patience, &mut self.around);
        self.nodes[at].check(&mut self.around.book);
    }

    fn disturb(&mut self, at: usize, other: usize) {
        let links = self.around.net.ids();
        if links.is_empty() {
            return;
        }
        let link = links[self.below(links.len() as u64) as usize];
        match self.below(4) {
            0 => self.around.net.cut(link, &mut self.around.rng),
            1 => self.around.net.silence(link),
            2 => self.around.net.close(link, End::Primary),
            // Who guards the world sees whom the primary sees.
            _ if self.kind == Kind::Anything && at != other => {
                self.around.net.block(at, other, true);
            }
            _ => self.around.net.cut(link, &mut self.around.rng),
        }
    }

    fn crash(&mut self, at: usize) {
        if self.nodes[at].up {
            let told = self.below(3) > 0;
            self.nodes[at].crash(told, &mut self.around);
        }
    }

    fn restart_one(&mut self) {
        let down = self.nodes.iter().find(|node| !node.up);
        if let Some(at) = down.map(|node| node.at) {
            self.restart(at);
        }
    }

    fn restart(&mut self, at: usize) {
        if self.nodes[at].up {
            return;
        }
        let forgets = self.below(5) == 0;
        let disk = &self.nodes[at].disk;
        let safe = disk.always && disk.restorable().is_some();
        let follows = match self.kind {
            Kind::Anything if forgets => None,
            Kind::Anything => self.nodes[at].follows,
            Kind::Guarded if at != self.primary => Some(self.primary),
            // One that has lost acknowledged writes must not go on as if nothing had happened.
            Kind::Guarded if !safe => return,
            Kind::Guarded => None,
        };
        self.nodes[at].restart(follows, &mut self.around);
    }

    fn promote(&mut self, at: usize) {
        if self.nodes[at].up && !self.nodes[at].is_loading() {
            self.nodes[at].lead(&mut self.around);
        }
    }

    /// Whether `of` follows `whom`, however far up.
    fn leads_to(&self, of: usize, whom: usize) -> bool {
        let mut at = of;
        for _ in 0..self.nodes.len() {
            match self.nodes[at].follows {
                Some(up) if up == whom => return true,
                Some(up) => at = up,
                None => return false,
            }
        }
        true
    }

    fn follow(&mut self, at: usize, whom: usize) {
        let node = &self.nodes[at];
        // REPLICAOF is refused while handing over.
        let may = node.up && node.handing.is_none() && !node.is_loading();
        if may && at != whom && !self.leads_to(whom, at) {
            self.nodes[at].follow(whom, false, &mut self.around);
        }
    }

    fn hand_over(&mut self, at: usize) {
        let (at, forced) = match self.kind {
            Kind::Anything => (at, self.below(2) == 0),
            Kind::Guarded => (self.primary, false),
        };
        let online: Vec<usize> = self.nodes[at].online().collect();
        if online.is_empty() {
            return;
        }
        let target = online[self.below(online.len() as u64) as usize];
        let until = [0, 2_000][self.below(2) as usize];
        let until = (until > 0).then_some(UnixMillis(self.around.now + until));
        let patience = Patience { until, forced };
        self.nodes[at].hand_over(target, patience, &self.around);
    }

    /// The network cuts the primary off from everybody, or lets it back.
    fn isolate(&mut self) {
        let (whom, cut) = match self.isolated.take() {
            Some(whom) => (whom, false),
            None => (self.primary, true),
        };
        self.isolated = cut.then_some(whom);
        for other in (0..self.nodes.len()).filter(|&other| other != whom) {
            self.around.net.block(whom, other, cut);
        }
    }

    /// What Sentinel does.
    fn guard(&mut self) {
        let gone = !self.nodes[self.primary].up || self.isolated == Some(self.primary);
        let since = *self.gone_since.get_or_insert(self.around.now);
        if !gone {
            self.gone_since = None;
        } else if self.around.now - since > 900 {
            self.elect();
        }
        for at in 0..self.nodes.len() {
            let node = &self.nodes[at];
            let strays = node.follows != Some(self.primary) && at != self.primary;
            if strays && self.isolated != Some(at) && self.below(4) == 0 {
                self.follow(at, self.primary);
            }
        }
    }

    /// How much of the lost primary's history one has, if that is known. Offsets of different
    /// histories cannot be compared.
    fn share(&self, at: usize) -> Option<usize> {
        let (node, lost) = (&self.nodes[at], &self.nodes[self.primary].history);
        let (id, len) = (node.history.id(), node.log.len());
        if !node.up || at == self.primary || self.isolated == Some(at) || node.is_loading() {
            return None;
        }
        let older = lost.previous().filter(|previous| previous.id == id);
        match older {
            _ if id == lost.id() => Some(len),
            Some(previous) => Some(len.min(previous.until.0 as usize)),
            None => None,
        }
    }

    /// *No acknowledged quorum write is lost* of which a survivor knows.
    fn elect(&mut self) {
        let shares: Vec<(usize, usize)> = (0..self.nodes.len())
            .filter_map(|at| Some((at, self.share(at)?)))
            .collect();
        let Some(&(winner, _)) = shares.iter().max_by_key(|&&(_, share)| share) else {
            return;
        };
        self.around
            .trace(|| format!("{winner} is elected among {shares:?}"));
        let book = &mut self.around.book;
        for number in book.acknowledged() {
            let knows =
                |&&(at, share): &&(usize, usize)| book.is_in(number, &self.nodes[at].log[..share]);
            let known = shares.iter().find(knows);
            let kept = book.is_in(number, &self.nodes[winner].log);
            assert!(
                kept || known.is_none(),
                "w{number} is acknowledged and known to {known:?}, but not to {winner}"
            );
            if !kept {
                self.around.score.lost += 1;
                book.writes[number].acknowledged = false;
            }
        }
        self.around.score.elections += 1;
        self.nodes[winner].lead(&mut self.around);
        self.primary = winner;
        self.gone_since = None;
    }

    /// Everything is well from now on: soon all have the same.
    fn come_to_rest(&mut self) {
        self.around.net.heal();
        self.isolated = None;
        for node in &mut self.nodes {
            node.disk.stalled = false;
            node.rules.backlog = 2_000;
        }
        self.end_hand_overs();
        self.choose_primary();
        self.around
            .trace(|| format!("all is well; {} is primary", self.primary));
        for at in 0..self.nodes.len() {
            if at != self.primary && !self.nodes[at].up {
                self.nodes[at].restart(Some(self.primary), &mut self.around);
            }
        }
        // What is being loaded cannot be called off.
        let busy = self.nodes.iter().filter(|node| node.is_loading()).count();
        let (before, others) = (self.around.score.installed, self.nodes.len() - 1);
        self.rest();
        let copies = self.around.score.installed - before;
        assert!(
            copies <= (others + busy) as u64,
            "{copies} copies until rest"
        );
        // And once more, from where everybody is.
        self.nodes[self.primary].write(0, 0, &mut self.around);
        for link in self.around.net.ids() {
            self.around.net.cut(link, &mut self.around.rng);
        }
        self.nodes[self.primary].write(0, 0, &mut self.around);
        let before = self.around.score.installed;
        self.rest();
        assert_eq!(self.around.score.installed, before, "copies after a cut");
        for number in self.around.book.acknowledged() {
            let log = &self.nodes[self.primary].log;
            let kept = self.around.book.is_in(number, log);
            assert!(kept || self.kind == Kind::Anything, "w{number} is lost");
        }
    }

    /// FAILOVER ABORT, or what is under way ends by itself.
    fn end_hand_overs(&mut self) {
        for at in 0..self.nodes.len() {
            if self.nodes[at].handing.is_some() {
                self.nodes[at].lead(&mut self.around);
            }
        }
    }

    fn choose_primary(&mut self) {
        match self.kind {
            Kind::Anything => {
                self.primary = self.pick();
                let node = &mut self.nodes[self.primary];
                if !node.up {
                    node.restart(None, &mut self.around);
                }
                // What is being loaded ends first.
                let node = &mut self.nodes[self.primary];
                if node.is_loading() {
                    node.crash(true, &mut self.around);
                    node.restart(None, &mut self.around);
                }
                node.lead(&mut self.around);
            }
            Kind::Guarded => {
                for at in 0..self.nodes.len() {
                    self.restart(at);
                }
                if !self.nodes[self.primary].up {
                    self.elect();
                }
                if !self.nodes[self.primary].up {
                    // Nobody else knows its history.
                    self.nodes[self.primary].restart(None, &mut self.around);
                    self.forget_what_is_lost();
                }
            }
        }
    }

    fn forget_what_is_lost(&mut self) {
        let book = &mut self.around.book;
        for number in book.acknowledged() {
            if !book.is_in(number, &self.nodes[self.primary].log) {
                book.writes[number].acknowledged = false;
                self.around.score.lost += 1;
            }
        }
    }

    fn rest(&mut self) {
        let until = self.around.now + REST_MILLIS;
        loop {
            self.around.now += CALM_MILLIS;
            for at in 0..self.nodes.len() {
                // Some may have been busy when they were told.
                if at != self.primary && self.nodes[at].follows != Some(self.primary) {
                    self.follow(at, self.primary);
                }
            }
            self.go_on();
            let primary = &self.nodes[self.primary];
            let same = |node: &Node| {
                node.at == primary.at
                    || node.is_linked()
                        && node.log == primary.log
                        && node.history.id() == primary.history.id()
            };
            if self.nodes.iter().all(same) {
                return;
            }
            assert!(self.around.now < until, "no rest: {}", self.describe());
        }
    }

    fn describe(&self) -> String {
        let one = |node: &Node| {
            let (at, up, follows) = (node.at, node.up, node.follows);
            let (len, linked) = (node.log.len(), node.is_linked());
            format!("{at}: up {up} follows {follows:?} has {len} linked {linked}; ")
        };
        self.nodes.iter().map(one).collect()
    }
}

fn node(kind: Kind, at: usize, around: &mut Around) -> Node {
    let rng = &mut around.rng;
    let disk = Disk::new(rng.below(4) > 0, rng.below(2) == 0);
    let timeout_millis = rng.in_range(2_500..6_000) as i64;
    let backlog = [20, 200, 2_000][rng.below(3) as usize];
    let rules = Rules {
        backlog,
        limits: Limits {
            hard_bytes: [0, 400, 1_000][rng.below(3) as usize],
            soft_bytes: [0, 150][rng.below(2) as usize],
            soft_millis: 2_000,
            backlog_bytes: 0,
            silence_millis: timeout_millis,
        },
        timeout_millis,
        in_place: kind == Kind::Anything && rng.below(3) == 0,
        by_mark: rng.below(2) == 0,
    };
    Node::new(at, disk, rules, around)
}
