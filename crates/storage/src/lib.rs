//! The storage contract, record batches, the conformance suite and the in-memory engine.
