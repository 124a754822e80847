//! Lists: LPUSH, LPOP, LRANGE and friends.
//!
//! This file has the table and what several handlers share; `push` has what adds at the ends, `pop`
//! what removes there, `read` what only looks, `edit` what changes the middle, `transfer` what
//! moves elements from one list to another, `block` what waits for elements.

use base::num::parse_i64;
use resp::Reply;
use structs::list::End;
use structs::packed::Element;

use crate::args::Args;
use crate::failure::Failure;
use crate::spec::{
    Arg, ArgKind, Begin, BlockRun, DataRun, Deprecated, Find, Flags, Group, KeySpec, ReadRun, Run,
    Spec, WriteRun,
};

mod block;
mod edit;
mod pop;
mod push;
mod read;
mod transfer;

/// The table of this family.
pub(super) const COMMANDS: &[Spec<DataRun>] = &[
    Spec {
        flags: Flags::BLOCKING.or(Flags::DENYOOM),
        keys: TRANSFER,
        since: "6.2.0",
        summary: "Takes an element from an end of a list and adds it at an end of another; waits \
                  for it if there is none.",
        args: &[SOURCE, DESTINATION, WHERE_FROM, WHERE_TO, TIMEOUT],
        ..blocks("blmove", 6, block::blmove)
    },
    Spec {
        flags: Flags::BLOCKING.or(Flags::DENYOOM),
        keys: TRANSFER,
        since: "8.10.0",
        summary: "Takes several elements from an end of a list and adds them at an end of another; \
                  waits until there are enough.",
        complexity: "O(N) in the number of elements moved",
        args: &[
            SOURCE,
            DESTINATION,
            WHERE_FROM,
            WHERE_TO,
            TIMEOUT,
            Arg::block("how-many", HOW_MANY).optional(),
        ],
        ..blocks("blmovem", -6, block::blmovem)
    },
    Spec {
        flags: Flags::BLOCKING,
        keys: &[KeySpec {
            begin: Begin::Index(2),
            ..TAKE_COUNTED
        }],
        since: "7.0.0",
        summary: "Removes and returns elements of the first list that is not empty; waits if all \
                  are.",
        complexity: "O(N+M) in the number of keys and of elements returned",
        args: &[
            TIMEOUT,
            Arg::new("numkeys", ArgKind::Integer),
            Arg::KEY.multiple(),
            Arg::one_of("where", SIDES),
            COUNT.token("COUNT").optional(),
        ],
        ..blocks("blmpop", -5, block::blmpop)
    },
    Spec {
        summary: "Removes and returns the first element of the first list that is not empty; waits \
                  if all are.",
        ..pops_or_waits("blpop", block::blpop)
    },
    Spec {
        summary: "Removes and returns the last element of the first list that is not empty; waits \
                  if all are.",
        ..pops_or_waits("brpop", block::brpop)
    },
    Spec {
        flags: Flags::BLOCKING.or(Flags::DENYOOM),
        keys: TRANSFER,
        since: "2.2.0",
        summary: "Takes the last element of a list and adds it at the head of another; waits for \
                  it if there is none.",
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`BLMOVE` with the `RIGHT` and `LEFT` arguments",
        }),
        history: TIMEOUT_IS_DOUBLE,
        args: &[SOURCE, DESTINATION, TIMEOUT],
        ..blocks("brpoplpush", 4, block::brpoplpush)
    },
    Spec {
        keys: READ_FIRST,
        summary: "Returns the element at an index of a list.",
        complexity: "O(N) in the number of nodes before it, seen from the nearer end",
        args: &[Arg::KEY, INDEX],
        ..read("lindex", 3, read::lindex)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: INSERT,
        since: "2.2.0",
        summary: "Inserts an element before or after the first one that equals a pivot.",
        complexity: "O(N) in the number of elements before the pivot",
        args: &[
            Arg::KEY,
            Arg::one_of(
                "where",
                &[Arg::word("before", "BEFORE"), Arg::word("after", "AFTER")],
            ),
            Arg::new("pivot", ArgKind::String),
            ELEMENT,
        ],
        ..write("linsert", 5, edit::linsert)
    },
    Spec {
        flags: Flags::FAST,
        keys: &[KeySpec::first(&["RO"])],
        summary: "Returns how many elements a list has.",
        args: &[Arg::KEY],
        ..read("llen", 2, read::llen)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: TRANSFER,
        since: "6.2.0",
        summary: "Takes an element from an end of a list and adds it at an end of another.",
        args: &[SOURCE, DESTINATION, WHERE_FROM, WHERE_TO],
        ..write("lmove", 5, transfer::lmove)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: TRANSFER,
        since: "8.10.0",
        summary: "Takes several elements from an end of a list and adds them at an end of another.",
        complexity: "O(N) in the number of elements moved",
        args: &[
            SOURCE,
            DESTINATION,
            WHERE_FROM,
            WHERE_TO,
            Arg::block("how-many", HOW_MANY).optional(),
        ],
        ..write("lmovem", -5, transfer::lmovem)
    },
    Spec {
        keys: &[TAKE_COUNTED],
        since: "7.0.0",
        summary: "Removes and returns elements of the first list that is not empty.",
        complexity: "O(N+M) in the number of keys and of elements returned",
        args: &[
            Arg::new("numkeys", ArgKind::Integer),
            Arg::KEY.multiple(),
            Arg::one_of("where", SIDES),
            COUNT.token("COUNT").optional(),
        ],
        ..write("lmpop", -4, pop::lmpop)
    },
    Spec {
        summary: "Removes and returns the first elements of a list.",
        ..pops("lpop", pop::lpop)
    },
    Spec {
        keys: READ_FIRST,
        since: "6.0.6",
        summary: "Returns the indexes of elements that equal a given one.",
        complexity: "O(N) in the number of elements that are compared",
        args: &[
            Arg::KEY,
            ELEMENT,
            Arg::new("rank", ArgKind::Integer).token("RANK").optional(),
            Arg::new("num-matches", ArgKind::Integer)
                .token("COUNT")
                .optional(),
            Arg::new("len", ArgKind::Integer).token("MAXLEN").optional(),
        ],
        ..read("lpos", -3, read::lpos)
    },
    Spec {
        summary: "Adds elements at the head of a list, one after the other.",
        history: SEVERAL_ELEMENTS,
        ..pushes("lpush", push::lpush)
    },
    Spec {
        since: "2.2.0",
        summary: "Adds elements at the head of a list, if there is one.",
        history: SEVERAL_ELEMENTS_X,
        ..pushes("lpushx", push::lpushx)
    },
    Spec {
        keys: READ_FIRST,
        summary: "Returns a range of a list's elements.",
        complexity: "O(S+N) in the number of nodes before the range, seen from the nearer end, and \
                     of elements returned",
        args: RANGE_ARGS,
        ..read("lrange", 4, read::lrange)
    },
    Spec {
        keys: DELETE,
        summary: "Removes elements that equal a given one.",
        complexity: "O(N) in the length of the list",
        args: &[Arg::KEY, COUNT, ELEMENT],
        ..write("lrem", 4, edit::lrem)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: &[KeySpec::first(&["RW", "update"])],
        summary: "Replaces the element at an index of a list.",
        complexity: "O(N) in the number of nodes before it, seen from the nearer end",
        args: &[Arg::KEY, INDEX, ELEMENT],
        ..write("lset", 4, edit::lset)
    },
    Spec {
        keys: DELETE,
        summary: "Removes all elements but a range of them.",
        complexity: "O(N) in the number of nodes removed",
        args: RANGE_ARGS,
        ..write("ltrim", 4, edit::ltrim)
    },
    Spec {
        summary: "Removes and returns the last elements of a list.",
        ..pops("rpop", pop::rpop)
    },
    Spec {
        flags: Flags::DENYOOM,
        keys: TRANSFER,
        since: "1.2.0",
        summary: "Takes the last element of a list and adds it at the head of another.",
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`LMOVE` with the `RIGHT` and `LEFT` arguments",
        }),
        args: &[SOURCE, DESTINATION],
        ..write("rpoplpush", 3, transfer::rpoplpush)
    },
    Spec {
        summary: "Adds elements at the tail of a list, one after the other.",
        history: SEVERAL_ELEMENTS,
        ..pushes("rpush", push::rpush)
    },
    Spec {
        since: "2.2.0",
        summary: "Adds elements at the tail of a list, if there is one.",
        history: SEVERAL_ELEMENTS_X,
        ..pushes("rpushx", push::rpushx)
    },
];

