//! robust-bench and, later, robust-ctl.

pub mod bench;
