//! The command line, and the plan that it is turned into once everything in it has been found to
//! make sense.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::keys::{DEFAULT_KEY_BYTES, KeyShape, Pattern};
use crate::load::Limit;
use crate::net::{Address, Handshake};
use crate::scenario::{self, Workload};
use crate::values::Sizes;

/// Puts load on a Redis-compatible server and reports throughput and latency.
#[derive(Debug, Parser)]
#[command(
    name = "ruddle bench",
    bin_name = "ruddle bench",
    disable_help_flag = true,
    args_override_self = true,
    after_help = EXAMPLES
)]
pub(crate) struct Options {
    /// Server's host name or address.
    #[arg(short = 'h', long, default_value = "127.0.0.1")]
    host: String,
    /// Server's port.
    #[arg(short, long, default_value_t = 6379)]
    port: u16,
    /// Server's socket file, instead of host and port.
    #[arg(short = 's', long, value_name = "FILE")]
    unix_socket: Option<PathBuf>,
    /// Password to authenticate with.
    #[arg(short = 'a', long, value_name = "TEXT")]
    password: Option<String>,
    /// User to authenticate as.
    #[arg(long, requires = "password", value_name = "NAME")]
    user: Option<String>,
    /// Logical database.
    #[arg(long, default_value_t = 0, value_name = "N")]
    db: u32,
    /// Speak RESP3.
    #[arg(long)]
    resp3: bool,

    /// Connections.
    #[arg(short, long, default_value_t = 50, value_name = "N")]
    connections: usize,
    /// More connections, which listen to the channel of the scenario "publish".
    #[arg(long, default_value_t = 0, value_name = "N")]
    subscribers: usize,
    /// Requests under way per connection.
    #[arg(short = 'P', long, default_value_t = 1, value_name = "N")]
    pipeline: usize,
    /// Threads; each has its share of the connections.
    #[arg(long, default_value_t = 1, value_name = "N")]
    threads: usize,
    /// Requests per scenario.
    #[arg(short = 'n', long, default_value_t = 1_000_000, value_name = "N")]
    requests: u64,
    /// Seconds per scenario, instead of a number of requests.
    #[arg(long, value_name = "SECONDS", conflicts_with = "requests")]
    duration: Option<f64>,
    /// Until standard input ends, instead of a number of requests: whoever started this says when.
    #[arg(long, conflicts_with_all = ["requests", "duration"])]
    until_eof: bool,
    /// Requests per second in all, sent on time whether or not replies come (open loop).
    #[arg(long, value_name = "N")]
    rate: Option<f64>,

    /// Value size in bytes: 64, a range as 16-1k, or a list as 64,1k,16k.
    #[arg(
        short = 'd',
        long = "data-size",
        default_value = "64",
        value_name = "SIZES"
    )]
    data_size: Sizes,
    /// Key size in bytes.
    #[arg(long, default_value_t = DEFAULT_KEY_BYTES, value_name = "N")]
    key_size: usize,
    /// Different keys.
    #[arg(short = 'r', long, default_value_t = 1_000_000, value_name = "N")]
    keyspace: u64,
    /// Order of keys.
    #[arg(long, value_enum, default_value = "uniform", value_name = "PATTERN")]
    key_pattern: Pattern,
    /// Skew of the zipf pattern.
    #[arg(long, default_value_t = 0.99, value_name = "X")]
    zipf_exponent: f64,
    /// Writes to reads in the scenario "mix".
    #[arg(long, default_value = "1:9", value_name = "SET:GET", value_parser = ratio)]
    ratio: (u32, u32),
    /// Start of the random sequences: same seed, same requests.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,

    /// Scenarios to run, one after the other.
    #[arg(
        short = 't',
        long,
        value_delimiter = ',',
        default_value = DEFAULT_SCENARIOS,
        value_name = "NAMES",
        long_help = tests_help()
    )]
    tests: Vec<String>,
    /// Store every key first.
    #[arg(long)]
    prefill: bool,
    /// Verify replies; values are derived from keys, so GET can be checked against any earlier run.
    #[arg(long)]
    check: bool,

    /// Write the results as JSON to a file, or with "-" to standard output instead of the table.
    #[arg(long, value_name = "FILE|-")]
    json: Option<String>,
    /// No progress, and one short line per scenario.
    #[arg(short, long)]
    quiet: bool,
    /// This text.
    #[arg(long, action = clap::ArgAction::HelpLong)]
    help: (),

    /// A command to send instead of scenarios, or several with ";" between them, sent in turn. In
    /// them, __key__, __num__, __same__, __data__, __own__ (the connection's number) and __other__
    /// (its partner's) are replaced.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    command: Vec<String>,
}

