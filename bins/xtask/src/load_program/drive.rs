//! The two load loops.
//!
//! A user is a task with its own connection, which is reopened when it breaks. Every answer with
//! another status than 200 is an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::prompts::Prompts;
use crate::service::{Service, Usage};

/// A request that takes longer counts as failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections of the open loop: many more than are busy at a time while the service keeps up.
const CONNECTIONS: u64 = 256;

#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The latencies of the answered requests in microseconds, ascending.
    pub(crate) latencies: Vec<u32>,
    /// Requests that were not answered with 200.
    pub(crate) errors: u64,
    pub(crate) seconds: f64,
    pub(crate) before: Usage,
    pub(crate) after: Usage,
}

/// The closed loop: every user asks again after each answer.
pub(crate) async fn closed(service: &Service, users: usize, run: Duration) -> Result<Seen> {
    let end = Instant::now() + run;
    measure(service, users as u64, move |user| async move { user.until(end).await }).await
}

/// The open loop: a request is due every `1/rate` seconds. A free connection sends it, and waits if
/// it is early.
pub(crate) async fn open(service: &Service, rate: u32, run: Duration) -> Result<Seen> {
    let start = Instant::now();
    let all = u64::from(rate) * run.as_secs();
    let next = Arc::new(AtomicU64::new(0));
    measure(service, CONNECTIONS, move |user| {
        let next = Arc::clone(&next);
        async move { user.on_schedule(start, rate, all, &next).await }
    })
    .await
}

async fn measure<F>(service: &Service, users: u64, work: impl Fn(User) -> F) -> Result<Seen>
where
    F: Future<Output = User> + Send + 'static,
{
    let prompts = Arc::new(Prompts::new());
    let mut seen = Seen { before: service.usage(), ..Seen::default() };
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..users {
        tasks.spawn(work(User {
            address: service.address.clone(),
            connection: None,
            prompts: Arc::clone(&prompts),
            random: fastrand::Rng::with_seed(number),
            latencies: Vec::new(),
            errors: 0,
        }));
    }
    while let Some(user) = tasks.join_next().await {
        let user = user.context("a user's task ended early")?;
        seen.latencies.extend(user.latencies);
        seen.errors += user.errors;
    }
    seen.seconds = start.elapsed().as_secs_f64();
    seen.after = service.usage();
    seen.latencies.sort_unstable();
    Ok(seen)
}

struct User {
    address: String,
    connection: Option<SendRequest<Full<Bytes>>>,
    prompts: Arc<Prompts>,
    random: fastrand::Rng,
    latencies: Vec<u32>,
    errors: u64,
}

impl User {
    async fn until(mut self, end: Instant) -> Self {
        while Instant::now() < end {
            let due = Instant::now();
            self.ask(due).await;
        }
        self
    }

    async fn on_schedule(mut self, start: Instant, rate: u32, all: u64, next: &AtomicU64) -> Self {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= all {
                return self;
            }
            let due = start + Duration::from_secs_f64(number as f64 / f64::from(rate));
            sleep_until(due).await;
            self.ask(due).await;
        }
    }

    async fn ask(&mut self, due: Instant) {
        if matches!(timeout(PATIENCE, self.send()).await, Ok(Ok(StatusCode::OK))) {
            self.latencies.push(due.elapsed().as_micros() as u32);
        } else {
            self.errors += 1;
            self.connection = None;
        }
    }

    async fn send(&mut self) -> Result<StatusCode> {
        let mut connection = match self.connection.take() {
            Some(connection) if !connection.is_closed() => connection,
            _ => {
                let stream = TcpStream::connect(&self.address).await?;
                stream.set_nodelay(true)?;
                let (connection, driver) = handshake(TokioIo::new(stream)).await?;
                tokio::spawn(driver);
                connection
            }
        };
        connection.ready().await?;
        let request = Request::post("/api/v2/process")
            .header(HOST, &self.address)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(self.prompts.draw(&mut self.random)))?;
        let response = connection.send_request(request).await?;
        let status = response.status();
        response.into_body().collect().await?;
        self.connection = Some(connection);
        Ok(status)
    }
}
