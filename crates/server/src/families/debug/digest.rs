//! DEBUG DIGEST: a sum over all data that does not depend on the order of keys.
//!
//! The algorithm is Redis's, so that the two can be compared: SHA-1 of the parts, mixed within a
//! key (order counts), exclusive-or over the keys (order does not).

use base::ids::DbIndex;
use base::time::UnixMillis;
use engine::args::Args;
use engine::entry::Entry;
use engine::failure::Failure;
use engine::object::Type;
use engine::parts::{self, Part};
use engine::tx::ReadTx;
use resp::Reply;
use sha1::{Digest as _, Sha1};

use crate::session::Session;

/// How Redis numbers the types. It has no number for arrays that we know of.
fn type_number(kind: Type) -> u32 {
    match kind {
        Type::String => 0,
        Type::List => 1,
        Type::Set => 2,
        Type::Zset => 3,
        Type::Hash => 4,
        Type::Stream => 6,
        Type::Array => 8,
    }
}

#[derive(Clone, Copy, Default)]
struct Sum([u8; 20]);

impl Sum {
    /// Adds `part`; the order of parts does not matter.
    fn add(&mut self, part: &[u8]) {
        let hash = Sha1::digest(part);
        self.0
            .iter_mut()
            .zip(hash)
            .for_each(|(sum, hash)| *sum ^= hash);
    }

    /// Adds `part`; the order of parts matters.
    fn mix(&mut self, part: &[u8]) {
        self.add(part);
        self.0 = Sha1::digest(self.0).into();
    }

    fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Adds a value and whether it has a deadline.
fn add_value(sum: &mut Sum, entry: &Entry, now: UnixMillis) {
    sum.mix(&type_number(entry.kind()).to_be_bytes());
    parts::visit(entry, now, |part| match part {
        Part::InOrder(bytes) => sum.mix(bytes),
        Part::Member(bytes) => sum.add(bytes),
        Part::Pair(one, other, is_timed) => {
            let mut own = Sum::default();
            own.mix(one);
            own.mix(other);
            if is_timed {
                own.add(b"!!hexpire!!");
            }
            sum.add(&own.0);
        }
    });
    if entry.deadline().is_some() {
        sum.add(b"!!expire!!");
    }
}

/// The sum over one database at one moment of each stripe; `None` if it has no key.
fn database_sum(session: &mut Session<'_, '_>, db: DbIndex) -> Option<Sum> {
    let keyspace = session.lease.keyspace();
    let hasher = keyspace.hasher();
    let now = session.env.now;
    let mut sum = Sum::default();
    let mut keys = 0_usize;
    for stripe in keyspace.stripes() {
        let mut position = Some(keyspace.first_position(stripe));
        let table = session.lease.only(stripe).table(db);
        keys += table.len();
        while let Some(at) = position {
            position = table.scan(at, &hasher, |entry| {
                let mut own = Sum::default();
                own.mix(entry.key());
                add_value(&mut own, entry, now);
                sum.add(&own.0);
            });
        }
    }
    (keys > 0).then_some(sum)
}

pub(super) fn digest(
    session: &mut Session<'_, '_>,
    _: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    let mut total = Sum::default();
    for db in 0..session.server.keyspace.databases() {
        if let Some(sum) = database_sum(session, DbIndex(db)) {
            total.mix(&db.to_be_bytes());
            let pairs = total.0.iter_mut().zip(sum.0);
            pairs.for_each(|(total, sum)| *total ^= sum);
        }
    }
    out.simple(total.hex().as_bytes());
    Ok(())
}

pub(super) fn digest_value(
    session: &mut Session<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<(), Failure> {
    out.array(args.left());
    let now = session.env.now;
    for name in args.rest() {
        let key = session.lease.keyspace().key(name);
        session.lease.cover(std::iter::once(key.hash));
        let tx = ReadTx::new(session.lease, session.env, session.client.db);
        let mut sum = Sum::default();
        if let Some(entry) = tx.peek(key) {
            add_value(&mut sum, entry, now);
        }
        out.simple(sum.hex().as_bytes());
    }
    Ok(())
}
