//! A server's side of the link to the one it follows.

use base::ids::RunId;
use base::time::UnixMillis;
use journal::Offset;
use replication::history::History;
use replication::link::{self, Agreed, Beat, Framing, Handshake, Introduction, Next, Pulse};

use crate::book::Asked;
use crate::net::{End, LinkId, Piece};
use crate::node::{Around, Node};

/// After a failure the primary is tried again so much later.
const RETRY_MILLIS: i64 = 1_000;

/// How far a replica is with its primary.
pub(crate) enum Upstream {
    /// It follows nobody.
    None,
    /// It connects then.
    Idle { until: i64 },
    /// It introduces itself.
    Shaking {
        link: LinkId,
        handshake: Handshake,
        input: Vec<u8>,
        heard: i64,
    },
    /// It receives a full copy.
    Copying {
        link: LinkId,
        id: RunId,
        at: usize,
        framing: Option<Framing>,
        input: Vec<u8>,
        data: Vec<u8>,
        heard: i64,
    },
    /// The stream flows; half a record is kept.
    Streaming {
        link: LinkId,
        pulse: Pulse,
        pending: Vec<u8>,
    },
}

impl Upstream {
    fn link(&self) -> Option<LinkId> {
        match self {
            Upstream::None | Upstream::Idle { .. } => None,
            Upstream::Shaking { link, .. }
            | Upstream::Copying { link, .. }
            | Upstream::Streaming { link, .. } => Some(*link),
        }
    }
}

/// Takes a line from the front of the input, without its end.
fn take_line(input: &mut Vec<u8>) -> Option<Vec<u8>> {
    let len = input.iter().position(|&byte| byte == b'\n')?;
    let mut line: Vec<u8> = input.drain(..=len).collect();
    line.pop();
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Some(line)
}

impl Node {
    pub(crate) fn is_linked(&self) -> bool {
        matches!(self.upstream, Upstream::Streaming { .. })
    }

    /// Half a copy has taken the place of the data: no orders are taken.
    pub(crate) fn is_loading(&self) -> bool {
        let begun = matches!(
            self.upstream,
            Upstream::Copying {
                framing: Some(_),
                ..
            }
        );
        begun && self.rules.in_place
    }

    pub(crate) fn close_upstream(&mut self, around: &mut Around) {
        if self.is_loading() {
            // The files go on with what is left, which is nothing.
            self.disk.begin(&self.log, around.now, &mut around.rng);
        }
        if let Some(link) = self.upstream.link() {
            around.net.close(link, End::Replica);
        }
    }

    /// The link is given up and tried again, at once if the stream has flowed.
    fn fail(&mut self, why: &str, around: &mut Around) {
        around.trace(|| format!("{} loses its link: {why}", self.at));
        let rest = if self.is_linked() { 0 } else { RETRY_MILLIS };
        self.close_upstream(around);
        self.upstream = Upstream::Idle {
            until: around.now + rest,
        };
    }

    pub(crate) fn tick_upstream(&mut self, around: &mut Around) {
        let timeout = self.rules.timeout_millis;
        match &mut self.upstream {
            Upstream::None => {}
            Upstream::Idle { until } if around.now < *until => {}
            Upstream::Idle { .. } => self.connect(around),
            Upstream::Shaking { heard, .. } | Upstream::Copying { heard, .. } => {
                if around.now - *heard > timeout {
                    self.fail("no answer", around);
                }
            }
            Upstream::Streaming { pulse, .. } => match pulse.beat(around.time(), timeout) {
                Beat::Rest => {}
                Beat::Ack => self.acknowledge(around),
                Beat::Dead => self.fail("silence", around),
            },
        }
    }

    fn acknowledge(&mut self, around: &mut Around) {
        if let Some(link) = self.upstream.link() {
            let durable = self.disk.restorable().map(|at| Offset(at as u64));
            around.say(link, End::Primary, link::ack(self.end(), durable));
        }
    }

    fn connect(&mut self, around: &mut Around) {
        let whom = self.follows.expect("it follows somebody");
        if !around.up[whom] || around.net.is_blocked(self.at, whom) {
            return self.fail("nobody there", around);
        }
        let about = Introduction {
            login: None,
            port: self.at as u16,
            address: None,
            version: "8.2.3",
            id: self.history.id(),
            end: self.end(),
            hands_over: self.hands_over,
        };
        let link = around.net.connect(self.at, whom);
        let (handshake, first) = Handshake::begin(about);
        around.say(link, End::Primary, first);
        let asked = Asked {
            id: self.history.id(),
            log: self.log.clone(),
        };
        around.asked.insert(link, asked);
        self.upstream = Upstream::Shaking {
            link,
            handshake,
            input: Vec::new(),
            heard: around.now,
        };
    }

