//! A subscription that survives its connection and reports gaps.
//!
//! Pub/sub delivers at most once: a message that is published without a connection is lost. The
//! listener gets [`SubscriptionEvent::Lost`] when the connection breaks and
//! [`SubscriptionEvent::Connected`] when the next one is established. State that depends on
//! messages is unreliable in between and must be checked afterwards. A black hole (a server that
//! neither sends nor closes) cannot be detected here. A listener that must detect it sends
//! heartbeats through the channel.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::mpsc,
    task::AbortHandle,
    time::{sleep, timeout},
};

use crate::routing::router::Router;

/// An event of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscriptionEvent {
    /// The subscription is active. The epoch counts the connections, from 1.
    Connected {
        /// 1 for the first connection of this subscription.
        epoch: u64,
    },
    /// A message.
    Message(Bytes),
    /// The connection broke: messages may be missed until the next `Connected`.
    Lost,
}

/// A subscription to one channel, which ends on drop.
#[derive(Debug)]
pub struct Subscription {
    events: mpsc::Receiver<SubscriptionEvent>,
    task: AbortHandle,
}

impl Subscription {
    pub(crate) fn start(router: Arc<Router>, channel: Vec<u8>) -> Self {
        let (sender, events) = mpsc::channel(1024);
        let task = tokio::spawn(listen(router, channel, sender)).abort_handle();
        Self { events, task }
    }

    /// Returns the next event, or `None` when the runtime shuts down. Cancel safe.
    pub async fn next(&mut self) -> Option<SubscriptionEvent> {
        self.events.recv().await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(router: Arc<Router>, channel: Vec<u8>, events: mpsc::Sender<SubscriptionEvent>) {
    let mut serving = router.watch();
    let mut epoch = 0;
    loop {
        serving.mark_unchanged();
        if let Ok((_, live)) = router.active()
            && let Ok(Ok(mut messages)) =
                timeout(router.config.connect_timeout, live.driver.subscribe(&channel)).await
        {
            epoch += 1;
            if events.send(SubscriptionEvent::Connected { epoch }).await.is_err() {
                return;
            }
            loop {
                tokio::select! {
                    message = messages.recv() => match message {
                        Some(message) => if events.send(SubscriptionEvent::Message(message)).await.is_err() { return },
                        None => break,
                    },
                    changed = serving.changed() => {
                        if changed.is_err() { return }
                        break;
                    }
                }
            }
            if events.send(SubscriptionEvent::Lost).await.is_err() {
                return;
            }
        }
        tokio::select! {
            changed = serving.changed() => if changed.is_err() { return },
            () = sleep(Duration::from_millis(50 + fastrand::u64(0..100))) => {}
        }
    }
}
