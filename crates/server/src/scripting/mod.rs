//! Scripts and functions: what the workers share of them, what each has for itself, and how one
//! runs.
//!
//! Sources are kept once, in [`Scripting`]; each worker compiles what it runs into its own Lua
//! states ([`State`]). A script runs under one pinned lease (`run`), and its commands go through
//! `call::run` as those of a transaction do (`nested`).

mod lease;
pub mod libraries;
mod nested;
pub mod run;
pub mod running;
mod state;
pub mod store;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use engine::failure::Failure;
use parking_lot::{Mutex, RwLock};
use script::{Flags, Header};

use libraries::{Libraries, Library};
use running::Running;
pub use state::{State, load_library};
use store::{Sha, Store};

use crate::mailbox::WorkerId;

/// What the workers share.
pub struct Scripting {
    /// Scripts by their SHA-1.
    pub store: Store,
    /// Libraries of functions.
    pub libraries: RwLock<Libraries>,
    /// Held while somebody makes new libraries of the old ones.
    changing: Mutex<()>,
    /// Number of changes to the libraries.
    pub libraries_version: AtomicU64,
    /// What runs for long.
    pub running: Running,
    /// Commands about the server and the connection may be called even if they are not for scripts
    /// (DEBUG SET-DISABLE-DENY-SCRIPTS).
    pub any_command: AtomicBool,
    /// Bytes in Lua states: for scripts and for functions, per worker.
    memory: Box<[[AtomicU64; 2]]>,
}

/// Which of a worker's two states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// EVAL and its kin.
    Script,
    /// FCALL.
    Function,
}

impl Scripting {
    /// Whether the script or function that this command would run promises not to write.
    pub fn says_it_only_reads(&self, command: &str, subject: &[u8]) -> bool {
        let flags = self.flags_of(command, subject);
        flags.is_some_and(|flags| flags.has(Flags::NO_WRITES))
    }

    /// The flags of the script or function that this command would run, if it has any.
    pub fn flags_of(&self, command: &str, subject: &[u8]) -> Option<Flags> {
        match command {
            "eval" | "eval_ro" => Header::of_script(subject).ok().and_then(|it| it.flags),
            "evalsha" | "evalsha_ro" => {
                let script = Sha::parse(subject).and_then(|sha| self.store.get(&sha));
                script.and_then(|script| script.flags)
            }
            "fcall" | "fcall_ro" => {
                let libraries = self.libraries.read();
                let mut functions = libraries.iter().flat_map(Library::functions);
                let about = functions.find(|about| about.name == subject);
                about.map(|about| about.flags)
            }
            _ => None,
        }
    }

    /// Without scripts, for so many workers.
    pub fn new(workers: usize) -> Scripting {
        Scripting {
            store: Store::default(),
            libraries: RwLock::default(),
            changing: Mutex::default(),
            libraries_version: AtomicU64::new(0),
            running: Running::new(workers),
            any_command: AtomicBool::new(false),
            memory: (0..workers).map(|_| Default::default()).collect(),
        }
    }

    /// Notes how large a worker's state is.
    fn note_memory(&self, worker: WorkerId, kind: Kind, bytes: usize) {
        let place = &self.memory[usize::from(worker.0)][kind as usize];
        place.store(bytes as u64, Ordering::Relaxed);
    }

    /// Notes now and then how large a worker's state is.
    fn note(&self, kind: Kind, worker: WorkerId, engine: &script::Engine) {
        self.note_memory(worker, kind, engine.memory_bytes());
    }

    /// Bytes in the Lua states of all workers.
    pub fn memory_bytes(&self, kind: Kind) -> u64 {
        self.memory
            .iter()
            .map(|states| states[kind as usize].load(Ordering::Relaxed))
            .sum()
    }

    /// Changes the libraries, all at once or not at all; the workers load them again before they
    /// run the next function.
    ///
    /// # Errors
    /// As `change`.
    pub fn change_libraries<T>(
        &self,
        change: impl FnOnce(&mut Libraries) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let _changing = self.changing.lock();
        // A library's code runs while it is loaded; nobody has to wait for that to call a function.
        let mut libraries = self.libraries.read().clone();
        let result = change(&mut libraries)?;
        self.set_libraries(libraries);
        Ok(result)
    }

    /// Sets all libraries.
    pub fn set_libraries(&self, libraries: Libraries) {
        *self.libraries.write() = libraries;
        self.libraries_version.fetch_add(1, Ordering::Release);
    }
}
