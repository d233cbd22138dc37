//! What the engine does not do yet, so that the histories step around it. Each constant goes with
//! the fix: set to `true`, tests fail today.

/// Rule 3: a durable write that is refused for what it has seen (no such log, out of order,
/// fenced) waits until what it has seen is durable.
pub(crate) const NEGATIVE_ANSWERS_WAIT: bool = false;
