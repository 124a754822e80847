//! Which bytes two servers have in common: names of histories, and up to where they hold.
//!
//! A replication id names a history: one sequence of bytes, of which each server that knows the
//! name has a prefix. A server that becomes a primary begins a history of its own, whose first part
//! is the one it had until then: so it remembers the older name, too, with the offset up to which
//! it is still true. Whoever asks with either name, at an offset the name is true for, can go on
//! without a full copy.
//!
//! Invariant: a name never stands for two different sequences. So after a crash a server takes a
//! new name and keeps the old one up to what its disk gave back: what it had sent and lost is
//! nobody's prefix any more.

use base::ids::RunId;
use journal::Offset;

/// What a line begins with that names a history.
const LINE_BEGIN: &str = "RUDDLE:HISTORY ";

/// What a server is when it starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Others follow it.
    Primary,
    /// It follows another.
    Replica,
}

/// The name of a server's history, and the one it had before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    id: RunId,
    previous: Option<Previous>,
}

/// A name that was true up to some offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Previous {
    /// The name.
    pub id: RunId,
    /// Bytes before this offset are the same under both names.
    pub until: Offset,
}

impl History {
    /// A history that nobody shares.
    #[must_use]
    pub fn new(id: RunId) -> History {
        History { id, previous: None }
    }

    /// One that was shared, with both names.
    #[must_use]
    pub fn with_previous(id: RunId, previous: Option<Previous>) -> History {
        History { id, previous }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> RunId {
        self.id
    }

    /// The name before, if there is one.
    #[must_use]
    pub fn previous(&self) -> Option<Previous> {
        self.previous
    }

    /// Goes on alone from `at`, as `id`: a replica becomes a primary, a primary starts again.
    pub fn branch(&mut self, id: RunId, at: Offset) {
        let previous = Previous {
            id: self.id,
            until: at,
        };
        *self = History::with_previous(id, Some(previous));
    }

    /// Takes the name that its primary has taken, at `at`: all bytes up to there stay the same.
    /// Whether that is a new name, which those who follow this server have to learn.
    pub fn follow(&mut self, id: RunId, at: Offset) -> bool {
        let renamed = id != self.id;
        if renamed {
            self.branch(id, at);
        }
        renamed
    }

    /// Goes on after a restart with the bytes before `end`, which the disk gave back. What a
    /// primary had sent and lost is elsewhere under its name: it goes on as `new`. A replica has a
    /// prefix of its primary's history, whatever was lost, and adds nothing of its own.
    pub fn restart(&mut self, role: Role, new: RunId, end: Offset) {
        match role {
            Role::Primary => self.branch(new, end),
            Role::Replica => {}
        }
    }

    /// Both names as a line of text, for files.
    #[must_use]
    pub fn line(&self) -> String {
        match self.previous {
            None => format!("{LINE_BEGIN}{}", self.id),
            Some(Previous { id, until }) => format!("{LINE_BEGIN}{} {id} {}", self.id, until.0),
        }
    }

    /// What [`History::line`] has written.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<History> {
        let line = std::str::from_utf8(line).ok()?.strip_prefix(LINE_BEGIN)?;
        let mut words = line.split(' ');
        let id = RunId::parse(words.next()?.as_bytes())?;
        let Some(older) = words.next() else {
            return Some(History::new(id));
        };
        let older = RunId::parse(older.as_bytes())?;
        let until = Offset(words.next()?.parse().ok()?);
        let previous = Previous { id: older, until };
        Some(History::with_previous(id, Some(previous)))
    }

    /// Whether someone who has the bytes before `from` of the history named `id` has what is here.
    /// `from` may still lie beyond the end or before what is kept.
    #[must_use]
    pub fn shares(&self, id: RunId, from: Offset) -> bool {
        let older = |previous: Previous| previous.id == id && from <= previous.until;
        id == self.id || self.previous.is_some_and(older)
    }
}

#[cfg(test)]
mod tests {
    use base::rng::Rng;

    use super::*;

    fn names() -> [RunId; 3] {
        let mut rng = Rng::from_seed(1);
        [(); 3].map(|()| RunId::generate(&mut rng))
    }

    #[test]
    fn both_names_are_known_as_far_as_they_are_true() {
        let [a, b, c] = names();
        let mut history = History::new(a);
        assert!(history.shares(a, Offset(1_000)));
        assert!(!history.shares(b, Offset(0)));
        history.branch(b, Offset(100));
        assert!(history.shares(a, Offset(100)));
        assert!(!history.shares(a, Offset(101)));
        assert!(history.shares(b, Offset(101)));
        history.branch(c, Offset(200));
        assert!(
            !history.shares(a, Offset(100)),
            "only one name is remembered"
        );
        assert!(history.shares(b, Offset(200)));
    }

    #[test]
    fn a_history_survives_as_text() {
        let [a, b, _] = names();
        let mut history = History::new(a);
        assert_eq!(History::parse(history.line().as_bytes()), Some(history));
        history.branch(b, Offset(77));
        assert_eq!(History::parse(history.line().as_bytes()), Some(history));
        assert_eq!(History::parse(b"TS:12"), None);
        assert_eq!(History::parse(&history.line().as_bytes()[..70]), None);
    }

    #[test]
    fn following_the_same_name_changes_nothing() {
        let [a, b, _] = names();
        let mut history = History::new(a);
        assert!(!history.follow(a, Offset(5)));
        assert_eq!(history, History::new(a));
        assert!(history.follow(b, Offset(5)));
        let previous = Previous {
            id: a,
            until: Offset(5),
        };
        assert_eq!(history.previous(), Some(previous));
    }
}
