//! What a running script may ask of the outside.
//!
//! The host is lent to the Lua state for the time of one run through a scoped thread-local slot:
//! functions that Lua keeps cannot borrow it for less than their own life. While the host runs a
//! command the slot is empty, so a host cannot be entered twice.

use resp::{Proto, Span};
use scoped_tls_hkt::{ReborrowMut, scoped_thread_local};

use crate::sandbox::Shared;

/// The words of a command, as spans of one buffer. Reused from call to call.
#[derive(Debug, Default)]
pub struct Words {
    /// All bytes.
    pub buffer: Vec<u8>,
    /// The words.
    pub spans: Vec<Span>,
}

impl Words {
    /// Forgets all words.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.spans.clear();
    }

    /// Adds a word.
    #[inline]
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.buffer.len();
        write(&mut self.buffer);
        self.spans.push(Span {
            start: start as u32,
            len: (self.buffer.len() - start) as u32,
        });
    }

    /// The words.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        self.spans.iter().map(|span| span.of(&self.buffer))
    }
}

/// Levels of `redis.log`, as numbered there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// `LOG_DEBUG`
    Debug,
    /// `LOG_VERBOSE`
    Verbose,
    /// `LOG_NOTICE`
    Notice,
    /// `LOG_WARNING`
    Warning,
}

/// What became of a command.
pub enum Asked {
    /// It ran; its reply is what [`Host::reply`] gives.
    Ran,
    /// It was refused before it ran.
    Refused {
        /// The error.
        text: Vec<u8>,
        /// INFO's counters have it already.
        counted: bool,
    },
    /// The script has to end: it was killed, or has to be started again.
    End,
}

/// See the module's head.
pub trait Host {
    /// Runs a command.
    fn run(&mut self, words: &Words) -> Asked;
    /// The RESP bytes of the last command's reply.
    fn reply(&mut self) -> &[u8];
    /// The script's reply holds this error; `counted`: INFO's counters have it already.
    fn note_error(&mut self, text: &[u8], counted: bool);
    /// `redis.setresp`: the protocol of the replies of the commands from now on.
    fn set_proto(&mut self, proto: Proto);
    /// The protocol of these replies.
    fn proto(&self) -> Proto;
    /// `redis.set_repl`: whether what the commands from now on do is recorded.
    fn set_recorded(&mut self, recorded: bool);
    /// `redis.log`.
    fn log(&mut self, level: Level, text: &[u8]);
    /// `redis.acl_check_cmd`; `None`: there is no such command.
    fn may_run(&mut self, words: &Words) -> Option<bool>;
    /// Called now and then while Lua runs; `true`: the script has to end.
    fn interrupted(&mut self) -> bool;
}

/// The lent host, for as long as it is lent, and what belongs to the state that runs.
struct Lent<'a>(&'a mut (dyn Host + 'a), &'a Shared);

impl<'a, 'b> ReborrowMut<'a> for Lent<'b> {
    type Result = Lent<'a>;

    fn reborrow_mut(&'a mut self) -> Lent<'a> {
        Lent(self.0, self.1)
    }
}

scoped_thread_local!(static mut HOST: for<'a> Lent<'a>);

/// Lends `host` to what `run` runs.
pub(crate) fn lend<R>(host: &mut dyn Host, shared: &Shared, run: impl FnOnce() -> R) -> R {
    HOST.set(Lent(host, shared), run)
}

/// Gives the host to `ask`; `None` where no script runs.
pub(crate) fn with<R>(ask: impl FnOnce(&mut dyn Host, &Shared) -> R) -> Option<R> {
    HOST.is_set()
        .then(|| HOST.with(|Lent(host, shared)| ask(host, shared)))
}
