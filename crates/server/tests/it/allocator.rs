//! Counting allocations: exact per thread, complete over all threads, and cheap.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::thread;
use std::time::Instant;

use base::memory::size_class;
use server::allocator::{Counting, allocator_stats, own_balance, purge, report, used_bytes};
use tikv_jemallocator::Jemalloc;

/// More than the allocator has counters of their own for.
const MANY_THREADS: usize = 300;

/// One test for all of it, because its last part uses up the counters that its first part needs.
#[test]
fn every_block_is_counted() {
    counts_size_classes();
    growing_counts_the_difference();
    threads_leave_their_count_behind();
    for _ in 0..MANY_THREADS {
        thread::spawn(|| black_box(vec![0_u8; 100]))
            .join()
            .expect("allocates");
    }
    threads_leave_their_count_behind();
}

fn counts_size_classes() {
    let before = own_balance();
    let block = black_box(Vec::<u8>::with_capacity(100));
    assert_eq!(own_balance() - before, 112);
    let zeroed = black_box(vec![0_u8; 1000]);
    assert_eq!(own_balance() - before, 112 + 1024);
    drop((block, zeroed));
    assert_eq!(own_balance(), before);
}

fn growing_counts_the_difference() {
    let before = own_balance();
    let mut block = black_box(Vec::<u8>::with_capacity(10));
    block.reserve_exact(5000);
    assert_eq!(own_balance() - before, size_class(5000) as i64);
    drop(block);
    assert_eq!(own_balance(), before);
}

/// Allocates in one thread and frees in another. Other tests allocate meanwhile, but not this much.
fn threads_leave_their_count_behind() {
    const BYTES: usize = 256 << 20;
    let before = used_bytes();
    let block = thread::spawn(|| black_box(Vec::<u8>::with_capacity(BYTES)))
        .join()
        .expect("allocates");
    assert!(used_bytes() > before + BYTES as u64 / 2);
    thread::spawn(move || drop(block)).join().expect("frees");
    assert!(used_bytes() < before + BYTES as u64 / 2);
}

#[test]
fn jemalloc_answers() {
    let stats = allocator_stats();
    assert!(stats.allocated > 0 && stats.active >= stats.allocated);
    assert!(stats.resident >= stats.active);
    assert!(purge());
    assert!(report().starts_with(b"___ Begin jemalloc statistics ___"));
}

/// Prints what counting costs: `cargo test --profile quick -p server --test it -- --nocapture
/// cost`.
#[test]
fn cost_per_pair() {
    let plain = nanos_per_pair(&Jemalloc);
    let counted = nanos_per_pair(&Counting);
    println!("allocate and free: {plain:.2} ns, counted {counted:.2} ns");
}

/// Best of several passes, so that other load on the machine matters little.
fn nanos_per_pair(allocator: &impl GlobalAlloc) -> f64 {
    const PASSES: usize = 20;
    const PAIRS: u32 = 100_000;
    let pass = || {
        let start = Instant::now();
        for round in 0..PAIRS {
            let size = 40 + (black_box(round) % 64) as usize;
            let layout = Layout::from_size_align(size, 8).expect("small");
            // SAFETY: the layout is not empty, and the block is freed with the same one.
            unsafe { allocator.dealloc(black_box(allocator.alloc(layout)), layout) };
        }
        start.elapsed().as_nanos() as f64 / f64::from(PAIRS)
    };
    (0..PASSES).map(|_| pass()).fold(f64::MAX, f64::min)
}
