//! A Redis Cluster of real nodes: slots are distributed, replicas are optional, and slots can move
//! while clients are connected.

use std::sync::Arc;

use super::builder::{RedisBuilder, quoted};
use super::resp::Value;
use super::server::RedisServer;
use super::wire::until;
use crate::error::{Error, Result};
use crate::host::port::Port;
use crate::host::runtime;

/// The number of slots of every cluster.
const SLOTS: u16 = 16_384;

/// The options of a cluster; created by [`RedisCluster::builder`].
#[derive(Debug, Clone)]
pub struct RedisClusterBuilder {
    primaries: usize,
    replicas: usize,
    node: RedisBuilder,
}

impl RedisClusterBuilder {
    /// Sets the number of nodes that share the slots. The default is 3, the smallest number that
    /// can form a majority.
    #[must_use]
    pub fn primaries(mut self, primaries: usize) -> Self {
        self.primaries = primaries.max(1);
        self
    }

    /// Sets the number of replicas per primary. With one, the cluster survives the loss of a node.
    /// The default is 0.
    #[must_use]
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// Requires this password from clients.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        let password = password.into();
        self.node = self.node.arg("masterauth", quoted(&password)).password(password);
        self
    }

    /// Adds a line to the `redis.conf` of every node, like [`RedisBuilder::arg`].
    #[must_use]
    pub fn arg(mut self, name: &str, value: impl Into<String>) -> Self {
        self.node = self.node.arg(name, value);
        self
    }

    /// Starts the nodes, creates the cluster, and waits until all nodes see it complete.
    ///
    /// # Errors
    ///
    /// Fails like [`RedisBuilder::start`], or if the nodes do not agree within a minute.
    pub async fn start(self) -> Result<RedisCluster> {
        runtime::run(async move {
            let mut nodes = Vec::new();
            for _ in 0..self.primaries * (1 + self.replicas) {
                let node = RedisBuilder { cluster: true, ..self.node.clone() }.build()?;
                node.process.spawn()?;
                nodes.push(node);
            }
            for node in &nodes {
                node.launch().await?;
            }
            let cluster = RedisCluster { nodes: nodes.into(), primaries: self.primaries };
            cluster.join().await?;
            Ok(cluster)
        })
        .await
    }
}

/// A real Redis Cluster, killed on drop. The primaries are the first nodes, in the order of their
/// slots.
#[derive(Debug, Clone)]
pub struct RedisCluster {
    nodes: Arc<[RedisServer]>,
    primaries: usize,
}

impl RedisCluster {
    /// Starts a cluster with this number of primaries and no replicas.
    ///
    /// # Errors
    ///
    /// Fails like [`RedisClusterBuilder::start`].
    pub async fn start(primaries: usize) -> Result<Self> {
        Self::builder().primaries(primaries).start().await
    }

    /// Returns a builder for a cluster with other options.
    pub fn builder() -> RedisClusterBuilder {
        RedisClusterBuilder { primaries: 3, replicas: 0, node: RedisServer::builder() }
    }

    /// Returns one URL with all nodes: `redis-cluster://` with the first, the others as `node=`.
    pub fn url(&self) -> String {
        let mut url = self.nodes.first().map(RedisServer::url).unwrap_or_default();
        for (index, node) in self.nodes.iter().enumerate().skip(1) {
            url.extend([if index == 1 { "?node=" } else { "&node=" }, &node.addr().to_string()]);
        }
        url.replacen("redis://", "redis-cluster://", 1)
    }

    /// Returns all nodes: the primaries, then the replicas (the first of each primary, then the
    /// second of each).
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// Returns one node.
    ///
    /// # Panics
    ///
    /// Panics without such a node.
    #[allow(clippy::indexing_slicing, reason = "as documented, and a test's own mistake")]
    pub fn node(&self, index: usize) -> &RedisServer {
        &self.nodes[index]
    }

    /// Returns the slot of a key, as the server computes it.
    ///
    /// # Errors
    ///
    /// Fails if the first node does not answer.
    pub async fn slot_of(&self, key: &str) -> Result<u16> {
        let slot = self.node(0).command(&["CLUSTER", "KEYSLOT", key]).await?;
        slot.parse().map_err(|_| Error::Protocol(format!("{slot:?} is no slot")))
    }

    /// Returns the index of the node that owns `slot`, as the first answering node sees it.
    ///
    /// # Errors
    ///
    /// Fails if no node answers, or if no node owns the slot.
    pub async fn owner_of(&self, slot: u16) -> Result<usize> {
        for node in self.nodes.iter() {
            let Ok(table) = node.command(&["CLUSTER", "NODES"]).await else { continue };
            for line in table.lines().filter(|line| owns(line, slot)) {
                let id = line.split(' ').next().unwrap_or_default();
                for (index, candidate) in self.nodes.iter().enumerate() {
                    if candidate.command(&["CLUSTER", "MYID"]).await.is_ok_and(|known| known == id) {
                        return Ok(index);
                    }
                }
            }
        }
        Err(Error::Protocol(format!("no node owns slot {slot}")))
    }

