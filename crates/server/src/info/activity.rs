//! Sections about what the server does: Clients, Threads, Stats, CPU, Commandstats, Errorstats.

use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use engine::keyspace::Lease;

use super::{Fields, View, constants};
use crate::pubsub::Kind;
use crate::registry::RowId;
use crate::server::Server;

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

pub(super) fn clients(view: &mut View<'_, '_>, fields: &mut Fields) {
    let server = view.server;
    let cards = server.clients.all();
    let largest = |size: fn(&crate::clients::Card) -> u64| {
        cards.iter().map(|card| size(card)).max().unwrap_or(0)
    };
    let blocked = cards
        .iter()
        .filter(|card| card.blocked.load(Ordering::Relaxed));
    let timed = blocked
        .clone()
        .filter(|card| card.timed.load(Ordering::Relaxed));
    fields.put("connected_clients", cards.len());
    fields.put("maxclients", server.settings.get().maxclients);
    fields.put(
        "client_recent_max_input_buffer",
        largest(|card| load(&card.query_bytes)),
    );
    fields.put(
        "client_recent_max_output_buffer",
        largest(|card| load(&card.reply_bytes)),
    );
    fields.put("blocked_clients", blocked.count());
    fields.put("tracking_clients", server.tracking.client_count());
    let subscribers = cards.iter().filter(|card| card.is_subscriber()).count();
    fields.put("pubsub_clients", subscribers);
    let watched = cards.iter().map(|card| card.watched_keys());
    let watching = watched.clone().filter(|&keys| keys > 0).count();
    fields.put("watching_clients", watching);
    fields.put("clients_in_timeout_table", timed.count());
    fields.put("total_watched_keys", watched.sum::<usize>());
    let (keys, on_missing) = awaited_keys(view.lease);
    fields.put("total_blocking_keys", keys);
    fields.put("total_blocking_keys_on_nokey", on_missing);
    fields.put_all(constants::NO_CLIENT_KINDS);
}

/// Keys that clients wait for, and those of them whose deletion they wait for, too.
fn awaited_keys(lease: &mut Lease<'_>) -> (usize, usize) {
    let stripes = lease.keyspace().stripes();
    let counts = stripes.map(|stripe| lease.only(stripe).waiters().key_counts());
    let sum = counts.fold((0, 0), |sum, counts| (sum.0 + counts.0, sum.1 + counts.1));
    lease.release();
    sum
}

/// One line per worker, under the names that Redis has for its I/O threads.
pub(super) fn threads(view: &mut View<'_, '_>, fields: &mut Fields) {
    let server = view.server;
    for (at, (stats, clients)) in server.stats.iter().zip(&server.load).enumerate() {
        let value = format!(
            "clients={},reads={},writes={}",
            load(clients),
            load(&stats.reads),
            load(&stats.writes)
        );
        fields.put(&format!("io_thread_{at}"), value);
    }
}

