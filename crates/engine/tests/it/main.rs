//! The engine from outside: whole commands on a keyspace, without a server.

mod replay;
mod scan;
mod stream;
mod support;
mod waiting;
mod zset;
