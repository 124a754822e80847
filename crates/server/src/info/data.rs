//! Sections about what the server holds: Memory, Persistence, Keyspace.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use base::ids::DbIndex;
use base::units::format_human;

use super::{Fields, View, constants};
use crate::memory::memory_info;
use crate::saving::Running;
use crate::saving::Stage;
use crate::scripting::{Kind, Scripting};
use crate::server::Server;

pub(super) fn memory(view: &mut View<'_, '_>, fields: &mut Fields) {
    let info = memory_info(view.server, view.lease);
    let totals = view.server.totals();
    size("used_memory", info.used, fields);
    size("used_memory_rss", info.rss, fields);
    size("used_memory_peak", info.peak, fields);
    fields.put("used_memory_peak_time", info.peak_at.as_secs());
    percent("used_memory_peak_perc", info.peak_percent(), fields);
    fields.put("used_memory_overhead", info.overhead);
    fields.put("used_memory_startup", info.startup);
    fields.put("used_memory_dataset", info.dataset());
    percent("used_memory_dataset_perc", info.dataset_percent(), fields);
    fields.put("allocator_allocated", info.allocator.allocated);
    fields.put("allocator_active", info.allocator.active);
    fields.put("allocator_resident", info.allocator.resident);
    fields.put("allocator_muzzy", info.allocator.muzzy);
    size("total_system_memory", info.system, fields);
    scripts(&view.server.scripting, fields);
    size("maxmemory", info.limit, fields);
    fields.put("maxmemory_policy", info.policy.name());
    for (name, spread) in [
        ("allocator_frag", info.allocator_fragmentation()),
        ("allocator_rss", info.allocator_rss()),
        ("rss_overhead", info.rss_overhead()),
        ("mem_fragmentation", info.fragmentation()),
    ] {
        fields.put(&format!("{name}_ratio"), format!("{:.2}", spread.ratio));
        fields.put(&format!("{name}_bytes"), spread.bytes);
    }
    fields.put("mem_clients_normal", info.clients);
    let journal = &view.server.appending.journal;
    let kept = if journal.is_kept() {
        journal.memory_bytes()
    } else {
        0
    };
    fields.put("mem_replication_backlog", kept);
    // The replicas read the backlog itself.
    fields.put("mem_total_replication_buffers", kept);
    fields.put("mem_clients_slaves", info.replicas);
    fields.put_all(constants::NO_BUFFERS);
    fields.put("mem_allocator", "jemalloc");
    fields.put("lazyfree_pending_objects", info.lazyfree_pending_objects);
    fields.put("lazyfreed_objects", totals.lazyfreed_objects);
}

/// Memory of Lua states, and of what is kept of scripts and functions beside them.
fn scripts(scripting: &Scripting, fields: &mut Fields) {
    let libraries = scripting.libraries.read();
    let eval = scripting.memory_bytes(Kind::Script);
    let functions = scripting.memory_bytes(Kind::Function);
    let beside = scripting.store.bytes() + libraries.bytes();
    fields.put("used_memory_vm_eval", eval);
    size("used_memory_lua", eval, fields);
    fields.put("used_memory_scripts_eval", scripting.store.bytes());
    fields.put("number_of_cached_scripts", scripting.store.len());
    fields.put("number_of_functions", libraries.function_count());
    fields.put("number_of_libraries", libraries.len());
    fields.put("used_memory_vm_functions", functions);
    size("used_memory_vm_total", eval + functions, fields);
    fields.put("used_memory_functions", libraries.bytes());
    size("used_memory_scripts", beside, fields);
}

/// A number of bytes, exactly and for humans.
fn size(name: &str, bytes: u64, fields: &mut Fields) {
    fields.put(name, bytes);
    fields.put(&format!("{name}_human"), format_human(bytes));
}

fn percent(name: &str, percent: f64, fields: &mut Fields) {
    fields.put(name, format!("{percent:.2}%"));
}

pub(super) fn persistence(view: &mut View<'_, '_>, fields: &mut Fields) {
    let server = view.server;
    let loading = &server.loading;
    fields.put("loading", u8::from(loading.is_active()));
    fields.put("async_loading", u8::from(view.server.loading.is_beside()));
    if loading.is_active() {
        loading_fields(server, fields);
    }
    snapshots(server, fields);
    let (expired, loaded) = (&loading.keys_expired, &loading.keys_loaded);
    fields.put("rdb_last_load_keys_expired", expired.load(Relaxed));
    fields.put("rdb_last_load_keys_loaded", loaded.load(Relaxed));
    log(server, fields);
}

