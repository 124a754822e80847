//! A server's side of the links to those who follow it.

use base::ids::RunId;
use base::num::parse_i64;
use journal::Offset;
use replication::feed::{Feed, Limits, Phase, Request, Shelf, Way};

use crate::net::{End, LinkId, Piece};
use crate::node::{Around, Node};

/// The longest time until a copy begins for one who needs it.
const DELAY_MILLIS: u64 = 300;

/// What is sent to a replica before the stream.
struct Sending {
    bytes: Vec<u8>,
    sent: usize,
    /// It is a copy that ends with a mark.
    by_mark: bool,
}

/// What a replica waits for.
enum Wants {
    /// A copy, from then on.
    Copy(i64),
    /// The log from there on, by way of the files.
    Files(usize),
    /// Nothing any more.
    Nothing,
}

/// A connection of one who follows.
pub(crate) struct Attached {
    pub(crate) link: LinkId,
    /// Its name.
    pub(crate) port: usize,
    input: Vec<u8>,
    feed: Option<Feed>,
    /// The stream is kept for it from here on.
    pub(crate) cursor: Option<usize>,
    wants: Wants,
    sending: Option<Sending>,
    comforted_at: i64,
}

impl Attached {
    fn new(link: LinkId) -> Attached {
        Attached {
            link,
            port: usize::MAX,
            input: Vec::new(),
            feed: None,
            cursor: None,
            wants: Wants::Nothing,
            sending: None,
            comforted_at: 0,
        }
    }

    pub(crate) fn has_asked(&self) -> bool {
        self.feed.is_some()
    }

    pub(crate) fn is_online(&self) -> bool {
        self.feed.as_ref().is_some_and(Feed::is_online)
    }

    pub(crate) fn has_on_disk(&self, upto: Offset) -> bool {
        self.feed
            .as_ref()
            .is_some_and(|feed| feed.has_on_disk(upto))
    }

    pub(crate) fn has_all(&self, end: Offset) -> bool {
        self.feed.as_ref().is_some_and(|feed| feed.has_all(end))
    }
}

impl Shelf for Node {
    type Place = usize;

    fn is_complete(&self) -> bool {
        true
    }

    fn place(&self, from: Offset) -> Option<usize> {
        let from = from.0 as usize;
        (self.memory_from..=self.log.len())
            .contains(&from)
            .then_some(from)
    }

    fn place_behind_files(&self, from: Offset) -> Option<usize> {
        let from = from.0 as usize;
        let reaches = from < self.log.len() && self.disk.reaches(from);
        reaches.then_some(self.memory_from)
    }
}

/// Takes a command from the front of the input.
fn take_command(input: &mut Vec<u8>) -> Option<Vec<Vec<u8>>> {
    let signs = input.iter().take_while(|&&byte| byte == b'\n').count();
    input.drain(..signs);
    let mut at = 0;
    let mut line = |input: &[u8]| {
        let rest = &input[at..];
        let len = rest.iter().position(|&byte| byte == b'\n')?;
        at += len + 1;
        Some(rest[..len].strip_suffix(b"\r")?.to_vec())
    };
    let head = line(input)?;
    let count = parse_i64(head.strip_prefix(b"*").expect("a command"))?;
    let mut words = Vec::new();
    for _ in 0..count {
        // The words have no line ends: their lengths need not be looked at.
        line(input)?;
        words.push(line(input)?);
    }
    input.drain(..at);
    Some(words)
}

impl Node {
    /// Something has come from one who follows, or wants to.
    pub(crate) fn hear_replica(&mut self, link: LinkId, piece: Piece, around: &mut Around) {
        let found = self.attached.iter().position(|it| it.link == link);
        let Piece::Bytes(bytes) = piece else {
            self.attached.retain(|it| it.link != link);
            return around.net.close(link, End::Primary);
        };
        let at = found.unwrap_or_else(|| {
            self.attached.push(Attached::new(link));
            self.attached.len() - 1
        });
        let it = &mut self.attached[at];
        it.input.extend_from_slice(&bytes);
        if let Some(feed) = &mut it.feed {
            feed.heard(around.time());
        }
        loop {
            // A command may have disconnected others.
            let Some(it) = self.attached.iter_mut().find(|it| it.link == link) else {
                return;
            };
            let Some(words) = take_command(&mut it.input) else {
                return;
            };
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            let say = match words[..] {
                [b"PING"] => "+PONG\r\n".to_owned(),
                [b"REPLCONF", b"ACK", received, ref rest @ ..] => {
                    let offset = |word: &[u8]| Offset(parse_i64(word).expect("a number") as u64);
                    let durable = rest.get(1).map(|word| offset(word));
                    if let Some(feed) = &mut it.feed {
                        feed.ack(offset(received), durable, around.time());
                    }
                    continue;
                }
                [b"REPLCONF", b"listening-port", port] => {
                    it.port = parse_i64(port).expect("a number") as usize;
                    "+OK\r\n".to_owned()
                }
                [b"REPLCONF", ..] => "+OK\r\n".to_owned(),
                [b"PSYNC", id, next, ref rest @ ..] => {
                    let request = Request {
                        id: RunId::parse(id),
                        next: parse_i64(next).expect("a number"),
                    };
                    self.psync(link, &request, rest == [b"FAILOVER"], around)
                }
                _ => panic!("{words:?}"),
            };
            around.say(link, End::Replica, say.into_bytes());
        }
    }

