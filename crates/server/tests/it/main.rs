//! Integration tests of the server crate, one binary. They run on the server's own allocator.

mod allocator;
mod blocking;
mod caching;
mod clients;
mod crashes;
mod eviction;
mod linear;
mod migrate;
mod primary;
mod pubsub;
mod replica;
mod scripts;
mod transactions;

#[global_allocator]
static ALLOCATOR: server::allocator::Counting = server::allocator::Counting;