    /// Starts to move a slot to the node `to`. The old owner then answers for the keys that it
    /// still has and redirects clients for the others (`ASK`). Commands over several keys of the
    /// slot may be asked to retry (`TRYAGAIN`).
    ///
    /// # Errors
    ///
    /// Fails if a node refuses or does not answer.
    pub async fn begin_move(&self, slot: u16, to: usize) -> Result<()> {
        let from = self.owner_of(slot).await?;
        let (from_id, to_id) = (self.id(from).await?, self.id(to).await?);
        let slot = slot.to_string();
        self.node(to).command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]).await?;
        self.node(from).command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]).await?;
        Ok(())
    }

    /// Completes a move: the keys are moved, and then every node learns the new owner. The old
    /// owner redirects clients (`MOVED`).
    ///
    /// # Errors
    ///
    /// Fails like [`begin_move`](Self::begin_move).
    pub async fn finish_move(&self, slot: u16, to: usize) -> Result<()> {
        let from = self.owner_of(slot).await?;
        let (source, target, to_id) = (self.node(from), self.node(to), self.id(to).await?);
        let (number, port) = (slot.to_string(), target.port().to_string());
        loop {
            let keys = source.query(&["CLUSTER", "GETKEYSINSLOT", &number, "1"]).await?;
            let Value::Array(keys) = keys else { return Err(Error::Protocol(keys.to_string())) };
            let Some(Value::Bulk(key)) = keys.first() else { break };
            let mut words: Vec<&[u8]> =
                vec![b"MIGRATE", b"127.0.0.1", port.as_bytes(), key.as_slice(), b"0", b"5000"];
            words.extend(target.password().into_iter().flat_map(|it| [b"AUTH".as_slice(), it.as_bytes()]));
            if let Value::Error(error) = source.query(&words).await? {
                return Err(Error::Refused(error));
            }
        }
        // The new owner learns first, so that it does not redirect clients back.
        let order =
            [to, from].into_iter().chain((0..self.primaries).filter(|index| ![to, from].contains(index)));
        for index in order {
            self.node(index).command(&["CLUSTER", "SETSLOT", &number, "NODE", &to_id]).await?;
        }
        Ok(())
    }

    /// Waits until every answering node sees all slots served, after a node was lost and its
    /// replica took over.
    ///
    /// # Errors
    ///
    /// Fails if this takes longer than a minute.
    pub async fn whole(&self) -> Result<()> {
        let cluster = self.clone();
        runtime::run(async move {
            until("redis cluster", || async {
                let mut answers = 0;
                for node in cluster.nodes.iter() {
                    let Ok(report) = node.command(&["CLUSTER", "INFO"]).await else { continue };
                    answers += 1;
                    if !report.contains("cluster_state:ok") {
                        return Ok(None);
                    }
                }
                Ok((answers > 0).then_some(()))
            })
            .await
        })
        .await
    }

    async fn id(&self, index: usize) -> Result<String> {
        self.node(index).command(&["CLUSTER", "MYID"]).await
    }

    async fn join(&self) -> Result<()> {
        let share = SLOTS.div_ceil(self.primaries as u16);
        for (index, node) in self.nodes.iter().enumerate() {
            // Each node gets its own epoch. Nodes with equal epochs would first have to resolve a
            // conflict.
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]).await?;
            if index < self.primaries {
                let first = share * index as u16;
                let last = (first + share).min(SLOTS) - 1;
                node.command(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]).await?;
            }
        }
        for node in self.nodes.iter().skip(1) {
            let bus = node.extra_port.as_ref().map_or(0, Port::number).to_string();
            let port = node.port().to_string();
            self.node(0).command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await?;
        }
        until("redis cluster", || self.all(|table| table.lines().count() == self.nodes.len())).await?;
        for (index, node) in self.nodes.iter().enumerate().skip(self.primaries) {
            let primary = self.id(index % self.primaries).await?;
            node.command(&["CLUSTER", "REPLICATE", &primary]).await?;
        }
        let replicas = self.nodes.len() - self.primaries;
        let complete = |table: &str| {
            let lines = || table.lines();
            lines().filter(|line| line.contains("slave")).count() == replicas
                && lines().all(|line| line.contains(" connected") && !line.contains("handshake"))
        };
        until("redis cluster", || self.all(complete)).await?;
        for node in self.nodes.iter() {
            node.launch().await?;
        }
        self.whole().await
    }

    /// Returns whether the table of every node satisfies `holds`.
    async fn all(&self, holds: impl Fn(&str) -> bool) -> Result<Option<()>> {
        for node in self.nodes.iter() {
            if !holds(&node.command(&["CLUSTER", "NODES"]).await?) {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }
}

/// Returns whether a line of `CLUSTER NODES` assigns `slot` to its node. Ranges begin at the ninth
/// word; `[…]` are slots in migration.
fn owns(line: &str, slot: u16) -> bool {
    if line.contains("fail") && !line.contains("fail?") {
        return false;
    }
    line.split(' ').skip(8).filter(|word| !word.starts_with('[')).any(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        matches!((first.parse::<u16>(), last.parse::<u16>()), (Ok(first), Ok(last)) if (first..=last).contains(&slot))
    })
}

#[cfg(test)]
mod tests {
    use super::owns;

    #[test]
    fn a_line_owns_its_ranges() {
        let line =
            "07c37df 127.0.0.1:30004@31004 master - 0 1426238317239 4 connected 0-5 7 100-200 [9->-5f3a]";
        for (slot, owned) in
            [(0, true), (5, true), (6, false), (7, true), (9, false), (150, true), (201, false)]
        {
            assert_eq!(owns(line, slot), owned, "{slot}");
        }
        assert!(!owns("a b slave,fail c 0 0 1 disconnected 0-5", 3));
    }
}
