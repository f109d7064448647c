//! Counts in Redis, shared by a fleet.

// The store, and three ways to decide: by itself, together with other requests, and after a look
// into the ledger.
mod arrival;
mod batcher;
mod client;
mod store;

// A batch and its answers.
mod answers;
mod batch;

// What is sent and what comes back.
mod bytes;
mod encoding;
mod keys;
mod reply;
mod state;

// The scripts, and the numbers that they share with the encoding.
mod layout;
mod scripts;

pub use store::RedisStore;
