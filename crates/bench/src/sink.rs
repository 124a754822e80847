//! What becomes of replies: counted (`Count`), or counted and compared with what is right
//! (`Check`).

use crate::batch::Batches;
use crate::scan::Sink;
use crate::scenario::{Command, Expect};

/// Numbers about replies, and the first thing that went wrong.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    /// Complete replies.
    pub(crate) replies: u64,
    /// Error values in them.
    pub(crate) errors: u64,
    /// Nil values in them.
    pub(crate) misses: u64,
    /// Replies that `--check` found wrong.
    pub(crate) mismatches: u64,
    /// The first error, or else the first mismatch, as text.
    pub(crate) first_fault: Option<String>,
}

impl Tally {
    /// Adds another thread's numbers.
    pub(crate) fn merge(&mut self, other: Self) {
        self.replies += other.replies;
        self.errors += other.errors;
        self.misses += other.misses;
        self.mismatches += other.mismatches;
        self.first_fault = self.first_fault.take().or(other.first_fault);
    }

    fn value(&mut self, head: u8, text: &[u8]) {
        match head {
            b'_' => self.misses += 1,
            b'-' | b'!' => {
                self.errors += 1;
                if self.first_fault.is_none() {
                    self.first_fault = Some(text.escape_ascii().to_string());
                }
            }
            _ => {}
        }
    }
}

/// Counts replies, errors and nils.
pub(crate) struct Count<'a>(pub(crate) &'a mut Tally);

impl Sink for Count<'_> {
    const WANTS_PAYLOAD: bool = false;

    #[inline]
    fn line(&mut self, head: u8, text: &[u8]) {
        self.0.value(head, text);
    }

    #[inline]
    fn bulk(&mut self, head: u8, _len: u64) {
        if head == b'!' {
            self.0.value(head, b"a bulk error");
        }
    }

    fn payload(&mut self, _offset: u64, _chunk: &[u8]) {}

    #[inline]
    fn end(&mut self) {
        self.0.replies += 1;
    }
}

/// How far a connection's replies to its current batch have been compared.
#[derive(Clone, Copy, Default)]
pub(crate) struct CheckPosition {
    /// Replies finished.
    reply: usize,
    /// Drawn keys that these replies have used up.
    drawn: usize,
    /// Values seen in the unfinished reply.
    value: usize,
    /// Whether the unfinished reply has been found wrong already.
    wrong: bool,
}

/// Counts, and compares with what the drawn keys make us expect.
pub(crate) struct Check<'a> {
    pub(crate) tally: &'a mut Tally,
    pub(crate) position: &'a mut CheckPosition,
    pub(crate) batches: &'a Batches,
    /// Which batch these are the replies to, and the keys drawn for it.
    pub(crate) batch: usize,
    pub(crate) drawn: &'a [u64],
}

impl Check<'_> {
    fn expect(&self) -> Expect {
        let command = self.batches.command(self.batch, self.position.reply);
        command.map_or(Expect::Anything, |command| command.expect)
    }

    /// The key whose value is due; `None` when the reply has more values than the command had keys.
    fn key(&self) -> Option<u64> {
        self.drawn
            .get(self.position.drawn + self.position.value)
            .copied()
    }

    fn wrong(&mut self, what: impl FnOnce() -> String) {
        if !self.position.wrong {
            self.position.wrong = true;
            self.tally.mismatches += 1;
            if self.tally.first_fault.is_none() {
                self.tally.first_fault = Some(what());
            }
        }
    }
}

impl Sink for Check<'_> {
    const WANTS_PAYLOAD: bool = true;

    fn line(&mut self, head: u8, text: &[u8]) {
        self.tally.value(head, text);
        let right = match self.expect() {
            Expect::Anything => true,
            Expect::Status(status) => head == b'+' && text == status,
            Expect::Integer => head == b':',
            Expect::Values => head == b'_',
        };
        if head == b'-' {
            // It has been counted as an error; that is enough.
            self.position.wrong = true;
        } else if !right {
            self.wrong(|| {
                format!(
                    "unexpected reply {}{}",
                    head.escape_ascii(),
                    text.escape_ascii()
                )
            });
        }
        self.position.value += 1;
    }

    fn bulk(&mut self, head: u8, len: u64) {
        if head == b'!' {
            self.tally.value(head, b"a bulk error");
        }
        let expected = match (self.expect(), self.key()) {
            (Expect::Anything, _) => None,
            (Expect::Values, Some(key)) => Some(self.batches.values().len(key) as u64),
            _ => Some(u64::MAX),
        };
        if expected.is_some_and(|expected| expected != len) {
            self.wrong(|| format!("unexpected bulk of {len} bytes"));
        }
        self.position.value += 1;
    }

    fn payload(&mut self, offset: u64, chunk: &[u8]) {
        if self.expect() != Expect::Values || self.position.wrong {
            return;
        }
        // `bulk` has counted this value already.
        let key = self.drawn[self.position.drawn + self.position.value - 1];
        if !self.batches.values().matches(key, offset as usize, chunk) {
            self.wrong(|| format!("key number {key} has a value that is not its own"));
        }
    }

    fn end(&mut self) {
        self.tally.replies += 1;
        let command = self.batches.command(self.batch, self.position.reply);
        let draws = command.map_or(0, Command::draws);
        if self.expect() == Expect::Values && self.position.value != draws {
            self.wrong(|| "a reply with too few or too many values".to_string());
        }
        let next = CheckPosition {
            reply: self.position.reply + 1,
            drawn: self.position.drawn + draws,
            value: 0,
            wrong: false,
        };
        *self.position = next;
    }
}
