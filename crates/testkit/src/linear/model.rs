//! What an object is and what its operations do, one at a time: the specification that histories
//! are held against.
//!
//! An object is two numbers (registers and counters) or two lists. Whatever involves both keys, a
//! transaction for instance, is one operation. Values are unique wherever a client chooses them, so
//! that an answer tells which write it saw.

use std::collections::VecDeque;

/// The state of one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Two string keys.
    Numbers([Option<i64>; 2]),
    /// Two list keys.
    Lists([VecDeque<i64>; 2]),
}

/// An operation. The first field is which of the two keys it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// GET
    Get(usize),
    /// SET
    Set(usize, i64),
    /// SET ... GET
    Swap(usize, i64),
    /// DEL
    Delete(usize),
    /// INCRBY
    Add(usize, i64),
    /// EXEC of a SET after WATCH and a GET that gave the first value.
    CompareAndSet(usize, Option<i64>, i64),
    /// Both keys by GET in a transaction.
    GetBoth,
    /// Both keys by MGET.
    GetMany,
    /// Both keys by SET in a transaction.
    SetBoth(i64, i64),
    /// Both keys by MSET.
    SetMany(i64, i64),
    /// DECRBY of the first and INCRBY of the second.
    Transfer(i64, By),
    /// RPUSH
    Push(usize, Vec<i64>),
    /// RPUSH to both, in a transaction.
    PushBoth(i64, i64),
    /// LPOP
    Pop(usize),
    /// BLPOP
    AwaitPop(usize),
    /// BLPOP of both keys.
    AwaitPopEither,
    /// From the left of the first to the right of the second.
    Move(By),
    /// BLMOVE, the same way.
    AwaitMove,
    /// LLEN
    Length(usize),
    /// LRANGE 0 -1
    Elements(usize),
}

/// How something is done to two keys at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// By a command, or a transaction where there is none.
    Command,
    /// By a script that is told its keys.
    Script,
    /// By a script that says nothing of its keys.
    ScriptOfUndeclared,
    /// By a script that the server knows, named by its hash, and told its keys.
    Hash,
    /// By a function that is told its keys.
    Function,
}

/// What an operation answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// OK
    Done,
    /// The transaction was not run.
    Aborted,
    /// A value, or none.
    Value(Option<i64>),
    /// Both keys' values.
    Both([Option<i64>; 2]),
    /// The key and the element that was taken, if any was.
    Taken(Option<(usize, i64)>),
    /// A list.
    All(Vec<i64>),
}

impl State {
    /// What `call` does and answers. `None`: this object has no such operation.
    pub fn apply(&mut self, call: &Call) -> Option<Answer> {
        match self {
            State::Numbers(numbers) => apply_to_numbers(numbers, call),
            State::Lists(lists) => apply_to_lists(lists, call),
        }
    }
}

fn add(number: &mut Option<i64>, more: i64) -> Option<i64> {
    *number = Some(number.unwrap_or(0) + more);
    *number
}

fn apply_to_numbers(numbers: &mut [Option<i64>; 2], call: &Call) -> Option<Answer> {
    Some(match *call {
        Call::Get(at) => Answer::Value(numbers[at]),
        Call::Set(at, value) => {
            numbers[at] = Some(value);
            Answer::Done
        }
        Call::Swap(at, value) => Answer::Value(numbers[at].replace(value)),
        Call::Delete(at) => Answer::Value(Some(i64::from(numbers[at].take().is_some()))),
        Call::Add(at, more) => Answer::Value(add(&mut numbers[at], more)),
        Call::CompareAndSet(at, expected, value) if numbers[at] == expected => {
            numbers[at] = Some(value);
            Answer::Done
        }
        Call::CompareAndSet(..) => Answer::Aborted,
        Call::GetBoth | Call::GetMany => Answer::Both(*numbers),
        Call::SetBoth(first, second) | Call::SetMany(first, second) => {
            *numbers = [Some(first), Some(second)];
            Answer::Done
        }
        Call::Transfer(amount, _) => {
            let first = add(&mut numbers[0], -amount);
            Answer::Both([first, add(&mut numbers[1], amount)])
        }
        _ => return None,
    })
}

fn apply_to_lists(lists: &mut [VecDeque<i64>; 2], call: &Call) -> Option<Answer> {
    let length = |list: &VecDeque<i64>| Some(list.len() as i64);
    Some(match call {
        Call::Push(at, elements) => {
            lists[*at].extend(elements);
            Answer::Value(length(&lists[*at]))
        }
        Call::PushBoth(first, second) => {
            lists[0].push_back(*first);
            lists[1].push_back(*second);
            Answer::Both([length(&lists[0]), length(&lists[1])])
        }
        Call::Pop(at) | Call::AwaitPop(at) => take(lists, &[*at]),
        Call::AwaitPopEither => take(lists, &[0, 1]),
        Call::Move(_) | Call::AwaitMove => {
            let moved = lists[0].pop_front();
            lists[1].extend(moved);
            Answer::Value(moved)
        }
        Call::Length(at) => Answer::Value(length(&lists[*at])),
        Call::Elements(at) => Answer::All(lists[*at].iter().copied().collect()),
        _ => return None,
    })
}

/// Takes from the first of these lists that has something.
fn take(lists: &mut [VecDeque<i64>; 2], order: &[usize]) -> Answer {
    let mut taken = order
        .iter()
        .filter_map(|&at| Some((at, lists[at].pop_front()?)));
    Answer::Taken(taken.next())
}
