//! Sections about what this server is: Server, Replication, Cluster.

use std::path::Path;

use base::time::Clock;
use nix::sys::utsname::uname;

use super::{Fields, View};
use crate::replicating;
use crate::server::Server;
use crate::version::{REDIS_VERSION, VERSION};

const DAY_SECS: i64 = 24 * 60 * 60;
/// Seconds since 1970, in as many bits as Redis keeps per key.
const LRU_CLOCK_MASK: i64 = (1 << 24) - 1;

pub(super) fn server(view: &mut View<'_, '_>, fields: &mut Fields) {
    let server = view.server;
    let now = server.now();
    let uptime = (now.0 - server.started.0).max(0) / 1000;
    let executable = std::env::current_exe().unwrap_or_default();
    let config = server.config.lock();
    let setting = |name: &str| {
        let value = config.get(name.as_bytes()).unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    };
    fields.put("redis_version", REDIS_VERSION);
    fields.put("ruddle_version", VERSION);
    fields.put("redis_git_sha1", "00000000");
    fields.put("redis_git_dirty", 0);
    fields.put("redis_mode", "standalone");
    fields.put("os", operating_system());
    fields.put("arch_bits", usize::BITS);
    fields.put("monotonic_clock", "POSIX clock_gettime");
    fields.put("multiplexing_api", "epoll");
    fields.put("process_id", std::process::id());
    fields.put("process_supervised", "no");
    fields.put("run_id", server.run_id);
    fields.put("tcp_port", setting("port"));
    fields.put("server_time_usec", server.clock.now_micros());
    fields.put("uptime_in_seconds", uptime);
    fields.put("uptime_in_days", uptime / DAY_SECS);
    fields.put("hz", setting("hz"));
    fields.put("configured_hz", setting("hz"));
    fields.put("lru_clock", now.as_secs() & LRU_CLOCK_MASK);
    fields.put("executable", executable.display());
    let file = config.file().unwrap_or(Path::new(""));
    fields.put("config_file", file.display());
    fields.put("workers", server.stats.len());
    listeners(server, &setting("bind"), fields);
}

fn operating_system() -> String {
    let Ok(name) = uname() else {
        return std::env::consts::OS.to_owned();
    };
    let text = |part: &std::ffi::OsStr| part.to_string_lossy().into_owned();
    format!(
        "{} {} {}",
        text(name.sysname()),
        text(name.release()),
        text(name.machine())
    )
}

fn listeners(server: &Server, bind: &str, fields: &mut Fields) {
    let settings = server.settings.get();
    let mut listeners = Vec::new();
    if settings.port != 0 {
        let addresses: String = bind
            .split(' ')
            .map(|address| format!(",bind={address}"))
            .collect();
        listeners.push(format!("name=tcp{addresses},port={}", settings.port));
    }
    if let Some(path) = &settings.unixsocket {
        listeners.push(format!("name=unix,bind={}", path.display()));
    }
    for (at, listener) in listeners.iter().enumerate() {
        fields.put(&format!("listener{at}"), listener);
    }
}

pub(super) fn replication(view: &mut View<'_, '_>, fields: &mut Fields) {
    for (name, value) in replicating::report::fields(view.server) {
        fields.put(&name, value);
    }
}

pub(super) fn cluster(_: &mut View<'_, '_>, fields: &mut Fields) {
    fields.put("cluster_enabled", 0);
}
