//! A link that is ready, on its way to the worker that goes on with it, and how that worker
//! installs what came with it: at once for everybody, under a lease on all stripes.

use base::ids::{DbIndex, RunId};
use engine::env::Env;
use engine::keyspace::{Keyspace, Lease};
use journal::Offset;
use log::info;
use replication::history::History;

use crate::appending;
use crate::connection::Accepted;
use crate::scripting::libraries::Libraries;
use crate::server::Server;

/// See the module's head.
pub struct Arrival {
    /// The socket, and the primary as a client.
    pub accepted: Accepted,
    /// Bytes of the stream that have come already.
    pub rest: Vec<u8>,
    /// The order that it is for.
    pub number: u64,
    /// Where the stream begins.
    pub beginning: Beginning,
}

/// Where a stream begins.
pub enum Beginning {
    /// Where our bytes end; the history may have a new name.
    Continue {
        /// That name.
        id: Option<RunId>,
    },
    /// Behind a full copy.
    Full {
        /// The history that it is of.
        id: RunId,
        /// The offset that it is at.
        at: Offset,
        /// The database selected there.
        db: DbIndex,
        /// The data.
        data: Data,
    },
}

/// A full copy.
pub enum Data {
    /// The data are where they belong; these libraries go with them.
    InPlace(Libraries),
    /// The data are to be put in place of the old ones, and so are the libraries.
    Beside(Box<Keyspace>, Libraries),
}

impl Arrival {
    /// Puts the data and the name of their history in force; the database that is selected where
    /// the stream begins. `None`: it is not wanted any more. All stripes are leased, and stay so
    /// until those who watch have been told.
    pub fn install(
        beginning: Beginning,
        number: u64,
        accepted: &Accepted,
        server: &Server,
        lease: &mut Lease<'_>,
        env: &Env,
    ) -> Option<DbIndex> {
        let (replicating, journal) = (&server.replicating, &server.appending.journal);
        let current = replicating.replica.is_current(number);
        let db = match beginning {
            Beginning::Continue { id } => {
                if current && let Some(id) = id {
                    rename(server, id);
                }
                current.then(|| journal.selected(false).0)
            }
            Beginning::Full { id, at, db, data } => {
                let taken = current.then(|| take(server, (id, at, db), data, lease, env));
                server.loading.set_beside(false);
                server.loading.end();
                appending::resume(server);
                taken.map(|()| db)
            }
        };
        if db.is_some() {
            replicating.replica.connected(&accepted.card, env.now);
            replicating.failover.end(server);
        }
        db
    }
}

/// The history goes on under another name.
fn rename(server: &Server, id: RunId) {
    let (replicating, journal) = (&server.replicating, &server.appending.journal);
    let mut history = replicating.history();
    if history.follow(id, journal.end()) {
        info!("Master replication ID changed to {id}");
        replicating.set_history(history, journal);
        replicating.primary.disconnect_all(server);
    }
}

fn take(
    server: &Server,
    (id, at, db): (RunId, Offset, DbIndex),
    data: Data,
    lease: &mut Lease<'_>,
    env: &Env,
) {
    let (replicating, journal) = (&server.replicating, &server.appending.journal);
    let libraries = match data {
        Data::InPlace(libraries) => libraries,
        Data::Beside(keyspace, libraries) => {
            let mut other = keyspace.lease();
            other.cover_all();
            lease.adopt(&mut other, env);
            libraries
        }
    };
    replicating.replica.note_renewal();
    server.scripting.set_libraries(libraries);
    lease.note_renewed(env);
    journal.begin_at(at);
    journal.append_stream(&[], db, env.now);
    replicating.set_history(History::new(id), journal);
    replicating.primary.disconnect_all(server);
    info!("MASTER <-> REPLICA sync: Finished with success");
}
