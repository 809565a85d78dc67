//! The MySQL wire protocol: synchronous, no I/O, no policy.
