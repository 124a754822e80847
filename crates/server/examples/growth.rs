//! The longest single insert while a database grows: no pause, however large the table is.
//!
//! `cargo run --release -p server --example growth -- [KEYS] [STRIPES]`, 10,000,000 and 1 by
//! default. Prints percentiles of single inserts, in microseconds: on the clock, where the pauses
//! of a shared machine are in it, and in CPU time of the thread, where they are not.

use std::time::Instant;

use base::hash::Seed;
use base::ids::DbIndex;
use engine::access::Recency;
use engine::entry::NewValue;
use engine::env::{Env, Limits, Packing};
use engine::event::Classes;
use engine::keyspace::Keyspace;
use engine::tx::{Deadline, WriteTx};
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};
use server::allocator::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    let number = |at: usize, default: usize| {
        std::env::args()
            .nth(at)
            .and_then(|word| word.parse().ok())
            .unwrap_or(default)
    };
    let (keys, stripes) = (number(1, 10_000_000), number(2, 1));
    let keyspace = Keyspace::new(stripes, 1, Seed::random());
    let limits = Limits {
        string_bytes_max: 1 << 29,
        recency: Recency::Lru,
        packing: Packing::with_seed(Seed::from_u64(1)),
        dump: rdb::Target::default(),
        payloads: rdb::payload::Trust::Sum,
        events: Classes::NONE,
    };
    let env = Env::new(limits, 1);
    let mut lease = keyspace.lease();
    let mut wall: Vec<u32> = Vec::with_capacity(keys);
    let mut cpu: Vec<u32> = Vec::with_capacity(keys);
    let begin = Instant::now();
    for at in 0..keys {
        let name = format!("key:{at:012}");
        let key = keyspace.key(name.as_bytes());
        let (start, used) = (Instant::now(), thread_nanos());
        lease.cover(std::iter::once(key.hash));
        WriteTx::new(&mut lease, &env, DbIndex::default()).put(
            key,
            NewValue::Bytes(&[b'x'; 64]),
            Deadline::Clear,
        );
        cpu.push((thread_nanos() - used) as u32);
        wall.push(start.elapsed().as_nanos() as u32);
    }
    println!("{keys} inserts in {:.1} s", begin.elapsed().as_secs_f64());
    report("wall", wall);
    report("cpu ", cpu);
}

/// Nanoseconds that this thread has run, system calls and page faults included.
fn thread_nanos() -> i64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("the clock of a thread");
    time.num_nanoseconds()
}

fn report(what: &str, mut nanos: Vec<u32>) {
    let mean = nanos.iter().map(|&nanos| f64::from(nanos)).sum::<f64>() / nanos.len() as f64;
    nanos.sort_unstable();
    let last = (nanos.len() - 1) as f64;
    let at = |share: f64| f64::from(nanos[(last * share) as usize]) / 1000.0;
    println!(
        "{what} us: mean {:.2}, p50 {:.2}, p99 {:.2}, p99.9 {:.2}, p99.999 {:.1}, p99.9999 {:.1}, \
         longest {:.1}",
        mean / 1000.0,
        at(0.5),
        at(0.99),
        at(0.999),
        at(0.99999),
        at(0.999999),
        at(1.0)
    );
}
