//! Connections: bytes that arrive late, or in part, or never. What one end has sent arrives in
//! order; a connection that is cut is noticed by both ends, a silent one by none.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base::rng::Rng;

/// Bytes on their way in one direction that make the sender wait.
const ROOM_BYTES: usize = 160;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkId(u64);

/// One of a link's ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Replica,
    Primary,
}

impl End {
    fn other(self) -> End {
        match self {
            End::Replica => End::Primary,
            End::Primary => End::Replica,
        }
    }
}

/// What arrives.
#[derive(Debug)]
pub(crate) enum Piece {
    Bytes(Vec<u8>),
    /// The other end, or the network, has closed it.
    End,
}

/// Bytes on their way to an end.
#[derive(Default)]
struct Pipe {
    packets: VecDeque<(i64, Vec<u8>)>,
    bytes: usize,
    last_due: i64,
    /// Nothing more comes.
    ended: bool,
    /// Whoever it leads to does not listen any more.
    deaf: bool,
}

struct Link {
    replica: usize,
    primary: usize,
    pipes: [Pipe; 2],
    silent: bool,
}

impl Link {
    fn pipe(&mut self, to: End) -> &mut Pipe {
        &mut self.pipes[to as usize]
    }
}

pub(crate) struct Net {
    links: BTreeMap<LinkId, Link>,
    last: u64,
    blocked: BTreeSet<(usize, usize)>,
    /// The longest time on the way.
    pub(crate) delay_millis: u64,
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

impl Net {
    pub(crate) fn new() -> Net {
        Net {
            links: BTreeMap::new(),
            last: 0,
            blocked: BTreeSet::new(),
            delay_millis: 50,
        }
    }

    /// Nothing passes between these from now on, or again; links stay as they are.
    pub(crate) fn block(&mut self, a: usize, b: usize, block: bool) {
        match block {
            true => self.blocked.insert(pair(a, b)),
            false => self.blocked.remove(&pair(a, b)),
        };
    }

    /// Somewhere, things pass again.
    pub(crate) fn unblock_one(&mut self, rng: &mut Rng) {
        let at = rng.below(self.blocked.len().max(1) as u64) as usize;
        if let Some(&pair) = self.blocked.iter().nth(at) {
            self.blocked.remove(&pair);
        }
    }

    pub(crate) fn is_blocked(&self, a: usize, b: usize) -> bool {
        self.blocked.contains(&pair(a, b))
    }

    pub(crate) fn heal(&mut self) {
        self.blocked.clear();
        self.delay_millis = 50;
    }

    pub(crate) fn connect(&mut self, replica: usize, primary: usize) -> LinkId {
        self.last += 1;
        let id = LinkId(self.last);
        let link = Link {
            replica,
            primary,
            pipes: Default::default(),
            silent: false,
        };
        self.links.insert(id, link);
        id
    }

    /// Sends bytes to an end, however many are on their way.
    pub(crate) fn send(&mut self, id: LinkId, to: End, bytes: Vec<u8>, now: i64, rng: &mut Rng) {
        let due = now + rng.below(self.delay_millis + 1) as i64;
        if let Some(link) = self.links.get_mut(&id) {
            let pipe = link.pipe(to);
            if bytes.is_empty() || pipe.ended || pipe.deaf {
                return;
            }
            pipe.last_due = pipe.last_due.max(due);
            pipe.bytes += bytes.len();
            pipe.packets.push_back((pipe.last_due, bytes));
        }
    }

    /// How much the way to an end takes now.
    pub(crate) fn room(&mut self, id: LinkId, to: End) -> usize {
        let link = self.links.get_mut(&id);
        link.map_or(0, |link| ROOM_BYTES.saturating_sub(link.pipe(to).bytes))
    }

    /// This end closes: the other is told so behind what it was sent.
    pub(crate) fn close(&mut self, id: LinkId, by: End) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.pipe(by.other()).ended = true;
        let own = link.pipe(by);
        own.deaf = true;
        own.packets.clear();
        if link.pipe(by.other()).deaf {
            self.links.remove(&id);
        }
    }

    /// The network closes it: of what is on its way, some arrives.
    pub(crate) fn cut(&mut self, id: LinkId, rng: &mut Rng) {
        if let Some(link) = self.links.get_mut(&id) {
            for pipe in &mut link.pipes {
                let left = rng.below(pipe.packets.len() as u64 + 1) as usize;
                pipe.packets.truncate(left);
                pipe.ended = true;
            }
        }
    }

    /// Nothing arrives on it from now on, and nobody is told.
    pub(crate) fn silence(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.silent = true;
        }
    }

    /// The process at this place is gone; those at the other ends are told, or not.
    pub(crate) fn crash(&mut self, node: usize, told: bool) {
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        for id in ids {
            let link = &self.links[&id];
            for (at, end) in [(link.replica, End::Replica), (link.primary, End::Primary)] {
                if at == node {
                    if !told {
                        self.silence(id);
                    }
                    self.close(id, end);
                    break;
                }
            }
        }
    }

    pub(crate) fn ids(&self) -> Vec<LinkId> {
        self.links.keys().copied().collect()
    }

    /// What arrives next, where, and from whom.
    pub(crate) fn due(&mut self, now: i64) -> Option<(LinkId, End, usize, usize, Piece)> {
        for (&id, link) in &mut self.links {
            if link.silent || self.blocked.contains(&pair(link.replica, link.primary)) {
                continue;
            }
            for to in [End::Replica, End::Primary] {
                let (at, from) = match to {
                    End::Replica => (link.replica, link.primary),
                    End::Primary => (link.primary, link.replica),
                };
                let pipe = link.pipe(to);
                if pipe.deaf {
                    continue;
                }
                match pipe.packets.front() {
                    Some(&(due, _)) if due <= now => {
                        let (_, bytes) = pipe.packets.pop_front().expect("just seen");
                        pipe.bytes -= bytes.len();
                        return Some((id, to, at, from, Piece::Bytes(bytes)));
                    }
                    None if pipe.ended => return Some((id, to, at, from, Piece::End)),
                    _ => {}
                }
            }
        }
        None
    }
}