fn loading_fields(server: &Server, fields: &mut Fields) {
    let loading = &server.loading;
    let since = loading.since.load(Relaxed);
    let (total, read) = (&loading.total_bytes, &loading.read_bytes);
    let (total, read) = (total.load(Relaxed), read.load(Relaxed));
    let elapsed = (server.now().0 - since).max(0) as f64 / 1000.0;
    let percent = match total {
        0 => 0.0,
        total => read as f64 / total as f64 * 100.0,
    };
    let eta = match read {
        0 => 0,
        read => (elapsed / read as f64 * total.saturating_sub(read) as f64) as u64,
    };
    fields.put("loading_start_time", since / 1000);
    fields.put("loading_total_bytes", total);
    fields.put("loading_rdb_used_mem", loading.writer_bytes.load(Relaxed));
    fields.put("loading_loaded_bytes", read);
    fields.put("loading_loaded_perc", format!("{percent:.2}"));
    fields.put("loading_eta_seconds", eta);
}

/// The append-only file.
fn log(server: &Server, fields: &mut Fields) {
    let appending = &server.appending;
    let (report, running) = (appending.report(), appending.running());
    let (journal, status) = (&appending.journal, appending.journal.status());
    let word = |ok: bool| if ok { "ok" } else { "err" };
    let now = server.now();
    let current = running.map_or(-1, |running| now.millis_since(running.since) / 1000);
    let enabled = server.settings.get().aof.on;
    fields.put("aof_enabled", u8::from(enabled));
    let stage = appending.stage();
    // One that nobody keeps waiting is about to begin.
    let others = server.saving.stage() == Some(Stage::Running);
    let scheduled = stage == Some(Stage::Waiting) && others;
    fields.put(
        "aof_rewrite_in_progress",
        u8::from(stage.is_some() && !scheduled),
    );
    fields.put("aof_rewrite_scheduled", u8::from(scheduled));
    fields.put("aof_last_rewrite_time_sec", report.seconds.unwrap_or(-1));
    fields.put("aof_current_rewrite_time_sec", current);
    fields.put("aof_last_bgrewrite_status", word(report.ok));
    fields.put("aof_rewrites", report.rewrites);
    fields.put("aof_rewrites_consecutive_failures", report.failures);
    fields.put("aof_last_write_status", word(status.failure.is_none()));
    fields.put("aof_last_cow_size", report.peak_bytes);
    if !enabled {
        return;
    }
    fields.put("aof_current_size", status.current_bytes());
    fields.put("aof_base_size", status.base_bytes);
    fields.put("aof_pending_rewrite", u8::from(!journal.is_on()));
    fields.put("aof_buffer_length", journal.held_bytes());
    fields.put("aof_pending_bio_fsync", u8::from(status.syncing));
    fields.put("aof_delayed_fsync", status.delays);
}

fn snapshots(server: &Server, fields: &mut Fields) {
    let report = server.saving.report();
    let copying = server.replicating.primary.queue.copying();
    let busy = server.saving.is_busy() || copying.is_some();
    let running = server.saving.running().or(copying);
    let control = running.as_ref().map(|running| &running.control);
    let load = |counter: &AtomicU64| counter.load(Relaxed);
    let keys = control.map_or(0, |control| load(&control.keys));
    let permille = control.map_or(0, |control| load(&control.permille));
    let status = if report.ok { "ok" } else { "err" };
    let now = server.now();
    let seconds = |running: &Running| (now.0 - running.since.0) / 1000;
    let unsaved = server.totals().changes.wrapping_sub(report.changes_saved);
    fields.put("current_save_keys_processed", keys * permille / 1000);
    fields.put("current_save_keys_total", keys);
    fields.put("rdb_changes_since_last_save", unsaved);
    fields.put("rdb_bgsave_in_progress", u8::from(busy));
    fields.put("rdb_last_save_time", report.saved_at.as_secs());
    fields.put("rdb_last_bgsave_status", status);
    fields.put("rdb_last_bgsave_time_sec", report.seconds.unwrap_or(-1));
    let current = running.as_ref().map_or(-1, seconds);
    fields.put("rdb_current_bgsave_time_sec", current);
    fields.put("rdb_saves", report.saves);
    // What is held back for the writer is what a fork's copied pages are elsewhere.
    fields.put("rdb_last_cow_size", report.peak_bytes);
}

/// Counts of one database.
#[derive(Clone, Copy, Default)]
struct DbCounts {
    keys: usize,
    volatile: usize,
    timed: usize,
}

pub(super) fn keyspace(view: &mut View<'_, '_>, fields: &mut Fields) {
    let keyspace = view.lease.keyspace();
    let mut counts = vec![DbCounts::default(); keyspace.databases() as usize];
    for stripe in keyspace.stripes() {
        let stripe = view.lease.only(stripe);
        for (db, counts) in counts.iter_mut().enumerate() {
            let table = stripe.table(DbIndex(db as u32));
            counts.keys += table.len();
            counts.volatile += table.volatile();
            counts.timed += table.timed();
        }
    }
    view.lease.release();
    for (db, counts) in counts.iter().enumerate().filter(|(_, db)| db.keys > 0) {
        let value = format!(
            "keys={},expires={},avg_ttl=0,subexpiry={}",
            counts.keys, counts.volatile, counts.timed
        );
        fields.put(&format!("db{db}"), value);
    }
}
