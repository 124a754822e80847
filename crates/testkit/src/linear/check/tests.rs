//! The checker on histories that are known to be good or bad, and against trying all orders.

use std::collections::VecDeque;

use super::super::model::By;
use super::*;
use crate::random::Random;

fn numbers() -> State {
    State::Numbers([None, None])
}

fn lists() -> State {
    State::Lists([VecDeque::new(), VecDeque::new()])
}

fn taken(at: usize, element: i64) -> Option<Answer> {
    Some(Answer::Taken(Some((at, element))))
}

fn value(value: i64) -> Option<Answer> {
    Some(Answer::Value(Some(value)))
}

const DONE: Option<Answer> = Some(Answer::Done);

/// A history of (called, returned, call, answer).
fn history(rows: &[Row]) -> Vec<Operation> {
    let operation = |(client, row): (usize, &Row)| Operation {
        client,
        invoked: row.0,
        returned: row.1,
        call: row.2.clone(),
        answer: row.3.clone(),
    };
    rows.iter().enumerate().map(operation).collect()
}

type Row = (u64, u64, Call, Option<Answer>);

fn assert_bad(histories: &[(State, Vec<Row>)]) {
    for (initial, rows) in histories {
        let history = history(rows);
        assert!(check(&history, initial.clone()).fault.is_some(), "{rows:?}");
    }
}

#[test]
fn what_no_order_explains_is_found() {
    use Call::*;
    let set = |at: u64, value| (at, at + 1, Set(0, value), DONE);
    let bad = [
        // A stale read.
        (
            numbers(),
            vec![set(0, 1), set(2, 2), (4, 5, Get(0), value(1))],
        ),
        // A value that comes and goes: Herlihy and Wing's register.
        (
            numbers(),
            vec![
                (0, 9, Set(0, 1), DONE),
                (1, 2, Get(0), value(1)),
                (3, 4, Get(0), Some(Answer::Value(None))),
            ],
        ),
        // A lost update.
        (
            numbers(),
            vec![(0, 5, Add(0, 1), value(1)), (1, 6, Add(0, 1), value(1))],
        ),
    ];
    assert_bad(&bad);
}

#[test]
fn half_done_twice_done_and_lost_is_found() {
    use Call::*;
    let set = |at: u64, value| (at, at + 1, Set(0, value), DONE);
    let nothing = Some(Answer::Taken(None));
    let torn = Some(Answer::Both([Some(1), Some(4)]));
    let pushed = |at: u64, element, length| (at, at + 1, Push(0, vec![element]), value(length));
    let bad = [
        // Half of a transaction.
        (
            numbers(),
            vec![
                (0, 1, SetBoth(1, 2), DONE),
                (2, 9, SetBoth(3, 4), DONE),
                (3, 8, GetBoth, torn),
            ],
        ),
        // A transaction that ran although its watched key had changed.
        (
            numbers(),
            vec![
                set(0, 1),
                set(2, 2),
                (4, 5, CompareAndSet(0, Some(1), 3), DONE),
            ],
        ),
        // An element given out twice.
        (
            lists(),
            vec![
                pushed(0, 7, 1),
                (2, 9, Pop(0), taken(0, 7)),
                (3, 8, AwaitPop(0), taken(0, 7)),
            ],
        ),
        // An element that is there and not found.
        (lists(), vec![pushed(0, 7, 1), (2, 3, Pop(0), nothing)]),
        // The wrong end.
        (
            lists(),
            vec![
                pushed(0, 7, 1),
                pushed(2, 8, 2),
                (4, 5, Pop(0), taken(0, 8)),
            ],
        ),
        // A lost element.
        (lists(), vec![pushed(0, 7, 1), (2, 3, Length(0), value(0))]),
        // What an unknown operation did, before it was called.
        (
            numbers(),
            vec![(0, 1, Get(0), value(5)), (2, 3, Set(0, 5), None)],
        ),
        // An unknown operation that had its effect twice.
        (
            numbers(),
            vec![
                (0, 9, Add(0, 1), None),
                (1, 2, Get(0), value(1)),
                (3, 4, Get(0), value(2)),
            ],
        ),
    ];
    assert_bad(&bad);
}

#[test]
fn what_overlaps_may_be_in_any_order() {
    use Call::*;
    let good = [
        (
            numbers(),
            vec![
                (0, 9, Set(0, 1), DONE),
                (1, 8, Set(0, 2), DONE),
                (10, 11, Get(0), value(1)),
            ],
        ),
        (
            numbers(),
            vec![(0, 5, Add(0, 1), value(2)), (1, 6, Add(0, 1), value(1))],
        ),
        // Unknown: once with an effect that is seen late, once without.
        (
            numbers(),
            vec![(0, 1, Set(0, 5), None), (2, 3, Get(0), value(5))],
        ),
        (
            numbers(),
            vec![
                (0, 1, Set(0, 5), None),
                (2, 3, Get(0), Some(Answer::Value(None))),
            ],
        ),
        // A blocking pop that is served by a later push.
        (
            lists(),
            vec![
                (0, 9, AwaitPopEither, taken(1, 4)),
                (3, 4, Push(1, vec![4]), value(1)),
                (10, 11, Length(1), value(0)),
            ],
        ),
        // Called in the moment in which another returned.
        (
            numbers(),
            vec![
                (0, 2, Set(0, 1), DONE),
                (2, 4, Get(0), Some(Answer::Value(None))),
            ],
        ),
    ];
    for (initial, rows) in good {
        let history = history(&rows);
        assert!(check(&history, initial).fault.is_none(), "{rows:?}");
    }
}

