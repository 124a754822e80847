//! Sizes in files and payloads from outside are announcements: nothing is allocated for them beyond
//! what the bytes that are there justify. Sound data of every type, with a gigantic length at every
//! place in turn.

use base::hash::Seed;
use journal::read::Reader as LogReader;
use rdb::file::{Item, Reader};
use rdb::payload::{self, Trust};
use rdb::{Input, decode};
use structs::Packing;
use testkit::client::Client;
use tikv_jemalloc_ctl::thread::allocatedp;

use crate::servers::{Directory, call, start};

/// Buffers, tables of a first size, and so many announced elements as room is made for.
const FIXED_BYTES: u64 = 16 << 20;
/// A text may be so many times longer than its compressed form, and is copied a few times.
const TIMES: u64 = 400;

/// Lengths of 64, 32 and 14 bits, and one of a listpack's.
const GIGANTIC: &[&[u8]] = &[
    &[0x81, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x81, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
    &[0x80, 0x7f, 0xff, 0xff, 0xff],
    &[0x80, 0x3f, 0xff, 0xff, 0xff],
    &[0x7f, 0xff],
    &[0xf0, 0xff, 0xff, 0xff, 0x7f],
];

const DATA: &[&str] = &[
    "SET text hello",
    "SET number 12345",
    "RPUSH list a b c 1 2 3",
    "SADD ints 1 2 3",
    "SADD set a b c",
    "HSET hash a 1 b 2",
    "HSET timed a 1 b 2",
    "HPEXPIREAT timed 4102444800000 FIELDS 1 a",
    "ZADD zset 1 a 2.5 b",
    "XADD stream 1-1 a b",
    "XADD stream 2-1 a b c d",
    "XGROUP CREATE stream readers 0",
    "XREADGROUP GROUP readers alice COUNT 1 STREAMS stream >",
];

/// Makes them large enough for other forms.
const LIMITS: &[&str] = &[
    "CONFIG SET list-max-listpack-size 2",
    "CONFIG SET set-max-listpack-entries 1",
    "CONFIG SET set-max-intset-entries 1",
    "CONFIG SET hash-max-listpack-entries 1",
    "CONFIG SET zset-max-listpack-entries 1",
];

fn fill(client: &mut Client) {
    call(client, "FLUSHALL");
    for line in DATA {
        call(client, line);
    }
    call(client, &format!("SET compressed {}", "ab".repeat(300)));
}

/// Bytes that this thread has ever allocated.
fn allocated() -> u64 {
    allocatedp::read().expect("jemalloc tells").get()
}

/// Whether a length may stand where these bytes begin.
type Places = fn(&[u8]) -> bool;

/// Reads `bytes` with a gigantic length in turn at every place that may have one.
fn damage(what: &str, bytes: &[u8], (lengths, places): (&[&[u8]], Places), read: &dyn Fn(&[u8])) {
    let bound = FIXED_BYTES + TIMES * bytes.len() as u64;
    for length in lengths {
        let places = (0..bytes.len()).filter(|&at| places(&bytes[at..]));
        for at in places {
            let mut damaged = bytes.to_vec();
            let end = (at + length.len()).min(bytes.len());
            damaged[at..end].copy_from_slice(&length[..end - at]);
            let before = allocated();
            read(&damaged);
            let used = allocated() - before;
            assert!(used <= bound, "{what}: {used} bytes for {length:?} at {at}");
        }
    }
}

fn packing() -> Packing {
    Packing::with_seed(Seed::from_u64(1))
}

/// As the loader does, whatever comes of it.
fn read_snapshot(bytes: &[u8]) {
    let Ok(mut reader) = Reader::open(Input::of_reader(bytes)) else {
        return;
    };
    let (dialect, packing) = (reader.dialect(), packing());
    while let Ok(item) = reader.next_item() {
        match item {
            Item::Key(head) => {
                let mut raw = Vec::new();
                if reader.raw_value(head.kind, &mut raw).is_err() {
                    return;
                }
                let mut input = Input::of_bytes(&raw, 0);
                _ = decode(&mut input, head.kind, dialect, &packing);
            }
            Item::End(_) => return,
            _ => {}
        }
    }
}

fn read_payload(bytes: &[u8]) {
    _ = payload::read(bytes, Trust::Blind, &packing());
}

fn read_log(bytes: &[u8]) {
    let mut reader = LogReader::new(bytes, bytes.len() as u64, 0);
    let mut words = Vec::new();
    while let Ok(Some(_)) = reader.next(&mut words) {}
}

#[test]
fn gigantic_lengths_allocate_no_more_than_the_bytes_justify() {
    let directory = Directory::new("hostile");
    let server = start(&["--dir", directory.text(), "--appendonly", "yes"]);
    let mut client = server.connect().expect("a connection");
    let file = directory.0.join("dump.rdb");
    for large in [false, true] {
        if large {
            LIMITS.iter().for_each(|line| drop(call(&mut client, line)));
        }
        fill(&mut client);
        call(&mut client, "SAVE");
        let bytes = std::fs::read(&file).expect("a snapshot");
        damage(
            "snapshot",
            &bytes,
            (&GIGANTIC[..3], |_| true),
            &read_snapshot,
        );
        let keys = call(&mut client, "KEYS *");
        for key in keys.items().expect("an array") {
            let key = String::from_utf8_lossy(key.bytes().expect("a key")).into_owned();
            let dump = call(&mut client, &format!("DUMP {key}"));
            let bytes = dump.bytes().expect("a payload");
            damage(
                &format!("payload of {key}"),
                bytes,
                (GIGANTIC, |_| true),
                &read_payload,
            );
        }
    }
    let path = directory.0.join("appendonlydir/appendonly.aof.1.incr.aof");
    let bytes = std::fs::read(path).expect("a log");
    let lengths: &[&[u8]] = &[b"*16777216\r\n", b"$4294967290\r\n", b"$536870912\r\n"];
    let headers: Places = |bytes| matches!(bytes, [b'*' | b'$', b'0'..=b'9', ..]);
    damage("log", &bytes, (lengths, headers), &read_log);
}
