//! An engine in process: a keyspace, an environment, and commands as words.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use base::hash::Seed;
use base::ids::DbIndex;
use base::num::I64_TEXT_MAX;
use base::time::UnixMillis;
use engine::access::Recency;
use engine::args::{Args, KeyWord};
use engine::dispatch::{Call, Outcome, execute};
use engine::entry::{Entry, Text, Value};
use engine::env::{Env, Limits, Packing};
use engine::event::Classes;
use engine::families::TABLES;
use engine::keyspace::Keyspace;
use engine::object::Object;
use engine::spec::{DataRun, Run, Spec};
use engine::tx::{Step, WalkTx, view_of};
use resp::{Proto, Reply, Span};
use structs::array::Array;
use structs::hash::{Hash, HashRef};
use structs::list::{End, List, ListRef};
use structs::set::Set;
use structs::zset::Zset;

/// Stripes, so that commands of several keys lease more than one.
const STRIPES: usize = 4;
/// Logical databases.
const DATABASES: u32 = 2;

/// What an engine holds: database and key to value and deadline.
pub(crate) type Contents = BTreeMap<(u32, Vec<u8>), (Vec<u8>, Option<i64>)>;

/// A keyspace and what surrounds its commands.
pub(crate) struct Engine {
    keyspace: Keyspace,
    pub(crate) env: Env,
}

impl Engine {
    pub(crate) fn new(now: UnixMillis) -> Engine {
        let limits = Limits {
            string_bytes_max: 512 * 1024 * 1024,
            recency: Recency::Lru,
            packing: Packing::with_seed(Seed::from_u64(1)),
            dump: rdb::Target::default(),
            payloads: rdb::payload::Trust::Sum,
            events: Classes::NONE,
        };
        let mut env = Env::new(limits, 1);
        env.now = now;
        Engine {
            keyspace: Keyspace::new(STRIPES, DATABASES, Seed::from_u64(1)),
            env,
        }
    }

    /// Runs a command; its reply as RESP3.
    pub(crate) fn run(&self, db: DbIndex, words: &[Vec<u8>]) -> Vec<u8> {
        let mut buffer = Vec::new();
        let spans: Vec<Span> = words.iter().map(|word| append(word, &mut buffer)).collect();
        let (spec, run) = row(words);
        assert!(spec.accepts(words.len()), "{}", show(words));
        let found = spec
            .keys
            .iter()
            .filter_map(|keys| keys.words(words.len(), |at| &words[at]));
        let keys: Vec<KeyWord> = found
            .flatten()
            .map(|at| KeyWord {
                word: at as u32,
                hash: self.keyspace.hash(&words[at]),
            })
            .collect();
        let args = &mut Args::new(&buffer, &spans, &keys);
        let mut out = Reply::new(Proto::Resp3);
        let mut lease = self.keyspace.lease();
        let outcome = execute(Call { run, db, args }, &mut lease, &self.env, &mut out);
        if let Outcome::Walking(mut walk) = outcome {
            let mut tx = WalkTx::new(&mut lease, &self.env, db);
            while walk.step(&mut tx, &mut out) == Step::More {}
        }
        let mut slices = [std::io::IoSlice::new(&[]); 16];
        let filled = out.io_slices(&mut slices, usize::MAX);
        slices[..filled]
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect()
    }

    /// All live keys.
    pub(crate) fn contents(&self) -> Contents {
        let mut contents = Contents::new();
        for db in 0..DATABASES {
            let mut lease = self.keyspace.lease();
            let mut tx = WalkTx::new(&mut lease, &self.env, DbIndex(db));
            let mut position = Some(0);
            while let Some(at) = position {
                position = tx.scan(at, |entry| {
                    let deadline = entry.deadline().map(|at| at.0);
                    if let Some(text) = text(entry, self.env.now) {
                        contents.insert((db, entry.key().to_vec()), (text, deadline));
                    }
                });
            }
        }
        contents
    }
}

fn append(word: &[u8], buffer: &mut Vec<u8>) -> Span {
    let start = buffer.len() as u32;
    buffer.extend_from_slice(word);
    let len = word.len() as u32;
    Span { start, len }
}

pub(crate) fn row(words: &[Vec<u8>]) -> (&'static Spec<DataRun>, DataRun) {
    let spec = find(TABLES.iter().copied().flatten(), &words[0]);
    match spec.run {
        Run::Do(run) | Run::Both(run, _) => (spec, run),
        Run::Container(rows) => match find(rows.iter(), &words[1]) {
            spec @ Spec {
                run: Run::Do(run), ..
            } => (spec, *run),
            spec => panic!("{} is a container", spec.name),
        },
    }
}

fn find(
    mut rows: impl Iterator<Item = &'static Spec<DataRun>>,
    name: &[u8],
) -> &'static Spec<DataRun> {
    rows.find(|spec| spec.name.as_bytes().eq_ignore_ascii_case(name))
        .expect("a data command")
}

/// The value, whatever form it has. `None` if it is a hash whose fields are all due.
fn text(entry: &Entry, now: UnixMillis) -> Option<Vec<u8>> {
    if let Ok(hash) = view_of::<Hash>(entry) {
        return hash_text(hash, now);
    }
    if let Ok(set) = view_of::<Set>(entry) {
        let members = set.iter().map(|item| item.text(&mut [0; 20]).to_vec());
        let mut members: Vec<Vec<u8>> = members.collect();
        members.sort();
        return Some(members.join(&b' '));
    }
    if let Value::Object(Object::Stream(stream)) = entry.value() {
        return Some(crate::stream::text(stream));
    }
    if let Ok(zset) = view_of::<Zset>(entry) {
        return Some(crate::zset::text(zset));
    }
    if let Ok(array) = view_of::<Array>(entry) {
        let mut values = format!("{:?}", array.cursor());
        let _ = array.visit(0, u64::MAX, |index, value| {
            values += &format!(" {index}:{value:?}");
            ControlFlow::Continue(())
        });
        return Some(values.into_bytes());
    }
    if let Ok(list) = view_of::<List>(entry) {
        return Some(list_text(list));
    }
    Some(match entry.text().expect("a string") {
        Text::Int(number) => number.to_string().into_bytes(),
        Text::Inline(bytes) => bytes.to_vec(),
        Text::Shared(shared) => shared.to_vec(),
    })
}

fn hash_text(hash: HashRef<'_>, now: UnixMillis) -> Option<Vec<u8>> {
    let mut fields = BTreeMap::new();
    hash.each_timed(now, |field, value, deadline| {
        let field = field.bytes(&mut [0; I64_TEXT_MAX]).to_vec();
        let value = value.bytes(&mut [0; I64_TEXT_MAX]).to_vec();
        fields.insert(field, (value, deadline));
    });
    let shown = || format!("hash {fields:?}").into_bytes();
    (!fields.is_empty()).then(shown)
}

/// The elements, in order.
fn list_text(list: ListRef<'_>) -> Vec<u8> {
    let mut text = b"list:".to_vec();
    list.for_each(End::Head, 0, usize::MAX, |element| {
        text.push(b' ');
        element.append_to(&mut text);
    });
    text
}

/// A command as one would type it; long words are cut.
pub(crate) fn show(words: &[Vec<u8>]) -> String {
    let word = |word: &Vec<u8>| format!("{} ", word[..word.len().min(40)].escape_ascii());
    words.iter().map(word).collect()
}
