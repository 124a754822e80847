//! The arguments of one command: a cursor over slices of the read buffer.
//!
//! A handler reads straight through; the first bad argument is latched, later reads give harmless
//! values, and one [`Args::end`] reports it (the idea of Dragonfly's CmdArgParser). A write handler
//! must call `end` before its first change; `WriteTx` checks that in debug builds.

use base::strings::eq_ignore_case;
use resp::Span;
use structs::{Member, Packing};

use crate::failure::Failure;
use crate::keyspace::Key;

/// Which word is a key, and the key's hash.
#[derive(Clone, Copy, Debug)]
pub struct KeyWord {
    /// Index of the word; the command's name is 0.
    pub word: u32,
    /// `Keyspace::hash` of it.
    pub hash: u64,
}

/// Cursor over a command's words after its name. See the module's head for the latch.
pub struct Args<'a> {
    buffer: &'a [u8],
    words: &'a [Span],
    keys: &'a [KeyWord],
    member: Option<KeyWord>,
    next: usize,
    next_key: usize,
    failed: Option<Failure>,
}

impl<'a> Args<'a> {
    /// `words` are all of the command's words, its name first, as spans of `buffer`; `keys` are its
    /// keys in the order in which the handler reads them.
    pub fn new(buffer: &'a [u8], words: &'a [Span], keys: &'a [KeyWord]) -> Args<'a> {
        Args::hashed(buffer, words, keys, None)
    }

    /// The same, knowing the hash of the word that `Spec::member` names.
    #[inline]
    pub fn hashed(
        buffer: &'a [u8],
        words: &'a [Span],
        keys: &'a [KeyWord],
        member: Option<KeyWord>,
    ) -> Args<'a> {
        Args {
            buffer,
            words,
            keys,
            member,
            next: 1,
            next_key: 0,
            failed: None,
        }
    }

    /// The same command from its beginning.
    #[must_use]
    pub fn again(&self) -> Args<'a> {
        Args::new(self.buffer, self.words, self.keys)
    }

    /// Number of words, the command's name included.
    pub fn count(&self) -> usize {
        self.words.len()
    }

    /// Words not read yet.
    pub fn left(&self) -> usize {
        self.words.len().saturating_sub(self.next)
    }

    /// The word at an absolute index; the name is 0. Empty when out of range.
    #[inline]
    pub fn word(&self, index: usize) -> &'a [u8] {
        self.words
            .get(index)
            .map_or(b"", |span| span.of(self.buffer))
    }

    /// Skips `count` words (a container's subcommand name).
    pub fn skip(&mut self, count: usize) {
        self.next += count;
    }

    /// The next word, whatever it is; past the end latches a syntax error.
    #[inline]
    pub fn bytes(&mut self) -> &'a [u8] {
        if self.next >= self.words.len() {
            self.fail(Failure::SYNTAX);
            return b"";
        }
        self.next += 1;
        self.word(self.next - 1)
    }

    /// The next word without taking it.
    pub fn peek(&self) -> Option<&'a [u8]> {
        (self.next < self.words.len()).then(|| self.word(self.next))
    }

    /// The words not read yet.
    pub fn rest(&self) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        self.words().skip(self.next)
    }

    /// The next word as a key, with the hash that was computed when the batch was prefetched.
    #[inline]
    pub fn key(&mut self) -> Key<'a> {
        let known = self.keys.get(self.next_key);
        debug_assert!(
            self.left() == 0 || known.is_some_and(|key| key.word as usize == self.next),
            "key specs and handler agree on where the keys are"
        );
        self.next_key += 1;
        Key {
            bytes: self.bytes(),
            hash: known.map_or(0, |key| key.hash),
        }
    }

    /// The next word as a member of a collection, with its hash if that was computed when the batch
    /// was prefetched.
    #[inline]
    pub fn member(&mut self, packing: &Packing) -> Member<'a> {
        let known = self.member.filter(|known| known.word as usize == self.next);
        let bytes = self.bytes();
        match known {
            Some(KeyWord { hash, .. }) => Member { bytes, hash },
            None => Member::new(bytes, &packing.seed),
        }
    }

    /// The command's last key: the one that an option names.
    pub fn last_key(&self) -> Option<Key<'a>> {
        self.keys.last().map(|key| Key {
            bytes: self.word(key.word as usize),
            hash: key.hash,
        })
    }

    /// The command's keys, in order.
    pub fn keys(&self) -> &'a [KeyWord] {
        self.keys
    }

    /// The next word as an integer.
    pub fn int(&mut self) -> i64 {
        self.int_or(Failure::NOT_INTEGER)
    }

    /// The next word as an integer; `failure` if it is none.
    pub fn int_or(&mut self, failure: Failure) -> i64 {
        let bytes = self.bytes();
        base::num::parse_i64(bytes).unwrap_or_else(|| {
            self.fail(failure);
            0
        })
    }

    /// Takes the next word if it equals `word`, ignoring case.
    pub fn accept(&mut self, word: &str) -> bool {
        let found = self
            .peek()
            .is_some_and(|next| eq_ignore_case(next, word.as_bytes()));
        self.next += usize::from(found);
        found
    }

    /// The next word looked up in a table of option names, ignoring case. An unknown one latches a
    /// syntax error, and `None` ends the caller's loop.
    pub fn option<T: Copy>(&mut self, table: &[(&str, T)]) -> Option<T> {
        let word = self.peek()?;
        let row = table
            .iter()
            .find(|(name, _)| eq_ignore_case(word, name.as_bytes()));
        if row.is_none() {
            self.fail(Failure::SYNTAX);
            self.next = self.words.len();
        }
        self.next += usize::from(row.is_some());
        row.map(|&(_, value)| value)
    }

    /// Latches a failure; the first one wins.
    pub fn fail(&mut self, failure: Failure) {
        self.failed.get_or_insert(failure);
    }

    /// The latched failure, or a syntax error if words are left over.
    ///
    /// # Errors
    /// The first failure of any read so far.
    #[inline]
    pub fn end(&mut self) -> Result<(), Failure> {
        match self.failed.take() {
            Some(failure) => Err(failure),
            None if self.next < self.words.len() => Err(Failure::SYNTAX),
            None => Ok(()),
        }
    }

    /// The buffer and the words' places in it.
    pub fn parts(&self) -> (&'a [u8], &'a [Span]) {
        (self.buffer, self.words)
    }

    /// The word that `Spec::member` names, if it is hashed.
    pub fn known_member(&self) -> Option<KeyWord> {
        self.member
    }

    /// The latched failure, words left over or not.
    ///
    /// # Errors
    /// The first failure of any read so far.
    pub fn check(&mut self) -> Result<(), Failure> {
        self.failed.take().map_or(Ok(()), Err)
    }

    /// All words, for recording the command as it was sent.
    pub fn words(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let buffer = self.buffer;
        self.words.iter().map(move |span| span.of(buffer))
    }
}
