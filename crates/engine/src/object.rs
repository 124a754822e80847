//! The values that do not fit into a key's entry: collections of every type, in one box.
//!
//! A small collection is packed bytes inside its entry (see `entry`); [`Kept`] is what a type needs
//! so that `tx` can hand either form to a handler as the same thing.

use base::time::UnixMillis;
use structs::array::Array;
use structs::hash::Hash;
use structs::list::List;
use structs::set::Set;
use structs::stream::Stream;
use structs::zset::Zset;
use structs::{Collection, Form, Passed, Release};

/// The types of values, as TYPE names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Byte strings and integers.
    String,
    /// Lists.
    List,
    /// Sets.
    Set,
    /// Sorted sets.
    Zset,
    /// Hashes.
    Hash,
    /// Streams.
    Stream,
    /// Sparse arrays.
    Array,
}

impl Type {
    /// The name that TYPE gives.
    pub const fn name(self) -> &'static str {
        match self {
            Type::String => "string",
            Type::List => "list",
            Type::Set => "set",
            Type::Zset => "zset",
            Type::Hash => "hash",
            Type::Stream => "stream",
            Type::Array => "array",
        }
    }

    /// The type whose packed form this is.
    pub const fn of_form(form: Form) -> Type {
        match form {
            Form::List => Type::List,
            Form::Ints | Form::Set => Type::Set,
            Form::Hash | Form::TimedHash => Type::Hash,
            Form::Zset => Type::Zset,
        }
    }
}

/// A collection type whose values keys can hold.
pub trait Kept: Collection {
    /// Whether a key may hold an empty one; else the key goes with the last element.
    const MAY_BE_EMPTY: bool = false;

    /// The collection in an object, if it is of this type.
    fn of(object: &Object) -> Option<&Self>;

    /// The same, to change it.
    fn of_mut(object: &mut Object) -> Option<&mut Self>;

    /// The collection as an object.
    fn into_object(self) -> Object;
}

macro_rules! objects {
    ($($type:ident, $doc:literal, $may_be_empty:literal;)*) => {
        /// A collection of any type.
        #[derive(Debug)]
        pub enum Object {
            $(#[doc = $doc] $type($type),)*
        }

        impl Object {
            /// The type of the value.
            pub fn kind(&self) -> Type {
                match self {
                    $(Object::$type(_) => Type::$type,)*
                }
            }

            /// Redis's name of its form.
            pub fn encoding(&self) -> &'static str {
                match self {
                    $(Object::$type(value) => value.encoding(),)*
                }
            }

            /// When the first of its elements that have deadlines of their own is due.
            pub fn soonest(&self) -> Option<UnixMillis> {
                match self {
                    $(Object::$type(value) => value.soonest(),)*
                }
            }

            /// Bytes on the heap, the box included.
            pub fn allocated(&self) -> usize {
                base::memory::size_class(size_of::<Object>())
                    + match self {
                        $(Object::$type(value) => value.allocated(),)*
                    }
            }

            /// Number of allocations to be given back when it is dropped, roughly.
            pub fn free_effort(&self) -> usize {
                match self {
                    $(Object::$type(value) => value.free_effort(),)*
                }
            }

            /// See `Collection::address`.
            #[inline]
            pub fn address(&self, hash: u64, depth: u8) -> Option<*const u8> {
                match self {
                    $(Object::$type(value) => value.address(hash, depth),)*
                }
            }

            /// See `Collection::freeze`.
            #[must_use]
            pub fn freeze(&self) -> Object {
                match self {
                    $(Object::$type(value) => Object::$type(value.freeze()),)*
                }
            }

            /// See `Collection::release`.
            pub fn release(&mut self, passed: Passed, release: &mut Release) -> usize {
                match self {
                    $(Object::$type(value) => value.release(passed, release),)*
                }
            }

            /// A copy; see `Collection::duplicate`.
            #[must_use]
            pub fn duplicate(&self) -> Object {
                match self {
                    $(Object::$type(value) => Object::$type(value.duplicate()),)*
                }
            }
        }

        $(impl Kept for $type {
            const MAY_BE_EMPTY: bool = $may_be_empty;

            #[inline]
            fn of(object: &Object) -> Option<&$type> {
                match object {
                    Object::$type(value) => Some(value),
                    _ => None,
                }
            }

            #[inline]
            fn of_mut(object: &mut Object) -> Option<&mut $type> {
                match object {
                    Object::$type(value) => Some(value),
                    _ => None,
                }
            }

            fn into_object(self) -> Object {
                Object::$type(self)
            }
        })*
    };
}

objects! {
    List, "A list.", false;
    Set, "A set.", false;
    Hash, "A hash.", false;
    Zset, "A sorted set.", false;
    Stream, "A stream.", true;
    Array, "A sparse array.", false;
}
