//! One worker's Lua states and what they have compiled.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use engine::failure::Failure;
use script::{Compiled, Ended, Engine, Facts, Flags, Function, Library};

use super::libraries::Libraries;
use super::nested::{NoCommands, Scratch};
use super::store::{Learned, Script, Sha, Store};
use super::{Kind, Scripting};
use crate::mailbox::WorkerId;
use crate::version::REDIS_VERSION;

/// As much as each of a worker's Lua states may take.
const LUA_BYTES_MAX: usize = 1 << 30;

/// Scripts forgotten by the store are let go of here when there are more than so many of all.
const DEAD_MAX: usize = 1024;

/// Gives a number back as its own hash: names of scripts are random.
#[derive(Default)]
pub(super) struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// A compiled script.
#[derive(Clone)]
pub(super) struct Ready {
    pub(super) script: Arc<Script>,
    pub(super) code: Compiled,
}

/// A loaded function.
#[derive(Clone)]
pub(super) struct ReadyFunction {
    pub(super) code: Compiled,
    pub(super) flags: Flags,
    pub(super) learned: Arc<Learned>,
}

/// See the module's head. Empty until the worker runs its first script.
#[derive(Default)]
pub struct State {
    pub(super) scripts: Option<Engine>,
    known: HashMap<Sha, Ready, BuildHasherDefault<Same>>,
    pub(super) functions: Option<Engine>,
    functions_known: HashMap<Vec<u8>, ReadyFunction>,
    functions_version: u64,
    /// Buffers for commands.
    pub(super) scratch: Scratch,
}

/// What scripts can learn about this server.
pub(super) fn facts() -> Facts {
    let mut parts = REDIS_VERSION
        .split('.')
        .map(|part| part.parse::<i64>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    let version_number = next() << 16 | next() << 8 | next();
    Facts {
        version: REDIS_VERSION,
        version_number,
        bytes_max: LUA_BYTES_MAX,
    }
}

fn new_engine() -> Result<Engine, Failure> {
    Engine::new(&facts()).map_err(|text| Failure::owned(format!("ERR {text}")))
}

fn engine(slot: &mut Option<Engine>) -> Result<&mut Engine, Failure> {
    match slot {
        Some(engine) => Ok(engine),
        None => Ok(slot.insert(new_engine()?)),
    }
}

impl State {
    /// The script with this name, compiled.
    pub(super) fn script(&mut self, sha: &Sha, store: &Store) -> Result<Option<Ready>, Failure> {
        if let Some(ready) = self.known.get(sha)
            && ready.script.is_alive()
        {
            return Ok(Some(ready.clone()));
        }
        match store.get(sha) {
            Some(script) => self.compile(script).map(Some),
            None => Ok(None),
        }
    }

    fn compile(&mut self, script: Arc<Script>) -> Result<Ready, Failure> {
        let code = self.check(script.code())?;
        Ok(self.enter(script, code))
    }

    /// Compiles a script's code.
    pub(super) fn check(&mut self, code: &[u8]) -> Result<Compiled, Failure> {
        engine(&mut self.scripts)?.compile(code).map_err(|text| {
            Failure::owned([b"ERR Error compiling script (new function): ", &text[..]].concat())
        })
    }

    /// Remembers a compiled script.
    pub(super) fn enter(&mut self, script: Arc<Script>, code: Compiled) -> Ready {
        if self.known.len() >= DEAD_MAX {
            self.forget_dead();
        }
        let ready = Ready { script, code };
        if let Some(old) = self.known.insert(ready.script.sha, ready.clone())
            && let Some(engine) = &mut self.scripts
        {
            engine.forget(old.code);
        }
        ready
    }

    fn forget_dead(&mut self) {
        let Some(engine) = &mut self.scripts else {
            return;
        };
        self.known.retain(|_, ready| {
            let alive = ready.script.is_alive();
            if !alive {
                engine.forget(ready.code);
            }
            alive
        });
    }

    /// Forgets compiled scripts that the store has forgotten, and functions if none are left; all
    /// of them: the whole state.
    pub fn forget_flushed(&mut self, scripting: &Scripting, worker: WorkerId) {
        if scripting.store.is_empty() {
            self.known.clear();
            self.scripts = None;
        } else {
            self.forget_dead();
        }
        if scripting.libraries.read().is_empty() {
            self.functions_known.clear();
            self.functions = None;
        }
        self.note_memory(scripting, worker);
    }

    /// The function with this name. Loads the libraries first if they have changed.
    pub(super) fn function(
        &mut self,
        name: &[u8],
        scripting: &Scripting,
    ) -> Result<Option<ReadyFunction>, Failure> {
        let version = scripting.libraries_version.load(Ordering::Acquire);
        if version != self.functions_version {
            self.load_all(&scripting.libraries.read())?;
            self.functions_version = version;
        }
        // Names of functions know no case.
        let name = name.to_ascii_lowercase();
        Ok(self.functions_known.get(&name).cloned())
    }

    /// Loads all libraries into a new state.
    fn load_all(&mut self, libraries: &Libraries) -> Result<(), Failure> {
        self.functions = None;
        self.functions_known.clear();
        for library in libraries.iter() {
            let engine = engine(&mut self.functions)?;
            // It was loaded once already, on the worker that was asked to. What fails now (for the
            // time or a random number it looked at) is a function that is not there.
            let Ok(loaded) = engine.load_library(library.code(), &mut NoCommands::default()) else {
                log::warn!("library {} could not be loaded again", library.name_text());
                continue;
            };
            for Function {
                name, flags, code, ..
            } in loaded.functions
            {
                let Some(learned) = library.learned(&name) else {
                    continue;
                };
                let ready = ReadyFunction {
                    code,
                    flags,
                    learned,
                };
                self.functions_known
                    .insert(name.to_ascii_lowercase(), ready);
            }
        }
        Ok(())
    }

    /// Tells how much memory the states take.
    pub(super) fn note_memory(&self, scripting: &Scripting, worker: WorkerId) {
        for (kind, engine) in [
            (Kind::Script, &self.scripts),
            (Kind::Function, &self.functions),
        ] {
            let bytes = engine.as_ref().map_or(0, Engine::memory_bytes);
            scripting.note_memory(worker, kind, bytes);
        }
    }
}

/// Loads a library to see what it registers; the workers load it again when they need it.
pub fn load_library(code: &[u8]) -> Result<Library, Failure> {
    let mut host = NoCommands::default();
    new_engine()?
        .load_library(code, &mut host)
        .map_err(|ended| match ended {
            Ended::Failed { text, place, .. } => registering_failed(&text, place),
            Ended::ByHost => Failure::fixed("ERR FUNCTION LOAD timeout"),
        })
}

fn registering_failed(text: &[u8], place: Option<(String, usize)>) -> Failure {
    if text.starts_with(b"ERR Error compiling function: ") {
        return Failure::owned(text);
    }
    if let Some((source, line)) = place {
        log::debug!("while loading a library: {source}:{line}");
    }
    Failure::owned([b"ERR Error registering functions: ", text].concat())
}
