//! What to send: the table of named scenarios, and raw commands from the command line.
//!
//! A command is written as words separated by spaces. In a word, `__key__` draws a key, `__num__`
//! draws a number of the key space, `__same__` is the number drawn last, and `__data__` is the
//! value that belongs to it. `__own__` is the connection's number, `__other__` that of its partner:
//! connections that say so work in pairs, see [`Workload::is_paired`]. To add a scenario: one row.

use std::ops::RangeInclusive;

/// One row of the table.
pub(crate) struct Scenario {
    /// What `-t` calls it.
    pub(crate) name: &'static str,
    /// Commands and how often each comes.
    pub(crate) commands: Commands,
}

/// The commands of a scenario.
pub(crate) enum Commands {
    /// The same one over and over.
    One(&'static str),
    /// A writing and a reading one, mixed as `--ratio` says.
    Ratio(&'static str, &'static str),
    /// These in turn.
    Turns(&'static [&'static str]),
}

use Commands::{One, Ratio, Turns};

/// All scenarios, in the order in which `--help` lists them.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "ping",
        commands: One("PING"),
    },
    Scenario {
        name: "set",
        commands: One("SET __key__ __data__"),
    },
    Scenario {
        name: "get",
        commands: One("GET __key__"),
    },
    Scenario {
        name: "mix",
        commands: Ratio("SET __key__ __data__", "GET __key__"),
    },
    Scenario {
        name: "incr",
        commands: One("INCR counter:__key__"),
    },
    Scenario {
        name: "mget10",
        commands: One(
            "MGET __key__ __key__ __key__ __key__ __key__ __key__ __key__ __key__ __key__ __key__",
        ),
    },
    Scenario {
        name: "mset10",
        commands: One("MSET __key__ __data__ __key__ __data__ __key__ __data__ \
             __key__ __data__ __key__ __data__ \
             __key__ __data__ __key__ __data__ __key__ __data__ __key__ __data__ __key__ __data__"),
    },
    Scenario {
        name: "setex",
        commands: One("SET __key__ __data__ EX 100"),
    },
    Scenario {
        name: "append",
        commands: One("APPEND log:__key__ x"),
    },
    Scenario {
        name: "strlen",
        commands: One("STRLEN __key__"),
    },
    Scenario {
        name: "exists",
        commands: One("EXISTS __key__"),
    },
    Scenario {
        name: "expire",
        commands: One("EXPIRE __key__ 1000"),
    },
    Scenario {
        name: "ttl",
        commands: One("TTL __key__"),
    },
    Scenario {
        name: "del",
        commands: One("DEL __key__"),
    },
    Scenario {
        name: "lpush",
        commands: One("LPUSH bench:list __data__"),
    },
    Scenario {
        name: "rpush",
        commands: One("RPUSH bench:list __data__"),
    },
    Scenario {
        name: "lpop",
        commands: One("LPOP bench:list"),
    },
    Scenario {
        name: "rpop",
        commands: One("RPOP bench:list"),
    },
    Scenario {
        name: "lrange100",
        commands: One("LRANGE bench:list 0 99"),
    },
    Scenario {
        name: "sadd",
        commands: One("SADD bench:set __key__"),
    },
    Scenario {
        name: "sismember",
        commands: One("SISMEMBER bench:set __key__"),
    },
    Scenario {
        name: "spop",
        commands: One("SPOP bench:set"),
    },
    Scenario {
        name: "hset",
        commands: One("HSET bench:hash __key__ __data__"),
    },
    Scenario {
        name: "hget",
        commands: One("HGET bench:hash __key__"),
    },
    Scenario {
        name: "zadd",
        commands: One("ZADD bench:zset __num__ __key__"),
    },
    Scenario {
        name: "zscore",
        commands: One("ZSCORE bench:zset __key__"),
    },
    Scenario {
        name: "zrange10",
        commands: One("ZRANGE bench:zset 0 9"),
    },
    Scenario {
        name: "zpopmin",
        commands: One("ZPOPMIN bench:zset"),
    },
    Scenario {
        name: "xadd",
        commands: One("XADD bench:stream * field __data__"),
    },
    Scenario {
        name: "publish",
        commands: One("PUBLISH bench:channel __data__"),
    },
    Scenario {
        name: "multi",
        commands: Turns(&[
            "MULTI",
            "INCR counter:__key__",
            "INCR counter:__key__",
            "EXEC",
        ]),
    },
    Scenario {
        name: "pingpong",
        commands: Turns(&["LPUSH bench:__other__ __data__", "BLPOP bench:__own__ 0"]),
    },
];

