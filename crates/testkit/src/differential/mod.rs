//! The differential runner: one seeded stream of random commands to two servers, every reply
//! compared.
//!
//! The subject (Ruddle, as a rule) and a peer get the same commands in the same pipelined chunks.
//! Replies must be the same up to the row's [`Mode`]; every so often, and at the end, so must the
//! whole data set. The first difference that [`accepted`] does not explain is shrunk to a few
//! commands and printed as a `redis-cli` session.
//!
//! Invariant: the stream depends on the seed and on the two servers' command lists only, never on
//! replies or clocks, so a seed is a reproduction. Times are either long past or far ahead, and
//! random enough that two deadlines never compare differently because of a few milliseconds.

mod accepted;
mod compare;
mod events;
mod generate;
mod grammar;
pub mod lua;
pub mod pubsub;
mod session;
pub mod several;
mod shrink;
pub mod transactions;

use std::collections::BTreeMap;
use std::fmt;

use crate::peers::Kind;
use crate::reply::{Reply, quoted};
use generate::Generator;
use session::Pair;

/// Commands between two comparisons of the whole data set.
const AUDIT_EVERY: usize = 10_000;

/// Commands written to a server before its replies are read.
const CHUNK: usize = 100;

/// Of a reply that differs, at most so much is printed.
const REPLY_LINES_SHOWN: usize = 20;

/// Of the log of a server that went silent, so many last lines are printed.
const LOG_LINES_SHOWN: usize = 30;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server that is judged.
    pub subject: Kind,
    /// The server that knows.
    pub peer: Kind,
    /// Decides the stream.
    pub seed: u64,
    /// Length of the stream.
    pub commands: usize,
    /// Whether known, reasoned differences are let through.
    pub accept_known: bool,
    /// Whether the keyspace events of each command are compared, too. Commands go out one by one
    /// then.
    pub events: bool,
}

/// What a run found.
#[derive(Debug)]
pub struct Report {
    /// Commands sent before the end or the first difference.
    pub commands: usize,
    /// Commands of the grammar that one of the two servers does not have; nothing was generated for
    /// them.
    pub left_out: Vec<String>,
    /// How often each accepted difference was met, by its reason.
    pub accepted: BTreeMap<&'static str, usize>,
    /// The first difference that is not accepted.
    pub difference: Option<Difference>,
}

/// Two servers that disagree.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The commands that lead to it, on an empty server; already minimised.
    pub steps: Vec<Step>,
    /// What was asked last: a command, or a look at the data set.
    pub asked: String,
    /// The subject's answer.
    pub subject: Reply,
    /// The peer's answer.
    pub peer: Reply,
    /// The subject's log, when it was the subject that went silent; else empty.
    pub log: String,
}

/// One command of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The words.
    pub args: Vec<Vec<u8>>,
    /// How replies to it are compared.
    pub mode: Mode,
}

/// How much two replies to the same command must agree. Errors must always be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Equal.
    Exact,
    /// Equal up to the order of the outermost elements.
    Unordered,
    /// The same type; the content is the server's own business.
    Shape,
    /// Integers that differ by no more than this.
    Near(i64),
    /// A map (or flat array) with the same keys.
    Keys,
    /// Equal but for idle times and moments within, see `compare::agree_but_for_times`.
    Times,
    /// A SCAN from cursor 0: iterated to its end, then compared as a set.
    Scan,
}

impl Step {
    /// The command as one would type it.
    pub fn line(&self) -> String {
        let word = |arg: &Vec<u8>| match arg.iter().all(|b| b.is_ascii_graphic() && *b != b'"') {
            true if !arg.is_empty() => String::from_utf8_lossy(arg).into_owned(),
            _ => quoted(arg),
        };
        self.args.iter().map(word).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "  > {}", step.line())?;
        }
        writeln!(f, "  ? {}", self.asked)?;
        for (who, reply) in [("subject", &self.subject), ("peer", &self.peer)] {
            for (index, line) in reply.lines().iter().take(REPLY_LINES_SHOWN).enumerate() {
                let who = if index == 0 { who } else { "" };
                writeln!(f, "  {who:8} {line}")?;
            }
        }
        let log: Vec<&str> = self.log.lines().collect();
        for line in &log[log.len().saturating_sub(LOG_LINES_SHOWN)..] {
            writeln!(f, "  log      {line}")?;
        }
        Ok(())
    }
}

/// Runs a plan on two fresh servers. An error is a server that cannot be started; one that dies
/// on the way is a difference.
pub fn run(plan: &Plan) -> Result<Report, String> {
    let mut pair = Pair::start(plan)?;
    let (rows, left_out) = grammar::rows_for(plan, &mut pair);
    let mut generator = Generator::new(rows, plan.seed);
    let mut steps = Vec::with_capacity(plan.commands);
    pair.begin()?;
    let mut difference = None;
    while steps.len() < plan.commands && difference.is_none() {
        let length = CHUNK.min(plan.commands - steps.len());
        let from = steps.len();
        steps.extend((0..length).map(|_| generator.step()));
        difference = pair.exchange(&steps[from..]);
        let audit_due = steps.len() % AUDIT_EVERY < CHUNK || steps.len() == plan.commands;
        if audit_due && difference.is_none() {
            difference = pair.audit();
        }
    }
    if let Some(found) = difference {
        difference = Some(shrink::minimise(&mut pair, &steps, found)?);
    }
    Ok(Report {
        commands: steps.len(),
        left_out,
        accepted: pair.into_accepted(),
        difference,
    })
}
