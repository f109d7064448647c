//! The connections that are open: so many in all, so many an address, and a way to wait until the last one is gone.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    pub(crate) per_address: usize,
}

/// Connections that are open, by address.
#[derive(Debug)]
pub(crate) struct Open {
    limits: Limits,
    counts: Mutex<(usize, HashMap<IpAddr, usize>)>,
    left: Notify,
}

/// One open connection, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Slot {
    open: Arc<Open>,
    address: IpAddr,
}

impl Open {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, counts: Mutex::default(), left: Notify::new() })
    }

    /// A place for a connection from this address, or none.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Slot> {
        let mut counts = self.counts.lock();
        let (all, by_address) = &mut *counts;
        let own = by_address.get(&address).copied().unwrap_or(0);
        if *all >= self.limits.connections || own >= self.limits.per_address {
            return None;
        }
        *all += 1;
        by_address.insert(address, own + 1);
        Some(Slot { open: Arc::clone(self), address })
    }

    /// Waits until no connection is open.
    pub(crate) async fn empty(&self) {
        loop {
            let left = self.left.notified();
            let mut left = std::pin::pin!(left);
            // Registered before looking, so that the last one cannot leave unseen in between.
            left.as_mut().enable();
            if self.counts.lock().0 == 0 {
                return;
            }
            left.await;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.open.counts.lock();
        let (all, by_address) = &mut *counts;
        *all -= 1;
        if let Some(own) = by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                by_address.remove(&self.address);
            }
        }
        if *all == 0 {
            self.open.left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_left_may_come_again() {
        let open = Open::new(Limits { connections: 2, per_address: 1 });
        let (a, b, c) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into(), [127, 0, 0, 3].into());
        let first = open.enter(a);
        assert!(first.is_some() && open.enter(a).is_none());
        let second = open.enter(b);
        assert!(second.is_some() && open.enter(c).is_none());
        drop(first);
        let third = open.enter(c);
        assert!(third.is_some());
        drop((second, third));
        open.empty().await;
    }
}
