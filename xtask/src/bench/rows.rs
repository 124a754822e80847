//! What is measured: one row each, in the order of the report.
//!
//! Consecutive rows with the same data and line-up share their servers. `strings` has the rows
//! about strings and the server as a whole, `types` those about the other types, `coordination`
//! those about clients that work together. To add a measurement: one row.

mod coordination;
mod strings;
mod types;

use clap::ValueEnum;
use testkit::peers::Kind;

/// Rows that are asked for together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Group {
    /// Strings, and the server as a whole.
    Strings,
    /// All other types.
    Types,
    /// Snapshots, the append-only file, loading: not rows but phases, see `persistence`.
    Persistence,
    /// Full copies and the stream behind them: phases, too, see `replication`.
    Replication,
    /// Scripts, transactions, publish/subscribe, waiting.
    Coordination,
}

/// Something for the load generator to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    /// Its options.
    pub(super) options: &'static [&'static str],
    /// The command to send, words separated by spaces; empty if the options name a scenario.
    pub(super) command: &'static str,
}

/// What a server holds while a row is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DataSet {
    /// Number of keys, 16 bytes each; of elements, if there is one large key.
    pub(super) keys: u64,
    /// Bytes of each value.
    pub(super) value_bytes: u64,
    /// How it comes in.
    pub(super) fill: Fill,
}

/// How data comes into a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    /// Each key is set to its value; a sample is read back.
    Strings,
    /// These loads, one after the other; unless they say otherwise, each sends its command once
    /// for every key, in random order.
    Loads(&'static [Load]),
}

/// A server and how it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contender {
    /// What the report calls it.
    pub(super) label: &'static str,
    /// Which program.
    pub(super) kind: Kind,
    /// Directives besides the usual ones.
    pub(super) arguments: &'static [&'static str],
}

/// Servers that are compared, and where they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineUp {
    /// All of them; the first is ours.
    pub(super) contenders: &'static [Contender],
    /// The label of the one that ratios are taken to.
    pub(super) base: &'static str,
    /// Whether servers are bound to core 0 and the load to core 1.
    pub(super) pinned: bool,
}

/// What is done to the servers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    /// Nothing: the fill itself was the measurement.
    Fill,
    /// A load; for a time, unless it has a number of requests.
    Load(Load),
    /// The same while a single other client sends this command again and again.
    LoadBeside(Load, &'static [&'static str]),
    /// The second load, each time after the first ones, which are not measured.
    LoadAfter(&'static [Load], Load),
}

/// The number that a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    /// Server's processor time per reply.
    CpuPerReply,
    /// Server's processor time per message that came to a subscriber.
    CpuPerMessage,
    /// Replies a second.
    Throughput,
    /// Resident memory over that of the empty server, per key.
    BytesPerKey,
    /// Latency that 99.9 % of replies keep to.
    P999,
}

/// What ours must reach against the base.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// Better by this factor: less of what is spent, more of what is done.
    TimesBetter(f64),
    /// Ours is at most this part of the base's.
    AtMost(f64),
}

/// One line of `BENCHMARKS.md`.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) group: Group,
    pub(super) name: String,
    pub(super) data: DataSet,
    pub(super) line_up: LineUp,
    pub(super) work: Work,
    /// Requests under way per connection, where the load does not say it.
    pub(super) pipeline: Option<u32>,
    pub(super) metric: Metric,
    pub(super) goal: Goal,
}

/// A line about several rows: the median of their ratios.
pub(super) struct Median {
    pub(super) name: &'static str,
    pub(super) group: Group,
    /// How the names of its rows end.
    pub(super) suffix: &'static str,
    /// What it must reach: times better.
    pub(super) times: f64,
}

/// All such lines.
pub(super) const MEDIANS: &[Median] = types::MEDIANS;

/// All rows, in order.
pub(super) fn rows() -> Vec<Row> {
    [strings::rows(), types::rows(), coordination::rows()].concat()
}

pub(super) const fn ruddle(label: &'static str, arguments: &'static [&'static str]) -> Contender {
    Contender {
        label,
        kind: Kind::Ruddle,
        arguments,
    }
}

pub(super) const VALKEY: Contender = Contender {
    label: "valkey",
    kind: Kind::Valkey,
    arguments: &[],
};
pub(super) const REDIS: Contender = Contender {
    label: "redis",
    kind: Kind::Redis,
    arguments: &[],
};
