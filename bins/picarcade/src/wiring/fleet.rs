//! This instance in the fleet of instances that share its Redis: votes on breakers, and news of
//! providers.
//!
//! While Redis is unavailable there is no fleet: nothing is published or received, and every
//! breaker decides by itself.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use picarcade_analytics::new_id;
use picarcade_breaker::ConfigError;
use picarcade_breaker::fleet::{
    FleetConfig, FleetError, FleetMember, FleetScript, FleetView, RedisFleetView, RunScript,
};
use picarcade_flow::{Fleet, FlowService, ProviderUpdate, UserId};
use picarcade_redis::{Condition, RedisHandle, Script, SubscriptionEvent, Value};
use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;

/// The channel of the messages.
const CHANNEL: &str = "fleet:news";

/// How long a claim lasts. By then the outcome is in the database, unless the database is
/// unavailable.
const CLAIM_TTL: Duration = Duration::from_mins(15);

/// How long a leaving instance may take to withdraw its votes.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

static SCRIPTS: LazyLock<[Script; 3]> =
    LazyLock::new(|| FleetScript::ALL.map(|script| Script::new(script.name(), script.source())));

/// The connection to the other instances.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    redis: RedisHandle,
    instance: Arc<str>,
}

/// A message on the wire. Its sender ignores it.
#[derive(Debug, Serialize, Deserialize)]
struct Message {
    from: Arc<str>,
    #[serde(flatten)]
    content: Content,
}

/// The content of a message.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Content {
    News(ProviderUpdate),
    DeletedUser(UserId),
}

impl Channel {
    pub(crate) fn new(redis: RedisHandle) -> Self {
        Self { redis, instance: new_id().to_string().into() }
    }

    /// Publishes a message to the other instances, at most once, without waiting for it.
    fn publish(&self, content: Content) {
        let Ok(message) = serde_json::to_vec(&Message { from: Arc::clone(&self.instance), content }) else {
            return;
        };
        let redis = self.redis.clone();
        // The handle limits the number and the duration of concurrent calls.
        tokio::spawn(async move {
            if let Err(error) = redis.publish(CHANNEL, &message).await {
                tracing::debug!(%error, "fleet message could not be published");
            }
        });
    }
}

#[async_trait]
impl Fleet for Channel {
    async fn claim(&self, generation_id: &str) -> bool {
        let key = format!("fleet:outcome:{generation_id}");
        let claimed =
            self.redis.set_if(key.as_bytes(), self.instance.as_bytes(), Some(CLAIM_TTL), Condition::Absent);
        claimed.await.unwrap_or_else(|error| {
            tracing::debug!(%error, "an outcome could not be claimed in the fleet");
            true
        })
    }

    fn announce_update(&self, update: ProviderUpdate) {
        self.publish(Content::News(update));
    }

    fn announce_deletion(&self, user: &UserId) {
        self.publish(Content::DeletedUser(user.clone()));
    }
}

/// The membership of this instance. If it is dropped, it ends without a message.
#[derive(Debug)]
pub(crate) struct Membership {
    members: Vec<FleetMember>,
    listener: AbortHandle,
}

/// Joins the fleet with every breaker of the flow.
pub(crate) fn join(channel: &Channel, flow: &FlowService) -> Result<Membership, ConfigError> {
    let view: Arc<dyn FleetView> = Arc::new(votes(channel.redis.clone()));
    let member = |breaker| {
        FleetMember::join(breaker, Arc::clone(&view), FleetConfig::new(Arc::clone(&channel.instance)))
    };
    let members = flow.breakers().all().into_iter().map(member).collect::<Result<_, _>>()?;
    let listener = tokio::spawn(listen(channel.clone(), flow.clone())).abort_handle();
    Ok(Membership { members, listener })
}

/// Returns the view of all votes.
fn votes(redis: RedisHandle) -> RedisFleetView<Scripts> {
    RedisFleetView::new(Scripts(redis), "")
}

impl Membership {
    /// Withdraws the votes of this instance, if Redis answers in time.
    pub(crate) async fn leave(mut self) {
        let leaving = std::mem::take(&mut self.members).into_iter().map(FleetMember::leave);
        // If this fails, the others forget this instance when its votes expire.
        let _ = tokio::time::timeout(LEAVE_TIMEOUT, futures_util::future::join_all(leaving)).await;
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn listen(channel: Channel, flow: FlowService) {
    let mut subscription = match channel.redis.subscribe(CHANNEL) {
        Ok(subscription) => subscription,
        Err(error) => {
            tracing::warn!(%error, "fleet messages cannot be received");
            return;
        }
    };
    while let Some(event) = subscription.next().await {
        let SubscriptionEvent::Message(bytes) = event else { continue };
        match serde_json::from_slice::<Message>(&bytes) {
            Ok(message) if message.from == channel.instance => {}
            Ok(Message { content: Content::News(update), .. }) => flow.apply_update(&update),
            Ok(Message { content: Content::DeletedUser(user), .. }) => flow.apply_deletion(&user),
            Err(error) => tracing::debug!(%error, "fleet message could not be decoded"),
        }
    }
}

/// Runs the scripts of the votes on the connection that everything else uses. The connection adds
/// its prefix to the keys.
#[derive(Debug)]
struct Scripts(RedisHandle);

#[async_trait]
impl RunScript for Scripts {
    async fn run(
        &self,
        script: FleetScript,
        keys: &[String],
        arguments: &[&str],
    ) -> Result<Vec<u64>, FleetError> {
        let [vote, elect, leave] = &*SCRIPTS;
        let script = match script {
            FleetScript::Vote => vote,
            FleetScript::Elect => elect,
            FleetScript::Leave => leave,
        };
        let failed = |error: picarcade_redis::Error| FleetError(Box::new(error));
        let answer = self.0.eval(script, keys, arguments).await.map_err(failed)?;
        let numbers = answer.as_array().unwrap_or(std::slice::from_ref(&answer));
        let number = |value: &Value| value.as_int().map(i64::unsigned_abs).map_err(failed);
        numbers.iter().map(number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use picarcade_breaker::fleet::{Ballot, VoteCount};
    use picarcade_redis::{Config, DriverKind};
    use picarcade_testkit::RedisServer;

    const TTL: Duration = Duration::from_mins(4);

    #[tokio::test]
    async fn votes_elections_and_departures_are_read_with_both_drivers() {
        let server = RedisServer::start().await.unwrap();
        for (driver, prefix) in [(DriverKind::Redis, "r"), (DriverKind::Fred, "f")] {
            let handle = RedisHandle::connect(Config { driver, ..Config::new(server.url()) }).unwrap();
            handle.ready(Duration::from_secs(30)).await.unwrap();
            let view = votes(handle);
            let vote = async |instance, ballot| view.vote(prefix, instance, ballot, TTL).await.unwrap();
            let elect = async |instance| view.elect(prefix, instance, TTL).await.unwrap();
            assert_eq!(vote("a", Ballot::Open).await, VoteCount { instances: 1, open: 1, recovered: 0 });
            assert_eq!(vote("b", Ballot::Recovered).await, VoteCount { instances: 2, open: 1, recovered: 1 });
            assert!(elect("a").await && elect("a").await, "the elected instance asks again");
            assert!(!elect("b").await, "two instances were elected");
            view.leave(prefix, "b").await.unwrap();
            assert!(!elect("b").await, "another instance gave up the lease");
            view.leave(prefix, "a").await.unwrap();
            assert!(elect("b").await, "the lease was not given up");
            assert_eq!(vote("b", Ballot::Closed).await, VoteCount { instances: 1, open: 0, recovered: 0 });
        }
    }
}
