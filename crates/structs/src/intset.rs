//! Sorted arrays of integers of one width: the body of Redis's intset.
