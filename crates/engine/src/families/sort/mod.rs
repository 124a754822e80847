//! SORT and SORT_RO: the elements of a list, set or sorted set in order, or what other keys say of
//! them.
//!
//! This file has the table, the options and the reply; `order` loads and sorts the elements,
//! `pattern` looks up the other keys that BY and GET name. Only with such patterns does a command
//! lease every stripe.

use resp::Reply;
use structs::list::List;
use structs::packed::{self, Element};

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::keyspace::Key;
use crate::spec::{Arg, ArgKind, Begin, DataRun, Find, Flags, Group, KeySpec, Run, Spec};
use crate::tx::{Deadline, Effect, ReadTx, WriteTx};

mod order;
mod pattern;

use order::Sorted;
use pattern::Pattern;

/// The table of this family.
pub(super) const COMMANDS: &[Spec<DataRun>] = &[
    Spec {
        flags: Flags::DENYOOM,
        keys: &[SORTED, NAMED, STORED],
        summary: "Answers or stores the sorted elements of a list, a set or a sorted set.",
        args: &[
            Arg::KEY,
            BY,
            LIMIT,
            GET,
            ORDER,
            ALPHA,
            Arg::new("destination", ArgKind::Key)
                .token("STORE")
                .optional()
                .of_key_spec(2),
        ],
        ..row("sort", DataRun::WriteWide(sort, names_other_keys))
    },
    Spec {
        keys: &[SORTED, NAMED],
        since: "7.0.0",
        summary: "Answers the sorted elements of a list, a set or a sorted set.",
        args: &[Arg::KEY, BY, LIMIT, GET, ORDER, ALPHA],
        ..row("sort_ro", DataRun::ReadWide(sort_ro, names_other_keys))
    },
];

const fn row(name: &'static str, run: DataRun) -> Spec<DataRun> {
    Spec {
        categories: &["set", "sortedset", "list", "dangerous"],
        complexity: "O(N+M*log(M)) in the number of elements, and of those that are returned; O(N) \
                     if nothing is sorted",
        ..Spec::new(name, -2, Group::GenericOfTypes, Run::Do(run))
    }
}

const SORTED: KeySpec = KeySpec::first(&["RO", "access"]);
const NAMED: KeySpec = KeySpec {
    flags: &["RO", "access"],
    begin: Begin::Unknown(|_, _| None),
    find: Find::Unknown,
    notes: Some(
        "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from \
         the content of the key we sort",
    ),
};
const STORED: KeySpec = KeySpec {
    flags: &["OW", "update"],
    begin: Begin::Unknown(destination),
    find: Find::Unknown,
    notes: Some(
        "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear \
         anywhere in the argument array",
    ),
};

const BY: Arg = Arg {
    key_spec: Some(1),
    ..Arg::new("by-pattern", ArgKind::Pattern)
        .token("BY")
        .optional()
};
const LIMIT: Arg = Arg::block(
    "limit",
    &[
        Arg::new("offset", ArgKind::Integer),
        Arg::new("count", ArgKind::Integer),
    ],
)
.token("LIMIT")
.optional();
const GET: Arg = Arg {
    key_spec: Some(1),
    multiple_token: true,
    ..Arg::new("get-pattern", ArgKind::Pattern)
        .token("GET")
        .optional()
        .multiple()
};
const ORDER: Arg = Arg::one_of(
    "order",
    &[Arg::word("asc", "ASC"), Arg::word("desc", "DESC")],
)
.optional();
const ALPHA: Arg = Arg::word("sorting", "ALPHA").optional();

/// Where the word after the last STORE is.
fn destination<'a>(count: usize, word: &dyn Fn(usize) -> &'a [u8]) -> Option<usize> {
    let (mut at, mut found) = (2, None);
    while at < count {
        let is = |name: &str| word(at).eq_ignore_ascii_case(name.as_bytes());
        if is("STORE") && at + 1 < count {
            found = Some(at + 1);
        }
        at += match () {
            () if is("LIMIT") => 3,
            () if is("GET") || is("BY") || is("STORE") => 2,
            () => 1,
        };
    }
    found
}

/// Whether a BY or GET has a pattern, whose keys may be anywhere.
fn names_other_keys(args: &Args<'_>) -> bool {
    let mut words = args.words();
    let mut announced = false;
    words.any(|word| {
        let names = announced && word.contains(&b'*');
        announced = word.eq_ignore_ascii_case(b"BY") || word.eq_ignore_ascii_case(b"GET");
        names
    })
}

/// What the words after the key say.
#[derive(Default)]
struct Options<'a> {
    /// Sort by the values of these keys.
    by: Option<Pattern<'a>>,
    /// BY without `*`: leave the order as it is.
    unsorted: bool,
    /// What to answer of each element, if not the element.
    gets: Vec<Pattern<'a>>,
    /// Elements to leave out.
    offset: i64,
    /// Elements to take; negative = all. `None`: LIMIT was not given.
    limit: Option<i64>,
    descending: bool,
    alpha: bool,
    store: Option<Key<'a>>,
}

/// The options by name.
#[derive(Clone, Copy)]
enum Word {
    Asc,
    Desc,
    Alpha,
    Limit,
    Store,
    By,
    Get,
}

