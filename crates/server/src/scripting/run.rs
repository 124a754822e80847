//! Running one script or function: what is checked before, under what it runs, what is answered.

use engine::args::{Args, KeyWord};
use engine::failure::Failure;
use engine::spec::Flags as CommandFlags;
use resp::Reply;
use script::{Compiled, Ended, Engine, Flags, Header, Input};

use super::lease;
use super::nested::{Nested, Rules};
use super::state::{Ready, State};
use super::store::{Learned, Sha};
use super::{Kind, Scripting};
use crate::gate::{LACKING, MASTER_DOWN};
use crate::session::{Session, Within};

/// First word after the number of keys.
const FIRST_KEY: usize = 3;

const NO_SCRIPT: Failure = Failure::fixed("NOSCRIPT No matching script. Please use EVAL.");
const NO_FUNCTION: Failure = Failure::fixed("ERR Function not found");
const BAD_KEY_NUMBER: Failure =
    Failure::fixed("ERR Number of keys can't be greater than number of args");
const NEGATIVE_KEY_NUMBER: Failure = Failure::fixed("ERR Number of keys can't be negative");
const WRITER: Failure =
    Failure::fixed("ERR Can not execute a script with write flag using *_ro command.");
const BAD_NUMBER: Failure = Failure::fixed("ERR Bad number of keys provided");

/// What runs, for those who ask while it runs for long.
#[derive(Clone, Copy)]
pub(super) struct Running<'a> {
    pub(super) kind: Kind,
    pub(super) name: &'a [u8],
    args: &'a Args<'a>,
}

impl Running<'_> {
    /// The words of the command that runs it.
    pub(super) fn words(&self) -> Vec<Vec<u8>> {
        self.args.words().map(<[u8]>::to_vec).collect()
    }
}

/// Which way a script or function was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// EVAL, with the text.
    Text,
    /// EVALSHA, with the name.
    Name,
    /// FCALL, with the function's name.
    Function,
}

/// What is about to run.
struct Subject<'a> {
    kind: Kind,
    name: &'a [u8],
    code: Compiled,
    flags: Option<Flags>,
    learned: &'a Learned,
}

/// EVAL, EVALSHA, FCALL and their read-only forms.
pub fn run(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
    asked: Asked,
    read_only: bool,
) -> Result<(), Failure> {
    // Nothing that a script may call comes back here, so it is not missed meanwhile.
    let mut state = std::mem::take(session.scripts);
    let within = std::mem::replace(&mut session.within, Within::Script);
    let result = with_state(&mut state, session, args, out, asked, read_only);
    session.within = within;
    *session.scripts = state;
    result
}

fn with_state(
    state: &mut State,
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
    asked: Asked,
    read_only: bool,
) -> Result<(), Failure> {
    let what = args.word(1);
    let scripting = &session.server.scripting;
    if asked == Asked::Function {
        let function = state.function(what, scripting)?.ok_or(NO_FUNCTION)?;
        let keys = key_number(args, BAD_NUMBER)?;
        let subject = Subject {
            kind: Kind::Function,
            name: what,
            code: function.code,
            flags: Some(function.flags),
            learned: &function.learned,
        };
        return start(state, &subject, session, args, keys, read_only, out);
    }
    let sha = match asked {
        Asked::Name => Some(Sha::parse(what).ok_or(NO_SCRIPT)?),
        _ => None,
    };
    let keys = key_number(args, Failure::NOT_INTEGER)?;
    let ready = match sha {
        Some(sha) => state.script(&sha, &scripting.store)?.ok_or(NO_SCRIPT)?,
        None => {
            let sha = Sha::of(what);
            match state.script(&sha, &scripting.store)? {
                Some(ready) => ready,
                None => insert(state, scripting, sha, what, false)?,
            }
        }
    };
    scripting.store.touch(&ready.script);
    let subject = Subject {
        kind: Kind::Script,
        name: &ready.script.sha.0,
        code: ready.code,
        flags: ready.script.flags,
        learned: &ready.script.learned,
    };
    start(state, &subject, session, args, keys, read_only, out)
}

/// Compiles a script and keeps it.
fn insert(
    state: &mut State,
    scripting: &Scripting,
    sha: Sha,
    source: &[u8],
    load: bool,
) -> Result<Ready, Failure> {
    let header = Header::of_script(source).map_err(Failure::owned)?;
    let code = state.check(&source[header.code..])?;
    let script = scripting.store.insert(sha, source, &header, load);
    Ok(state.enter(script, code))
}

/// SCRIPT LOAD: its name.
pub fn load(session: &mut Session<'_, '_>, source: &[u8]) -> Result<Sha, Failure> {
    let sha = Sha::of(source);
    let scripting = &session.server.scripting;
    match session.scripts.script(&sha, &scripting.store)? {
        Some(_) => {
            let header = Header::of_script(source).map_err(Failure::owned)?;
            scripting.store.insert(sha, source, &header, true);
        }
        None => {
            insert(session.scripts, scripting, sha, source, true)?;
        }
    }
    session
        .scripts
        .note_memory(scripting, session.client.card.worker);
    Ok(sha)
}

fn key_number(args: &mut Args<'_>, no_number: Failure) -> Result<usize, Failure> {
    args.skip(1);
    let number = args.int_or(no_number);
    args.check()?;
    match usize::try_from(number) {
        Err(_) => Err(NEGATIVE_KEY_NUMBER),
        Ok(number) if number > args.left() => Err(BAD_KEY_NUMBER),
        Ok(number) => Ok(number),
    }
}

