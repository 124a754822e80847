//! Requests, rendered before they are needed.
//!
//! A batch is the bytes of one pipeline of commands and the places where keys and values stand in them. With values of one
//! size these places never move: the next use overwrites digits and tags (`Patch`) and nothing else. With values of
//! several sizes the batch is rendered anew each time.
//! A workload of several commands becomes a ring of batches that together hold the commands in exactly their
//! proportions; which batch goes next is drawn at random, so the proportions hold on average at any moment.
//! Batches belong to a thread, not to a connection: a few kilobytes that stay in the cache.

use crate::keys::{KeyShape, KeySource};
use crate::scenario::{Command, Piece, Workload};
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
    Data { len: usize },
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
    keys: KeySource,
    shape: KeyShape,
    values: Values,
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
        let mut batches = Self {
            commands,
            ring: Vec::new(),
            keys,
            shape,
            values,
        };
        let ring_len = ring_len(&weights, pipeline);
        let mut order = Interleave::new(weights);
        let mut ring_bytes = 0;
        while batches.ring.len() < ring_len && ring_bytes <= RING_BYTES_MAX {
            let mut batch = Batch {
                commands: order.by_ref().take(pipeline).collect(),
                bytes: Vec::new(),
                patches: Vec::new(),
                ends: Vec::new(),
            };
            batches.render(&mut batch, pipeline, &mut Vec::new());
            ring_bytes += batch.bytes.len();
            batches.ring.push(batch);
        }
        batches
    }

    /// The next batch's index, for [`Batches::fill`] and [`Batches::command`].
    #[inline]
    pub(crate) fn next(&mut self) -> usize {
        match self.ring.len() {
            1 => 0,
            several => self.keys.choose(several),
        }
    }

    /// Draws new keys for the first `count` commands of batch `index`, writes them to `drawn` in order, and
    /// returns the bytes to send.
    #[inline]
    pub(crate) fn fill(&mut self, index: usize, count: usize, drawn: &mut Vec<u64>) -> &[u8] {
        drawn.clear();
        if self.values.is_fixed() {
            let Self {
                ring, keys, shape, ..
            } = self;
            ring[index].patch(count, *shape, keys, drawn);
        } else {
            let mut batch = std::mem::replace(&mut self.ring[index], Batch::empty());
            self.render(&mut batch, count, drawn);
            self.ring[index] = batch;
        }
        let batch = &self.ring[index];
        &batch.bytes[..batch.ends[count - 1].bytes]
    }

    /// The command at place `position` of batch `index`, if it is that long.
    pub(crate) fn command(&self, index: usize, position: usize) -> Option<&Command> {
        let command = *self.ring[index].commands.get(position)?;
        Some(&self.commands[usize::from(command)])
    }

    /// What a key's value is.
    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    /// Writes the batch's first `count` commands from nothing.
    fn render(&mut self, batch: &mut Batch, count: usize, drawn: &mut Vec<u64>) {
        batch.bytes.clear();
        batch.patches.clear();
        batch.ends.clear();
        for &command in &batch.commands[..count] {
            let command = &self.commands[usize::from(command)];
            append_header(&mut batch.bytes, b'*', command.arguments.len());
            let mut key = 0;
            for argument in &command.arguments {
                // A key's number decides its value's size, so draw before the length is written.
                let before = drawn.len();
                for piece in argument {
                    if matches!(piece, Piece::Key | Piece::Number) {
                        drawn.push(self.keys.draw());
                    }
                }
                let len = argument_len(argument, &drawn[before..], key, self.shape, &self.values);
                append_header(&mut batch.bytes, b'$', len);
                let mut fresh = before;
                for piece in argument {
                    let at = batch.bytes.len();
                    let hole = match piece {
                        Piece::Literal(text) => {
                            batch.bytes.extend_from_slice(text);
                            continue;
                        }
                        Piece::Key => {
                            key = drawn[fresh];
                            fresh += 1;
                            self.shape.append_key_zero(&mut batch.bytes);
                            self.shape.patch_key(&mut batch.bytes, at, key);
                            Hole::Key
                        }
                        Piece::Number => {
                            key = drawn[fresh];
                            fresh += 1;
                            batch.bytes.resize(at + self.shape.number_bytes(), b'0');
                            self.shape.patch_number(&mut batch.bytes, at, key);
                            Hole::Number
                        }
                        Piece::Data => {
                            self.values.append(&mut batch.bytes, key);
                            Hole::Data {
                                len: self.values.len(key),
                            }
                        }
                    };
                    batch.patches.push(Patch { at, hole });
                }
                batch.bytes.extend_from_slice(b"\r\n");
            }
            batch.ends.push(End {
                bytes: batch.bytes.len(),
                patches: batch.patches.len(),
            });
        }
    }
}

impl Batch {
    fn empty() -> Self {
        Self {
            commands: Vec::new(),
            bytes: Vec::new(),
            patches: Vec::new(),
            ends: Vec::new(),
        }
    }

    #[inline]
    fn patch(&mut self, count: usize, shape: KeyShape, keys: &mut KeySource, drawn: &mut Vec<u64>) {
        let mut key = 0;
        for patch in &self.patches[..self.ends[count - 1].patches] {
            match patch.hole {
                Hole::Key => {
                    key = keys.draw();
                    drawn.push(key);
                    shape.patch_key(&mut self.bytes, patch.at, key);
                }
                Hole::Number => {
                    key = keys.draw();
                    drawn.push(key);
                    shape.patch_number(&mut self.bytes, patch.at, key);
                }
                Hole::Data { len } => values::patch(&mut self.bytes, patch.at, len, key),
            }
        }
    }
}

/// Bytes of an argument whose keys are `drawn`; `key` is the one drawn before them.
fn argument_len(
    argument: &[Piece],
    drawn: &[u64],
    mut key: u64,
    shape: KeyShape,
    values: &Values,
) -> usize {
    let mut drawn = drawn.iter().copied();
    let mut len = 0;
    for piece in argument {
        len += match piece {
            Piece::Literal(text) => text.len(),
            Piece::Key => {
                key = drawn.next().unwrap_or(key);
                shape.key_bytes()
            }
            Piece::Number => {
                key = drawn.next().unwrap_or(key);
                shape.number_bytes()
            }
            Piece::Data => values.len(key),
        };
    }
    len
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
                let bytes = batches.fill(0, count, &mut drawn).to_vec();
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
        let mut batches = batches(&[(1, "ZADD {a}:__key__ __num__ x")], 1, "1");
        let bytes = batches.fill(0, 1, &mut Vec::new()).to_vec();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(
            text,
            "*4\r\n$4\r\nZADD\r\n$20\r\n{a}:key:000000000002\r\n$3\r\n003\r\n$1\r\nx\r\n"
        );
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
