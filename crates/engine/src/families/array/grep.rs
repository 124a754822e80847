//! ARGREP: the values of a range that match patterns.
//!
//! Regular expressions are those of the crate `regex`, which takes time linear in the text whatever
//! the expression; they differ from POSIX's in details, and neither has back references here.

use base::glob::glob_match;
use base::num::{I64_TEXT_MAX, parse_u64};
use regex::bytes::{Regex, RegexBuilder};
use resp::Reply;
use structs::array::{Array, INDEX_MAX};

use crate::args::Args;
use crate::failure::Failure;
use crate::tx::ReadTx;

use super::range::{enough, reply_pair};
use super::{BAD_INDEX, limit};

/// Predicates of one command.
const PREDICATES_MAX: usize = 250;
/// Bytes of a regular expression.
const EXPRESSION_BYTES_MAX: usize = 2048;
/// Bytes that a compiled regular expression may have.
const COMPILED_BYTES_MAX: usize = 1024 * 1024;

#[derive(Clone, Copy)]
enum Kind {
    Exact,
    Part,
    Glob,
    Expression,
}

#[derive(Clone, Copy)]
enum Word {
    Predicate(Kind),
    All,
    Any,
    Limit,
    WithValues,
    NoCase,
}

const WORDS: &[(&str, Word)] = &[
    ("exact", Word::Predicate(Kind::Exact)),
    ("match", Word::Predicate(Kind::Part)),
    ("glob", Word::Predicate(Kind::Glob)),
    ("re", Word::Predicate(Kind::Expression)),
    ("and", Word::All),
    ("or", Word::Any),
    ("limit", Word::Limit),
    ("withvalues", Word::WithValues),
    ("nocase", Word::NoCase),
];

/// A predicate made ready.
enum Predicate<'a> {
    Exact(&'a [u8]),
    Part(&'a [u8]),
    Glob(&'a [u8]),
    Expression(Regex),
}

/// What the words after the range ask for.
struct Search<'a> {
    predicates: Vec<Predicate<'a>>,
    /// Whether all predicates must hold, or one.
    all: bool,
    most: u64,
    with_values: bool,
    no_case: bool,
}

impl<'a> Search<'a> {
    fn read(args: &mut Args<'a>) -> Result<Search<'a>, Failure> {
        let mut search = Search {
            predicates: Vec::new(),
            all: false,
            most: u64::MAX,
            with_values: false,
            no_case: false,
        };
        let mut patterns = Vec::new();
        while let Some(word) = args.option(WORDS) {
            match word {
                Word::Predicate(_) if patterns.len() == PREDICATES_MAX => {
                    let text = "ERR too many predicates, maximum is 250";
                    args.fail(Failure::fixed(text));
                }
                Word::Predicate(kind) => patterns.push((kind, args.bytes())),
                Word::All => search.all = true,
                Word::Any => search.all = false,
                Word::Limit => search.most = limit(args),
                Word::WithValues => search.with_values = true,
                Word::NoCase => search.no_case = true,
            }
            args.check()?;
        }
        args.end()?;
        if patterns.is_empty() {
            return Err(Failure::SYNTAX);
        }
        // Only now it is known whether case counts.
        for (kind, pattern) in patterns {
            search.predicates.push(match kind {
                Kind::Exact => Predicate::Exact(pattern),
                Kind::Part => Predicate::Part(pattern),
                Kind::Glob => Predicate::Glob(pattern),
                Kind::Expression => Predicate::Expression(compile(pattern, search.no_case)?),
            });
        }
        Ok(search)
    }

    fn matches(&self, text: &[u8]) -> bool {
        let holds = |predicate: &Predicate<'_>| match predicate {
            Predicate::Exact(pattern) if self.no_case => text.eq_ignore_ascii_case(pattern),
            Predicate::Exact(pattern) => text == *pattern,
            Predicate::Part(pattern) => contains(text, pattern, self.no_case),
            Predicate::Glob(pattern) => glob_match(pattern, text, self.no_case),
            Predicate::Expression(expression) => expression.is_match(text),
        };
        if self.all {
            self.predicates.iter().all(holds)
        } else {
            self.predicates.iter().any(holds)
        }
    }
}

fn contains(text: &[u8], part: &[u8], no_case: bool) -> bool {
    let same = |window: &[u8]| match no_case {
        true => window.eq_ignore_ascii_case(part),
        false => window == part,
    };
    part.is_empty() || text.windows(part.len()).any(same)
}

/// Compiles a regular expression of bytes.
fn compile(pattern: &[u8], no_case: bool) -> Result<Regex, Failure> {
    if pattern.is_empty() {
        return Err(Failure::fixed("ERR regular expression is empty"));
    }
    if pattern.len() > EXPRESSION_BYTES_MAX {
        let text = "ERR regular expression is too long, maximum is 2048 bytes";
        return Err(Failure::fixed(text));
    }
    let mut text = String::with_capacity(pattern.len());
    for &byte in pattern {
        match byte.is_ascii() {
            true => text.push(char::from(byte)),
            false => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    RegexBuilder::new(&text)
        .unicode(false)
        .case_insensitive(no_case)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|_| Failure::fixed("ERR invalid regular expression"))
}

/// An end of the range: an index, or the first (`-`) or last (`+`) one.
#[derive(Clone, Copy)]
enum Bound {
    First,
    Last,
    At(u64),
}

impl Bound {
    fn read(args: &mut Args<'_>) -> Bound {
        match args.bytes() {
            b"-" => Bound::First,
            b"+" => Bound::Last,
            word => match parse_u64(word).filter(|&index| index <= INDEX_MAX) {
                Some(index) => Bound::At(index),
                None => {
                    args.fail(BAD_INDEX);
                    Bound::First
                }
            },
        }
    }

    fn index(self, array: &Array) -> u64 {
        match self {
            Bound::First => 0,
            Bound::Last => array.end().saturating_sub(1),
            Bound::At(index) => index,
        }
    }
}

pub(super) fn argrep(
    tx: &ReadTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let key = args.key();
    let (start, end) = (Bound::read(args), Bound::read(args));
    args.check()?;
    let search = Search::read(args)?;
    let Some(array) = tx.read::<Array>(key)? else {
        out.array(0);
        return Ok(());
    };
    let header = out.array_later();
    let mut found = 0;
    // Whether it ended early makes no difference.
    let _ = array.visit(start.index(array), end.index(array), |index, value| {
        if search.matches(value.bytes(&mut [0; I64_TEXT_MAX])) {
            match search.with_values {
                true => reply_pair(index, value, out),
                false => out.unsigned(index),
            }
            found += 1;
        }
        enough(found == search.most)
    });
    out.finish(header, found as usize);
    Ok(())
}
