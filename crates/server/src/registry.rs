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
    /// A control command that is entered with whatever is leased, and passes on by itself what
    /// follows from it: one so quick that giving the lease back would count.
    pub keeps_lease: bool,
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
    buckets: Vec<Bucket>,
}

/// A place of the look-up table.
#[derive(Clone, Copy)]
struct Bucket {
    /// The name's first letters, if the name is all letters and no more than these; else 0, and the
    /// name is to be compared.
    letters: u64,
    id: u16,
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

/// See `Row::keeps_lease`.
const KEEP_LEASE: &[&str] = &["exec", "multi"];

const BUCKETS: usize = 2048;
const EMPTY: Bucket = Bucket {
    letters: 0,
    id: u16::MAX,
};

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
            keeps_lease: parent.is_none() && KEEP_LEASE.contains(&spec.name),
            subcommands: Vec::new(),
            parent,
        });
        if parent.is_none() {
            self.top.push(id);
            let name = spec.name.as_bytes();
            let folded = fold(name);
            let mut at = bucket_of(folded, name.len());
            while self.buckets[at].id != EMPTY.id {
                at = (at + 1) % BUCKETS;
            }
            let is_letters = name.len() <= FOLDED && name.iter().all(u8::is_ascii_alphabetic);
            self.buckets[at] = Bucket {
                letters: if is_letters { folded } else { 0 },
                id: id.0,
            };
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
        let folded = fold(name);
        let mut at = bucket_of(folded, name.len());
        loop {
            let Bucket { letters, id } = self.buckets[at];
            // A letter is what folds to a letter, and a shorter name folds to less: nothing else
            // can be meant.
            if letters == folded && name.len() <= FOLDED && letters != 0 {
                return Some(RowId(id));
            }
            if id == EMPTY.id {
                return None;
            }
            if letters == 0 && eq_ignore_case(self.rows[usize::from(id)].spec.name.as_bytes(), name)
            {
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

/// Letters that [`fold`] takes.
const FOLDED: usize = 8;

/// The first letters of a name in one number, case folded as far as letters go: any other byte
/// stays different from a letter.
#[inline]
fn fold(name: &[u8]) -> u64 {
    let len = name.len();
    let letters = match (
        name.first_chunk::<FOLDED>(),
        name.first_chunk::<4>(),
        name.last_chunk::<4>(),
    ) {
        (Some(&first), ..) => u64::from_le_bytes(first),
        // They overlap unless there are eight.
        (None, Some(&first), Some(&last)) => {
            let last = u64::from(u32::from_le_bytes(last));
            u64::from(u32::from_le_bytes(first)) | last << (8 * (len - 4))
        }
        _ => name
            .iter()
            .rev()
            .fold(0, |letters, &byte| letters << 8 | u64::from(byte)),
    };
    let nothing = 8 * (FOLDED - len.min(FOLDED)) as u32;
    letters | 0x2020_2020_2020_2020_u64.checked_shr(nothing).unwrap_or(0)
}

/// Where the search for a name begins: a sparse table, a multiplicative hash.
#[inline]
fn bucket_of(folded: u64, len: usize) -> usize {
    let hash = (folded ^ len as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash >> 40) as usize % BUCKETS
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Each name is found in either case, and by no other bytes: not with one bit turned over, not
    /// longer or shorter.
    #[test]
    fn a_name_is_found_and_nothing_like_it() {
        let registry = Registry::new();
        let names: Vec<&[u8]> = registry
            .top()
            .iter()
            .map(|&id| registry.row(id).spec.name.as_bytes())
            .collect();
        for (&id, &name) in registry.top().iter().zip(&names) {
            assert_eq!(registry.command(name), Some(id));
            assert_eq!(registry.command(&name.to_ascii_uppercase()), Some(id));
            let mut others = vec![
                name[1..].to_vec(),
                [name, b"\0"].concat(),
                [name, b" "].concat(),
            ];
            others.extend((0..name.len()).map(|end| name[..end].to_vec()));
            others.extend((0..name.len() * 8).map(|bit| {
                let mut other = name.to_vec();
                other[bit / 8] ^= 1 << (bit % 8);
                other
            }));
            for other in others {
                let is_a_name = names.iter().any(|name| name.eq_ignore_ascii_case(&other));
                assert_eq!(registry.command(&other).is_some(), is_a_name, "{other:?}");
            }
        }
    }
}