    fn psync(
        &mut self,
        link: LinkId,
        request: &Request,
        takes_over: bool,
        around: &mut Around,
    ) -> String {
        if takes_over {
            if self.follows.is_none() {
                return "-ERR PSYNC FAILOVER can't be sent to a master.\r\n".to_owned();
            }
            if request.id != Some(self.history.id()) {
                return "-ERR PSYNC FAILOVER replid must match my replid.\r\n".to_owned();
            }
            self.lead(around);
            around.took_over = Some(self.at);
        }
        if self.follows.is_some() && !self.is_linked() {
            return "-NOMASTERLINK Can't SYNC while not connected with my master\r\n".to_owned();
        }
        let way = request.way(&self.history, self);
        around.trace(|| format!("{} is asked {request:?}: {way:?}", self.at));
        if let Way::Anew(_) = way {
            self.judge_copy(link, request, around);
        }
        let (name, now) = (self.history.id(), around.time());
        let wait = around.rng.below(DELAY_MILLIS) as i64;
        let it = self.attached.iter_mut().find(|it| it.link == link);
        let it = it.expect("it is asking");
        match way {
            Way::Continue(place) => {
                around.score.partial += 1;
                it.feed = Some(Feed::online(now));
                it.cursor = Some(place);
                return format!("+CONTINUE {name}\r\n");
            }
            Way::Rewind(from, place) => {
                around.score.rewound += 1;
                it.feed = Some(Feed::new(true, now));
                it.cursor = Some(place);
                it.wants = Wants::Files(from.0 as usize);
            }
            Way::Anew(_) => {
                around.score.full += 1;
                it.feed = Some(Feed::new(true, now));
                it.wants = Wants::Copy(now.0 + wait);
            }
        }
        String::new()
    }

    /// *No copy without need.*
    fn judge_copy(&self, link: LinkId, request: &Request, around: &Around) {
        let Some(asked) = around.asked.get(&link) else {
            return;
        };
        assert_eq!(
            request.next,
            asked.log.len() as i64 + 1,
            "what it asked for"
        );
        let len = asked.log.len();
        // The name before is known as far as this server had come under it.
        let known = match self.names[..] {
            [.., (older, _), (id, since)] => asked.id == id || asked.id == older && len <= since,
            [(id, _)] => asked.id == id,
            [] => false,
        };
        let in_memory = self.memory_from <= len;
        let at_hand = in_memory || self.disk.reaches(len) && len < self.log.len();
        assert!(
            !(known && at_hand && self.log.starts_with(&asked.log)),
            "server {} sends a copy to one who could go on at {len}",
            self.at
        );
    }

    /// Sends replicas what there is for them, and gives up those that are too slow.
    pub(crate) fn feed_replicas(&mut self, around: &mut Around) {
        let mut lost = Vec::new();
        for at in 0..self.attached.len() {
            self.begin_sending(at, around);
            if !self.feed(at, around) {
                lost.push(self.attached[at].link);
            }
        }
        for link in lost {
            around.trace(|| format!("{} gives {link:?} up", self.at));
            self.attached.retain(|it| it.link != link);
            around.net.close(link, End::Primary);
        }
    }

    fn begin_sending(&mut self, at: usize, around: &mut Around) {
        let (name, end) = (self.history.id(), self.log.len());
        let it = &mut self.attached[at];
        let Some(feed) = &mut it.feed else {
            return;
        };
        let (bytes, by_mark) = match it.wants {
            Wants::Nothing => return,
            Wants::Copy(from) if around.now < from => {
                if around.now - it.comforted_at >= 1_000 {
                    it.comforted_at = around.now;
                    around.say(it.link, End::Replica, b"\n".to_vec());
                }
                return;
            }
            Wants::Copy(_) => {
                it.cursor = Some(end);
                let mut bytes = format!("+FULLRESYNC {name} {end}\r\n").into_bytes();
                let mark = around.new_name();
                let (head, tail) = match self.rules.by_mark {
                    true => (format!("$EOF:{mark}\r\n"), mark.as_str()),
                    false => (format!("${end}\r\n"), ""),
                };
                bytes.extend_from_slice(head.as_bytes());
                bytes.extend_from_slice(&self.log);
                bytes.extend_from_slice(tail.as_bytes());
                (bytes, self.rules.by_mark)
            }
            Wants::Files(from) => {
                let until = it.cursor.expect("kept in memory");
                let mut bytes = format!("+CONTINUE {name}\r\n").into_bytes();
                bytes.extend_from_slice(&self.log[from..until]);
                (bytes, false)
            }
        };
        it.wants = Wants::Nothing;
        feed.begin();
        it.sending = Some(Sending {
            bytes,
            sent: 0,
            by_mark,
        });
    }

    /// Whether it is not given up.
    fn feed(&mut self, at: usize, around: &mut Around) -> bool {
        let it = &mut self.attached[at];
        let Some(feed) = &mut it.feed else {
            return true;
        };
        let room = around.net.room(it.link, End::Replica);
        if let Some(sending) = &mut it.sending {
            let rest = &sending.bytes[sending.sent..];
            let piece = rest[..rest.len().min(room)].to_vec();
            sending.sent += piece.len();
            if sending.sent == sending.bytes.len() {
                feed.copied(sending.by_mark, around.time());
                it.sending = None;
            }
            around.say(it.link, End::Replica, piece);
        } else if let Some(cursor) = it.cursor.as_mut().filter(|_| feed.phase() == Phase::Online) {
            let rest = &self.log[*cursor..];
            let piece = rest[..rest.len().min(room)].to_vec();
            *cursor += piece.len();
            around.say(it.link, End::Replica, piece);
        }
        let waiting = it.cursor.map_or(0, |cursor| self.log.len() - cursor);
        let limits = Limits {
            backlog_bytes: self.rules.backlog as u64,
            ..self.rules.limits
        };
        feed.look(waiting as u64, &limits, around.time()).is_none()
    }
}