const DEFAULT_SCENARIOS: &str = "ping,set,get,mix,incr,mget10,mset10";

const EXAMPLES: &str = "Examples:\n  \
    ruddle bench --prefill -t set,get -P 16\n  \
    ruddle bench --prefill -t mix --ratio 1:19 --key-pattern zipf --duration 30 \
    --json result.json\n  \
    ruddle bench --rate 50000 --duration 10 -t get\n  \
    ruddle bench -P 16 SET session:__key__ __data__ EX 60";

fn tests_help() -> String {
    format!(
        "Scenarios to run, one after the other: {}",
        scenario::names().join(", ")
    )
}

fn ratio(text: &str) -> Result<(u32, u32), String> {
    let parts = text
        .split_once(':')
        .and_then(|(left, right)| Some((left.parse().ok()?, right.parse().ok()?)));
    match parts {
        Some((left, right))
            if (1..=RATIO_SUM_MAX).contains(&u64::from(left).saturating_add(u64::from(right))) =>
        {
            Ok((left, right))
        }
        _ => Err(format!(
            "a ratio is two numbers as in 1:9, together at most {RATIO_SUM_MAX}"
        )),
    }
}

/// Keeps the ring of prepared batches short.
const RATIO_SUM_MAX: u64 = 1000;

const PAIRED: &str = "connections that wake each other need an even number of --connections, \
                      --pipeline 1, one thread and no --rate";

/// More would be refused by the kernel's limits on open files and ports long before.
const CONNECTIONS_MAX: usize = 60_000;

/// Longer pipelines only measure buffers.
const PIPELINE_MAX: usize = 100_000;

/// Where results go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// The table.
    Table,
    /// The table, and JSON to this file.
    TableAndFile(PathBuf),
    /// JSON to standard output.
    Json,
}

/// A checked command line.
pub(crate) struct Plan {
    pub(crate) address: Address,
    pub(crate) handshake: Handshake,
    pub(crate) connections: usize,
    pub(crate) subscribers: usize,
    pub(crate) pipeline: usize,
    pub(crate) threads: usize,
    pub(crate) limit: Limit,
    pub(crate) rate: Option<f64>,
    pub(crate) sizes: Sizes,
    pub(crate) shape: KeyShape,
    pub(crate) keyspace: u64,
    pub(crate) pattern: Pattern,
    pub(crate) zipf_exponent: f64,
    pub(crate) seed: u64,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) prefill: bool,
    pub(crate) check: bool,
    pub(crate) output: Output,
    pub(crate) quiet: bool,
}