/// The channel that `--subscribers` listen to.
pub(crate) const CHANNEL: &str = "bench:channel";

/// The command that `--prefill` stores every key with.
pub(crate) const PREFILL: &str = "SET __key__ __data__";

/// What a correct reply looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Whatever is not an error.
    Anything,
    /// The status line with this text.
    Status(&'static [u8]),
    /// An integer.
    Integer,
    /// The values of the drawn keys, in order; nil where a key does not exist.
    Values,
}

/// A command's name, the numbers of arguments after it that the row is about, and its correct
/// reply.
type Expectation = (&'static str, RangeInclusive<usize>, Expect);

const ANY_COUNT: RangeInclusive<usize> = 0..=usize::MAX;

/// What is known; other commands may answer anything.
const EXPECTATIONS: &[Expectation] = &[
    ("PING", 0..=0, Expect::Status(b"PONG")),
    ("SET", 2..=2, Expect::Status(b"OK")),
    ("MSET", ANY_COUNT, Expect::Status(b"OK")),
    ("GET", ANY_COUNT, Expect::Values),
    ("MGET", ANY_COUNT, Expect::Values),
    ("INCR", ANY_COUNT, Expect::Integer),
    ("DEL", ANY_COUNT, Expect::Integer),
    ("EXISTS", ANY_COUNT, Expect::Integer),
    ("STRLEN", ANY_COUNT, Expect::Integer),
    ("APPEND", ANY_COUNT, Expect::Integer),
];

/// A stretch of an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Always these bytes.
    Literal(Vec<u8>),
    /// A key, freshly drawn.
    Key,
    /// A number of the key space, freshly drawn.
    Number,
    /// The number that was drawn last, also if it was for a key.
    Same,
    /// The value that belongs to the last drawn key or number.
    Data,
    /// The number of the connection.
    Own,
    /// The number of the connection's partner.
    Other,
}

/// A command whose arguments have holes for keys and values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// Arguments, the command's name first.
    pub(crate) arguments: Vec<Vec<Piece>>,
    /// What `--check` demands of the reply.
    pub(crate) expect: Expect,
}

/// Placeholders and what they stand for.
const PLACEHOLDERS: &[(&str, Piece)] = &[
    ("__key__", Piece::Key),
    ("__num__", Piece::Number),
    ("__same__", Piece::Same),
    ("__data__", Piece::Data),
    ("__own__", Piece::Own),
    ("__other__", Piece::Other),
];

impl Command {
    /// The command made of these words.
    pub(crate) fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let arguments: Vec<_> = words.into_iter().map(pieces).collect();
        let expect = Self::expectation(&arguments);
        Self { arguments, expect }
    }

    /// Keys and numbers that one run of the command draws.
    pub(crate) fn draws(&self) -> usize {
        let pieces = self.arguments.iter().flatten();
        pieces
            .filter(|piece| matches!(piece, Piece::Key | Piece::Number))
            .count()
    }

    fn expectation(arguments: &[Vec<Piece>]) -> Expect {
        let Some([Piece::Literal(name)]) = arguments.first().map(Vec::as_slice) else {
            return Expect::Anything;
        };
        let row = EXPECTATIONS.iter().find(|(known, counts, _)| {
            name.eq_ignore_ascii_case(known.as_bytes()) && counts.contains(&(arguments.len() - 1))
        });
        match row {
            // Values are known only for keys that are ours.
            Some((_, _, Expect::Values))
                if arguments[1..].iter().any(|key| key[..] != [Piece::Key]) =>
            {
                Expect::Anything
            }
            Some((_, _, expect)) => *expect,
            None => Expect::Anything,
        }
    }
}

/// Splits a word at its placeholders.
fn pieces(word: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = word;
    loop {
        let found = PLACEHOLDERS
            .iter()
            .filter_map(|(text, piece)| rest.find(text).map(|at| (at, text.len(), piece)))
            .min_by_key(|(at, ..)| *at);
        let literal = &rest[..found.map_or(rest.len(), |(at, ..)| at)];
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.as_bytes().to_vec()));
        }
        let Some((at, len, piece)) = found else {
            return pieces;
        };
        pieces.push(piece.clone());
        rest = &rest[at + len..];
    }
}

