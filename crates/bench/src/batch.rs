//! Requests, rendered before they are needed.
//!
//! A batch is the bytes of one pipeline of commands and the places where keys and values stand in
//! them. With values of one size these places never move: the next use overwrites digits and tags
//! (`Patch`) and nothing else. With values of several sizes the batch is rendered anew each time. A
//! workload of several commands becomes a ring of batches that together hold the commands in
//! exactly their proportions; which batch goes next is drawn at random, so the proportions hold on
//! average at any moment. Commands that are sent in turn make a ring, too; there each connection
//! goes round by itself. Batches belong to a thread, not to a connection: a few kilobytes that
//! stay in the cache.

use crate::keys::{self, KeyShape, KeySource};
use crate::scenario::{Command, Order, Piece, Workload};
use crate::values::{self, Values};

/// A place in a batch's bytes that depends on the drawn keys.
#[derive(Clone, Copy)]
struct Patch {
    at: usize,
    hole: Hole,
}

#[derive(Clone, Copy)]
enum Hole {
    Key,
    Number,
    Same,
    Data { len: usize },
    Own,
    Other,
}

/// Where a command ends, in bytes and in patches.
#[derive(Clone, Copy, Default)]
struct End {
    bytes: usize,
    patches: usize,
}

struct Batch {
    /// Indexes into `Batches::commands`.
    commands: Vec<u16>,
    bytes: Vec<u8>,
    patches: Vec<Patch>,
    ends: Vec<End>,
}

/// A ring of batches and all that is needed to fill them.
pub(crate) struct Batches {
    commands: Vec<Command>,
    ring: Vec<Batch>,
    order: Order,
    filler: Filler,
}

/// What the holes of a batch are filled with.
struct Filler {
    keys: KeySource,
    shape: KeyShape,
    values: Values,
    /// The number of the connection that sends.
    connection: usize,
    /// One argument, while its length is not known yet.
    argument: Vec<u8>,
}

/// Digits of a connection's number, see `options::CONNECTIONS_MAX`.
const CONNECTION_DIGITS: usize = 5;

/// The number of a connection's partner.
fn partner(connection: usize) -> usize {
    connection ^ 1
}

/// Batches in a ring at most: proportions finer than that are rounded to it.
const RING_LEN_MAX: usize = 1024;

/// Bytes of rendered batches in a ring, roughly; beyond it the ring gets shorter.
const RING_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Batches {
    /// Batches of `pipeline` commands of `workload`.
    pub(crate) fn new(
        workload: &Workload,
        pipeline: usize,
        keys: KeySource,
        shape: KeyShape,
        values: Values,
    ) -> Self {
        let weights: Vec<u32> = workload
            .commands
            .iter()
            .map(|(weight, _)| *weight)
            .collect();
        let commands = workload
            .commands
            .iter()
            .map(|(_, command)| command.clone())
            .collect();
        let ring_len = ring_len(&weights, pipeline);
        // What is rendered in advance is never sent: the first key drawn for sending is the first.
        let first_keys = keys.clone();
        let turns = (0..weights.len() as u16).cycle();
        let mut mixed = Interleave::new(weights);
        let mut order: Box<dyn Iterator<Item = u16>> = match workload.order {
            Order::Mixed => Box::new(&mut mixed),
            Order::Turns => Box::new(turns),
        };
        let mut batches = Self {
            commands,
            ring: Vec::new(),
            order: workload.order,
            filler: Filler {
                keys,
                shape,
                values,
                connection: 0,
                argument: Vec::new(),
            },
        };
        let mut ring_bytes = 0;
        while batches.ring.len() < ring_len && ring_bytes <= RING_BYTES_MAX {
            let mut batch = Batch {
                commands: order.by_ref().take(pipeline).collect(),
                bytes: Vec::new(),
                patches: Vec::new(),
                ends: Vec::new(),
            };
            batch.render(
                &batches.commands,
                pipeline,
                &mut batches.filler,
                &mut Vec::new(),
            );
            ring_bytes += batch.bytes.len();
            batches.ring.push(batch);
        }
        batches.filler.keys = first_keys;
        batches
    }

    /// The next batch's index, for [`Batches::fill`] and [`Batches::command`]; `turn` is how many
    /// batches the connection has had.
    #[inline]
    pub(crate) fn next(&mut self, turn: usize) -> usize {
        match (self.ring.len(), self.order) {
            (1, _) => 0,
            (several, Order::Mixed) => self.filler.keys.choose(several),
            (several, Order::Turns) => turn % several,
        }
    }

    /// Draws new keys for the first `count` commands of batch `index`, writes them to `drawn` in
    /// order, and returns the bytes that connection `connection` is to send.
    #[inline]
    pub(crate) fn fill(
        &mut self,
        index: usize,
        count: usize,
        connection: usize,
        drawn: &mut Vec<u64>,
    ) -> &[u8] {
        drawn.clear();
        self.filler.connection = connection;
        let batch = &mut self.ring[index];
        if self.filler.values.is_fixed() {
            batch.patch(count, &mut self.filler, drawn);
        } else {
            batch.render(&self.commands, count, &mut self.filler, drawn);
        }
        &batch.bytes[..batch.ends[count - 1].bytes]
    }

    /// The command at place `position` of batch `index`, if it is that long.
    pub(crate) fn command(&self, index: usize, position: usize) -> Option<&Command> {
        let command = *self.ring[index].commands.get(position)?;
        Some(&self.commands[usize::from(command)])
    }

    /// What a key's value is.
    pub(crate) fn values(&self) -> &Values {
        &self.filler.values
    }
}