/// A random operation of an object of this kind.
fn random_call(initial: &State, random: &mut Random, fresh: &mut i64) -> Call {
    *fresh += 1;
    let (at, fresh) = (random.below(2), *fresh);
    let numbers = matches!(initial, State::Numbers(_));
    match (numbers, random.below(7)) {
        (true, 0) => Call::Set(at, fresh),
        (true, 1) => Call::Add(at, random.between(1, 3)),
        (true, 2) => Call::SetBoth(fresh, -fresh),
        (true, 3) => Call::Swap(at, fresh),
        (true, 4) => Call::Transfer(1, By::Command),
        (true, 5) => Call::GetBoth,
        (true, _) => Call::Get(at),
        (false, 0 | 1) => Call::Push(at, vec![fresh]),
        (false, 2) => Call::AwaitPop(at),
        (false, 3) => Call::Move(By::Command),
        (false, 4) => Call::AwaitPopEither,
        (false, 5) => Call::Elements(at),
        (false, _) => Call::Length(at),
    }
}

/// Operations that happened one after the other, at 10, 20, 30 and so on, each called and returned
/// somewhat before and after that; some clients never learned of theirs.
fn legal(initial: &State, length: usize, random: &mut Random) -> Vec<Operation> {
    let (mut state, mut fresh) = (initial.clone(), 0);
    let operations = (0..length).map(|at| {
        let call = random_call(initial, random, &mut fresh);
        let happened = 10 * (at as u64 + 10);
        let unknown = random.one_in(20);
        // Of the unknown, half never happened.
        let lost = unknown && random.one_in(2);
        let answer = if lost { None } else { state.apply(&call) };
        Operation {
            client: at,
            call,
            answer: if unknown { None } else { answer },
            invoked: happened - random.below(40) as u64,
            returned: happened + random.below(40) as u64,
        }
    });
    operations.collect()
}

#[test]
fn legal_histories_are_accepted() {
    let mut random = Random::new(1);
    for round in 0..60 {
        let initial = if round % 2 == 0 { numbers() } else { lists() };
        let history = legal(&initial, 200, &mut random);
        let verdict = check(&history, initial);
        assert_eq!(verdict.fault, None, "round {round}");
        assert!(verdict.overlap_max > 2);
    }
}

#[test]
fn an_answer_from_nowhere_is_found() {
    let mut random = Random::new(2);
    for round in 0..60 {
        let initial = if round % 2 == 0 { numbers() } else { lists() };
        let mut history = legal(&initial, 100, &mut random);
        let known = history.iter_mut().filter(|op| op.answer.is_some());
        let mut numbered: Vec<_> = known
            .filter_map(|op| match op.answer.as_mut()? {
                Answer::Value(Some(value)) | Answer::Taken(Some((_, value))) => Some(value),
                _ => None,
            })
            .collect();
        let at = random.below(numbered.len());
        *numbered[at] += 1_000_000;
        assert!(check(&history, initial).fault.is_some(), "round {round}");
    }
}

/// Whether any order of `left` explains the answers, by trying them all.
fn any_order(history: &[Operation], left: &[usize], state: &State) -> bool {
    if left.is_empty() {
        return true;
    }
    left.iter().any(|&at| {
        let operation = &history[at];
        // None that returned before it was called may come after it.
        let first = left
            .iter()
            .all(|&other| history[other].returned >= operation.invoked);
        let rest: Vec<usize> = left.iter().copied().filter(|&other| other != at).collect();
        let mut next = state.clone();
        let answer = next.apply(&operation.call);
        let fits = operation.answer.is_none() || operation.answer == answer;
        let skipped = operation.answer.is_none() && any_order(history, &rest, state);
        skipped || (first && fits && any_order(history, &rest, &next))
    })
}

#[test]
fn small_histories_are_judged_as_by_trying_all_orders() {
    let mut random = Random::new(3);
    let mut counts = [0; 2];
    for round in 0..4000 {
        let initial = if round % 2 == 0 { numbers() } else { lists() };
        let mut history = legal(&initial, 6, &mut random);
        // Two answers change places, so that about half of the histories have no order.
        if let (Some(a), Some(b)) = (history[1].answer.clone(), history[4].answer.clone()) {
            (history[1].answer, history[4].answer) = (Some(b), Some(a));
        }
        let all: Vec<usize> = (0..history.len()).collect();
        let explained = any_order(&history, &all, &initial);
        counts[usize::from(explained)] += 1;
        let verdict = check(&history, initial);
        assert_eq!(verdict.fault.is_none(), explained, "{history:?}");
    }
    assert!(counts.iter().all(|&count| count > 400), "{counts:?}");
}
