//! Runs transcripts: each section against a target, every step compared, every difference reported.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fmt, fs, thread};

use super::expect::{self, UNORDERED};
use super::parse::{Action, Against, Captures, Section, Step, Transcript, Word, fill};
use super::target::{Answer, ServerTarget, Target};
use crate::client;
use crate::peers::Kind;
use crate::process::Server;

/// How long `until` goes on asking.
const UNTIL_TIMEOUT: Duration = Duration::from_secs(10);

/// Who the target is; it decides which sections concern it.
pub type Who = Kind;

/// What a run found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Steps whose answer was as expected.
    pub passed: usize,
    /// The others.
    pub failures: Vec<Failure>,
}

/// One step that went otherwise.
#[derive(Debug)]
pub struct Failure {
    /// Line of the step in the file, from 1.
    pub line: usize,
    /// The step as written.
    pub step: String,
    /// The expected lines as written.
    pub expected: Vec<String>,
    /// What came.
    pub actual: Vec<String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in &self.failures {
            writeln!(f, "line {}: {}", failure.line, failure.step)?;
            for line in &failure.expected {
                writeln!(f, "  - {line}")?;
            }
            for line in &failure.actual {
                writeln!(f, "  + {line}")?;
            }
        }
        Ok(())
    }
}

/// The peer whose expectations are to be rewritten, from `UPDATE_EXPECT`.
pub fn update_requested() -> Option<Kind> {
    env::var("UPDATE_EXPECT")
        .ok()
        .and_then(|name| Kind::named(&name))
}

/// The servers that at least one section of the transcript concerns, Ruddle first.
pub fn kinds_for(transcript: &Transcript) -> Vec<Kind> {
    let all = [Kind::Ruddle, Kind::Redis, Kind::Valkey];
    let concerned = |kind: &Kind| transcript.sections.iter().any(|s| concerns(s, *kind));
    all.into_iter().filter(concerned).collect()
}

fn concerns(section: &Section, who: Who) -> bool {
    match section.against {
        _ if who == Kind::Ruddle => true,
        Against::Redis => who == Kind::Redis,
        Against::Valkey => who == Kind::Valkey,
        Against::Nobody(_) => false,
    }
}

/// Starts a fresh server of this kind, with the arguments the file asks for, and runs the file
/// against it. With `UPDATE_EXPECT` naming this peer, unmet expectations are rewritten instead of
/// reported.
pub fn run_against(path: &Path, who: Who) -> Result<Outcome, String> {
    let transcript = Transcript::read(path)?;
    let args: Vec<&str> = transcript.args.iter().map(String::as_str).collect();
    let mut target = ServerTarget::new(Server::start(who, &args)?);
    let outcome = run_file(&transcript, &mut target, who);
    if !target.server().is_alive() {
        return Err(format!(
            "the server is gone\n{outcome}\n{}",
            target.server().log()
        ));
    }
    if who != Kind::Ruddle && update_requested() == Some(who) {
        rewrite(&transcript, &outcome)?;
        return Ok(Outcome {
            passed: outcome.passed,
            failures: Vec::new(),
        });
    }
    Ok(outcome)
}

/// Runs those sections of a transcript that concern `who` against `target`.
pub fn run_file(transcript: &Transcript, target: &mut dyn Target, who: Who) -> Outcome {
    let mut outcome = Outcome::default();
    let has_sockets = target.sockets().is_some();
    for section in transcript
        .sections
        .iter()
        .filter(|section| concerns(section, who))
    {
        let needs_socket = section.steps.iter().any(|step| step.action.needs_socket());
        if needs_socket && !has_sockets {
            continue;
        }
        target.reset();
        let mut run = Run {
            lines: &transcript.lines,
            section,
            target: &mut *target,
            names: HashMap::new(),
            captures: Captures::new(),
        };
        run.all(&mut outcome);
    }
    outcome
}

/// The state of one section's run.
struct Run<'a> {
    lines: &'a [String],
    section: &'a Section,
    target: &'a mut dyn Target,
    /// Connection names to the target's numbers. Number 0 is the runner's own.
    names: HashMap<String, usize>,
    captures: Captures,
}

/// The connection on which the runner itself asks and sets things.
const OWN: usize = 0;

