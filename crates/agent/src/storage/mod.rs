//! Real storage, one file for each kind of pool.
