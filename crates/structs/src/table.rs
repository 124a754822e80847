//! Hash tables of byte strings with values and deadlines, for large sets and hashes.
