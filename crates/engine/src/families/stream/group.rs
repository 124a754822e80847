//! Making and changing groups: XGROUP, and XSETID, which changes a stream's past.

use base::strings::eq_ignore_case;
use resp::Reply;
use structs::stream::{Group, Stream, StreamId};

use crate::args::Args;
use crate::event::Classes;
use crate::failure::Failure;
use crate::keyspace::Key;
use crate::tx::{Deadline, Effect, WriteTx};

use super::{ids, no_group_in, subcommand_syntax};

pub(super) const HELP: &[&str] = &[
    "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CREATE <key> <group> <id|$> [MKSTREAM] [ENTRIESREAD <count>]",
    "    Make a group that has got everything up to <id>; MKSTREAM makes a missing stream too,",
    "    ENTRIESREAD tells how many entries the group has read so far.",
    "CREATECONSUMER <key> <group> <consumer>",
    "    Make a consumer.",
    "DELCONSUMER <key> <group> <consumer>",
    "    Remove a consumer, and what is pending for it.",
    "DESTROY <key> <group>",
    "    Remove a group.",
    "SETID <key> <group> <id|$> [ENTRIESREAD <count>]",
    "    Let a group go on after <id>.",
    "HELP",
    "    Show these lines.",
];

const NO_STREAM: Failure = Failure::fixed(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to \
     use the MKSTREAM option to create an empty stream automatically.",
);
const BUSY_GROUP: Failure = Failure::fixed("BUSYGROUP Consumer Group name already exists");
const BAD_ENTRIES_READ: Failure =
    Failure::fixed("ERR value for ENTRIESREAD must be positive or -1");

/// `ENTRIESREAD n`, where -1 stands for "not known".
fn read_entries_read(args: &mut Args<'_>) -> Result<Option<u64>, Failure> {
    let count = args.int();
    args.check()?;
    match count {
        -1 => Ok(None),
        _ => u64::try_from(count).map(Some).map_err(|_| BAD_ENTRIES_READ),
    }
}

/// Key and group after the subcommand's name.
fn read_names<'a>(args: &mut Args<'a>) -> (Key<'a>, &'a [u8]) {
    args.skip(1);
    (args.key(), args.bytes())
}

/// Words of XGROUP CREATE with every option once.
const CREATE_WORDS_MAX: usize = 8;

pub(super) fn create(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let (key, name) = read_names(args);
    let start = args.bytes();
    let (mut make_stream, mut entries_read) = (false, None);
    while args.left() > 0 {
        if args.accept("mkstream") {
            make_stream = true;
        } else if args.left() >= 2 && args.accept("entriesread") {
            entries_read = read_entries_read(args)?;
        } else {
            return Err(subcommand_syntax("XGROUP", args));
        }
    }
    let stream = tx.read::<Stream>(key)?;
    if stream.is_none() && !make_stream {
        return Err(NO_STREAM);
    }
    if args.count() > CREATE_WORDS_MAX {
        return Err(subcommand_syntax("XGROUP", args));
    }
    let last_id = match start {
        b"$" => stream.map_or(StreamId::MIN, |stream| stream.log().last_id()),
        id => ids::strict(id, 0)?,
    };
    let is_missing = stream.is_none();
    let add = |stream: &mut Stream| {
        let mut group = Group::new(name);
        group.set_progress(stream.log(), last_id, entries_read);
        stream.add_group(group)
    };
    if is_missing {
        let mut stream = Stream::default();
        add(&mut stream);
        tx.put_collection(key, stream, Deadline::Clear);
    } else if !tx.update_unseen(key, add)? {
        return Err(BUSY_GROUP);
    }
    tx.event(Classes::STREAM, "xgroup-create", key);
    out.ok();
    Ok(Effect::as_sent(1))
}

/// The stream at `key`, which has the group `name`.
fn check_group(tx: &WriteTx<'_, '_>, key: Key<'_>, name: &[u8]) -> Result<(), Failure> {
    let stream = tx.read::<Stream>(key)?.ok_or(NO_STREAM)?;
    match stream.group(name) {
        Some(_) => Ok(()),
        None => Err(no_group_in(name, key)),
    }
}

/// Words of XGROUP SETID with and without its option.
const SETID_WORDS: [usize; 2] = [5, 7];

