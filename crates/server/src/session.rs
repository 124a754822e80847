//! What a control command sees: its client, the server, and the engine's doors.

use engine::args::Args;
use engine::env::Env;
use engine::failure::Failure;
use engine::keyspace::Lease;
use resp::Reply;

use crate::client::Client;
use crate::server::Server;
use crate::stats::WorkerStats;

/// A control command's handler.
pub type ControlRun = fn(&mut Session<'_, '_>, &mut Args<'_>, &mut Reply) -> Result<(), Failure>;

/// See the module's head.
pub struct Session<'s, 'k> {
    /// What the workers share.
    pub server: &'s Server,
    /// This worker's counters.
    pub stats: &'s WorkerStats,
    /// The client that sent the command.
    pub client: &'s mut Client,
    /// Time, limits, counters of this worker.
    pub env: &'s mut Env,
    /// Covers nothing on entry, or inside a transaction all that may be asked for; may be used and
    /// need not be released.
    pub lease: &'s mut Lease<'k>,
    /// Time stamp at which the command before this one ended.
    pub mark: &'s mut u64,
}
