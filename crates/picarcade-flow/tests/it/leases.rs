//! Which requests take a lease in the second level: those whose answer costs money.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use picarcade_cache::{Generation, InMemoryRemote, Key, Mark, Record, Remote, RemoteError, RemoteEvent};
use picarcade_flow::{FlowRequest, RemoteReport, RemoteWatch};
use picarcade_testkit::Answer;

use crate::house::{edit, local_with, with_mock};

/// A second level that counts the leases that are asked for.
#[derive(Debug, Default)]
struct Counting {
    inner: InMemoryRemote,
    leases: AtomicUsize,
}
