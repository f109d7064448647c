//! Threads for work that computes for milliseconds.
//!
//! Such work would hold up every request on its thread of the runtime. A blocking task of the
//! runtime would not, but hundreds of those can run at once. The threads here leave one core to
//! the runtime, the queue is short, and a full queue is an answer: the caller does without. On
//! Linux they have a low priority.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::{fmt, io, thread};

use parking_lot::Mutex;
use tokio::sync::oneshot;

type Work = Box<dyn FnOnce() + Send>;

/// A fixed number of threads with a bounded queue.
///
/// The threads end after the pool is dropped. They belong here and not to the classifier, because
/// the classifier is pure and needs no runtime.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use picarcade_flow::WorkerPool;
///
/// let pool = WorkerPool::new(WorkerPool::default_threads(), 16)?;
/// assert_eq!(pool.run(|| 6 * 7).await, Some(42));
/// # Ok(())
/// # }
/// ```
pub struct WorkerPool {
    queue: SyncSender<Work>,
}

impl WorkerPool {
    /// Starts the threads. At most `queue` pieces of work wait for one of them.
    ///
    /// # Errors
    ///
    /// Fails if the system starts no thread.
    pub fn new(threads: NonZeroUsize, queue: usize) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(queue);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..threads.get() {
            let receiver = Arc::clone(&receiver);
            thread::Builder::new().name("classifier".into()).spawn(move || work(&receiver))?;
        }
        Ok(Self { queue: sender })
    }

    /// Returns one thread less than there are cores, and at least one.
    pub fn default_threads() -> NonZeroUsize {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        NonZeroUsize::new(cores - 1).unwrap_or(NonZeroUsize::MIN)
    }

    /// Does some work on a thread of the pool and returns its result.
    ///
    /// Returns `None` at once if the queue is full, and `None` if the work panics. If the future is
    /// dropped before the work begins, the work is skipped.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (sender, result) = oneshot::channel();
        let work = move || {
            if !sender.is_closed() {
                // The caller may leave while the work runs.
                let _ = sender.send(work());
            }
        };
        self.queue.try_send(Box::new(work)).ok()?;
        result.await.ok()
    }
}

impl fmt::Debug for WorkerPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerPool").finish_non_exhaustive()
    }
}

/// The priority of the threads, from -20 to 19, where 19 is the lowest. The runtime has 0.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Does work until the pool is dropped.
fn work(queue: &Mutex<Receiver<Work>>) {
    // Requests that wait for no classifier come first on a busy machine. On Linux the call concerns
    // this thread alone. A refusal only means equal priority.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICE);
    loop {
        // The guard is dropped before the work begins.
        let next = queue.lock().recv();
        let Ok(work) = next else { return };
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            tracing::error!("work of the classifier panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;
    use std::task::{Context, Waker};

    use super::*;

    fn is_waiting(future: Pin<&mut impl Future>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    fn pool(threads: usize, queue: usize) -> WorkerPool {
        WorkerPool::new(NonZeroUsize::new(threads).unwrap(), queue).unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_full_queue_is_answered_at_once() {
        let pool = Arc::new(pool(1, 1));
        let (started, is_started) = channel();
        let (release, released) = channel::<()>();
        let spawn = |work: Box<dyn FnOnce() + Send>| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { pool.run(work).await })
        };
        let running = spawn(Box::new(move || {
            started.send(()).unwrap();
            released.recv().unwrap();
        }));
        tokio::task::spawn_blocking(move || is_started.recv().unwrap()).await.unwrap();
        let mut waiting = Box::pin(pool.run(|| 2));
        assert!(is_waiting(waiting.as_mut()));
        assert_eq!(pool.run(|| 3).await, None);
        release.send(()).unwrap();
        assert_eq!(waiting.await, Some(2));
        assert_eq!(running.await.unwrap(), Some(()));
    }

    #[tokio::test]
    async fn a_panic_costs_one_result_and_no_thread() {
        let pool = pool(1, 4);
        assert_eq!(pool.run(|| std::panic::resume_unwind(Box::new("broken"))).await, None::<()>);
        assert_eq!(pool.run(|| 4).await, Some(4));
    }

    #[tokio::test]
    async fn work_without_a_caller_is_skipped() {
        static DONE: AtomicBool = AtomicBool::new(false);
        let pool = pool(1, 4);
        let (release, released) = channel::<()>();
        let mut first = Box::pin(pool.run(move || released.recv().unwrap()));
        let mut second = Box::pin(pool.run(|| DONE.store(true, Ordering::SeqCst)));
        assert!(is_waiting(first.as_mut()));
        assert!(is_waiting(second.as_mut()));
        drop(second);
        release.send(()).unwrap();
        assert_eq!(first.await, Some(()));
        assert_eq!(pool.run(|| 5).await, Some(5));
        assert!(!DONE.load(Ordering::SeqCst));
    }

    #[test]
    fn a_thread_ends_with_its_pool() {
        let (sender, receiver) = sync_channel::<Work>(1);
        let thread = thread::spawn(move || work(&Mutex::new(receiver)));
        drop(WorkerPool { queue: sender });
        thread.join().unwrap();
    }
}
