//! The journal: groups and frames on segment files behind a virtual file system.
