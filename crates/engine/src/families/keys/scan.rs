//! SCAN, KEYS, DBSIZE: walks over a database, stripe by stripe, in steps short enough that no other
//! client notices.
//!
//! A cursor is a scan position: a prefix of the key hash, below which everything has been visited
//! (see `table`). It needs no state in the server, survives any growth and shrinking in between,
//! and any other number a client may send is either a position too or the end.
//!
//! A walk writes its reply when it knows all of it: the connection may send what is in `out`
//! between two steps, and SCAN's cursor and KEYS' length stand before the keys.

use base::glob::glob_match;
use base::num::append_i64;
use base::strings::eq_ignore_case;
use resp::Reply;

use crate::args::Args;
use crate::entry::Entry;
use crate::env::Env;
use crate::failure::Failure;
use crate::families::scanning;
use crate::tx::{Step, Walk, WalkTx};

/// Buckets visited in one step: about 100 microseconds with every entry missing in the cache.
const STEP_BUCKETS_MAX: u32 = 256;
/// Bytes of a finished reply handed over in one step.
const STEP_BYTES_MAX: usize = 256 * 1024;
/// Which keys are wanted.
#[derive(Default)]
struct Filter {
    /// `None` = all.
    pattern: Option<Vec<u8>>,
    /// `None` = all. A type that does not exist matches nothing.
    type_name: Option<Vec<u8>>,
}

impl Filter {
    fn matches(&self, entry: &Entry) -> bool {
        let pattern = self.pattern.as_deref();
        let type_name = self.type_name.as_deref();
        pattern.is_none_or(|pattern| glob_match(pattern, entry.key(), false))
            && type_name.is_none_or(|name| eq_ignore_case(name, entry.kind().name().as_bytes()))
    }

    /// `*` is no pattern: looking at the keys would be for nothing.
    fn set_pattern(&mut self, pattern: &[u8]) {
        self.pattern = (pattern != b"*").then(|| pattern.to_vec());
    }
}

/// Keys found so far, as the bulk strings they are sent as.
#[derive(Default)]
struct Found {
    encoded: Vec<u8>,
    count: usize,
    /// Bytes already handed over.
    told: usize,
}

impl Found {
    fn push(&mut self, key: &[u8]) {
        self.count += 1;
        self.encoded.push(b'$');
        append_i64(key.len() as i64, &mut self.encoded);
        self.encoded.extend_from_slice(b"\r\n");
        self.encoded.extend_from_slice(key);
        self.encoded.extend_from_slice(b"\r\n");
    }

    /// Hands over some more of the keys.
    fn tell(&mut self, out: &mut Reply) -> Step {
        let end = self.encoded.len().min(self.told + STEP_BYTES_MAX);
        out.raw(&self.encoded[self.told..end]);
        self.told = end;
        if end == self.encoded.len() {
            Step::Done
        } else {
            Step::More
        }
    }
}

/// DBSIZE: expired keys that have not been deleted yet count.
pub(super) fn dbsize(_: &Env, args: &mut Args<'_>) -> Result<Box<dyn Walk>, Failure> {
    args.end()?;
    Ok(Box::new(Count))
}

struct Count;

impl Walk for Count {
    fn step(&mut self, tx: &mut WalkTx<'_, '_>, out: &mut Reply) -> Step {
        out.int(tx.key_count() as i64);
        Step::Done
    }
}

pub(super) fn keys(_: &Env, args: &mut Args<'_>) -> Result<Box<dyn Walk>, Failure> {
    let pattern = args.bytes();
    args.end()?;
    let mut filter = Filter::default();
    filter.set_pattern(pattern);
    Ok(Box::new(Keys {
        filter,
        found: Found::default(),
        position: Some(0),
    }))
}

struct Keys {
    filter: Filter,
    found: Found,
    /// Where to look next; `None` when all has been seen.
    position: Option<u64>,
}

impl Walk for Keys {
    fn step(&mut self, tx: &mut WalkTx<'_, '_>, out: &mut Reply) -> Step {
        for _ in 0..STEP_BUCKETS_MAX {
            let Some(position) = self.position else {
                return self.found.tell(out);
            };
            self.position = tx.scan(position, |entry| {
                if self.filter.matches(entry) {
                    self.found.push(entry.key());
                }
            });
            if self.position.is_none() {
                out.array(self.found.count);
            }
        }
        Step::More
    }
}

#[derive(Clone, Copy)]
enum ScanOption {
    Match,
    Count,
    Type,
    NoValues,
}

const SCAN_OPTIONS: &[(&str, ScanOption)] = &[
    ("MATCH", ScanOption::Match),
    ("COUNT", ScanOption::Count),
    ("TYPE", ScanOption::Type),
    ("NOVALUES", ScanOption::NoValues),
];

pub(super) fn scan(_: &Env, args: &mut Args<'_>) -> Result<Box<dyn Walk>, Failure> {
    let position = scanning::cursor(args);
    args.check()?;
    let mut walk = Scan {
        position,
        filter: Filter::default(),
        entries_left: scanning::COUNT_DEFAULT,
        buckets_left: 0,
        found: Found::default(),
    };
    while let Some(option) = args.option(SCAN_OPTIONS) {
        match option {
            ScanOption::Match => walk.filter.set_pattern(args.bytes()),
            ScanOption::Type => walk.filter.type_name = Some(args.bytes().to_vec()),
            ScanOption::Count => walk.entries_left = scanning::count(args),
            ScanOption::NoValues => args.fail(scanning::NO_VALUES),
        }
    }
    args.end()?;
    walk.buckets_left = walk
        .entries_left
        .saturating_mul(scanning::BUCKETS_PER_ENTRY_MAX);
    Ok(Box::new(walk))
}

struct Scan {
    position: u64,
    filter: Filter,
    /// Entries still to be visited, whether they are wanted or not.
    entries_left: u64,
    /// Buckets that may be visited for them; 0 = the reply has begun.
    buckets_left: u64,
    found: Found,
}

impl Walk for Scan {
    fn step(&mut self, tx: &mut WalkTx<'_, '_>, out: &mut Reply) -> Step {
        for _ in 0..STEP_BUCKETS_MAX {
            if self.buckets_left == 0 {
                return self.found.tell(out);
            }
            let next = self.look(tx);
            self.position = next.unwrap_or(0);
            if next.is_none() || self.entries_left == 0 {
                self.buckets_left = 0;
            }
            if self.buckets_left == 0 {
                self.announce(out);
            }
        }
        Step::More
    }
}

impl Scan {
    /// Visits one bucket; the position after it.
    fn look(&mut self, tx: &mut WalkTx<'_, '_>) -> Option<u64> {
        self.buckets_left -= 1;
        tx.scan(self.position, |entry| {
            self.entries_left = self.entries_left.saturating_sub(1);
            if self.filter.matches(entry) {
                self.found.push(entry.key());
            }
        })
    }

    fn announce(&self, out: &mut Reply) {
        scanning::begin_reply(out, self.position);
        out.array(self.found.count);
    }
}
