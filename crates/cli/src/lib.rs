//! robust-bench and, later, robust-ctl.
