//! All commands, data and control, joined into one table with a fast look-up by name.
//!
//! Built once at start from the rows of `engine::families` and `crate::families`. A [`RowId`] names
//! a row (subcommands have rows of their own) and indexes per-command counters.

mod derived;

use base::strings::eq_ignore_case;
use engine::spec::{Begin, DataRun, Find, Flags, KeySpec, Run, Spec};

pub use derived::{CATEGORIES, LegacyKeys, categories, legacy_keys};

use crate::session::ControlRun;

/// Index of a row in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RowId(pub u16);

/// What runs a command.
#[derive(Clone, Copy)]
pub enum Handler {
    /// A data command; the engine runs it.
    Data(DataRun),
    /// A control command; it sees the session and the server.
    Control(ControlRun),
    /// A container: the second word chooses the subcommand.
    Container,
}

/// How the keys of a command are found, worked out from its key specs.
#[derive(Clone, Copy)]
pub enum KeyShape {
    /// It has none.
    None,
    /// The word after the name.
    First,
    /// As the specs say.
    Specs(&'static [KeySpec]),
}

/// One command or subcommand.
pub struct Row {
    /// `get`, `config|get`.
    pub name: String,
    /// The row as declared, without its handler.
    pub spec: Spec<()>,
    /// What runs it.
    pub handler: Handler,
    /// The declared flags and those that follow from the handler.
    pub flags: Flags,
    /// Where its keys are.
    pub shape: KeyShape,
    /// What it does inside a transaction.
    pub in_multi: InMulti,
    /// Rows of its subcommands, in table order.
    pub subcommands: Vec<RowId>,
    /// The container it belongs to.
    pub parent: Option<RowId>,
}

/// Why a name has no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// No such command.
    Command,
    /// The container is there, the subcommand is not.
    Subcommand(RowId),
}

/// All rows. See the module's head.
pub struct Registry {
    rows: Vec<Row>,
    top: Vec<RowId>,
    buckets: Vec<u16>,
}

/// What becomes of a command after MULTI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InMulti {
    /// It is queued.
    Queued,
    /// It runs at once: it is about the transaction, or the connection's end.
    AtOnce,
    /// It runs what is queued, and is admitted as all of that together.
    Exec,
}

fn in_multi(name: &str) -> InMulti {
    match name {
        "exec" => InMulti::Exec,
        "multi" | "discard" | "watch" | "quit" | "reset" => InMulti::AtOnce,
        _ => InMulti::Queued,
    }
}

const BUCKETS: usize = 2048;
const EMPTY: u16 = u16::MAX;

impl Registry {
    /// Joins all tables.
    pub fn new() -> Registry {
        let mut registry = Registry {
            rows: Vec::new(),
            top: Vec::new(),
            buckets: vec![EMPTY; BUCKETS],
        };
        for spec in engine::families::TABLES.iter().copied().flatten() {
            registry.add(spec, Handler::Data, None);
        }
        for spec in crate::families::TABLES.iter().copied().flatten() {
            registry.add(spec, Handler::Control, None);
        }
        registry
    }

    fn add<R: Copy>(
        &mut self,
        spec: &'static Spec<R>,
        handler: fn(R) -> Handler,
        parent: Option<RowId>,
    ) -> RowId {
        let id = RowId(self.rows.len() as u16);
        let run = match spec.run {
            Run::Do(run) | Run::Both(run, _) => handler(run),
            Run::Container(_) => Handler::Container,
        };
        let name = match parent {
            Some(RowId(parent)) => format!("{}|{}", self.rows[usize::from(parent)].name, spec.name),
            None => spec.name.to_owned(),
        };
        self.rows.push(Row {
            name,
            spec: about(spec),
            handler: run,
            flags: all_flags(spec.flags, run, spec.keys),
            shape: shape_of(spec.keys),
            in_multi: in_multi(spec.name),
            subcommands: Vec::new(),
            parent,
        });
        if parent.is_none() {
            self.top.push(id);
            let mut at = bucket_of(spec.name.as_bytes());
            while self.buckets[at] != EMPTY {
                at = (at + 1) % BUCKETS;
            }
            self.buckets[at] = id.0;
        }
        let children: Vec<RowId> = spec
            .subcommands()
            .iter()
            .map(|sub| self.add(sub, handler, Some(id)))
            .collect();
        self.rows[usize::from(id.0)].subcommands = children;
        id
    }

