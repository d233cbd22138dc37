//! The session as its client and the broker see it: scripts of packets, answers and deliveries.

mod connecting;
mod delivering;
mod hostile;
mod publishing;
mod resuming;
mod script;
mod subscribing;
mod wills;
