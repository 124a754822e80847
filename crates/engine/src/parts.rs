//! All parts of a value in one pass, for those who want the data and not the form: digests,
//! comparisons of data sets.

use std::ops::ControlFlow;

use base::double::{DoubleText, format_double};
use base::num::{I64_TEXT_MAX, append_i64, format_u64};
use base::time::UnixMillis;
use structs::hash::Hash;
use structs::list::{End, List};
use structs::set::Set;
use structs::zset::Zset;

use crate::entry::{Entry, Value};
use crate::object::{Object, Type};
use crate::tx::view_of;

/// A part of a value.
#[derive(Debug)]
pub enum Part<'a> {
    /// One whose place among the others matters: a string, an element of a list, the words of a
    /// stream.
    InOrder(&'a [u8]),
    /// A member of a set.
    Member(&'a [u8]),
    /// Two that belong together: member and score, field and value, index and value. The
    /// flag: they go at a time of their own.
    Pair(&'a [u8], &'a [u8], bool),
}

/// Shows `visit` all parts of a value. Fields whose time has come are not shown.
pub fn visit(entry: &Entry, now: UnixMillis, mut visit: impl FnMut(Part<'_>)) {
    match entry.kind() {
        Type::String => {
            if let Some(text) = entry.text() {
                visit(Part::InOrder(text.bytes(&mut [0; I64_TEXT_MAX])));
            }
        }
        Type::List => {
            if let Ok(list) = view_of::<List>(entry) {
                list.for_each(End::Head, 0, list.len(), |element| {
                    visit(Part::InOrder(element.text(&mut [0; I64_TEXT_MAX])));
                });
            }
        }
        Type::Set => {
            for item in view_of::<Set>(entry).iter().flat_map(|set| set.iter()) {
                visit(Part::Member(item.text(&mut [0; I64_TEXT_MAX])));
            }
        }
        Type::Zset => {
            let mut digits = Vec::new();
            for (member, score) in view_of::<Zset>(entry).iter().flat_map(|zset| zset.iter()) {
                digits.clear();
                digits.extend_from_slice(format_double(score, &mut DoubleText::default()));
                let mut text = [0; I64_TEXT_MAX];
                visit(Part::Pair(member.text(&mut text), &digits, false));
            }
        }
        Type::Hash => {
            if let Ok(hash) = view_of::<Hash>(entry) {
                hash.each_timed(now, |field, value, deadline| {
                    let (mut one, mut other) = ([0; I64_TEXT_MAX], [0; I64_TEXT_MAX]);
                    let (field, value) = (field.bytes(&mut one), value.bytes(&mut other));
                    visit(Part::Pair(field, value, deadline.is_some()));
                });
            }
        }
        Type::Stream | Type::Array => visit_object(entry, visit),
    }
}

/// The types that are never packed.
fn visit_object(entry: &Entry, mut visit: impl FnMut(Part<'_>)) {
    let mut digits = Vec::new();
    match entry.value() {
        Value::Object(Object::Stream(stream)) => {
            let log = stream.log();
            for entry in log.range(log.first_id(), log.last_id()) {
                digits.clear();
                let mut number = [0; I64_TEXT_MAX];
                digits.extend_from_slice(format_u64(entry.id().ms, &mut number));
                digits.push(b'.');
                digits.extend_from_slice(format_u64(entry.id().seq, &mut number));
                visit(Part::InOrder(&digits));
                for (field, value) in entry.pairs() {
                    for word in [field, value] {
                        visit(Part::InOrder(word.text(&mut [0; I64_TEXT_MAX])));
                    }
                }
            }
        }
        Value::Object(Object::Array(array)) => {
            // Breaks never.
            let _ = array.visit(0, u64::MAX, |index, value| {
                digits.clear();
                append_i64(index as i64, &mut digits);
                let mut text = [0; I64_TEXT_MAX];
                visit(Part::Pair(&digits, value.bytes(&mut text), false));
                ControlFlow::Continue(())
            });
        }
        _ => {}
    }
}
