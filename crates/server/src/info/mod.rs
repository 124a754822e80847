//! What INFO reports: one table of sections, each a function that writes its fields.
//!
//! Field names and formats are Redis 8.2.3's, so that its tools can read them. A field is left out
//! when it would describe a machine that this server does not have.

mod activity;
mod constants;
mod data;
mod identity;

use std::fmt::{Display, Write as _};

use engine::keyspace::Lease;

use crate::server::Server;

/// What the sections look at. The lease covers nothing.
pub struct View<'v, 'k> {
    /// What the workers share.
    pub server: &'v Server,
    /// To look at one stripe after the other.
    pub lease: &'v mut Lease<'k>,
}

/// When a section is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// Without arguments, with `default`, `all` and `everything`, and by its name.
    Default,
    /// With `all` and `everything`, and by its name.
    All,
    /// With `everything`, and by its name.
    Everything,
}

struct Section {
    title: &'static str,
    when: When,
    write: fn(&mut View<'_, '_>, &mut Fields),
}

const fn section(
    title: &'static str,
    when: When,
    write: fn(&mut View<'_, '_>, &mut Fields),
) -> Section {
    Section { title, when, write }
}

/// All sections, in the order in which they are shown. A section's name is its title in any case.
const SECTIONS: &[Section] = &[
    section("Server", When::Default, identity::server),
    section("Clients", When::Default, activity::clients),
    section("Memory", When::Default, data::memory),
    section("Persistence", When::Default, data::persistence),
    section("Threads", When::Default, activity::threads),
    section("Stats", When::Default, activity::stats),
    section("Replication", When::Default, identity::replication),
    section("CPU", When::Default, activity::cpu),
    section("Modules", When::Default, |_, _| {}),
    section("Commandstats", When::All, activity::commands),
    section("Errorstats", When::Default, activity::errors),
    section("Cluster", When::Default, identity::cluster),
    section("Keyspace", When::Default, data::keyspace),
];

/// Words that stand for several sections.
const GROUPS: &[(&str, &[When])] = &[
    ("default", &[When::Default]),
    ("all", &[When::Default, When::All]),
    ("everything", &[When::Default, When::All, When::Everything]),
];

/// The report with the sections that `asked` names; unknown names are passed over.
pub fn report(asked: &[&[u8]], view: &mut View<'_, '_>) -> String {
    let asked: &[&[u8]] = if asked.is_empty() {
        &[b"default"]
    } else {
        asked
    };
    let is_asked = |section: &&Section| {
        let names = |word: &&[u8]| {
            let group = GROUPS
                .iter()
                .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word));
            group.is_some_and(|(_, whens)| whens.contains(&section.when))
                || section.title.as_bytes().eq_ignore_ascii_case(word)
        };
        asked.iter().any(names)
    };
    let mut fields = Fields::default();
    for section in SECTIONS.iter().filter(is_asked) {
        fields.title(section.title);
        (section.write)(view, &mut fields);
    }
    fields.text
}

/// Lines of the report.
#[derive(Default)]
struct Fields {
    text: String,
}

// Writing to a String cannot fail; the results below are dropped for that reason.
impl Fields {
    fn title(&mut self, title: &str) {
        if !self.text.is_empty() {
            self.text.push_str("\r\n");
        }
        let _ = write!(self.text, "# {title}\r\n");
    }

    /// `name:value`
    fn put(&mut self, name: &str, value: impl Display) {
        let _ = write!(self.text, "{name}:{value}\r\n");
    }

    /// Several of them.
    fn put_all<V: Display>(&mut self, fields: &[(&str, V)]) {
        for (name, value) in fields {
            self.put(name, value);
        }
    }
}
