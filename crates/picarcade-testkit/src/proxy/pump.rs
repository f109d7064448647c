//! One direction of one connection. Bytes are read at once and written when the current fault
//! allows it.
//!
//! A bounded queue of chunks joins the two halves, and each chunk has its arrival time. A delay
//! therefore shifts bytes without reducing the throughput, and a blocked direction ends in
//! back-pressure instead of unbounded memory.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::fault::{Fault, Setting};

const CHUNK: usize = 16 * 1024;
const QUEUE: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Requests,
    Replies,
}

/// Moves bytes until the source ends. An error ends the whole connection.
pub(super) async fn pump(
    direction: Direction,
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
    settings: watch::Receiver<Setting>,
    moved: &AtomicU64,
) -> io::Result<()> {
    let (queue, chunks) = mpsc::channel(QUEUE);
    let gate = Gate { direction, settings, lost: false, budget: None };
    tokio::try_join!(fill(from, queue), drain(chunks, to, gate, moved)).map(|_| ())
}

async fn fill(mut from: impl AsyncRead + Unpin, queue: mpsc::Sender<(Instant, Bytes)>) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = from.read(&mut buffer).await?;
        let chunk = buffer.get(..length).map(Bytes::copy_from_slice).unwrap_or_default();
        if chunk.is_empty() || queue.send((Instant::now(), chunk)).await.is_err() {
            return Ok(());
        }
    }
}

async fn drain(
    mut chunks: mpsc::Receiver<(Instant, Bytes)>,
    mut to: impl AsyncWrite + Unpin,
    mut gate: Gate,
    moved: &AtomicU64,
) -> io::Result<()> {
    loop {
        let next = tokio::select! {
            next = chunks.recv() => next,
            () = gate.half_closed() => {
                to.shutdown().await?;
                // The server may continue to send; the data is discarded.
                while chunks.recv().await.is_some() {}
                return Ok(());
            }
        };
        let Some((came, mut chunk)) = next else {
            gate.open(Instant::now()).await?;
            return to.shutdown().await;
        };
        while !chunk.is_empty() {
            let Some((limit, setting)) = gate.open(came).await? else { break };
            let part = chunk.split_to(chunk.len().min(limit));
            // Counted before the write, so that a reader of the bytes finds them counted.
            moved.fetch_add(part.len() as u64, Ordering::Relaxed);
            to.write_all(&part).await?;
            gate.passed(part.len(), setting)?;
        }
    }
}

/// The current fault, as one direction sees it.
struct Gate {
    direction: Direction,
    settings: watch::Receiver<Setting>,
    /// Whether `LoseReplies` held back a reply.
    lost: bool,
    /// The remaining bytes of a `CutAfter`, and the number of its setting.
    budget: Option<(u64, u64)>,
}

impl Gate {
    /// Waits until bytes that arrived at `came` may pass. Returns how many may pass at most, and
    /// under which setting. Returns `None` if the direction is closed and the bytes are lost.
    async fn open(&mut self, came: Instant) -> io::Result<Option<(usize, Setting)>> {
        loop {
            let setting = *self.settings.borrow_and_update();
            let fault = setting.fault;
            if self.lost && fault != Fault::LoseReplies {
                return Err(io::Error::other("a reply was lost"));
            }
            let replies = self.direction == Direction::Replies;
            match fault {
                Fault::BlackHole => {}
                Fault::LoseReplies if replies => self.lost = true,
                Fault::HalfClose if replies => return Ok(None),
                Fault::Delay(delay) if replies && came + delay > Instant::now() => {
                    tokio::select! {
                        () = sleep_until(came + delay) => {}
                        changed = self.settings.changed() => changed.map_err(io::Error::other)?,
                    }
                    continue;
                }
                Fault::CutAfter { bytes } if replies => {
                    let left = self.left(setting.number, bytes);
                    return if left == 0 {
                        Err(io::Error::other("cut on purpose"))
                    } else {
                        Ok(Some((left, setting)))
                    };
                }
                _ => return Ok(Some((usize::MAX, setting))),
            }
            self.settings.changed().await.map_err(io::Error::other)?;
        }
    }

    /// Accounts for bytes that passed under `setting`.
    fn passed(&mut self, bytes: usize, setting: Setting) -> io::Result<()> {
        let (Fault::CutAfter { bytes: limit }, Direction::Replies) = (setting.fault, self.direction) else {
            return Ok(());
        };
        let left = self.left(setting.number, limit).saturating_sub(bytes);
        self.budget = Some((setting.number, left as u64));
        if left == 0 { Err(io::Error::other("cut on purpose")) } else { Ok(()) }
    }

    /// Returns what the `CutAfter` with this number still allows, starting from `limit`.
    fn left(&self, number: u64, limit: u64) -> usize {
        let left = match self.budget {
            Some((of, left)) if of == number => left,
            _ => limit,
        };
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// Waits until the client must see the end of the stream.
    async fn half_closed(&mut self) {
        let replies = self.direction == Direction::Replies;
        let reached = self.settings.wait_for(|now| replies && now.fault == Fault::HalfClose).await.is_ok();
        if !reached {
            std::future::pending::<()>().await;
        }
    }
}
