//! The engine from outside: whole commands on a keyspace, without a server.

#[cfg(shuttle)]
mod interleavings;
mod replay;
mod scan;
mod stream;
mod support;
mod waiting;
mod zset;
