//! COMMAND DOCS: a map per command, as Redis 8.2.3 writes it; the sentences are ours.

use engine::spec::{Arg, ArgKind};
use resp::Reply;

use crate::registry::{Registry, RowId};

/// The fields of a map, counted while they are written.
struct Fields<'o> {
    out: &'o mut Reply,
    count: usize,
}

impl Fields<'_> {
    /// Starts a field; its value is written to what is returned.
    fn field(&mut self, name: &str) -> &mut Reply {
        self.count += 1;
        self.out.bulk(name.as_bytes());
        self.out
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.field(name).bulk(value.as_bytes());
        }
    }
}

/// Writes a map whose fields `write` writes.
fn map(out: &mut Reply, write: impl FnOnce(&mut Fields<'_>)) {
    let header = out.map_later();
    let mut fields = Fields { out, count: 0 };
    write(&mut fields);
    let count = fields.count;
    out.finish(header, count);
}

/// Writes the name of a row and its documentation.
pub(super) fn document(registry: &Registry, id: RowId, out: &mut Reply) {
    let row = registry.row(id);
    let spec = &row.spec;
    out.bulk(row.name.as_bytes());
    map(out, |fields| {
        fields.text("summary", Some(spec.summary));
        fields.text("since", Some(spec.since));
        fields.text("group", Some(spec.group.name()));
        fields.text("complexity", Some(spec.complexity));
        if spec.internal {
            words(&["syscmd"], fields.field("doc_flags"));
        }
        if let Some(deprecated) = spec.deprecated {
            words(&["deprecated"], fields.field("doc_flags"));
            fields.text("deprecated_since", Some(deprecated.since));
            fields.text("replaced_by", Some(deprecated.replaced_by));
        }
        if !spec.history.is_empty() {
            history(spec.history, fields.field("history"));
        }
        if !spec.args.is_empty() {
            arguments(spec.args, fields.field("arguments"));
        }
        if !row.subcommands.is_empty() {
            let out = fields.field("subcommands");
            out.map(row.subcommands.len());
            for &subcommand in &row.subcommands {
                document(registry, subcommand, out);
            }
        }
    });
}

fn history(changes: &[(&str, &str)], out: &mut Reply) {
    out.set(changes.len());
    for (version, change) in changes {
        out.array(2);
        out.bulk(version.as_bytes());
        out.bulk(change.as_bytes());
    }
}

fn words(words: &[&str], out: &mut Reply) {
    out.set(words.len());
    words.iter().for_each(|word| out.simple(word.as_bytes()));
}

fn arguments(args: &[Arg], out: &mut Reply) {
    out.array(args.len());
    for arg in args {
        map(out, |fields| argument(arg, fields));
    }
}

fn argument(arg: &Arg, fields: &mut Fields<'_>) {
    let plain = !matches!(arg.kind, ArgKind::OneOf | ArgKind::Block);
    fields.text("name", Some(arg.name));
    fields.text("type", Some(arg.kind.name()));
    fields.text("display_text", plain.then_some(arg.name));
    if let Some(index) = arg.key_spec {
        fields.field("key_spec_index").int(index.into());
    }
    // MIGRATE has an empty one.
    if let Some(token) = arg.token {
        fields.field("token").bulk(token.as_bytes());
    }
    fields.text("since", arg.since);
    let flags: Vec<&str> = [
        (arg.optional, "optional"),
        (arg.multiple, "multiple"),
        (arg.multiple_token, "multiple_token"),
    ]
    .into_iter()
    .filter_map(|(set, name)| set.then_some(name))
    .collect();
    if !flags.is_empty() {
        words(&flags, fields.field("flags"));
    }
    if !arg.parts.is_empty() {
        arguments(arg.parts, fields.field("arguments"));
    }
}
