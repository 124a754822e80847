//! The program's allocator: jemalloc, with every allocation counted for `used_memory` and
//! `maxmemory`.
//!
//! Each thread adds what it allocates and subtracts what it frees in a counter of its own, a plain
//! load and store on a cache line that nobody else writes (`tests/it/allocator.rs` prints what that
//! costs). A block may be freed by another thread than the one that allocated it, so single
//! counters mean nothing and may be negative; their sum is the number of bytes in use. What is
//! counted are jemalloc's size classes, not the requested sizes.
//!
//! A thread that ends leaves its counter behind, so nothing is lost. There are [`THREADS_MAX`]
//! counters; threads beyond share one that is added to atomically, which is slower but as exact.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use base::memory::size_class;
use tikv_jemalloc_ctl::{epoch, raw, stats, stats_print};
use tikv_jemallocator::Jemalloc;

/// Threads with a counter of their own. Workers are the first to start, and few.
const THREADS_MAX: usize = 256;

/// One thread's balance in bytes, alone on its cache lines (two: adjacent-line prefetch).
#[repr(align(128))]
struct Balance(AtomicI64);

static BALANCES: [Balance; THREADS_MAX] = [const { Balance(AtomicI64::new(0)) }; THREADS_MAX];
static BALANCES_TAKEN: AtomicUsize = AtomicUsize::new(0);
static SHARED_BALANCE: AtomicI64 = AtomicI64::new(0);

thread_local! {
    // Const and without a destructor: reading it allocates nothing and registers nothing, so it may
    // be used inside the allocator, at any time in a thread's life.
    static MINE: Cell<Option<&'static AtomicI64>> = const { Cell::new(None) };
}

/// jemalloc's options for this program, read once at its start.
///
/// - `background_thread`: pages that became free go back to the system from a thread of jemalloc's
///   own, not from whichever worker happens to free the next block.
/// - `dirty_decay_ms`: freed segments of a growing table go back within half a second.
/// - `slab_sizes`: four blocks of 8 KiB, which is what a long list's nodes are, share a slab of 8
///   pages instead of having one of 2 each, as in the size classes around it. Saves 1.2 percent of
///   a list.
/// - `tcache_nslots_large`: a thread that had read from fifty clients kept twenty of their buffers
///   of 16 KiB to itself.
///
/// `thp:always` was measured and left out: huge pages made random access up to a quarter cheaper in
/// some runs and no cheaper in others, but one insert in 100,000 then waited about 9 ms for a huge
/// page (`examples/growth.rs`). The build (workspace `Cargo.toml`) turns `cache_oblivious` off,
/// which would give every block from 16 KiB on a page more than it needs.
// SAFETY: jemalloc looks under this name for a pointer to a NUL-terminated text, and only reads it.
#[unsafe(export_name = "_rjem_malloc_conf")]
#[used]
static OPTIONS: &u8 = &OPTIONS_TEXT[0];
static OPTIONS_TEXT: [u8; 104] = *b"background_thread:true,dirty_decay_ms:500,muzzy_decay_ms:0,\
    slab_sizes:8192-8192:8,tcache_nslots_large:2\0";

/// See the module's head. The binary declares one as its `#[global_allocator]`.
#[derive(Clone, Copy, Debug)]
pub struct Counting;

// SAFETY: every call is passed on to jemalloc unchanged; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        let block = unsafe { Jemalloc.alloc(layout) };
        count_gain(block, layout.size());
        block
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        let block = unsafe { Jemalloc.alloc_zeroed(layout) };
        count_gain(block, layout.size());
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(size_class(layout.size()) as i64));
        // SAFETY: the caller's promises are passed on.
        unsafe { Jemalloc.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        let moved = unsafe { Jemalloc.realloc(block, layout, new_size) };
        if !moved.is_null() {
            count(size_class(new_size) as i64 - size_class(layout.size()) as i64);
        }
        moved
    }
}

