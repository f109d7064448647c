//! A mock AI provider: three APIs on one address, answers and faults by script, and a journal of what was asked.
//!
//! It mocks what is *outside* the project, and as strictly as the real ones: a call without key, version or model is
//! refused as theirs would refuse it. It does not stream.

mod answer;
mod anthropic;
mod body;
mod dialect;
mod journal;
mod openai;
mod replicate;
mod reply;
mod response;
mod script;
mod server;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use answer::{Answer, Answers};
pub use dialect::Dialect;
pub use journal::Request;
pub use replicate::OutputShape;
pub use reply::{Coding, PredictionEnd, Reply};

use crate::error::{Error, Result};
use crate::host::runtime;
use script::Script;
use server::{Shared, serve};

/// A provider of AI on the loopback interface, gone when dropped.
///
/// A well-formed call gets, in this order: the oldest reply that was [pushed](Self::push), the [standing](Self::always) reply,
/// the [usual](Self::answer_with) answer. A malformed one gets the error that the real API would give, and uses no reply up.
///
/// ```
/// use picarcade_testkit::{Answer, MockProvider, Reply};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> picarcade_testkit::Result<()> {
/// let provider = MockProvider::start().await?;
/// provider.answer_with(Answer::of("EDIT_IMAGE"));
/// provider.push(Reply::Overloaded);                // the first call fails, the second is answered
/// println!("ANTHROPIC_BASE_URL={}", provider.url());
/// assert_eq!(provider.count(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MockProvider {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl MockProvider {
    /// Listens on a free port.
    ///
    /// # Errors
    ///
    /// The system gives no socket.
    pub async fn start() -> Result<Self> {
        Self::start_on(0).await
    }

    /// Listens on this port; 0 is any.
    ///
    /// # Errors
    ///
    /// The port is taken.
    pub async fn start_on(port: u16) -> Result<Self> {
        runtime::run(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
                .await
                .map_err(Error::io("cannot listen for the mock provider"))?;
            let address = listener.local_addr().map_err(Error::io("the mock provider has no address"))?;
            let shared = Arc::new(Shared {
                script: Mutex::new(Script::new(format!("http://{address}"))),
                arrived: watch::Sender::new(0),
                in_flight: AtomicUsize::new(0),
                peak: AtomicUsize::new(0),
            });
            let task = runtime::spawn(serve(listener, Arc::clone(&shared)))?;
            Ok(Self { address, shared, task })
        })
        .await
    }

    /// The base URL for all three APIs, without `/v1` (and with it they work as well).
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The usual answer: an [`Answer`], or a function of the request, which is called while the mock is locked and so must not
    /// call it.
    pub fn answer_with(&self, answers: impl Answers) {
        self.shared.script.lock().answers = Arc::new(answers);
    }

    /// The next call that has no reply yet gets this one.
    pub fn push(&self, reply: Reply) {
        self.shared.script.lock().queue.push_back(reply);
    }

    /// The next poll of a Replicate prediction meets this fault; the prediction itself stays as it is.
    pub fn push_poll(&self, fault: Reply) {
        self.shared.script.lock().polls.push_back(fault);
    }

    /// Every call that has no pushed reply gets this one, until [`recover`](Self::recover).
    pub fn always(&self, reply: Reply) {
        self.shared.script.lock().standing = Some(reply);
    }

    /// Forgets the standing reply and the pushed ones: answers as usual from now on.
    pub fn recover(&self) {
        let mut script = self.shared.script.lock();
        script.standing = None;
        script.queue.clear();
        script.polls.clear();
    }

    /// Each call takes at least so long, by the real clock. Default 0.
    pub fn latency(&self, latency: Duration) {
        self.shared.script.lock().latency = latency;
    }

    /// How Replicate's output looks.
    pub fn output_shape(&self, shape: OutputShape) {
        self.shared.script.lock().shape = shape;
    }

    /// Every request so far, oldest first: malformed ones, polls and unknown paths too.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.script.lock().journal.clone()
    }

    /// How many well-formed calls have arrived, whatever their reply: what a provider could charge for.
    pub fn count(&self) -> u64 {
        self.shared.script.lock().calls
    }

    /// How many requests are being answered now; a caller that left does not count.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::SeqCst)
    }

    /// The most requests that were being answered at the same time.
    pub fn peak(&self) -> usize {
        self.shared.peak.load(Ordering::SeqCst)
    }

    /// Waits until `count` well-formed calls have arrived. The test's own deadline bounds it.
    pub async fn arrived(&self, count: u64) {
        // The sender lives as long as we do, so the wait can only end well.
        let _ = self.shared.arrived.subscribe().wait_for(|&arrived| arrived >= count).await;
    }
}

impl Drop for MockProvider {
    fn drop(&mut self) {
        self.task.abort();
    }
}
