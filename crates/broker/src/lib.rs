//! Router, streams, cursors and queues: answers every request of the vocabulary.
