//! Packed runs of elements: the body of Redis's listpack.