/// What a script with a first line must not do. Returns whether it must not write.
fn check_flags(
    flags: Option<Flags>,
    read_only: bool,
    full: bool,
    session: &Session<'_, '_>,
) -> Result<bool, Failure> {
    let Some(flags) = flags else {
        return Ok(read_only);
    };
    let writes = !flags.has(Flags::NO_WRITES);
    if read_only && writes {
        return Err(WRITER);
    }
    if writes && session.server.lacks_replicas() {
        return Err(LACKING);
    }
    if full && !flags.has(Flags::ALLOW_OOM) && writes {
        return Err(Failure::OUT_OF_MEMORY);
    }
    Ok(!writes)
}

/// What a script must not do on a replica.
fn check_replica(flags: Option<Flags>, session: &Session<'_, '_>) -> Result<(), Failure> {
    let writes = flags.is_some_and(|flags| !flags.has(Flags::NO_WRITES));
    if writes && session.is_read_only_replica() {
        return Err(Failure::READ_ONLY);
    }
    let bears_stale = flags.is_some_and(|flags| flags.has(Flags::ALLOW_STALE));
    match session.is_stale_replica() && !bears_stale {
        true => Err(MASTER_DOWN),
        false => Ok(()),
    }
}

fn start(
    state: &mut State,
    subject: &Subject<'_>,
    session: &mut Session<'_, '_>,
    args: &Args<'_>,
    key_number: usize,
    read_only: bool,
    out: &mut Reply,
) -> Result<(), Failure> {
    check_replica(subject.flags, session)?;
    let full = is_full(session);
    let read_only = check_flags(subject.flags, read_only, full, session)?;
    let may_fill = subject
        .flags
        .is_some_and(|flags| flags.has(Flags::ALLOW_OOM));
    let was_pinned = session.lease.is_pinned();
    let only_declared = !session.settings.script_undeclared_keys;
    let State {
        scripts,
        functions,
        scratch,
        ..
    } = state;
    let engine = match subject.kind {
        Kind::Script => scripts.as_ref(),
        Kind::Function => functions.as_ref(),
    };
    // Invariant: what is compiled came from an engine.
    let Some(engine) = engine else {
        return Err(NO_FUNCTION);
    };
    let declared: &[KeyWord] = args.keys();
    let result = loop {
        let learned = subject.learned;
        let Some(held) = lease::take(session.lease, learned, declared, only_declared) else {
            return Err(Failure::BUSY);
        };
        session.lease.pin();
        let rules = Rules {
            declared,
            learned,
            read_only,
            full: full && !may_fill,
            only_declared,
            subject: Running {
                kind: subject.kind,
                name: subject.name,
                args,
            },
        };
        let mut nested = Nested::new(session, rules, held, scratch);
        let db = nested.session.client.db;
        let result = call(engine, subject, args, key_number, &mut nested, out);
        nested.finish();
        nested.session.client.db = db;
        let (restart, failed) = (nested.restart, nested.failed);
        if !restart {
            session.failed = failed;
            break result;
        }
        // It has written nothing, but keys may have expired under it.
        session.settle();
        session.lease.unpin();
    };
    if !was_pinned {
        // While the lease is held: the script counts as one command.
        session.settle();
        session.lease.unpin();
    }
    let worker = session.client.card.worker;
    session.server.scripting.note(subject.kind, worker, engine);
    result.map_err(|ended| failure(&ended, subject))
}

fn call(
    engine: &Engine,
    subject: &Subject<'_>,
    args: &Args<'_>,
    key_number: usize,
    nested: &mut Nested<'_, '_, '_>,
    out: &mut Reply,
) -> Result<(), Ended> {
    let (buffer, words) = args.parts();
    let (keys, args) = words[FIRST_KEY..].split_at(key_number);
    let input = Input { buffer, keys, args };
    match subject.kind {
        Kind::Script => engine.run(subject.code, input, nested, out),
        Kind::Function => engine.run_function(subject.code, input, nested, out),
    }
}

/// Whether memory is full and nothing can be evicted.
fn is_full(session: &mut Session<'_, '_>) -> bool {
    if session.settings.maxmemory_bytes == 0 {
        return false;
    }
    let Session {
        server,
        settings,
        evictor,
        lease,
        env,
        client,
        ..
    } = session;
    evictor
        .admit(CommandFlags::DENYOOM, server, settings, lease, env, client)
        .is_err()
}

/// The error of a script that has ended with one.
fn failure(ended: &Ended, subject: &Subject<'_>) -> Failure {
    let (text, counted, place) = match ended {
        Ended::ByHost => (
            match subject.kind {
                Kind::Script => &b"ERR Script killed by user with SCRIPT KILL..."[..],
                Kind::Function => b"ERR Script killed by user with FUNCTION KILL...",
            },
            false,
            &None,
        ),
        Ended::Failed {
            text,
            counted,
            place,
        } => (&text[..], *counted, place),
    };
    let mut whole = [text, b" script: ", subject.name].concat();
    if let Some((source, line)) = place {
        whole.extend_from_slice(format!(", on {source}:{line}").as_bytes());
    }
    whole.push(b'.');
    Failure::owned(whole).counted(counted)
}
