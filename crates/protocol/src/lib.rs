//! The contract between sessions, driver and broker: Session, Input, Outbox and the vocabulary.
