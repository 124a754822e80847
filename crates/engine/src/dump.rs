//! Between entries and the bytes of snapshots and DUMP: views of values for the encoder.

use rdb::Value;
use structs::hash::Hash;
use structs::list::List;
use structs::set::Set;
use structs::zset::Zset;
use structs::{Collection, Form};

use crate::entry::{self, Text};
use crate::object::Object;

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
