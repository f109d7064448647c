//! A mock AI provider: three APIs on one address, scripted answers and faults, and a journal of
//! requests.
//!
//! It mocks what is *outside* of the project, and as strictly as the real APIs: a call without a
//! key, a version or a model is refused with the error of the real API. It does not stream.

mod answer;
mod anthropic;
mod dialect;
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
pub use dialect::{Dialect, Request};
pub use replicate::OutputShape;
pub use reply::{Coding, PredictionEnd, Reply};

use crate::error::{Error, Result};
use crate::host::runtime;
use script::Script;
use server::{Shared, serve};

/// An AI provider on the loopback interface, which ends on drop.
///
/// A well-formed call gets, in this order: the oldest [pushed](Self::push) reply, the
/// [standing](Self::always) reply, the [usual](Self::answer_with) answer. A malformed call gets the
/// error of the real API and consumes no reply.
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
    /// Fails if the system provides no socket.
    pub async fn start() -> Result<Self> {
        runtime::run(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
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

    /// Returns the base URL for all three APIs, without `/v1`; they also accept it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the address.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Sets the usual answer: an [`Answer`], or a function of the request. The function is called
    /// while the mock is locked and must not call the mock.
    pub fn answer_with(&self, answers: impl Answers) {
        self.shared.script.lock().answers = Arc::new(answers);
    }

    /// Queues a reply for the next call without one.
    pub fn push(&self, reply: Reply) {
        self.shared.script.lock().queue.push_back(reply);
    }

    /// Queues a fault for the next poll of a Replicate prediction. The prediction stays unchanged.
    pub fn push_poll(&self, fault: Reply) {
        self.shared.script.lock().polls.push_back(fault);
    }

    /// Sets the reply for every call without a pushed reply, until [`recover`](Self::recover).
    pub fn always(&self, reply: Reply) {
        self.shared.script.lock().standing = Some(reply);
    }

    /// Removes the standing reply and the pushed ones.
    pub fn recover(&self) {
        let mut script = self.shared.script.lock();
        script.standing = None;
        script.queue.clear();
        script.polls.clear();
    }

    /// Sets the minimum duration of a call, by the real clock. The default is 0.
    pub fn latency(&self, latency: Duration) {
        self.shared.script.lock().latency = latency;
    }

    /// Sets the shape of Replicate's output.
    pub fn output_shape(&self, shape: OutputShape) {
        self.shared.script.lock().shape = shape;
    }

    /// Returns every request so far, oldest first, including malformed ones, polls and unknown
    /// paths.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.script.lock().journal.clone()
    }

    /// Returns the number of well-formed calls, whatever their reply: the calls that a provider
    /// could charge for.
    pub fn count(&self) -> u64 {
        self.shared.script.lock().calls
    }

    /// Returns the number of requests in progress; a caller that left does not count.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::SeqCst)
    }

    /// Returns the maximum number of concurrent requests.
    pub fn peak(&self) -> usize {
        self.shared.peak.load(Ordering::SeqCst)
    }

    /// Waits until `count` well-formed calls have arrived. The deadline of the test bounds the
    /// wait.
    pub async fn arrived(&self, count: u64) {
        // The sender lives as long as the mock, so the wait cannot fail.
        let _ = self.shared.arrived.subscribe().wait_for(|&arrived| arrived >= count).await;
    }
}

impl Drop for MockProvider {
    fn drop(&mut self) {
        self.task.abort();
    }
}
