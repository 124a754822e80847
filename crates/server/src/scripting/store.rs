//! The scripts that clients have sent, by the SHA-1 of their text.
//!
//! Scripts that came with EVAL are forgotten again when there are more than 500 of them, the one
//! that has not run for longest first; those of SCRIPT LOAD stay (as in Redis since 7.4).

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};

use parking_lot::RwLock;
use script::{Flags, Header};

/// Scripts of EVAL that are kept.
const EVAL_SCRIPTS_MAX: usize = 500;

/// The name of a script: 40 hexadecimal digits in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sha(pub [u8; 40]);

impl Hash for Sha {
    /// The digits are random already.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

impl Sha {
    /// The name of this script.
    pub fn of(source: &[u8]) -> Sha {
        Sha(script::api::sha1_hex(source))
    }

    /// A name as a client wrote it.
    pub fn parse(text: &[u8]) -> Option<Sha> {
        let digits: [u8; 40] = text.try_into().ok()?;
        Some(Sha(digits.map(|digit| digit.to_ascii_lowercase())))
    }

    /// As text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

/// What is known of the keys that a script touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reach {
    /// It has not run yet.
    Unknown,
    /// Only keys that it declared, so far.
    Declared,
    /// Others as well.
    Beyond,
}

/// Remembers a [`Reach`].
#[derive(Debug, Default)]
pub struct Learned(AtomicU8);

impl Learned {
    /// What is known.
    pub fn get(&self) -> Reach {
        match self.0.load(Relaxed) {
            0 => Reach::Unknown,
            1 => Reach::Declared,
            _ => Reach::Beyond,
        }
    }

    /// Notes what a run has shown. What has once been seen beyond its keys stays so.
    pub fn note(&self, reach: Reach) {
        if self.get() != Reach::Beyond {
            self.0.store(reach as u8, Relaxed);
        }
    }
}

/// One script.
#[derive(Debug)]
pub struct Script {
    /// Its name.
    pub sha: Sha,
    /// All of its text.
    pub source: Box<[u8]>,
    /// Where its code begins.
    pub code: usize,
    /// What its first line says.
    pub flags: Option<Flags>,
    /// Which keys it touches.
    pub learned: Learned,
    /// SCRIPT LOAD named it: it is not forgotten by itself.
    loaded: AtomicBool,
    /// It is still in the store.
    alive: AtomicBool,
    used: AtomicU64,
}

impl Script {
    /// Whether it is still in the store.
    #[inline]
    pub fn is_alive(&self) -> bool {
        self.alive.load(Relaxed)
    }

    /// The text without its first line.
    pub fn code(&self) -> &[u8] {
        &self.source[self.code..]
    }
}

/// See the module's head.
#[derive(Default)]
pub struct Store {
    scripts: RwLock<HashMap<Sha, Arc<Script>>>,
    clock: AtomicU64,
    evicted: AtomicU64,
}

impl Store {
    /// The script with this name.
    pub fn get(&self, sha: &Sha) -> Option<Arc<Script>> {
        self.scripts.read().get(sha).cloned()
    }

    /// Notes that a script runs.
    #[inline]
    pub fn touch(&self, script: &Script) {
        if !script.loaded.load(Relaxed) {
            script.used.store(self.clock.fetch_add(1, Relaxed), Relaxed);
        }
    }

    /// Keeps a script whose text is known to compile.
    pub fn insert(&self, sha: Sha, source: &[u8], header: &Header, load: bool) -> Arc<Script> {
        let mut scripts = self.scripts.write();
        let script = scripts.entry(sha).or_insert_with(|| {
            Arc::new(Script {
                sha,
                source: source.into(),
                code: header.code,
                flags: header.flags,
                learned: Learned::default(),
                loaded: AtomicBool::new(load),
                alive: AtomicBool::new(true),
                used: AtomicU64::new(0),
            })
        });
        let script = script.clone();
        if load {
            script.loaded.store(true, Relaxed);
        } else {
            script.used.store(self.clock.fetch_add(1, Relaxed), Relaxed);
            self.evict(&mut scripts);
        }
        script
    }

    fn evict(&self, scripts: &mut HashMap<Sha, Arc<Script>>) {
        let from_eval = || {
            scripts
                .values()
                .filter(|script| !script.loaded.load(Relaxed))
        };
        if from_eval().count() <= EVAL_SCRIPTS_MAX {
            return;
        }
        let oldest = from_eval().min_by_key(|script| script.used.load(Relaxed));
        if let Some(sha) = oldest.map(|script| script.sha)
            && let Some(script) = scripts.remove(&sha)
        {
            script.alive.store(false, Relaxed);
            self.evicted.fetch_add(1, Relaxed);
        }
    }

    /// Forgets all scripts.
    pub fn flush(&self) {
        let scripts = std::mem::take(&mut *self.scripts.write());
        for script in scripts.values() {
            script.alive.store(false, Relaxed);
        }
    }

    /// Number of scripts.
    pub fn len(&self) -> usize {
        self.scripts.read().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.scripts.read().is_empty()
    }

    /// Bytes that the scripts take, outside of Lua.
    pub fn bytes(&self) -> u64 {
        let scripts = self.scripts.read();
        let each = |script: &Arc<Script>| script.source.len() + size_of::<Script>();
        scripts.values().map(each).sum::<usize>() as u64
    }

    /// Scripts forgotten because there were too many.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Relaxed)
    }

    /// Sets that counter to zero.
    pub fn reset_stats(&self) {
        self.evicted.store(0, Relaxed);
    }
}
