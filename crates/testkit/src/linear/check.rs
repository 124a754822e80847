//! The search: whether one order of a history's operations explains all answers.
//!
//! Wing and Gong ("Testing and Verifying Concurrent Objects", 1993) try every order that the times
//! allow; Lowe ("Testing for Linearizability", 2017) takes operations into the order only when one
//! of them returns ("just in time") and remembers configurations that were met before. So do we,
//! with all configurations side by side instead of backtracking: the history is read once, event by
//! event, and its length does not matter, only how many operations overlap.
//!
//! A configuration is a state and those of the operations under way that have had their effect in
//! it. When an operation returns, those configurations stay in which it has had its effect, or in
//! which it can have it now, after others that are under way. If none stays, no order explains the
//! answer.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::model::{Answer, Call, State};

/// Operations of one object that may overlap: bits of a configuration.
const OVERLAP_MAX: usize = 64;

/// Operations before a fault that are shown with it.
const SHOWN_BEFORE: usize = 24;

/// Configurations that are shown with a fault.
const CONFIGURATIONS_SHOWN: usize = 4;

/// One operation of a history.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Which client called it.
    pub client: usize,
    /// What it was.
    pub call: Call,
    /// What came back; `None`: nothing did, it may have happened or not.
    pub answer: Option<Answer>,
    /// Before it was sent. Nanoseconds of a monotonic clock.
    pub invoked: u64,
    /// After the answer, or the end of the connection, was seen.
    pub returned: u64,
}

/// What a check found.
#[derive(Debug)]
pub struct Verdict {
    /// Why there is no order; `None`: there is one.
    pub fault: Option<String>,
    /// The most configurations that were possible at any moment.
    pub configurations_max: usize,
    /// The most operations that were under way at any moment.
    pub overlap_max: usize,
}

/// Operations under way that have had their effect, and the state after them.
type Configuration = (u64, State);

struct Search<'h> {
    history: &'h [Operation],
    /// The operations under way, by their bits.
    slots: [Option<usize>; OVERLAP_MAX],
    configurations: HashSet<Configuration>,
}

/// Checks the history of one object that was in state `initial`. Operations may be in any order.
pub fn check(history: &[Operation], initial: State) -> Verdict {
    let mut search = Search {
        history,
        slots: [None; OVERLAP_MAX],
        configurations: HashSet::from([(0, initial)]),
    };
    let mut verdict = Verdict {
        fault: None,
        configurations_max: 1,
        overlap_max: 0,
    };
    let mut under_way = 0;
    for (time, event) in events(history) {
        match event {
            Event::Call(at) => {
                let Some(slot) = search.slots.iter().position(Option::is_none) else {
                    verdict.fault = Some(format!("more than {OVERLAP_MAX} overlap at {time}"));
                    return verdict;
                };
                search.slots[slot] = Some(at);
                under_way += 1;
                verdict.overlap_max = verdict.overlap_max.max(under_way);
            }
            Event::Return(at) => {
                let left = search.after_return(at);
                if left.is_empty() {
                    verdict.fault = Some(search.describe(at));
                    return verdict;
                }
                search.configurations = left;
                under_way -= 1;
                let count = search.configurations.len();
                verdict.configurations_max = verdict.configurations_max.max(count);
            }
        }
    }
    verdict
}

/// Index of the operation. Of events at one time, calls come first: the times are too coarse to
/// say, so all that they allow is allowed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Call(usize),
    Return(usize),
}

fn events(history: &[Operation]) -> Vec<(u64, Event)> {
    let mut events = Vec::with_capacity(2 * history.len());
    for (at, operation) in history.iter().enumerate() {
        events.push((operation.invoked, Event::Call(at)));
        events.push((operation.returned, Event::Return(at)));
    }
    events.sort_unstable();
    events
}

impl Search<'_> {
    /// The configurations that the return of this operation leaves; frees its bit.
    fn after_return(&mut self, returned: usize) -> HashSet<Configuration> {
        // Invariant: an operation is called before it returns, so it has a slot.
        let slot = self.slots.iter().position(|&slot| slot == Some(returned));
        let slot = slot.expect("an operation that returns is under way");
        let bit = 1 << slot;
        let known = self.history[returned].answer.is_some();
        let mut left = HashSet::new();
        let mut open: Vec<Configuration> = self.configurations.iter().cloned().collect();
        if !known {
            // It may have had no effect at all.
            left.extend(open.iter().filter(|(done, _)| done & bit == 0).cloned());
        }
        let mut met = self.configurations.clone();
        while let Some((done, state)) = open.pop() {
            if done & bit != 0 {
                left.insert((done & !bit, state));
                continue;
            }
            for next in self.steps(done, &state) {
                if met.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        self.slots[slot] = None;
        left
    }

    /// What one more operation under way can make of a configuration.
    fn steps<'s>(
        &'s self,
        done: u64,
        state: &'s State,
    ) -> impl Iterator<Item = Configuration> + 's {
        let under_way = self.slots.iter().enumerate();
        under_way.filter_map(move |(slot, operation)| {
            let operation = &self.history[(*operation)?];
            let bit = 1 << slot;
            if done & bit != 0 {
                return None;
            }
            let mut next = state.clone();
            let answer = next.apply(&operation.call)?;
            let fits = operation.answer.as_ref().is_none_or(|seen| *seen == answer);
            fits.then_some((done | bit, next))
        })
    }

    /// The answer that nothing explains, what was possible before it, and what led there.
    fn describe(&self, at: usize) -> String {
        let fault = &self.history[at];
        let mut text = format!("no order explains: {}\nIt was possible that\n", line(fault));
        for (done, state) in self.configurations.iter().take(CONFIGURATIONS_SHOWN) {
            _ = writeln!(text, "  {state:?} (done of those under way: {done:#b})");
        }
        let mut before: Vec<&Operation> = self.history.iter().collect();
        before.retain(|operation| operation.invoked <= fault.returned);
        before.sort_by_key(|operation| operation.returned);
        text.push_str("after and during\n");
        let of_late = before.len().saturating_sub(SHOWN_BEFORE);
        for operation in &before[of_late..] {
            _ = writeln!(text, "  {}", line(operation));
        }
        text
    }
}

fn line(operation: &Operation) -> String {
    format!(
        "{}..{} client {}: {:?} -> {:?}",
        operation.invoked, operation.returned, operation.client, operation.call, operation.answer
    )
}

#[cfg(test)]
mod tests;
