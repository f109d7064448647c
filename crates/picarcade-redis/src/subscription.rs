//! A subscription that survives its connection, and says when it did not hear everything.
//!
//! Pub/sub is at most once: what is published while nobody is connected is gone. So the listener is told
//! [`Event::Lost`] when the connection broke and [`Event::Connected`] when the next one stands; whatever it keeps
//! that depends on messages must be doubted in between, and checked after. A black hole (a server that neither speaks
//! nor closes) cannot be seen here; a listener that must notice sends itself heartbeats through the channel.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::mpsc,
    task::AbortHandle,
    time::{sleep, timeout},
};

use crate::router::Router;

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Listening from here on. The epoch counts the connections, from 1.
    Connected {
        /// 1 for the first connection of this subscription.
        epoch: u64,
    },
    /// A message.
    Message(Bytes),
    /// The connection broke: messages may be missed until the next `Connected`.
    Lost,
}

/// Listens to one channel until it is dropped.
#[derive(Debug)]
pub struct Subscription {
    events: mpsc::Receiver<Event>,
    task: AbortHandle,
}

impl Subscription {
    pub(crate) fn start(router: Arc<Router>, channel: Vec<u8>) -> Self {
        let (sender, events) = mpsc::channel(1024);
        let task = tokio::spawn(listen(router, channel, sender)).abort_handle();
        Self { events, task }
    }

    /// The next event. Ends (`None`) only when the runtime shuts down. May be dropped and called again.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(router: Arc<Router>, channel: Vec<u8>, events: mpsc::Sender<Event>) {
    let mut serving = router.watch();
    let mut epoch = 0;
    loop {
        serving.mark_unchanged();
        if let Ok((_, live)) = router.active()
            && let Ok(Ok(mut messages)) =
                timeout(router.config.connect_timeout, live.driver.subscribe(&channel)).await
        {
            epoch += 1;
            if events.send(Event::Connected { epoch }).await.is_err() {
                return;
            }
            loop {
                tokio::select! {
                    message = messages.recv() => match message {
                        Some(message) => if events.send(Event::Message(message)).await.is_err() { return },
                        None => break,
                    },
                    changed = serving.changed() => {
                        if changed.is_err() { return }
                        break;
                    }
                }
            }
            if events.send(Event::Lost).await.is_err() {
                return;
            }
        }
        tokio::select! {
            changed = serving.changed() => if changed.is_err() { return },
            () = sleep(Duration::from_millis(50 + fastrand::u64(0..100))) => {}
        }
    }
}
