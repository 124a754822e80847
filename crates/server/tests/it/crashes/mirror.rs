//! A server that is never killed and does what the other one must have done; and the comparison.

use std::collections::BTreeMap;
use std::ops::Range;

use testkit::client::Client;
use testkit::process::Server;
use testkit::reply::Reply;

use super::deeds::{self, Style};
use crate::servers::{await_some, call, start, text};

/// Commands sent at once: their answers fit into the buffers of sockets.
const AT_ONCE: usize = 256;

/// See the module's head.
pub(super) struct Mirror {
    client: Client,
    _server: Server,
}

/// What is known of each key of a connection, by database and name.
type Facts = BTreeMap<(u32, String), Vec<String>>;

impl Mirror {
    pub(super) fn start() -> Mirror {
        let server = start(&[]);
        Mirror {
            client: server.connect().expect("a connection"),
            _server: server,
        }
    }

    /// Begins anew.
    pub(super) fn forget(&mut self) {
        call(&mut self.client, "FLUSHALL");
    }

    /// Does a connection's deeds and compares what the other server has of it. How far that one
    /// came: of a deed that is sent in two commands, the first may be there without the second,
    /// which is the entry in the list.
    pub(super) fn follow(&mut self, other: &mut Client, id: usize, deeds: Range<u64>) -> u64 {
        let next = deeds.end;
        self.repeat(id, deeds);
        let (mut expected, found) = (facts(&mut self.client, id), facts(other, id));
        let mut came = next;
        if expected != found && deeds::sent(id, next).style == Style::Plain {
            self.repeat(id, next..next + 1);
            expected = facts(&mut self.client, id);
            came += 1;
        }
        for (key, facts) in &expected {
            assert_eq!(
                Some(facts),
                found.get(key),
                "connection {id}, deed {next}: {key:?}"
            );
        }
        assert_eq!(expected.len(), found.len(), "connection {id}, deed {next}");
        came
    }

    fn repeat(&mut self, id: usize, deeds: Range<u64>) {
        let commands: Vec<_> = deeds
            .map(|number| deeds::deed(id, number).words)
            .map(|words| words.into_iter().map(String::into_bytes).collect())
            .collect();
        for some in commands.chunks(AT_ONCE) {
            self.client.pipeline(some).expect("answers");
        }
    }
}

fn facts(client: &mut Client, id: usize) -> Facts {
    let mut all = Facts::new();
    for db in 0..2 {
        call(client, &format!("SELECT {db}"));
        let keys = call(client, &format!("KEYS *:{id}*"));
        for key in keys.items().expect("an array").iter().map(text) {
            let mut parts = key.split(':');
            let is_fleeting = parts.next() == Some("fleeting");
            if !is_fleeting && parts.next() == Some(&id.to_string()) {
                let facts = facts_of(client, &key);
                all.insert((db, key), facts);
            }
        }
    }
    call(client, "SELECT 0");
    all
}

fn facts_of(client: &mut Client, key: &str) -> Vec<String> {
    let mut questions = vec![
        format!("DEBUG DIGEST-VALUE {key}"),
        format!("PEXPIRETIME {key}"),
    ];
    if key.starts_with("hash:") {
        let fields: Vec<String> = (0..deeds::NAMES)
            .map(|name| format!("field-{name}"))
            .collect();
        let count = fields.len();
        questions.push(format!(
            "HPEXPIRETIME {key} FIELDS {count} {}",
            fields.join(" ")
        ));
    }
    if key.starts_with("stream:") {
        questions.push(format!("XPENDING {key} readers"));
    }
    let answers = questions
        .iter()
        .flat_map(|question| call(client, question).lines());
    answers.collect()
}

/// Keys that live for a moment are not there much longer.
pub(super) fn fleeting_ends(client: &mut Client) {
    await_some(|| match call(client, "KEYS fleeting:*") {
        Reply::Array(keys) if keys.is_empty() => Ok(()),
        keys => Err(format!("keys outlive their deadlines: {keys:?}")),
    });
}
