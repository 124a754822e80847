//! Tests of the keyspace commands at the engine boundary.
