//! COMMAND INFO: ten elements per command, as Redis 8.2.3 writes them.

use engine::spec::{Begin, Find, Flags, KeySpec};
use resp::Reply;

use crate::registry::{Registry, RowId, categories, legacy_keys};

/// Writes the description of a row, its subcommands' included.
pub(super) fn describe(registry: &Registry, id: RowId, out: &mut Reply) {
    let row = registry.row(id);
    let spec = &row.spec;
    out.array(10);
    out.bulk(row.name.as_bytes());
    out.int(spec.arity.into());
    let flags = Flags::NAMES
        .iter()
        // Compat: these two are not told.
        .filter(|(flag, _)| ![Flags::PROTECTED, Flags::MAY_REPLICATE].contains(flag))
        .filter(|(flag, _)| row.flags.has(*flag));
    out.set(flags.clone().count());
    flags.for_each(|(_, name)| out.simple(name.as_bytes()));
    let keys = legacy_keys(spec.keys);
    out.int(keys.first);
    out.int(keys.last);
    out.int(keys.step);
    let categories = categories(row);
    out.set(categories.len());
    for category in categories {
        out.simple(format!("@{category}").as_bytes());
    }
    out.set(spec.tips.len());
    spec.tips.iter().for_each(|tip| out.bulk(tip.as_bytes()));
    out.set(spec.keys.len());
    spec.keys.iter().for_each(|spec| key_spec(spec, out));
    if row.subcommands.is_empty() {
        return out.set(0);
    }
    out.array(row.subcommands.len());
    for &subcommand in &row.subcommands {
        describe(registry, subcommand, out);
    }
}

fn key_spec(spec: &KeySpec, out: &mut Reply) {
    out.map(3 + usize::from(spec.notes.is_some()));
    if let Some(notes) = spec.notes {
        out.bulk(b"notes");
        out.bulk(notes.as_bytes());
    }
    out.bulk(b"flags");
    out.set(spec.flags.len());
    spec.flags
        .iter()
        .for_each(|flag| out.simple(flag.as_bytes()));
    out.bulk(b"begin_search");
    match spec.begin {
        Begin::Index(index) => method("index", &[("index", index)], out),
        Begin::Keyword(keyword, from) => {
            head("keyword", 2, out);
            out.bulk(b"keyword");
            out.bulk(keyword.as_bytes());
            number("startfrom", from, out);
        }
        Begin::Unknown(_) => method("unknown", &[], out),
    }
    out.bulk(b"find_keys");
    match spec.find {
        Find::Range { last, step, limit } => {
            let numbers = [("lastkey", last), ("keystep", step), ("limit", limit)];
            method("range", &numbers, out);
        }
        Find::KeyNum { at, first, step } => {
            let numbers = [("keynumidx", at), ("firstkey", first), ("keystep", step)];
            method("keynum", &numbers, out);
        }
        Find::Unknown => method("unknown", &[], out),
    }
}

/// The type of a method and the header of its `spec`.
fn head(kind: &str, pairs: usize, out: &mut Reply) {
    out.map(2);
    out.bulk(b"type");
    out.bulk(kind.as_bytes());
    out.bulk(b"spec");
    out.map(pairs);
}

fn number(name: &str, value: i16, out: &mut Reply) {
    out.bulk(name.as_bytes());
    out.int(value.into());
}

fn method(kind: &str, numbers: &[(&str, i16)], out: &mut Reply) {
    head(kind, numbers.len(), out);
    numbers
        .iter()
        .for_each(|&(name, value)| number(name, value, out));
}