pub(super) fn stats(view: &mut View<'_, '_>, fields: &mut Fields) {
    let server = view.server;
    let totals = server.totals();
    let [commands, bytes_in, bytes_out, rounds, round_nanos] = server.rates.per_second();
    let kib = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
    fields.put("total_connections_received", load(&server.accepted));
    fields.put("total_commands_processed", totals.commands_processed);
    fields.put("instantaneous_ops_per_sec", commands);
    fields.put("total_net_input_bytes", totals.bytes_in);
    fields.put("total_net_output_bytes", totals.bytes_out);
    fields.put("instantaneous_input_kbps", kib(bytes_in));
    fields.put("instantaneous_output_kbps", kib(bytes_out));
    fields.put("rejected_connections", load(&server.refused));
    fields.put("expired_subkeys", totals.expired_fields);
    fields.put("expired_keys", totals.expired_keys);
    let stale = totals.expired_stale_ppm as f64 / server.stats.len() as f64 / 10_000.0;
    fields.put("expired_stale_perc", format!("{stale:.2}"));
    fields.put("expired_time_cap_reached_count", totals.expire_cycle_cuts);
    fields.put(
        "expire_cycle_cpu_milliseconds",
        totals.expire_cycle_nanos / 1_000_000,
    );
    fields.put("evicted_keys", totals.evicted_keys);
    fields.put("evicted_clients", totals.evicted_clients);
    fields.put("keyspace_hits", totals.keyspace_hits);
    fields.put("keyspace_misses", totals.keyspace_misses);
    fields.put("total_error_replies", totals.errors);
    fields.put("total_reads_processed", totals.reads);
    fields.put("total_writes_processed", totals.writes);
    fields.put(
        "client_query_buffer_limit_disconnections",
        totals.query_limit_closes,
    );
    fields.put(
        "client_output_buffer_limit_disconnections",
        totals.output_limit_closes,
    );
    let command_nanos = |(id, _)| command_totals(server, id).nanos;
    let command_nanos: u64 = server.registry.rows().map(command_nanos).sum();
    fields.put("eventloop_cycles", totals.rounds);
    fields.put("eventloop_duration_sum", totals.round_nanos / 1000);
    fields.put("eventloop_duration_cmd_sum", command_nanos / 1000);
    // Of one event loop, so that the number does not depend on how many there are.
    let workers = server.stats.len() as u64;
    fields.put("instantaneous_eventloop_cycles_per_sec", rounds / workers);
    fields.put(
        "instantaneous_eventloop_duration_usec",
        round_nanos / rounds.max(1) / 1000,
    );
    let exchange = &server.exchange;
    fields.put("pubsub_channels", exchange.channel_count(Kind::Channel));
    fields.put("pubsub_patterns", exchange.pattern_count());
    fields.put("pubsubshard_channels", exchange.channel_count(Kind::Shard));
    fields.put(
        "migrate_cached_sockets",
        server.migrations.kept_connections(),
    );
    fields.put("evicted_scripts", server.scripting.store.evicted());
    let tracked = server.keyspace.tracked();
    fields.put("tracking_total_keys", tracked.keys());
    fields.put("tracking_total_items", tracked.items());
    fields.put("tracking_total_prefixes", server.tracking.prefix_count());
    let syncs = &server.replicating.primary.counters;
    fields.put("sync_full", syncs.full.load(Ordering::Relaxed));
    fields.put("sync_partial_ok", syncs.partial.load(Ordering::Relaxed));
    fields.put("sync_partial_err", syncs.refused.load(Ordering::Relaxed));
    fields.put_all(constants::NO_EVENTS);
    let failed = syncs.failed.load(Ordering::Relaxed);
    fields.put("unexpected_error_replies", failed);
}

pub(super) fn cpu(_: &mut View<'_, '_>, fields: &mut Fields) {
    let seconds = |time: TimeVal| format!("{}.{:06}", time.tv_sec(), time.tv_usec());
    for (who, of) in [
        (UsageWho::RUSAGE_SELF, ""),
        (UsageWho::RUSAGE_CHILDREN, "_children"),
    ] {
        // Fails for an unknown `who` only.
        if let Ok(usage) = getrusage(who) {
            fields.put(&format!("used_cpu_sys{of}"), seconds(usage.system_time()));
            fields.put(&format!("used_cpu_user{of}"), seconds(usage.user_time()));
        }
    }
}

/// Counters of one command over all workers.
struct CommandTotals {
    calls: u64,
    nanos: u64,
    rejected: u64,
    failed: u64,
}

fn command_totals(server: &Server, id: RowId) -> CommandTotals {
    let mut totals = CommandTotals {
        calls: 0,
        nanos: 0,
        rejected: 0,
        failed: 0,
    };
    for worker in &server.stats {
        let command = &worker.commands[usize::from(id.0)];
        totals.calls += load(&command.calls);
        totals.nanos += load(&command.nanos);
        totals.rejected += load(&command.rejected);
        totals.failed += load(&command.failed);
    }
    totals
}

pub(super) fn commands(view: &mut View<'_, '_>, fields: &mut Fields) {
    let server = view.server;
    for (id, row) in server.registry.rows() {
        let totals = command_totals(server, id);
        if totals.calls + totals.rejected + totals.failed == 0 {
            continue;
        }
        let usec = totals.nanos / 1000;
        let per_call = match totals.calls {
            0 => 0.0,
            calls => totals.nanos as f64 / 1000.0 / calls as f64,
        };
        let value = format!(
            "calls={},usec={usec},usec_per_call={per_call:.2},rejected_calls={},failed_calls={}",
            totals.calls, totals.rejected, totals.failed
        );
        fields.put(&format!("cmdstat_{}", row.name), value);
    }
}

pub(super) fn errors(view: &mut View<'_, '_>, fields: &mut Fields) {
    for (kind, count) in &*view.server.errors.lock() {
        let kind = String::from_utf8_lossy(kind);
        fields.put(&format!("errorstat_{kind}"), format!("count={count}"));
    }
}
