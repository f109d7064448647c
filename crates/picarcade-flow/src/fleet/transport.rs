//! The transport to the other instances, as the flow needs it.

use async_trait::async_trait;

use crate::fleet::message::ProviderUpdate;
use crate::id::UserId;

/// The transport to the other instances.
///
/// **Failure behavior.** Delivery is at most once and never awaited. An instance that misses an
/// update behaves as it would without a fleet. If no instance can be asked for a claim, none can be
/// notified either, and each instance counts for itself.
#[async_trait]
pub trait Fleet: Send + Sync + std::fmt::Debug {
    /// Returns whether this instance is the first one to claim the outcome of this generation. A
    /// claim lasts for at least a quarter of an hour. Returns true if the other instances cannot be
    /// asked. Must not wait for more than about a second.
    async fn claim(&self, generation_id: &str) -> bool;

    /// Sends an event to every other instance, each of which calls
    /// [`FlowService::apply_update`](crate::FlowService::apply_update). Must not wait.
    fn announce_update(&self, update: ProviderUpdate);

    /// Notifies every other instance of the deletion of a user. Each calls
    /// [`FlowService::apply_deletion`](crate::FlowService::apply_deletion). Must not wait.
    ///
    /// The default does nothing. Other instances then keep the generations of the user that they
    /// have in memory.
    fn announce_deletion(&self, user: &UserId) {
        let _ = user;
    }
}