#[inline]
fn count_gain(block: *mut u8, size: usize) {
    if !block.is_null() {
        count(size_class(size) as i64);
    }
}

#[inline]
fn count(bytes: i64) {
    match MINE.get() {
        // One writer, so no read-modify-write is needed.
        Some(mine) => mine.store(
            mine.load(Ordering::Relaxed).wrapping_add(bytes),
            Ordering::Relaxed,
        ),
        None => count_without_balance(bytes),
    }
}

#[cold]
fn count_without_balance(bytes: i64) {
    let taken = BALANCES_TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
        (taken < THREADS_MAX).then_some(taken + 1)
    });
    match taken {
        Ok(free) => {
            let mine = &BALANCES[free].0;
            mine.store(bytes, Ordering::Relaxed);
            MINE.set(Some(mine));
        }
        Err(_) => {
            SHARED_BALANCE.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

/// Bytes allocated and not freed, by all threads. Other threads' latest blocks may be missing.
pub fn used_bytes() -> u64 {
    let taken = BALANCES_TAKEN.load(Ordering::Relaxed).min(THREADS_MAX);
    let own: i64 = BALANCES[..taken]
        .iter()
        .map(|balance| balance.0.load(Ordering::Relaxed))
        .sum();
    // A block seen freed but not yet allocated can push a tiny sum below zero for a moment.
    u64::try_from(own + SHARED_BALANCE.load(Ordering::Relaxed)).unwrap_or(0)
}

/// The calling thread's balance: may be negative, and only differences of it mean anything.
#[inline]
pub fn own_balance() -> i64 {
    MINE.get().map_or(0, |mine| mine.load(Ordering::Relaxed))
}

/// What jemalloc says of itself, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllocatorStats {
    /// In blocks, the free ones in thread caches included.
    pub allocated: u64,
    /// In pages that hold at least one block.
    pub active: u64,
    /// In pages that are mapped and backed, as jemalloc sees it.
    pub resident: u64,
    /// In pages that the kernel may take back when it wants.
    pub muzzy: u64,
}

/// jemalloc's statistics as of now. Costs some microseconds. All zero if they cannot be had.
pub fn allocator_stats() -> AllocatorStats {
    // Statistics are compiled in (feature `stats`), and the names exist in jemalloc 5: a failure
    // could only come from an allocator that is not there.
    let _ = epoch::advance();
    // SAFETY: both names exist and their values are of type size_t.
    let (page, muzzy_pages) = unsafe {
        (
            raw::read::<usize>(b"arenas.page\0").unwrap_or(0),
            raw::read::<usize>(b"stats.arenas.4096.pmuzzy\0").unwrap_or(0),
        )
    };
    AllocatorStats {
        allocated: stats::allocated::read().unwrap_or(0) as u64,
        active: stats::active::read().unwrap_or(0) as u64,
        resident: stats::resident::read().unwrap_or(0) as u64,
        muzzy: (page * muzzy_pages) as u64,
    }
}

/// Gives free pages back to the operating system, now. Whether jemalloc agreed.
pub fn purge() -> bool {
    // SAFETY: neither control reads or writes a value; 4096 is jemalloc's number for "all arenas".
    unsafe { control(b"thread.tcache.flush\0") && control(b"arena.4096.purge\0") }
}

/// # Safety
/// `name` must be a NUL-terminated name of a control that takes and gives no value.
unsafe fn control(name: &'static [u8]) -> bool {
    use std::ptr::null_mut;
    // SAFETY: the name is terminated, and all value pointers are null as the control demands.
    let status = unsafe {
        tikv_jemalloc_sys::mallctl(name.as_ptr().cast(), null_mut(), null_mut(), null_mut(), 0)
    };
    status == 0
}

/// jemalloc's own report, for people.
pub fn report() -> Vec<u8> {
    let mut text = Vec::new();
    // Writing to a Vec does not fail; a report cut short is still worth showing.
    let _ = stats_print::stats_print(&mut text, stats_print::Options::default());
    text
}
