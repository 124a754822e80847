//! Trimming: the options of XADD and XTRIM, and XTRIM.

use resp::Reply;
use structs::Packing;
use structs::stream::{References, Stream, Trim, TrimTo};

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::tx::{Effect, WriteTx};

use super::{ids, words};

const BOTH_STRATEGIES: Failure = Failure::fixed(
    "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
);
const NEGATIVE_LEN: Failure = Failure::fixed("ERR The MAXLEN argument must be >= 0.");
const NEGATIVE_LIMIT: Failure = Failure::fixed("ERR The LIMIT argument must be >= 0.");
const LIMIT_ALONE: Failure =
    Failure::fixed("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
const LIMIT_EXACT: Failure =
    Failure::fixed("ERR syntax error, LIMIT cannot be used without the special ~ option");
const NO_STRATEGY: Failure =
    Failure::fixed("ERR syntax error, XTRIM must be called with a trimming strategy");

/// Nodes that approximate trimming looks at, unless LIMIT says otherwise.
const NODES_MAX: u64 = 100;
/// Entries that it takes at most where nodes have no limit, and where theirs is very large.
const ENTRIES_MAX: (u64, u64) = (10_000, 1_000_000);

/// What the options said so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    to: Option<TrimTo>,
    approximate: bool,
    limit: Option<u64>,
    references: Option<References>,
}

/// The words for what happens to pending lists.
pub(super) const REFERENCES: &[(&str, References)] = &[
    ("keepref", References::Keep),
    ("delref", References::Drop),
    ("acked", References::Acked),
];

impl Options {
    /// Reads one option; whether the next word was one.
    ///
    /// # Errors
    /// Its value makes no sense, or does not go with what was said before.
    pub(super) fn read(&mut self, args: &mut Args<'_>) -> Result<bool, Failure> {
        if self.references.is_none()
            && let Some(&(_, said)) = REFERENCES.iter().find(|(word, _)| args.accept(word))
        {
            self.references = Some(said);
            return Ok(true);
        }
        if args.left() < 2 {
            return Ok(false);
        }
        if args.accept("maxlen") {
            self.read_operator(args)?;
            let len = u64::try_from(args.int());
            args.check()?;
            self.to = Some(TrimTo::Len(len.map_err(|_| NEGATIVE_LEN)?));
        } else if args.accept("minid") {
            self.read_operator(args)?;
            self.to = Some(TrimTo::Id(ids::strict(args.bytes(), 0)?));
        } else if args.accept("limit") {
            let limit = u64::try_from(args.int());
            args.check()?;
            self.limit = Some(limit.map_err(|_| NEGATIVE_LIMIT)?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Reads `~` or `=`, if they are not the last word.
    fn read_operator(&mut self, args: &mut Args<'_>) -> Result<(), Failure> {
        if self.to.is_some() {
            return Err(BOTH_STRATEGIES);
        }
        self.approximate = false;
        if args.left() >= 2 {
            self.approximate = args.accept("~");
            if !self.approximate {
                args.accept("=");
            }
        }
        Ok(())
    }

    /// Appends the options that say the same; only if trimming is exact.
    pub(super) fn append_to(&self, all: &mut Vec<Vec<u8>>) {
        let said = |(_, it): &&(&str, References)| Some(*it) == self.references;
        if let Some((word, _)) = REFERENCES.iter().find(said) {
            all.push(word.as_bytes().to_vec());
        }
        match self.to {
            None => {}
            Some(TrimTo::Len(len)) => {
                all.extend(words(&[b"MAXLEN", b"=", len.to_string().as_bytes()]));
            }
            Some(TrimTo::Id(id)) => all.extend(words(&[b"MINID", b"=", &id.to_word()])),
        }
    }

    /// How to trim, if at all.
    ///
    /// # Errors
    /// The options do not go together.
    pub(super) fn resolve(&self, packing: &Packing) -> Result<Option<Trim>, Failure> {
        if self.to.is_none() && self.limit.is_some_and(|limit| limit > 0) {
            return Err(LIMIT_ALONE);
        }
        if self.limit.is_some() && !self.approximate {
            return Err(LIMIT_EXACT);
        }
        let limit = match self.limit {
            Some(limit) => limit,
            None if self.approximate => default_limit(packing),
            None => 0,
        };
        Ok(self.to.map(|to| Trim {
            to,
            approximate: self.approximate,
            limit,
            references: self.references.unwrap_or_default(),
        }))
    }
}

fn default_limit(packing: &Packing) -> u64 {
    match packing.stream_node_entries_max as u64 {
        0 => ENTRIES_MAX.0,
        entries => entries.saturating_mul(NODES_MAX).min(ENTRIES_MAX.1),
    }
}

pub(super) fn xtrim(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let mut options = Options::default();
    while options.read(args)? {}
    args.end()?;
    if options.to.is_none() && options.limit.is_none_or(|limit| limit == 0) {
        return Err(NO_STRATEGY);
    }
    // An error remains only for LIMIT without strategy, which `resolve` finds.
    let Some(trim) = options.resolve(tx.packing())? else {
        return Err(NO_STRATEGY);
    };
    let (trimmed, len) = tx.update(key, |stream: &mut Stream| {
        (stream.trim(&trim), stream.log().len())
    })?;
    out.int(trimmed as i64);
    if trimmed == 0 {
        return Ok(Effect::NOTHING);
    }
    tx.event(Classes::STREAM, "xtrim", key);
    if !trim.approximate {
        return Ok(Effect::as_sent(trimmed as usize));
    }
    let len = len.to_string();
    tx.instead(|| words(&[b"XTRIM", key.bytes, b"MAXLEN", b"=", len.as_bytes()]));
    Ok(Effect::instead(trimmed as usize))
}
