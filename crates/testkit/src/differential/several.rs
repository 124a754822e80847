//! Several connections in a fixed interleaving, compared.
//!
//! A step is what one connection sends in one write: a command, or a few. Then every connection is
//! asked for a mark, by PING, and what it gets before the mark is compared: replies, and whatever
//! the server sends by itself, in order. So each message is seen to come to the right connections,
//! once, and at its place among the replies. What is sent, and how answers are made comparable, is
//! a [`Theme`]'s.
//!
//! Invariant: the steps depend on the seed only.

use std::collections::BTreeSet;
use std::io;

use crate::client::{Client, encode};
use crate::peers::Kind;
use crate::process::Server;
use crate::random::Random;
use crate::reply::Reply;

/// Steps after which both servers get new connections.
const EPISODE: usize = 200;

/// What marks are asked for with.
pub(super) const MARK: &[u8] = b"mark";

/// What is compared.
pub struct Theme {
    /// What it is called.
    pub name: &'static str,
    /// Draws a step; remembers which connections are in a transaction, if that matters.
    pub(super) step: fn(&mut Random, &mut BTreeSet<usize>) -> Step,
    /// Empties two servers, whose old connections are closed, and connects to them.
    pub(super) begin: fn(&[&Server; 2]) -> io::Result<[Begun; 2]>,
    /// What a connection gets that has sent so many commands, and asks for the mark.
    pub(super) answers: fn(&mut Client, usize) -> io::Result<Vec<Reply>>,
    /// Makes answers comparable.
    pub(super) canonical: fn(Vec<Reply>) -> Vec<Reply>,
}

/// One server's connections at the start of an episode.
pub(super) struct Begun {
    pub(super) clients: Vec<Client>,
    /// A word of steps that stands for another one, which is known only now.
    pub(super) stand_in: Option<(&'static str, String)>,
}

/// What one connection sends in one write.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) connection: usize,
    pub(super) commands: Vec<Vec<Vec<u8>>>,
}

impl Step {
    fn line(&self) -> String {
        let command = |words: &Vec<Vec<u8>>| {
            let words = words.iter().map(|word| match word.len() {
                0 => "\"\"".into(),
                1..=40 => String::from_utf8_lossy(word).into_owned(),
                long => format!("<{long} bytes>"),
            });
            words.collect::<Vec<_>>().join(" ")
        };
        let commands: Vec<String> = self.commands.iter().map(command).collect();
        format!("{}> {}", self.connection, commands.join(" ; "))
    }
}

