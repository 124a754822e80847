//! How a value is kept, in numbers: for DEBUG, which shows it.

use structs::hash::HashRef;
use structs::list::{List, ListRef};
use structs::packed::{self, IntText};
use structs::set::SetRef;
use structs::table::Table;
use structs::{Collection, Form};

use crate::entry::Value;
use crate::object::Object;

/// A long list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongList {
    /// Number of elements.
    pub elements: usize,
    /// Number of nodes.
    pub nodes: usize,
    /// Bytes of its nodes in Redis, uncompressed.
    pub bytes: usize,
}

/// A hash table, or the tree of a sorted set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Large {
    /// Number of elements.
    pub elements: usize,
    /// Number of segments, or of a tree's nodes and what else it allocates.
    pub pieces: usize,
    /// Number of elements that its buckets have room for; `None` for a tree.
    pub slots: Option<usize>,
    /// Bytes on the heap.
    pub bytes: usize,
}

/// The long list that a value is.
pub fn long_list(value: Value<'_>) -> Option<LongList> {
    let Value::Object(Object::List(List::Long(nodes))) = value else {
        return None;
    };
    let layout = nodes.layout();
    Some(LongList {
        elements: ListRef::Long(nodes).len(),
        nodes: layout.nodes,
        bytes: layout.bytes,
    })
}

/// The large structure that a set, hash or sorted set is kept in.
pub fn large(value: Value<'_>) -> Option<Large> {
    let Value::Object(object) = value else {
        return None;
    };
    let of_table = |table: &Table| Large {
        elements: table.len(),
        pieces: table.segment_count(),
        slots: Some(table.slots()),
        bytes: object.allocated(),
    };
    match object {
        Object::Set(set) => match set.borrow() {
            SetRef::Table(table) => Some(of_table(table)),
            SetRef::Ints(_) | SetRef::Packed(_) => None,
        },
        Object::Hash(hash) => match hash.borrow() {
            HashRef::Table(table) => Some(of_table(table)),
            HashRef::Pairs(_) | HashRef::Timed(_) => None,
        },
        Object::Zset(zset) => zset.packed().is_none().then(|| Large {
            elements: zset.len(),
            pieces: zset.free_effort(),
            slots: None,
            bytes: object.allocated(),
        }),
        Object::List(_) | Object::Stream(_) | Object::Array(_) => None,
    }
}

/// Visits the elements of a value that is one packed run, in its order; whether it is one.
pub fn packed_elements(value: Value<'_>, mut visit: impl FnMut(&[u8])) -> bool {
    let Some(body) = packed_body(value) else {
        return false;
    };
    let mut digits = IntText::default();
    packed::iter(body).for_each(|element| visit(element.text(&mut digits)));
    true
}

fn packed_body(value: Value<'_>) -> Option<&[u8]> {
    let (form, bytes) = match value {
        Value::Packed(form, bytes) => (form, bytes),
        Value::Object(Object::List(it)) => it.packed()?,
        Value::Object(Object::Set(it)) => it.packed()?,
        Value::Object(Object::Hash(it)) => it.packed()?,
        Value::Object(Object::Zset(it)) => it.packed()?,
        Value::Object(Object::Stream(_) | Object::Array(_)) | Value::Text(_) => return None,
    };
    match form {
        Form::List => Some(structs::list::packed_body(bytes)),
        Form::Ints => None,
        Form::Set | Form::Hash | Form::TimedHash | Form::Zset => Some(bytes),
    }
}