pub(super) fn setid(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let (key, name) = read_names(args);
    let id = args.bytes();
    let mut entries_read = None;
    while args.left() > 0 {
        if args.left() < 2 || !args.accept("entriesread") {
            return Err(subcommand_syntax("XGROUP", args));
        }
        entries_read = read_entries_read(args)?;
    }
    check_group(tx, key, name)?;
    if !SETID_WORDS.contains(&args.count()) {
        return Err(subcommand_syntax("XGROUP", args));
    }
    let id = match id {
        b"$" => None,
        id => Some(ids::lenient(id, 0)?),
    };
    tx.update_unseen(key, |stream: &mut Stream| {
        if let Some((log, group)) = stream.group_mut(name) {
            group.set_progress(log, id.unwrap_or(log.last_id()), entries_read);
        }
    })?;
    tx.event(Classes::STREAM, "xgroup-setid", key);
    out.ok();
    Ok(Effect::as_sent(1))
}

pub(super) fn destroy(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let (key, name) = read_names(args);
    args.end()?;
    tx.read::<Stream>(key)?.ok_or(NO_STREAM)?;
    let removed = tx.update_unseen(key, |stream: &mut Stream| stream.remove_group(name))?;
    if removed {
        tx.event(Classes::STREAM, "xgroup-destroy", key);
    }
    out.int(i64::from(removed));
    Ok(Effect::as_sent(usize::from(removed)))
}

pub(super) fn createconsumer(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let (key, name) = read_names(args);
    let consumer = args.bytes();
    args.end()?;
    check_group(tx, key, name)?;
    let now = tx.clock().0;
    let created = tx.update_unseen(key, |stream: &mut Stream| {
        let group = stream.group_mut(name);
        group.is_some_and(|(_, group)| group.consumer_or_new(consumer, now).1)
    })?;
    if created {
        tx.event(Classes::STREAM, "xgroup-createconsumer", key);
    }
    out.int(i64::from(created));
    Ok(Effect::as_sent(usize::from(created)))
}

pub(super) fn delconsumer(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let (key, name) = read_names(args);
    let consumer = args.bytes();
    args.end()?;
    check_group(tx, key, name)?;
    let removed = tx.update_unseen(key, |stream: &mut Stream| {
        let (_, group) = stream.group_mut(name)?;
        group.remove_consumer(consumer)
    })?;
    if removed.is_some() {
        tx.event(Classes::STREAM, "xgroup-delconsumer", key);
    }
    out.int(removed.unwrap_or(0) as i64);
    Ok(Effect::as_sent(usize::from(removed.is_some())))
}

const BELOW_GIVEN_DELETED: Failure = Failure::fixed(
    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
);
const BELOW_DELETED: Failure =
    Failure::fixed("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id");
const BELOW_TOP: Failure =
    Failure::fixed("ERR The ID specified in XSETID is smaller than the target stream top item");
const NEGATIVE_ADDED: Failure = Failure::fixed("ERR entries_added must be positive");
const FEW_ADDED: Failure = Failure::fixed(
    "ERR The entries_added specified in XSETID is smaller than the target stream length",
);

pub(super) fn xsetid(
    tx: &mut WriteTx<'_, '_>,
    args: &mut Args<'_>,
    out: &mut Reply,
) -> Result<Effect, Failure> {
    let key = args.key();
    let id = ids::strict(args.bytes(), 0)?;
    let (mut added, mut max_deleted) = (None, StreamId::MIN);
    while let Some(word) = args.peek().filter(|_| args.left() >= 2) {
        if eq_ignore_case(word, b"entriesadded") {
            args.skip(1);
            let count = u64::try_from(args.int());
            args.check()?;
            added = Some(count.map_err(|_| NEGATIVE_ADDED)?);
        } else if eq_ignore_case(word, b"maxdeletedid") {
            args.skip(1);
            max_deleted = ids::strict(args.bytes(), 0)?;
            if id < max_deleted {
                return Err(BELOW_GIVEN_DELETED);
            }
        } else {
            break;
        }
    }
    args.end()?;
    let stream = tx.read::<Stream>(key)?.ok_or(Failure::NO_SUCH_KEY)?;
    let log = stream.log();
    if id < log.max_deleted_id() {
        return Err(BELOW_DELETED);
    }
    if log.last().is_some_and(|last| id < last.id()) {
        return Err(BELOW_TOP);
    }
    if added.is_some_and(|added| added < log.len()) {
        return Err(FEW_ADDED);
    }
    let added = added.unwrap_or(log.entries_added());
    if max_deleted == StreamId::MIN {
        max_deleted = log.max_deleted_id();
    }
    tx.update_unseen(key, |stream: &mut Stream| {
        stream.log_mut().set_past(id, max_deleted, added);
    })?;
    tx.event(Classes::STREAM, "xsetid", key);
    out.ok();
    Ok(Effect::as_sent(1))
}