const ELEMENT: Arg = Arg::new("element", ArgKind::String);
const INDEX: Arg = Arg::new("index", ArgKind::Integer);
const COUNT: Arg = Arg::new("count", ArgKind::Integer);
const SOURCE: Arg = Arg {
    key_spec: Some(0),
    ..Arg::new("source", ArgKind::Key)
};
const DESTINATION: Arg = Arg {
    key_spec: Some(1),
    ..Arg::new("destination", ArgKind::Key)
};
const TIMEOUT: Arg = Arg::new("timeout", ArgKind::Double);
const SIDES: &[Arg] = &[Arg::word("left", "LEFT"), Arg::word("right", "RIGHT")];
const WHERE_FROM: Arg = Arg::one_of("wherefrom", SIDES);
const WHERE_TO: Arg = Arg::one_of("whereto", SIDES);
const HOW_MANY: &[Arg] = &[
    Arg::one_of(
        "selector",
        &[
            COUNT.token("COUNT"),
            Arg::new("exactly", ArgKind::Integer).token("EXACTLY"),
        ],
    ),
    Arg::one_of(
        "ordering",
        &[Arg::word("obo", "OBO"), Arg::word("bulk", "BULK")],
    ),
];
const RANGE_ARGS: &[Arg] = &[
    Arg::KEY,
    Arg::new("start", ArgKind::Integer),
    Arg::new("stop", ArgKind::Integer),
];

const PUSH_ARGS: &[Arg] = &[Arg::KEY, ELEMENT.multiple()];
const POP_ARGS: &[Arg] = &[Arg::KEY, COUNT.optional().since("6.2.0")];

