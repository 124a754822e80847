//! Streams: a log of entries ([`log`]), and the groups of consumers that read it ([`group`]).
//!
//! The log is a queue of packed nodes (`node`), each of which Redis dumps as a listpack. `trim`
//! takes the oldest entries off, `producers` knows what was sent lately, `validate` reads nodes
//! from outside.
//!
//! A stream may be empty and still be there: its ids go on where they were.

use crate::collection::{Collection, Form};
use crate::shared::{Passed, Release};

mod entry;
pub mod group;
mod id;
pub mod log;
mod node;
pub mod producers;
#[cfg(test)]
mod tests;
mod trim;
mod validate;

pub use entry::{Entry, Pairs};
pub use group::{Consumer, ConsumerId, Group, Pending};
pub use id::{ID_TEXT_MAX, Sequence, StreamId};
pub use log::{Log, TooLong};
pub use producers::{Memory, Producers};
pub use trim::{References, Trim, TrimTo};

/// A stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// Boxed, so that the values of other types are not as large; none before the first change.
    body: Option<Box<Body>>,
}

#[derive(Clone, Debug, Default)]
struct Body {
    log: Log,
    /// By name.
    groups: Vec<Group>,
    producers: Option<Box<Producers>>,
}

/// What a stream that never was changed shows.
static EMPTY: Body = Body {
    log: Log::EMPTY,
    groups: Vec::new(),
    producers: None,
};

impl Stream {
    #[inline]
    fn body(&self) -> &Body {
        self.body.as_deref().unwrap_or(&EMPTY)
    }

    #[inline]
    fn body_mut(&mut self) -> &mut Body {
        self.body.get_or_insert_default()
    }

    /// The entries.
    #[inline]
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.body().log
    }

    /// The entries, to change them.
    #[inline]
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.body_mut().log
    }

    /// The groups, by name.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.body().groups
    }

    /// The group with this name.
    #[must_use]
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        let groups = self.groups();
        Some(&groups[search(groups, name).ok()?])
    }

    /// The group with this name, to change it, and the entries.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<(&Log, &mut Group)> {
        let body = self.body.as_deref_mut()?;
        let at = search(&body.groups, name).ok()?;
        Some((&body.log, &mut body.groups[at]))
    }

    /// Adds a group; whether there was none of this name.
    pub fn add_group(&mut self, group: Group) -> bool {
        let groups = &mut self.body_mut().groups;
        match search(groups, group.name()) {
            Ok(_) => false,
            Err(at) => {
                groups.insert(at, group);
                true
            }
        }
    }

    /// Removes a group; whether it was there.
    pub fn remove_group(&mut self, name: &[u8]) -> bool {
        let groups = &mut self.body_mut().groups;
        let found = search(groups, name);
        if let Ok(at) = found {
            groups.remove(at);
        }
        found.is_ok()
    }

    /// Whether a group has not got this entry yet, or has it pending.
    #[must_use]
    pub fn is_referenced(&self, entry: StreamId) -> bool {
        let holds = |group: &Group| entry > group.last_id || group.pending().contains_key(&entry);
        self.groups().iter().any(holds)
    }

    /// Takes an entry off the pending lists of all groups.
    pub fn drop_references(&mut self, entry: StreamId) {
        if let Some(body) = &mut self.body {
            for group in &mut body.groups {
                group.acknowledge(entry);
            }
        }
    }

    /// What producers have sent lately; `None` if none said who it was.
    #[must_use]
    pub fn producers(&self) -> Option<&Producers> {
        self.body().producers.as_deref()
    }

    /// The same, to change it.
    pub fn producers_mut(&mut self) -> &mut Producers {
        self.body_mut().producers.get_or_insert_default()
    }

    /// Makes the log of nodes from outside: first ids and bodies of listpacks.
    ///
    /// `None` if the bytes are no nodes, or not in order.
    #[must_use]
    pub fn from_nodes(nodes: impl IntoIterator<Item = (StreamId, Vec<u8>)>) -> Option<Stream> {
        let log = Log::from_nodes(nodes)?;
        let body = Body {
            log,
            ..Body::default()
        };
        Some(Stream {
            body: Some(Box::new(body)),
        })
    }

    /// Checks what must always hold.
    #[cfg(test)]
    fn invariants(&self) {
        let body = self.body();
        body.log.invariants();
        assert!(body.groups.is_sorted_by(|a, b| a.name() < b.name()));
        body.groups.iter().for_each(Group::invariants);
    }
}

fn search(groups: &[Group], name: &[u8]) -> Result<usize, usize> {
    groups.binary_search_by(|group| group.name().cmp(name))
}

impl Collection for Stream {
    type Ref<'a> = &'a Stream;

    fn has_form(_: Form) -> bool {
        false
    }

    fn view(_: Form, _: &[u8]) -> &'static Stream {
        // No entry has packed bytes of a stream.
        static NONE: Stream = Stream { body: None };
        &NONE
    }

    fn from_packed(_: Form, _: Vec<u8>) -> Stream {
        Stream::default()
    }

    fn with_buffer(_: Vec<u8>) -> Stream {
        Stream::default()
    }

    fn packed(&self) -> Option<(Form, &[u8])> {
        None
    }

    fn take_packed(&mut self) -> Option<(Form, Vec<u8>)> {
        None
    }

    fn borrow(&self) -> &Stream {
        self
    }

    fn len(&self) -> usize {
        self.log().len() as usize
    }

    fn encoding(&self) -> &'static str {
        "stream"
    }

    fn allocated(&self) -> usize {
        let Some(body) = self.body.as_deref() else {
            return 0;
        };
        base::memory::size_class(size_of::<Body>())
            + body.log.allocated()
            + body.groups.capacity() * size_of::<Group>()
            + body.groups.iter().map(Group::allocated).sum::<usize>()
            + body.producers.as_ref().map_or(0, |it| it.allocated())
    }

    fn free_effort(&self) -> usize {
        let pending = self.groups().iter().map(Group::part_count);
        self.log().node_count() + pending.sum::<usize>() + 1
    }

    fn duplicate(&self) -> Stream {
        self.clone()
    }

    fn freeze(&self) -> Stream {
        let body = self.body.as_deref().map(|body| {
            Box::new(Body {
                log: body.log.clone(),
                groups: body.groups.iter().map(Group::freeze).collect(),
                producers: body.producers.clone(),
            })
        });
        Stream { body }
    }

    fn release(&mut self, passed: Passed, release: &mut Release) -> usize {
        match (&mut self.body, passed) {
            (Some(body), Passed::Parts(parts)) => body.log.release(parts, release),
            _ => 0,
        }
    }
}
