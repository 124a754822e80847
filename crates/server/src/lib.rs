//! The server: event loops, connections, configuration, and everything clients ask about the server
//! itself. Data commands are `engine`'s; this crate brings them bytes and takes their replies.
//!
//! Read in this order: `worker` (one event loop), `connection` (one client's socket and buffers),
//! `batch` (bytes to commands to replies), `gate` (what is admitted), `registry` (all commands),
//! `server` (what the workers share), `families` (the control commands).

pub mod aftermath;
pub mod allocator;
pub mod appending;
pub mod attending;
pub mod background;
pub mod batch;
pub mod call;
pub mod check;
pub mod check_log;
pub mod client;
pub mod client_line;
pub mod client_memory;
pub mod clients;
pub mod config;
pub mod connection;
pub mod cycle;
pub mod daemon;
pub mod delivery;
pub mod descriptors;
pub mod directory;
pub mod doors;
pub mod eviction;
pub mod families;
pub mod gate;
pub mod held;
pub mod info;
pub mod input;
pub mod limits;
pub mod listener;
pub mod loading;
pub mod logging;
pub mod login;
pub mod mailbox;
pub mod memory;
pub mod migrating;
pub mod monitor;
pub mod priority;
pub mod pubsub;
pub mod quorum;
pub mod rates;
pub mod registry;
pub mod replicating;
pub mod run;
pub mod saving;
pub mod scripting;
pub mod server;
pub mod session;
pub mod settings;
pub mod shutdown;
pub mod stats;
pub mod tracking;
pub mod transaction;
pub mod version;
pub mod waking;
pub mod worker;
