//! Integration tests of the server crate, one binary. They run on the server's own allocator.

mod allocator;
mod appending;
mod blocking;
mod bounds;
mod caching;
mod clients;
mod crashes;
mod eviction;
mod hostile;
mod linear;
mod migrate;
mod network;
mod primary;
mod pubsub;
mod quorum;
mod replica;
mod restore;
mod scripts;
mod sentinel;
mod servers;
mod streams;
mod transactions;
mod trouble;

#[global_allocator]
static ALLOCATOR: server::allocator::Counting = server::allocator::Counting;
