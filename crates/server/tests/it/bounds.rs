//! Memory that a snapshot takes besides the data: at most 64 MiB, however much is written meanwhile
//! and however slow the disk is.

use std::thread;

use testkit::client::{Client, encode};
use testkit::reply::Reply;

use crate::servers::{Directory, call, field, info, start};

/// Held back for the writer, and in memory in all, beyond what was there before.
const EXTRA_BYTES_MAX: u64 = 64 << 20;
/// What else may come and go meanwhile: the input and output of clients, tables, threads.
const SLACK_BYTES: u64 = 8 << 20;

const KEYS: usize = 48_000;
/// Small enough to be copied, not shared.
const VALUE_BYTES: usize = 1_600;

fn number(client: &mut Client, name: &str) -> u64 {
    field(client, name).parse().expect("a number")
}

/// Overwrites every key once, from several connections.
fn overwrite(port: u16) {
    const THREADS: usize = 3;
    const AT_ONCE: usize = 100;
    thread::scope(|scope| {
        for part in 0..THREADS {
            scope.spawn(move || {
                let mut client = Client::connect(port).expect("a connection");
                let value = vec![b'n'; VALUE_BYTES];
                let keys: Vec<usize> = (part..KEYS).step_by(THREADS).collect();
                for some in keys.chunks(AT_ONCE) {
                    let mut wire = Vec::new();
                    for key in some {
                        let key = format!("key:{key}");
                        encode(&mut wire, &[b"SET", key.as_bytes(), &value]);
                    }
                    client.send_raw(&wire).expect("it is sent");
                    for _ in some {
                        let reply = client.receive().expect("a reply");
                        assert_eq!(reply, Reply::Status(b"OK".to_vec()));
                    }
                }
            });
        }
    });
}

#[test]
fn a_snapshot_takes_little_memory_though_everything_is_overwritten() {
    let directory = Directory::new("bounds");
    let server = start(&["--dir", directory.text(), "--rdb-key-save-delay", "150"]);
    let mut client = server.connect().expect("a connection");
    call(
        &mut client,
        &format!("DEBUG POPULATE {KEYS} key {VALUE_BYTES}"),
    );
    let before = number(&mut client, "used_memory");
    let data = (KEYS * VALUE_BYTES) as u64;
    assert!(
        before > data && data > EXTRA_BYTES_MAX + SLACK_BYTES,
        "{before}"
    );
    call(&mut client, "BGSAVE");
    // Its moment is when it counts the keys, which is soon after the answer.
    let begun = KEYS.to_string();
    info(&mut client, "current_save_keys_total", &begun);
    overwrite(server.port());
    assert_eq!(
        field(&mut client, "rdb_bgsave_in_progress"),
        "1",
        "all was overwritten while the snapshot was taken"
    );
    call(&mut client, "CONFIG SET rdb-key-save-delay 0");
    info(&mut client, "rdb_bgsave_in_progress", "0");
    assert_eq!(field(&mut client, "rdb_last_bgsave_status"), "ok");

    let held = number(&mut client, "rdb_last_cow_size");
    assert!(
        (EXTRA_BYTES_MAX / 2..=EXTRA_BYTES_MAX).contains(&held),
        "{held} bytes were held back"
    );
    let grown = number(&mut client, "used_memory_peak") - before;
    assert!(grown <= EXTRA_BYTES_MAX + SLACK_BYTES, "{grown} bytes more");
    // And it is of the moment when it began.
    drop(server);
    let server = start(&["--dir", directory.text()]);
    let mut client = server.connect().expect("a connection");
    assert_eq!(call(&mut client, "DBSIZE"), Reply::Int(KEYS as i64));
    for key in [0, 1, KEYS / 2, KEYS - 1] {
        let value = call(&mut client, &format!("GETRANGE key:{key} 0 5"));
        assert_eq!(value, Reply::Bulk(b"value:".to_vec()), "key:{key}");
    }
}
