//! Rows on disk, waiting for the store: an append-only log in segments, with one reader.
//!
//! ```text
//! <spool_dir>/<slot>/lock                    held by the process that owns the slot
//!                    segment-<number>.spool  header, then frames: length, CRC-32, JSON
//!                    position                where reading continues
//!                    dead-letter.jsonl       rows that the store rejected
//! ```
//!
//! - **Crash**: a frame is complete or it is not. Bytes after the last complete frame of an old
//!   segment are cut off at start. Appending always begins a new segment. Bytes are passed to the
//!   operating system at once, which keeps them when the process is killed. They are synced to the
//!   disk when a segment is full and at shutdown.
//! - **Position**: saved before a segment is deleted. A crash in between repeats rows, which their
//!   ids make harmless, and loses none. If the position cannot be saved, deletion waits and reading
//!   continues. A missing or damaged position, a missing segment and foreign files are tolerated.
//! - **Two processes**: each locks its own slot. The next process to start adopts a slot without an
//!   owner.
//! - **Full**: the limit counts all segments. Its last part is reserved for rows about money.

#[allow(clippy::module_inception, reason = "the folder is named after its entry type")]
mod spool;

mod reader;
mod writer;

mod frame;
mod position;
mod segment;
mod slot;

pub(crate) use self::spool::Spool;