const READ_FIRST: &[KeySpec] = &[KeySpec::first(&["RO", "access"])];
const INSERT: &[KeySpec] = &[KeySpec::first(&["RW", "insert"])];
const DELETE: &[KeySpec] = &[KeySpec::first(&["RW", "delete"])];
const TAKE: &[KeySpec] = &[KeySpec::first(&["RW", "access", "delete"])];
const TAKE_COUNTED: KeySpec = KeySpec {
    find: Find::KeyNum {
        at: 0,
        first: 1,
        step: 1,
    },
    ..KeySpec::first(&["RW", "access", "delete"])
};
const TRANSFER: &[KeySpec] = &[
    KeySpec::first(&["RW", "access", "delete"]),
    KeySpec::at(2, &["RW", "insert"]),
];

const TIMEOUT_IS_DOUBLE: &[(&str, &str)] = &[("6.0.0", "The timeout may have a fraction.")];
const SEVERAL_ELEMENTS: &[(&str, &str)] = &[("2.4.0", "Takes several elements.")];
const SEVERAL_ELEMENTS_X: &[(&str, &str)] = &[("4.0.0", "Takes several elements.")];

const ALL_BUT_TIMEOUT: &[KeySpec] = &[KeySpec::range(1, -2, 1, &["RW", "access", "delete"])];
const POP_OR_WAIT_ARGS: &[Arg] = &[Arg::KEY.multiple(), TIMEOUT];

const fn read(name: &'static str, arity: i16, run: ReadRun) -> Spec<DataRun> {
    Spec::new(name, arity, Group::List, Run::Do(DataRun::Read(run)))
}

const fn write(name: &'static str, arity: i16, run: WriteRun) -> Spec<DataRun> {
    Spec::new(name, arity, Group::List, Run::Do(DataRun::Write(run)))
}

const fn blocks(name: &'static str, arity: i16, run: BlockRun) -> Spec<DataRun> {
    Spec::new(name, arity, Group::List, Run::Do(DataRun::Block(run)))
}

const fn pops_or_waits(name: &'static str, run: BlockRun) -> Spec<DataRun> {
    Spec {
        flags: Flags::BLOCKING,
        keys: ALL_BUT_TIMEOUT,
        since: "2.0.0",
        complexity: "O(N) in the number of keys",
        history: TIMEOUT_IS_DOUBLE,
        args: POP_OR_WAIT_ARGS,
        ..blocks(name, -3, run)
    }
}

const fn pushes(name: &'static str, run: WriteRun) -> Spec<DataRun> {
    Spec {
        flags: Flags::DENYOOM.or(Flags::FAST),
        keys: INSERT,
        complexity: "O(N) in the number of elements added",
        args: PUSH_ARGS,
        ..write(name, -3, run)
    }
}

const fn pops(name: &'static str, run: WriteRun) -> Spec<DataRun> {
    Spec {
        flags: Flags::FAST,
        keys: TAKE,
        complexity: "O(N) in the number of elements returned",
        history: &[("6.2.0", "Takes a number of elements.")],
        args: POP_ARGS,
        ..write(name, -2, run)
    }
}

/// An element as bulk reply.
#[inline]
pub(super) fn reply_element(element: Element<'_>, out: &mut Reply) {
    match element {
        Element::Int(value) => out.bulk_int(value),
        Element::Bytes(text) => out.bulk(text),
    }
}

/// The next word as an end of a list.
fn end_of(args: &mut Args<'_>) -> End {
    args.option(&[("LEFT", End::Head), ("RIGHT", End::Tail)])
        .unwrap_or(End::Head)
}

/// The event of adding at this end.
fn push_event(end: End) -> &'static str {
    match end {
        End::Head => "lpush",
        End::Tail => "rpush",
    }
}

/// The event of taking from this end.
fn pop_event(end: End) -> &'static str {
    match end {
        End::Head => "lpop",
        End::Tail => "rpop",
    }
}

/// The next word as an integer, looked at after the key was.
fn integer(args: &mut Args<'_>) -> Result<i64, Failure> {
    parse_i64(args.bytes()).ok_or(Failure::NOT_INTEGER)
}

/// The element that an index means, negative ones counted from the tail.
fn resolve(index: i64, len: usize) -> Option<usize> {
    let from_head = match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
    };
    (from_head < len).then_some(from_head)
}

/// The first element of a range and the number of its elements, after clipping it to the list.
fn resolve_range(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let len = len as i64;
    let absolute = |index: i64| if index < 0 { len + index } else { index };
    let start = absolute(start).max(0);
    let stop = absolute(stop).min(len - 1);
    if start > stop {
        return (0, 0);
    }
    (start as usize, (stop - start + 1) as usize)
}

/// The next word as a count that is not negative.
fn count(args: &mut Args<'_>, failure: Failure) -> usize {
    let count = args.int_or(failure.clone());
    usize::try_from(count).unwrap_or_else(|_| {
        args.fail(failure);
        0
    })
}

const MUST_BE_POSITIVE: Failure = Failure::fixed("ERR value is out of range, must be positive");
const COUNT_NOT_POSITIVE: Failure = Failure::fixed("ERR count should be greater than 0");
