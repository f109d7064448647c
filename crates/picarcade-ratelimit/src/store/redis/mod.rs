//! Counts in Redis, shared by a fleet.

// The store, and what its decisions share.
mod client;
mod store;

// Three ways to decide: by itself, together with other requests, and after a look into the ledger.
mod arrival;
mod batcher;
mod single;

// A batch and its answers.
mod answers;
mod batch;

// What is sent and what comes back.
mod bytes;
mod encoding;
mod keys;
mod present;
mod reply;
mod state;

// The scripts, and the numbers that they share with the encoding.
mod layout;
mod scripts;

pub use store::RedisStore;
