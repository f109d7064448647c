//! The open connections: limits in total and per network, and a wait for the end of the last one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use metrics::counter;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::telemetry::metrics::REFUSED_CONNECTIONS;

/// The most open connections, in total and from one network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    pub(crate) connections: usize,
    pub(crate) per_address: usize,
}

/// The limit that a connection or a request has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReachedLimit {
    /// The connections in total.
    Total,
    /// The connections of one address.
    Address,
}

impl ReachedLimit {
    /// Returns the name as a label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Address => "address",
        }
    }

    /// Counts a refusal.
    pub(super) fn count(self) {
        counter!(REFUSED_CONNECTIONS, "limit" => self.as_str()).increment(1);
    }
}

/// The open connections, in total and by network.
#[derive(Debug)]
pub(super) struct Connections {
    limits: ConnectionLimits,
    counts: Mutex<(usize, HashMap<IpAddr, usize>)>,
    left: Notify,
}

/// The place of one open connection, freed on drop.
#[derive(Debug)]
pub(super) struct Slot {
    connections: Arc<Connections>,
    network: IpAddr,
}

/// Returns the network that an address is counted under: the address itself for IPv4, its /64 for
/// IPv6, because one client has a whole /64 to choose addresses from. An IPv4 client of a socket
/// for both families is counted as IPv4.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self { limits, counts: Mutex::default(), left: Notify::new() })
    }

    /// Returns a place for a connection from this address, or the limit that it has reached.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Slot, ReachedLimit> {
        self.enter_up_to(self.limits.per_address, address)
    }

    /// Returns a place for a connection from a proxy, which is held to the limit in total only.
    pub(super) fn enter_from_proxy(self: &Arc<Self>, address: IpAddr) -> Result<Slot, ReachedLimit> {
        self.enter_up_to(usize::MAX, address)
    }

    fn enter_up_to(self: &Arc<Self>, most: usize, address: IpAddr) -> Result<Slot, ReachedLimit> {
        let network = network(address);
        let mut counts = self.counts.lock();
        let (all, by_network) = &mut *counts;
        let own = by_network.get(&network).copied().unwrap_or(0);
        if *all >= self.limits.connections {
            return Err(ReachedLimit::Total);
        }
        if own >= most {
            return Err(ReachedLimit::Address);
        }
        *all += 1;
        by_network.insert(network, own + 1);
        Ok(Slot { connections: Arc::clone(self), network })
    }

    /// Waits until no connection is open.
    pub(super) async fn drained(&self) {
        loop {
            let left = self.left.notified();
            let mut left = std::pin::pin!(left);
            // Registered before the count is read, so that the last connection cannot end unnoticed
            // in between.
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
        let mut counts = self.connections.counts.lock();
        let (all, by_network) = &mut *counts;
        *all -= 1;
        if let Some(own) = by_network.get_mut(&self.network) {
            *own -= 1;
            if *own == 0 {
                by_network.remove(&self.network);
            }
        }
        if *all == 0 {
            self.connections.left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_connection_frees_its_place() {
        let open = Connections::new(ConnectionLimits { connections: 2, per_address: 1 });
        let (a, b, c) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into(), [127, 0, 0, 3].into());
        let first = open.enter(a);
        assert!(first.is_ok() && open.enter(a).is_err());
        let second = open.enter(b);
        assert!(second.is_ok() && open.enter(c).is_err());
        drop(first);
        let third = open.enter(c);
        assert!(third.is_ok());
        drop((second, third));
        open.drained().await;
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_limit_and_ipv4_addresses_do_not() {
        let open = Connections::new(ConnectionLimits { connections: 10, per_address: 1 });
        let enter = |address: &str| open.enter(address.parse().unwrap());
        let first = enter("2001:db8:1:2:a::1");
        assert!(first.is_ok());
        assert!(enter("2001:db8:1:2:ffff:ffff:ffff:ffff").is_err());
        let other = enter("2001:db8:1:3:a::1");
        assert!(other.is_ok());
        // How IPv4 clients appear on a socket for both families: all in one /64.
        let mapped = [enter("::ffff:192.0.2.1"), enter("::ffff:192.0.2.2")];
        assert!(mapped.iter().all(Result::is_ok));
        assert!(enter("192.0.2.1").is_err());
        drop(first);
        assert!(enter("2001:db8:1:2:b::2").is_ok());
    }
}