impl Run<'_> {
    fn all(&mut self, outcome: &mut Outcome) {
        let restore = match self.configure() {
            Ok(restore) => restore,
            Err(why) => {
                let line = self.section.steps.first().map_or(1, |step| step.line);
                let step = format!("section {}", self.section.title);
                let failure = Failure {
                    line,
                    step,
                    expected: Vec::new(),
                    actual: vec![why],
                };
                outcome.failures.push(failure);
                return;
            }
        };
        for step in &self.section.steps {
            match self.step(step) {
                Ok(None) => outcome.passed += 1,
                Ok(Some(failure)) => outcome.failures.push(failure),
                // A step that cannot be taken, because an earlier one captured nothing, say.
                Err(why) => {
                    let expected = self.lines[step.expected.clone()].to_vec();
                    let failure = self.failure(step, expected, vec![format!("({why})")]);
                    outcome.failures.push(failure);
                }
            }
        }
        for (name, value) in restore {
            self.target
                .call(OWN, &command(&["CONFIG", "SET", &name, &value]));
        }
    }

    /// Sets the section's parameters; returns what they were.
    fn configure(&mut self) -> Result<Vec<(String, String)>, String> {
        let mut before = Vec::new();
        for (name, value) in &self.section.config {
            let old = self.target.call(OWN, &command(&["CONFIG", "GET", name]));
            let old = match &old {
                Answer::Reply(reply) => reply.items().and_then(|items| items.get(1)?.bytes()),
                _ => None,
            };
            let old = old.ok_or_else(|| format!("`@ config {name}`: no such parameter"))?;
            before.push((name.clone(), String::from_utf8_lossy(old).into_owned()));
            let set = self
                .target
                .call(OWN, &command(&["CONFIG", "SET", name, value]));
            if set.lines() != ["OK"] {
                return Err(format!("`@ config {name}`: {}", set.lines().join(" ")));
            }
        }
        Ok(before)
    }

    fn step(&mut self, step: &Step) -> Result<Option<Failure>, String> {
        let connection = self.connection(&step.connection);
        let answer = match &step.action {
            Action::Call(words) => {
                let args = self.args(words)?;
                self.target.call(connection, &args)
            }
            Action::Until(words, reply) => return self.until(step, connection, words, reply),
            Action::Send(words) => {
                let mut wire = Vec::new();
                client::encode(&mut wire, &self.args(words)?);
                self.sockets()?.send(connection, &wire);
                return Ok(None);
            }
            Action::Raw(words) => {
                let bytes = self.args(words)?.concat();
                self.sockets()?.send(connection, &bytes);
                return Ok(None);
            }
            Action::HangUp => {
                self.sockets()?.hang_up(connection);
                // The next use of the name is a new connection, with the section's protocol.
                self.names.remove(&step.connection);
                return Ok(None);
            }
            Action::Receive => self.sockets()?.receive(connection),
        };
        self.compare(step, answer)
    }

    fn compare(&mut self, step: &Step, answer: Answer) -> Result<Option<Failure>, String> {
        let written = &self.lines[step.expected.clone()];
        let (expected, actual) = match (written.split_first(), answer) {
            (Some((first, rest)), Answer::Reply(reply)) if first == UNORDERED => {
                (rest, reply.sorted().lines())
            }
            (_, answer) => (written, answer.lines()),
        };
        if expect::matches(expected, &actual, &mut self.captures)? {
            return Ok(None);
        }
        Ok(Some(self.failure(step, expected.to_vec(), actual)))
    }

    fn until(
        &mut self,
        step: &Step,
        connection: usize,
        words: &[Word],
        reply: &str,
    ) -> Result<Option<Failure>, String> {
        let deadline = Instant::now() + UNTIL_TIMEOUT;
        let expected = [reply.to_owned()];
        loop {
            let args = self.args(words)?;
            let actual = self.target.call(connection, &args).lines();
            if expect::matches(&expected, &actual, &mut self.captures)? {
                return Ok(None);
            }
            if Instant::now() > deadline {
                return Ok(Some(self.failure(step, expected.to_vec(), actual)));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn failure(&self, step: &Step, expected: Vec<String>, actual: Vec<String>) -> Failure {
        let step_line = self.lines[step.line - 1].clone();
        Failure {
            line: step.line,
            step: step_line,
            expected,
            actual,
        }
    }

    fn sockets(&mut self) -> Result<&mut dyn super::Sockets, String> {
        self.target
            .sockets()
            .ok_or_else(|| "this target has no sockets".to_owned())
    }

    fn args(&self, words: &[Word]) -> Result<Vec<Vec<u8>>, String> {
        let now_ms = self.target.now_ms();
        words
            .iter()
            .map(|word| fill(word, &self.captures, now_ms))
            .collect()
    }

    /// The number of a named connection; a new one is switched to the section's protocol first.
    fn connection(&mut self, name: &str) -> usize {
        if let Some(&number) = self.names.get(name) {
            return number;
        }
        // After a hang-up a number may come again: the target has forgotten it by then.
        let number = OWN + 1 + self.names.values().max().copied().unwrap_or(OWN);
        self.names.insert(name.to_owned(), number);
        if self.section.resp3 {
            self.target.call(number, &command(&["HELLO", "3"]));
        }
        number
    }
}

fn command(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// Writes the file anew with the actual answers in place of the expectations that were not met.
fn rewrite(transcript: &Transcript, outcome: &Outcome) -> Result<(), String> {
    let failed: HashMap<usize, &Failure> = outcome.failures.iter().map(|f| (f.line, f)).collect();
    let mut lines = transcript.lines.clone();
    // From the end, so that the ranges of earlier steps stay true.
    for step in transcript
        .sections
        .iter()
        .rev()
        .flat_map(|section| section.steps.iter().rev())
    {
        if let Some(failure) = failed.get(&step.line)
            && step.action.has_answer()
        {
            let mut range = step.expected.clone();
            if lines
                .get(range.start)
                .is_some_and(|line| line == UNORDERED && !range.is_empty())
            {
                range.start += 1;
            }
            lines.splice(range, failure.actual.iter().cloned());
        }
    }
    let text = lines.join("\n") + "\n";
    let path = &transcript.path;
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
