//! The runtime of this crate, separate from the runtimes of the tests.
//!
//! There are two reasons. In a test with paused time, the clock would jump while a server starts,
//! and a delay of the proxy would take no time. And each `#[tokio::test]` ends its runtime, which
//! would end a proxy or mock provider that several tests share.

use std::future::Future;
use std::io;
use std::sync::LazyLock;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::error::{Error, Result};

static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(2).thread_name("testkit").enable_all().build()
});

/// Starts `future` on the runtime of the crate. The future continues if the caller is dropped.
pub(crate) fn spawn<F>(future: F) -> Result<JoinHandle<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match &*RUNTIME {
        Ok(runtime) => Ok(runtime.spawn(future)),
        Err(error) => {
            Err(Error::Io { what: "cannot start a runtime".to_owned(), source: error.kind().into() })
        }
    }
}

/// Runs `future` to its end on the runtime of the crate.
pub(crate) async fn run<T, F>(future: F) -> Result<T>
where
    F: Future<Output = Result<T>> + Send + 'static,
    T: Send + 'static,
{
    match spawn(future)?.await {
        Ok(result) => result,
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(stopped) => Err(Error::Io { what: "stopped".to_owned(), source: stopped.into() }),
        },
    }
}