impl Options {
    /// The plan, or what is wrong with the options.
    pub(crate) fn plan(self) -> Result<Plan, String> {
        within("--connections", self.connections, CONNECTIONS_MAX)?;
        within("--pipeline", self.pipeline, PIPELINE_MAX)?;
        within("--threads", self.threads, self.connections)?;
        positive("--rate", self.rate)?;
        positive("--duration", self.duration)?;
        positive("--zipf-exponent", Some(self.zipf_exponent))?;
        if self.keyspace < self.threads as u64 {
            return Err("--keyspace must be at least 1 and at least --threads".into());
        }
        let workloads = if self.command.is_empty() {
            self.tests
                .iter()
                .map(|name| Workload::named(name, self.ratio))
                .collect::<Result<_, _>>()?
        } else {
            vec![Workload::raw(&self.command)?]
        };
        if workloads.iter().any(Workload::is_paired) {
            let fits =
                self.connections.is_multiple_of(2) && self.threads == 1 && self.rate.is_none();
            if !fits || self.pipeline != 1 {
                return Err(PAIRED.into());
            }
        }
        if self.subscribers > 0 {
            within("--subscribers", self.subscribers, CONNECTIONS_MAX)?;
            within("--threads (with --subscribers)", self.threads, 1)?;
        }
        Ok(Plan {
            address: match self.unix_socket {
                Some(path) => Address::Unix(path),
                None => Address::Tcp(self.host, self.port),
            },
            handshake: Handshake {
                password: self.password.map(|password| (self.user, password)),
                resp3: self.resp3,
                database: self.db,
                channel: None,
            },
            connections: self.connections,
            subscribers: self.subscribers,
            pipeline: self.pipeline,
            threads: self.threads,
            limit: match self.duration {
                Some(seconds) => Limit::Time(Duration::from_secs_f64(seconds)),
                None if self.until_eof => Limit::EndOfInput,
                None => Limit::Requests(self.requests),
            },
            rate: self.rate,
            sizes: self.data_size,
            shape: KeyShape::new(self.keyspace, self.key_size)?,
            keyspace: self.keyspace,
            pattern: self.key_pattern,
            zipf_exponent: self.zipf_exponent,
            seed: self.seed,
            workloads,
            prefill: self.prefill,
            check: self.check,
            output: match self.json.as_deref() {
                None => Output::Table,
                Some("-") => Output::Json,
                Some(path) => Output::TableAndFile(path.into()),
            },
            quiet: self.quiet,
        })
    }
}

fn within(option: &str, value: usize, most: usize) -> Result<(), String> {
    if (1..=most).contains(&value) {
        Ok(())
    } else {
        Err(format!("{option} must be from 1 to {most}"))
    }
}

fn positive(option: &str, value: Option<f64>) -> Result<(), String> {
    match value {
        Some(value) if !(value > 0.0 && value <= NUMBER_MAX) => Err(format!(
            "{option} must be more than 0 and at most {NUMBER_MAX}"
        )),
        _ => Ok(()),
    }
}

/// A thousand million requests a second, or thirty years.
const NUMBER_MAX: f64 = 1e9;

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(words: &str) -> Result<Plan, String> {
        let words = ["bench"].into_iter().chain(words.split_whitespace());
        Options::try_parse_from(words)
            .map_err(|error| error.to_string())?
            .plan()
    }

    #[test]
    fn the_table_of_options_is_consistent() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }

    #[test]
    fn short_options_are_those_of_redis_benchmark() {
        let plan =
            plan("-h ::1 -p 7000 -c 5 -P 16 -n 1000 -d 3 -r 10 -t ping,GET -q -a secret").unwrap();
        assert_eq!(plan.address.to_string(), "::1:7000");
        assert_eq!(
            (plan.connections, plan.pipeline, plan.keyspace),
            (5, 16, 10)
        );
        assert_eq!(plan.workloads.len(), 2);
        assert!(plan.quiet && plan.handshake.password.is_some());
    }

    #[test]
    fn a_raw_command_takes_the_place_of_scenarios() {
        let plan = plan("-P 4 SET __key__ -1").unwrap();
        assert_eq!(plan.workloads[0].name, "SET __key__ -1");
    }

    #[test]
    fn nonsense_is_refused() {
        for words in [
            "-c 3 -t pingpong",
            "-P 2 -t pingpong",
            "--threads 2 --subscribers 5",
            "GET x ;",
            "-c 0",
            "-P 0",
            "--threads 51",
            "--rate 0",
            "--rate nan",
            "--duration -1",
            "--duration 1 -n 5",
            "--duration 1 --until-eof",
            "-r 0",
            "-t nothing",
            "--ratio 0:0",
            "--ratio 1",
            "-d 5-1",
            "--key-size 4",
            "--user x",
        ] {
            assert!(plan(words).is_err(), "{words}");
        }
    }
}