const WORDS: [(&str, Word); 7] = [
    ("ASC", Word::Asc),
    ("DESC", Word::Desc),
    ("ALPHA", Word::Alpha),
    ("LIMIT", Word::Limit),
    ("BY", Word::By),
    ("GET", Word::Get),
    ("STORE", Word::Store),
];

impl<'a> Options<'a> {
    /// Reads them to the end. `words` are those that the command takes.
    fn parse(args: &mut Args<'a>, words: &[(&str, Word)]) -> Result<Options<'a>, Failure> {
        let mut options = Options::default();
        while let Some(word) = args.option(words) {
            match word {
                Word::Asc => options.descending = false,
                Word::Desc => options.descending = true,
                Word::Alpha => options.alpha = true,
                Word::Limit if args.left() >= 2 => {
                    options.offset = args.int();
                    options.limit = Some(args.int());
                }
                Word::Store if args.left() >= 1 => {
                    options.store = args.last_key();
                    args.skip(1);
                }
                Word::By if args.left() >= 1 => {
                    let pattern = args.bytes();
                    options.by = Pattern::parse(pattern);
                    options.unsorted |= options.by.is_none();
                }
                Word::Get if args.left() >= 1 => options.gets.push(Pattern::of_get(args.bytes())),
                Word::Limit | Word::Store | Word::By | Word::Get => args.fail(Failure::SYNTAX),
            }
            args.check()?;
        }
        args.end()?;
        Ok(options)
    }

    /// The elements to take of so many: how many to leave out, and how many to take.
    fn window(&self, len: usize) -> (usize, usize) {
        let at_most = |number: i64| usize::try_from(number).map_or(0, |number| number.min(len));
        let start = at_most(self.offset);
        let left = len - start;
        match self.limit {
            None | Some(..0) => (start, left),
            Some(count) => (start, at_most(count).min(left)),
        }
    }
}

fn sort(tx: &mut WriteTx<'_, '_>, args: &mut Args<'_>, out: &mut Reply) -> Result<Effect, Failure> {
    let key = args.key();
    let mut options = Options::parse(args, &WORDS)?;
    let sorted = Sorted::load(&tx.reading(), key, &mut options)?;
    let Some(store) = options.store else {
        reply(&tx.reading(), &sorted, &options.gets, out);
        return Ok(Effect::NOTHING);
    };
    // A packed body is a vector of elements.
    let mut body = Vec::new();
    let count = results(&tx.reading(), &sorted, &options.gets, &mut body);
    out.int(count as i64);
    if count == 0 {
        return Ok(match tx.delete(store) {
            true => Effect::as_sent(1),
            false => Effect::NOTHING,
        });
    }
    let list = List::from_elements(packed::iter(&body), tx.packing());
    tx.put_collection(store, list, Deadline::Clear);
    tx.event(Classes::LIST, "sortstore", store);
    if options.by.is_none() && options.gets.iter().all(Pattern::is_element) {
        return Ok(Effect::as_sent(count));
    }
    // What other keys hold when this is replayed may differ: they may have expired here already.
    tx.instead(|| vec![b"DEL".to_vec(), store.bytes.to_vec()]);
    tx.instead(|| push_words(store, &body));
    Ok(Effect::instead(count))
}

/// The command that pushes all elements of a packed body.
fn push_words(key: Key<'_>, body: &[u8]) -> Vec<Vec<u8>> {
    let mut words = vec![b"RPUSH".to_vec(), key.bytes.to_vec()];
    words.extend(packed::iter(body).map(|element| {
        let mut text = Vec::new();
        element.append_to(&mut text);
        text
    }));
    words
}

fn sort_ro(tx: &ReadTx<'_, '_>, args: &mut Args<'_>, out: &mut Reply) -> Result<(), Failure> {
    let key = args.key();
    let [without_store @ .., _] = &WORDS;
    let mut options = Options::parse(args, without_store)?;
    let sorted = Sorted::load(tx, key, &mut options)?;
    reply(tx, &sorted, &options.gets, out);
    Ok(())
}

/// Answers the elements, or what the patterns say of each.
fn reply(tx: &ReadTx<'_, '_>, sorted: &Sorted, gets: &[Pattern<'_>], out: &mut Reply) {
    out.array(sorted.len() * gets.len().max(1));
    let mut name = Vec::new();
    for element in sorted.elements() {
        if gets.is_empty() {
            super::list::reply_element(element, out);
        }
        for pattern in gets {
            pattern.reply(tx, element, &mut name, out);
        }
    }
}

/// Appends the same to a packed body, as empty texts where there is nothing; how many.
fn results(
    tx: &ReadTx<'_, '_>,
    sorted: &Sorted,
    gets: &[Pattern<'_>],
    body: &mut Vec<u8>,
) -> usize {
    let mut name = Vec::new();
    for element in sorted.elements() {
        if gets.is_empty() {
            packed::push_back(body, element);
        }
        for pattern in gets {
            pattern.with(tx, element, &mut name, |found| {
                packed::push_back(body, found.unwrap_or(Element::Bytes(b"")));
            });
        }
    }
    sorted.len() * gets.len().max(1)
}
