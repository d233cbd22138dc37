//! The words of RobustMQ: subject, filter, record, field map, limits.