/// Draws a command of a table of shapes with their weights: words are given to `word`, which makes
/// any number of words of each.
pub(super) fn command(
    random: &mut Random,
    shapes: &[(usize, &'static str)],
    word: impl Fn(&mut Random, &'static str) -> Vec<Vec<u8>>,
) -> Vec<Vec<u8>> {
    let total: usize = shapes.iter().map(|(weight, _)| weight).sum();
    let mut at = random.below(total);
    let mut shapes = shapes.iter();
    let shape = loop {
        // Invariant: `at` is below the sum of the weights.
        let (weight, shape) = shapes.next().expect("a shape for every number");
        match at.checked_sub(*weight) {
            Some(rest) => at = rest,
            None => break shape,
        }
    };
    let words = shape.split(' ');
    words.flat_map(|text| word(random, text)).collect()
}

/// A server and its connections.
struct Side {
    server: Server,
    begun: Begun,
}

impl Side {
    fn start(kind: Kind) -> Result<Side, String> {
        let server = Server::start(kind, &[])?;
        let begun = Begun {
            clients: Vec::new(),
            stand_in: None,
        };
        Ok(Side { server, begun })
    }

    /// What each connection gets of a step.
    fn run(&mut self, step: &Step, theme: &Theme) -> io::Result<Vec<Vec<Reply>>> {
        let mut wire = Vec::new();
        let Begun { clients, stand_in } = &mut self.begun;
        for command in &step.commands {
            let meant = |word: &Vec<u8>| match stand_in {
                Some((name, meant)) if word == name.as_bytes() => meant.clone().into_bytes(),
                _ => word.clone(),
            };
            let words: Vec<Vec<u8>> = command.iter().map(meant).collect();
            encode(&mut wire, &words);
        }
        clients[step.connection].send_raw(&wire)?;
        let mut all = vec![Vec::new(); clients.len()];
        // First the one that acts: only then is it certain that the others have all in front of
        // their marks.
        let others = (0..all.len()).filter(|&at| at != step.connection);
        for at in [step.connection].into_iter().chain(others) {
            let commands = match at == step.connection {
                true => step.commands.len(),
                false => 0,
            };
            let answers = (theme.answers)(&mut clients[at], commands)?;
            all[at] = (theme.canonical)(answers);
        }
        Ok(all)
    }
}

/// Runs so many steps on `subject` and `peer`. Returns how many, or the steps that lead to the
/// first difference, and what it is.
pub fn run(
    theme: &Theme,
    (subject, peer): (Kind, Kind),
    seed: u64,
    steps: usize,
) -> Result<usize, String> {
    let mut sides = [Side::start(subject)?, Side::start(peer)?];
    let mut random = Random::new(seed);
    let mut done = 0;
    while done < steps {
        let length = EPISODE.min(steps - done);
        let mut open = BTreeSet::new();
        let steps = (0..length).map(|_| (theme.step)(&mut random, &mut open));
        let episode: Vec<Step> = steps.collect();
        if let Some(mut found) = rerun(theme, &mut sides, &episode)? {
            let mut rest = episode;
            // Steps that are not needed for it go, many at once as long as that works, from the
            // end, where most are not.
            let mut piece = found.0.div_ceil(2);
            while piece > 0 {
                let mut at = found.0;
                while at > 0 {
                    let from = at.saturating_sub(piece);
                    let mut shorter = rest.clone();
                    shorter.drain(from..at);
                    if let Some(again) = rerun(theme, &mut sides, &shorter)? {
                        (rest, found) = (shorter, again);
                    }
                    at = from.min(found.0);
                }
                piece /= 2;
            }
            let lines: Vec<String> = rest[..=found.0].iter().map(Step::line).collect();
            let lines = lines.join("\n  ");
            return Err(format!(
                "seed {seed}, on empty servers:\n  {lines}\n{}",
                found.1
            ));
        }
        done += length;
    }
    Ok(done)
}

/// Runs steps on empty servers; the number of the first one that differs, and how.
fn rerun(
    theme: &Theme,
    sides: &mut [Side; 2],
    steps: &[Step],
) -> Result<Option<(usize, String)>, String> {
    let failure = |error: io::Error| error.to_string();
    let [subject, peer] = &mut *sides;
    subject.begun.clients.clear();
    peer.begun.clients.clear();
    let begun = (theme.begin)(&[&subject.server, &peer.server]);
    [subject.begun, peer.begun] = begun.map_err(failure)?;
    for (at, step) in steps.iter().enumerate() {
        let [subject, peer] = &mut *sides;
        let line = |error: io::Error| format!("{}: {error}", step.line());
        let (ours, theirs) = (
            subject.run(step, theme),
            peer.run(step, theme).map_err(line)?,
        );
        let Ok(ours) = ours else {
            return Ok(Some((at, format!("{}: {:?}", step.line(), ours.err()))));
        };
        for (connection, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            if ours != theirs {
                let text = |side: &[Reply]| {
                    let lines = side.iter().flat_map(Reply::lines);
                    lines
                        .map(|line| format!("\n    {line:.100}"))
                        .collect::<String>()
                };
                let (ours, theirs) = (text(ours), text(theirs));
                let told = format!("connection {connection}\n  subject:{ours}\n  peer:{theirs}");
                return Ok(Some((at, told)));
            }
        }
    }
    Ok(None)
}
