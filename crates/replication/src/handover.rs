//! When a primary hands its place over (FAILOVER): once a replica has every byte, for writes are
//! held back meanwhile; or when the time for that is over, if it was told to.

use base::time::UnixMillis;

/// How long a replica may take to catch up, and what then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// Until when; `None`: for ever.
    pub until: Option<UnixMillis>,
    /// Then the target takes over all the same.
    pub forced: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// Wait on.
    Wait,
    /// This replica, which has everything, takes over.
    To(T),
    /// The target takes over though it lacks something.
    Regardless,
    /// It is called off.
    GiveUp,
}

impl Patience {
    /// What is to be done at `now`, if `ready` is a replica that may take over and has everything.
    pub fn step<T>(&self, ready: Option<T>, now: UnixMillis) -> Step<T> {
        let over = self.until.is_some_and(|until| now >= until);
        match ready {
            Some(replica) => Step::To(replica),
            None if over && self.forced => Step::Regardless,
            None if over => Step::GiveUp,
            None => Step::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_ready_takes_over_and_time_decides_about_the_rest() {
        let step = |until: i64, forced, ready: Option<u8>| {
            let until = (until > 0).then_some(UnixMillis(until));
            Patience { until, forced }.step(ready, UnixMillis(50))
        };
        assert_eq!(step(0, false, None), Step::Wait);
        assert_eq!(step(51, true, None), Step::Wait);
        assert_eq!(step(50, true, None), Step::Regardless);
        assert_eq!(step(50, false, None), Step::GiveUp);
        assert_eq!(step(50, false, Some(7)), Step::To(7));
    }
}