    /// The row with this id.
    #[inline]
    pub fn row(&self, id: RowId) -> &Row {
        &self.rows[usize::from(id.0)]
    }

    /// Number of rows, subcommands included.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All rows with their ids, subcommands after their containers.
    pub fn rows(&self) -> impl Iterator<Item = (RowId, &Row)> {
        self.rows
            .iter()
            .enumerate()
            .map(|(at, row)| (RowId(at as u16), row))
    }

    /// The commands proper, without subcommands.
    pub fn top(&self) -> &[RowId] {
        &self.top
    }

    /// The command with this name, ignoring case.
    #[inline]
    pub fn command(&self, name: &[u8]) -> Option<RowId> {
        let mut at = bucket_of(name);
        loop {
            let id = self.buckets[at];
            if id == EMPTY {
                return None;
            }
            if eq_ignore_case(self.rows[usize::from(id)].spec.name.as_bytes(), name) {
                return Some(RowId(id));
            }
            at = (at + 1) % BUCKETS;
        }
    }

    /// The row that a command's first two words name.
    ///
    /// # Errors
    /// Which of the two is unknown. A container without a second word is its own row.
    #[inline]
    pub fn resolve(&self, name: &[u8], second: Option<&[u8]>) -> Result<RowId, Missing> {
        let id = self.command(name).ok_or(Missing::Command)?;
        let row = self.row(id);
        if row.subcommands.is_empty() {
            return Ok(id);
        }
        let Some(second) = second else { return Ok(id) };
        let names = |&sub: &RowId| eq_ignore_case(self.row(sub).spec.name.as_bytes(), second);
        row.subcommands
            .iter()
            .copied()
            .find(names)
            .ok_or(Missing::Subcommand(id))
    }
}

impl Default for Registry {
    fn default() -> Registry {
        Registry::new()
    }
}

/// FNV-1a over the lower-cased name: short words, a sparse table, no allocation.
#[inline]
fn bucket_of(name: &[u8]) -> usize {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for &byte in name.iter().take(32) {
        hash = (hash ^ u64::from(byte | 0x20)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    (hash >> 20) as usize % BUCKETS
}

fn about<R>(spec: &Spec<R>) -> Spec<()> {
    Spec {
        name: spec.name,
        arity: spec.arity,
        flags: spec.flags,
        keys: spec.keys,
        member: spec.member,
        group: spec.group,
        categories: spec.categories,
        since: spec.since,
        summary: spec.summary,
        complexity: spec.complexity,
        deprecated: spec.deprecated,
        internal: spec.internal,
        tips: spec.tips,
        history: spec.history,
        args: spec.args,
        run: Run::Do(()),
    }
}

fn all_flags(declared: Flags, handler: Handler, keys: &[KeySpec]) -> Flags {
    let kind = match handler {
        Handler::Data(run) if run.writes() => Flags::WRITE,
        Handler::Data(run) if run.reads() => Flags::READONLY,
        Handler::Data(_) | Handler::Control(_) | Handler::Container => Flags::NONE,
    };
    let movable = legacy_keys(keys).movable;
    declared.or(kind).or(if movable {
        Flags::MOVABLEKEYS
    } else {
        Flags::NONE
    })
}

fn shape_of(keys: &'static [KeySpec]) -> KeyShape {
    match keys {
        [] => KeyShape::None,
        [
            KeySpec {
                begin: Begin::Index(1),
                find: Find::Range { last: 0, .. },
                ..
            },
        ] => KeyShape::First,
        specs => KeyShape::Specs(specs),
    }
}