    /// Something has come from the one it follows.
    pub(crate) fn hear_primary(&mut self, link: LinkId, piece: Piece, around: &mut Around) {
        if self.upstream.link() != Some(link) {
            return around.net.close(link, End::Replica);
        }
        let Piece::Bytes(bytes) = piece else {
            return self.fail("closed", around);
        };
        match &mut self.upstream {
            Upstream::None | Upstream::Idle { .. } => {}
            Upstream::Shaking { input, heard, .. } | Upstream::Copying { input, heard, .. } => {
                *heard = around.now;
                input.extend_from_slice(&bytes);
            }
            Upstream::Streaming { pulse, pending, .. } => {
                pulse.hear(around.time());
                pending.extend_from_slice(&bytes);
            }
        }
        if let Upstream::Shaking { .. } = self.upstream {
            self.shake_hands(around);
        }
        if let Upstream::Copying { .. } = self.upstream {
            self.receive(around);
        }
        self.apply(around);
    }

    fn shake_hands(&mut self, around: &mut Around) {
        while let Upstream::Shaking {
            link,
            handshake,
            input,
            ..
        } = &mut self.upstream
        {
            let Some(line) = take_line(input) else {
                return;
            };
            match handshake.hear(&line) {
                Ok(Next::Hear) => {}
                Ok(Next::Say(bytes)) => around.say(*link, End::Primary, bytes),
                Ok(Next::Go(agreed)) => {
                    let (link, rest) = (*link, std::mem::take(input));
                    return self.agreed(link, agreed, rest, around);
                }
                Err(refused) => {
                    if self.hands_over {
                        // The one that was to take over will not.
                        self.lead(around);
                    } else {
                        self.fail(&refused.0, around);
                    }
                    return;
                }
            }
        }
    }

    fn agreed(&mut self, link: LinkId, agreed: Agreed, rest: Vec<u8>, around: &mut Around) {
        match agreed {
            Agreed::Continue(id) => {
                let end = self.end();
                if let Some(id) = id
                    && self.history.follow(id, end)
                {
                    self.names.push((id, self.log.len()));
                    self.disconnect_replicas(around);
                }
                self.flow(link, rest, around.time());
            }
            Agreed::Full(id, Offset(at)) => {
                self.upstream = Upstream::Copying {
                    link,
                    id,
                    at: at as usize,
                    framing: None,
                    input: rest,
                    data: Vec::new(),
                    heard: around.now,
                };
            }
        }
    }

    fn flow(&mut self, link: LinkId, pending: Vec<u8>, now: UnixMillis) {
        self.handing = None;
        self.hands_over = false;
        self.upstream = Upstream::Streaming {
            link,
            pulse: Pulse::new(now),
            pending,
        };
    }

    fn receive(&mut self, around: &mut Around) {
        let Upstream::Copying {
            link,
            id,
            at,
            framing,
            input,
            data,
            ..
        } = &mut self.upstream
        else {
            return;
        };
        while framing.is_none() {
            let Some(line) = take_line(input) else {
                return;
            };
            *framing = Framing::parse(&line).expect("a copy");
            if framing.is_some() && self.rules.in_place {
                self.disk.suspend();
                return self.flush(around);
            }
        }
        let (framing, bytes) = (
            framing.as_mut().expect("just parsed"),
            std::mem::take(input),
        );
        let found = framing.look(&bytes);
        data.extend_from_slice(framing.mark(found.held));
        data.extend_from_slice(&bytes[..found.own]);
        if let Some(rest) = found.rest {
            let (link, id, at) = (*link, *id, *at);
            let data = std::mem::take(data);
            self.install(id, at, data, around);
            self.flow(link, bytes[rest..].to_vec(), around.time());
        }
    }

    /// The old data go before the new ones come.
    fn flush(&mut self, around: &mut Around) {
        self.begin_anew(around);
        let name = self.history.id();
        around.book.name(name, &[]);
        self.receive(around);
    }

    fn install(&mut self, id: RunId, at: usize, data: Vec<u8>, around: &mut Around) {
        assert_eq!(data.len(), at, "a copy is as long as it said");
        around.trace(|| format!("{} has a copy of {id} up to {at}", self.at));
        around.score.installed += 1;
        self.log = data;
        self.memory_from = at;
        self.history = History::new(id);
        self.names = vec![(id, 0)];
        self.disk.suspend();
        self.disk.begin(&self.log, around.now, &mut around.rng);
        self.disconnect_replicas(around);
    }

    /// Does what the stream says, record by record.
    fn apply(&mut self, around: &mut Around) {
        let Upstream::Streaming { pending, .. } = &mut self.upstream else {
            return;
        };
        let mut asked = 0;
        let mut at = 0;
        while let Some(len) = pending[at..].iter().position(|&byte| byte == b'\n') {
            let record = &pending[at..=at + len];
            asked += usize::from(record.starts_with(b"getack"));
            self.log.extend_from_slice(record);
            at += len + 1;
        }
        pending.drain(..at);
        for _ in 0..asked {
            self.acknowledge(around);
        }
    }
}