/// A scenario made ready: commands with how often each comes, relative to the others.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    /// What the report calls it.
    pub(crate) name: String,
    /// Never empty, and the counts are not all 0.
    pub(crate) commands: Vec<(u32, Command)>,
    /// How they follow one another.
    pub(crate) order: Order,
}

/// How the commands of a workload follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// At random, in their proportions.
    Mixed,
    /// Each connection sends them in turn.
    Turns,
}

/// What separates commands that are sent in turn, on the command line.
const TURN: &str = ";";

impl Workload {
    /// The workload of one command, called by its name or by `name`.
    pub(crate) fn single(name: impl Into<String>, command: Command) -> Self {
        Self {
            name: name.into(),
            commands: vec![(1, command)],
            order: Order::Mixed,
        }
    }

    /// The workload of these words: a command, or several with `;` between them, sent in turn.
    /// An error if one of them is empty.
    pub(crate) fn raw(words: &[String]) -> Result<Self, String> {
        let turns: Vec<_> = words.split(|word| word == TURN).collect();
        if turns.iter().any(|words| words.is_empty()) {
            return Err(format!("a command between {TURN:?} is empty"));
        }
        let command = |words: &&[String]| (1, Command::new(words.iter().map(String::as_str)));
        Ok(Self {
            name: words.join(" "),
            commands: turns.iter().map(command).collect(),
            order: if turns.len() == 1 {
                Order::Mixed
            } else {
                Order::Turns
            },
        })
    }

    /// Whether connections work in pairs, 0 with 1, 2 with 3 and so on: whoever has an odd number
    /// begins with the second command, so that partners always do different things.
    pub(crate) fn is_paired(&self) -> bool {
        let mut arguments = self.commands.iter().flat_map(|(_, it)| &it.arguments);
        arguments.any(|argument| argument.contains(&Piece::Other))
    }

    /// The row that is called `name`; `ratio` is writes to reads. An error names the rows that
    /// exist.
    pub(crate) fn named(name: &str, ratio: (u32, u32)) -> Result<Self, String> {
        let row = SCENARIOS
            .iter()
            .find(|row| row.name.eq_ignore_ascii_case(name));
        let Some(row) = row else {
            return Err(format!(
                "no scenario {name:?}; there are {}",
                names().join(", ")
            ));
        };
        Ok(match row.commands {
            One(text) => Self::single(row.name, Command::new(text.split_whitespace())),
            Ratio(write, read) => Self {
                name: format!("{} {}:{}", row.name, ratio.0, ratio.1),
                commands: vec![
                    (ratio.0, Command::new(write.split_whitespace())),
                    (ratio.1, Command::new(read.split_whitespace())),
                ],
                order: Order::Mixed,
            },
            Turns(texts) => {
                let command = |text: &&str| (1, Command::new(text.split_whitespace()));
                Self {
                    name: row.name.to_owned(),
                    commands: texts.iter().map(command).collect(),
                    order: Order::Turns,
                }
            }
        })
    }
}

/// The names of all rows.
pub(crate) fn names() -> Vec<&'static str> {
    SCENARIOS.iter().map(|row| row.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_at_placeholders() {
        assert_eq!(
            pieces("a:__key____data__-b"),
            [
                Piece::Literal(b"a:".to_vec()),
                Piece::Key,
                Piece::Data,
                Piece::Literal(b"-b".to_vec())
            ]
        );
        assert_eq!(pieces(""), []);
        assert_eq!(pieces("__keys__"), [Piece::Literal(b"__keys__".to_vec())]);
    }

    #[test]
    fn only_what_is_certain_is_expected() {
        let expect = |text: &str| Command::new(text.split_whitespace()).expect;
        assert_eq!(expect("get __key__"), Expect::Values);
        assert_eq!(expect("GET fixed"), Expect::Anything);
        assert_eq!(expect("MGET __key__ x:__key__"), Expect::Anything);
        assert_eq!(expect("SET __key__ __data__"), Expect::Status(b"OK"));
        assert_eq!(expect("SET __key__ __data__ NX"), Expect::Anything);
    }

    #[test]
    fn every_row_is_a_command_and_names_are_unique() {
        let mut seen = names();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), SCENARIOS.len());
        for name in names() {
            assert!(!Workload::named(name, (1, 9)).unwrap().commands.is_empty());
        }
        assert!(
            Workload::named("gte", (1, 9))
                .unwrap_err()
                .contains("mget10")
        );
    }
}
