//! Between entries and the bytes of snapshots and DUMP: views of values for the encoder, and
//! entries of what was decoded.

use base::ids::DbIndex;
use base::time::UnixMillis;
use rdb::file::Usage;
use rdb::{Decoded, Value};
use structs::array::Array;
use structs::hash::Hash;
use structs::list::List;
use structs::set::Set;
use structs::stream::Stream;
use structs::zset::Zset;
use structs::{Collection, Form};

use crate::access::{self, Recency};
use crate::entry::{self, Entry, INLINE_BYTES_MAX, NewValue, Text};
use crate::env::Env;
use crate::keyspace::{Key, Lease};
use crate::object::{Kept, Object};

/// An entry's value, for the encoder.
pub fn value_of(value: entry::Value<'_>) -> Value<'_> {
    match value {
        entry::Value::Text(Text::Int(number)) => Value::Int(number),
        entry::Value::Text(Text::Inline(bytes)) => Value::Text(bytes),
        entry::Value::Text(Text::Shared(shared)) => Value::Text(shared),
        entry::Value::Packed(form, bytes) => match form {
            Form::List => Value::List(List::view(form, bytes)),
            Form::Ints | Form::Set => Value::Set(Set::view(form, bytes)),
            Form::Hash | Form::TimedHash => Value::Hash(Hash::view(form, bytes)),
            Form::Zset => Value::Zset(Zset::view(form, bytes)),
        },
        entry::Value::Object(object) => match object {
            Object::List(list) => Value::List(list.borrow()),
            Object::Set(set) => Value::Set(set.borrow()),
            Object::Hash(hash) => Value::Hash(hash.borrow()),
            Object::Zset(zset) => Value::Zset(zset.borrow()),
            Object::Stream(stream) => Value::Stream(stream),
            Object::Array(array) => Value::Array(array),
        },
    }
}

/// The access bits of a key that comes from outside: those that it had, if the policy counts the
/// same way as where it comes from, else those of a new one.
pub fn access_of(usage: Usage, env: &Env) -> u32 {
    match (usage, env.limits.recency) {
        (Usage::Idle(seconds), Recency::Lru) => access::idle_since(seconds, env.access_now()),
        (Usage::Frequency(count), Recency::Lfu { .. }) => {
            access::with_count(count, env.access_now())
        }
        _ => env.fresh_access(),
    }
}

/// Gives `store` a decoded value in the form in which an entry takes it; `None` for nothing.
pub fn with_value<R>(decoded: Decoded, store: impl FnOnce(NewValue<'_>) -> R) -> Option<R> {
    Some(match decoded {
        Decoded::Int(number) => store(NewValue::Int(number)),
        Decoded::Text(bytes) if bytes.len() <= INLINE_BYTES_MAX => store(NewValue::Bytes(&bytes)),
        Decoded::Text(bytes) => store(NewValue::Owned(bytes)),
        Decoded::List(list) => store_collection(list, store),
        Decoded::Set(set) => store_collection(set, store),
        Decoded::Hash(hash) => store_collection(hash, store),
        Decoded::Zset(zset) => store_collection(zset, store),
        Decoded::Stream(stream) => store_collection::<Stream, R>(stream, store),
        Decoded::Array(array) => store_collection::<Array, R>(array, store),
        Decoded::Nothing => return None,
    })
}

fn store_collection<C: Kept, R>(collection: C, store: impl FnOnce(NewValue<'_>) -> R) -> R {
    match collection.packed() {
        Some((form, bytes)) if bytes.len() <= INLINE_BYTES_MAX => {
            store(NewValue::Packed(form, bytes))
        }
        _ => store(NewValue::Object(Box::new(collection.into_object()))),
    }
}

/// Whether [`insert`] put a key in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It did.
    Yes,
    /// The key is there already; nothing is changed.
    Duplicate,
    /// There was no value.
    Nothing,
}

/// Puts a key that was read from a snapshot into a database. For loading, when no client is
/// served: nobody is told. `lease` covers the key.
pub fn insert(
    lease: &mut Lease<'_>,
    env: &Env,
    db: DbIndex,
    key: Key<'_>,
    value: Decoded,
    deadline: Option<UnixMillis>,
    usage: Usage,
) -> Inserted {
    let table = lease.stripe(key.hash).table(db);
    if table.find(key.hash, key.bytes).is_some() {
        return Inserted::Duplicate;
    }
    let access = access_of(usage, env);
    let entry = with_value(value, |value| {
        Entry::new(key.bytes, value, deadline, access)
    });
    match entry {
        Some(entry) => {
            lease.insert(db, key.hash, entry);
            Inserted::Yes
        }
        None => Inserted::Nothing,
    }
}