impl Batch {
    /// Writes the first `count` commands from nothing.
    fn render(
        &mut self,
        commands: &[Command],
        count: usize,
        filler: &mut Filler,
        drawn: &mut Vec<u64>,
    ) {
        self.bytes.clear();
        self.patches.clear();
        self.ends.clear();
        for position in 0..count {
            let command = &commands[usize::from(self.commands[position])];
            append_header(&mut self.bytes, b'*', command.arguments.len());
            let mut key = 0;
            for argument in &command.arguments {
                self.render_argument(argument, &mut key, filler, drawn);
            }
            self.ends.push(End {
                bytes: self.bytes.len(),
                patches: self.patches.len(),
            });
        }
    }

    /// Appends one argument; `key` is the one drawn last and becomes the next one drawn.
    fn render_argument(
        &mut self,
        argument: &[Piece],
        key: &mut u64,
        filler: &mut Filler,
        drawn: &mut Vec<u64>,
    ) {
        let first_patch = self.patches.len();
        filler.argument.clear();
        for piece in argument {
            let at = filler.argument.len();
            if matches!(piece, Piece::Key | Piece::Number) {
                *key = filler.keys.draw();
                drawn.push(*key);
            }
            let hole = match piece {
                Piece::Literal(text) => {
                    filler.argument.extend_from_slice(text);
                    continue;
                }
                Piece::Key => {
                    filler.shape.append_key_zero(&mut filler.argument);
                    filler.shape.patch_key(&mut filler.argument, at, *key);
                    Hole::Key
                }
                Piece::Number | Piece::Same => {
                    let end = at + filler.shape.number_bytes();
                    filler.argument.resize(end, b'0');
                    filler.shape.patch_number(&mut filler.argument, at, *key);
                    match piece {
                        Piece::Same => Hole::Same,
                        _ => Hole::Number,
                    }
                }
                Piece::Data => {
                    filler.values.append(&mut filler.argument, *key);
                    let len = filler.argument.len() - at;
                    Hole::Data { len }
                }
                Piece::Own | Piece::Other => {
                    filler.argument.resize(at + CONNECTION_DIGITS, b'0');
                    let (hole, number) = match piece {
                        Piece::Own => (Hole::Own, filler.connection),
                        _ => (Hole::Other, partner(filler.connection)),
                    };
                    patch_connection(&mut filler.argument, at, number);
                    hole
                }
            };
            self.patches.push(Patch { at, hole });
        }
        append_header(&mut self.bytes, b'$', filler.argument.len());
        for patch in &mut self.patches[first_patch..] {
            patch.at += self.bytes.len();
        }
        self.bytes.extend_from_slice(&filler.argument);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Overwrites the keys, and what depends on them, in the first `count` commands.
    #[inline]
    fn patch(&mut self, count: usize, filler: &mut Filler, drawn: &mut Vec<u64>) {
        let mut key = 0;
        for patch in &self.patches[..self.ends[count - 1].patches] {
            match patch.hole {
                Hole::Key => {
                    key = filler.keys.draw();
                    drawn.push(key);
                    filler.shape.patch_key(&mut self.bytes, patch.at, key);
                }
                Hole::Number => {
                    key = filler.keys.draw();
                    drawn.push(key);
                    filler.shape.patch_number(&mut self.bytes, patch.at, key);
                }
                Hole::Same => filler.shape.patch_number(&mut self.bytes, patch.at, key),
                Hole::Data { len } => values::patch(&mut self.bytes, patch.at, len, key),
                Hole::Own => patch_connection(&mut self.bytes, patch.at, filler.connection),
                Hole::Other => {
                    patch_connection(&mut self.bytes, patch.at, partner(filler.connection));
                }
            }
        }
    }
}

fn patch_connection(bytes: &mut [u8], at: usize, connection: usize) {
    keys::write_digits(&mut bytes[at..at + CONNECTION_DIGITS], connection as u64);
}

fn append_header(out: &mut Vec<u8>, head: u8, count: usize) {
    out.push(head);
    out.extend_from_slice(count.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// How many batches hold commands of these weights in exactly their proportions.
fn ring_len(weights: &[u32], pipeline: usize) -> usize {
    let divisor = weights
        .iter()
        .fold(0, |divisor, &weight| gcd(divisor, weight as usize));
    let total: usize = weights
        .iter()
        .map(|&weight| weight as usize / divisor.max(1))
        .sum();
    (total / gcd(total, pipeline)).min(RING_LEN_MAX)
}

fn gcd(left: usize, right: usize) -> usize {
    if right == 0 {
        left
    } else {
        gcd(right, left % right)
    }
}

/// An endless, even mixture: at each step the command that is furthest behind its share.
struct Interleave {
    weights: Vec<i64>,
    credit: Vec<i64>,
}

impl Interleave {
    fn new(weights: Vec<u32>) -> Self {
        let weights: Vec<i64> = weights.into_iter().map(i64::from).collect();
        Self {
            credit: vec![0; weights.len()],
            weights,
        }
    }
}

impl Iterator for Interleave {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        for (credit, weight) in self.credit.iter_mut().zip(&self.weights) {
            *credit += weight;
        }
        let ahead = (0..self.credit.len()).max_by_key(|&index| self.credit[index])?;
        self.credit[ahead] -= self.weights.iter().sum::<i64>();
        Some(ahead as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{DEFAULT_KEY_BYTES, Pattern};
    use crate::values::Sizes;

    fn batches(texts: &[(u32, &str)], pipeline: usize, sizes: &str) -> Batches {
        let commands = texts
            .iter()
            .map(|(weight, text)| (*weight, Command::new(text.split_whitespace())))
            .collect();
        let workload = Workload {
            name: "test".into(),
            commands,
            order: Order::Mixed,
        };
        let keys = KeySource::new(Pattern::Sequential, 0..1000, 1.0, 1);
        let shape = KeyShape::new(1000, DEFAULT_KEY_BYTES).unwrap();
        Batches::new(
            &workload,
            pipeline,
            keys,
            shape,
            Values::new(sizes.parse::<Sizes>().unwrap()),
        )
    }

    /// The request as the straightforward way renders it.
    fn naive(values: &Values, key: u64) -> Vec<u8> {
        let mut value = Vec::new();
        values.append(&mut value, key);
        let mut out = format!(
            "*3\r\n$3\r\nSET\r\n$16\r\nkey:{key:012}\r\n${}\r\n",
            value.len()
        )
        .into_bytes();
        out.extend_from_slice(&value);
        out.extend_from_slice(b"\r\n");
        out
    }

    #[test]
    fn patched_and_rendered_batches_are_what_a_naive_writer_writes() {
        for sizes in ["64", "3", "0", "1-100", "5,50"] {
            let mut batches = batches(&[(1, "SET __key__ __data__")], 4, sizes);
            let mut drawn = Vec::new();
            for round in 0..50 {
                let count = 1 + round % 4;
                let bytes = batches.fill(0, count, 0, &mut drawn).to_vec();
                let expected: Vec<u8> = drawn
                    .iter()
                    .flat_map(|&key| naive(batches.values(), key))
                    .collect();
                assert_eq!(drawn.len(), count);
                assert_eq!(bytes, expected, "sizes {sizes}");
            }
        }
    }

    #[test]
    fn numbers_and_embedded_keys_keep_their_lengths() {
        let mut batches = batches(&[(1, "ZADD {a}:__key__ __num__ x__same__")], 1, "1");
        let bytes = batches.fill(0, 1, 0, &mut Vec::new()).to_vec();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(
            text,
            "*4\r\n$4\r\nZADD\r\n$20\r\n{a}:key:000000000000\r\n$3\r\n001\r\n$4\r\nx001\r\n"
        );
    }

    #[test]
    fn commands_come_in_turn_and_partners_name_each_other() {
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        let workload = Workload::raw(&words(
            "LPUSH __other__ x ; BLPOP __own__ 0 ; PING __other__",
        ))
        .unwrap();
        assert!(workload.is_paired());
        let keys = KeySource::new(Pattern::Sequential, 0..10, 1.0, 1);
        let shape = KeyShape::new(10, DEFAULT_KEY_BYTES).unwrap();
        let values = Values::new("1".parse::<Sizes>().unwrap());
        let mut batches = Batches::new(&workload, 2, keys, shape, values);
        let mut sent = Vec::new();
        for turn in 0..3 {
            let index = batches.next(turn);
            sent.extend_from_slice(batches.fill(index, 2, 6, &mut Vec::new()));
        }
        let round = "*3\r\n$5\r\nLPUSH\r\n$5\r\n00007\r\n$1\r\nx\r\n\
                     *3\r\n$5\r\nBLPOP\r\n$5\r\n00006\r\n$1\r\n0\r\n\
                     *2\r\n$4\r\nPING\r\n$5\r\n00007\r\n";
        assert_eq!(String::from_utf8(sent).unwrap(), round.repeat(2));
        assert!(Workload::raw(&words("PING ;")).is_err());
    }

    #[test]
    fn a_ring_holds_commands_in_their_proportions() {
        for (writes, reads, pipeline) in [(1, 9, 16), (10, 90, 1), (1, 1, 3), (3, 7, 10), (0, 1, 4)]
        {
            let batches = batches(
                &[(writes, "SET __key__ __data__"), (reads, "GET __key__")],
                pipeline,
                "8",
            );
            let all: Vec<u16> = batches
                .ring
                .iter()
                .flat_map(|batch| batch.commands.clone())
                .collect();
            let sets = all.iter().filter(|&&command| command == 0).count();
            assert_eq!(
                sets * (writes + reads) as usize,
                all.len() * writes as usize
            );
        }
    }
}
