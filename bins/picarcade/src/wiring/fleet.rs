//! This instance among the others that share its Redis: votes on breakers, and news of providers.
//!
//! While Redis is away there is no fleet: nothing is told, nothing is heard, and every breaker decides by itself.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use picarcade_breaker::ConfigError;
use picarcade_breaker::fleet::{
    FleetConfig, FleetError, FleetMember, FleetScript, FleetView, RedisFleetView, RunScript,
};
use picarcade_flow::{Fleet, FlowService, ProviderUpdate};
use picarcade_redis::{Condition, Event, RedisHandle, Script, Value};
use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;
use uuid::Uuid;

/// Where news are told.
const CHANNEL: &str = "fleet:news";

/// How long a claim lasts: by then the outcome is in the database, unless that is away.
const CLAIM: Duration = Duration::from_mins(15);

/// How long the others may take to be told that this instance leaves.
const FAREWELL: Duration = Duration::from_secs(1);

static SCRIPTS: LazyLock<[Script; 3]> =
    LazyLock::new(|| FleetScript::ALL.map(|script| Script::new(script.name(), script.source())));

/// The way to the other instances.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    redis: RedisHandle,
    instance: Arc<str>,
}

/// A message on the wire, with its sender, which ignores it.
#[derive(Debug, Serialize, Deserialize)]
struct Message {
    from: Arc<str>,
    #[serde(flatten)]
    content: Content,
}

/// What instances tell each other.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Content {
    News(ProviderUpdate),
    /// The id of a user.
    DeletedUser(String),
}

impl Channel {
    pub(crate) fn new(redis: RedisHandle) -> Self {
        Self { redis, instance: Uuid::now_v7().to_string().into() }
    }

    /// Sends a message to the other instances, at most once, without waiting for it.
    fn publish(&self, content: Content) {
        let Ok(message) = serde_json::to_vec(&Message { from: Arc::clone(&self.instance), content }) else {
            return;
        };
        let redis = self.redis.clone();
        // The handle bounds how many calls are under way and how long each may take.
        tokio::spawn(async move {
            if let Err(error) = redis.publish(CHANNEL, &message).await {
                tracing::debug!(%error, "a message could not be published to the other instances");
            }
        });
    }
}

#[async_trait]
impl Fleet for Channel {
    async fn claim(&self, generation_id: &str) -> bool {
        let key = format!("fleet:outcome:{generation_id}");
        let claimed =
            self.redis.set_if(key.as_bytes(), self.instance.as_bytes(), Some(CLAIM), Condition::Absent);
        claimed.await.unwrap_or_else(|error| {
            tracing::debug!(%error, "the other instances were not asked for an outcome");
            true
        })
    }

    fn announce_update(&self, update: ProviderUpdate) {
        self.publish(Content::News(update));
    }

    fn announce_deletion(&self, user: &str) {
        self.publish(Content::DeletedUser(user.to_owned()));
    }
}

/// The membership of this instance. Dropped, it ends without a word.
#[derive(Debug)]
pub(crate) struct Membership {
    members: Vec<FleetMember>,
    listener: AbortHandle,
}

/// Joins with every breaker that the flow has.
pub(crate) fn join(channel: &Channel, flow: &FlowService) -> Result<Membership, ConfigError> {
    let view: Arc<dyn FleetView> = Arc::new(votes(channel.redis.clone()));
    let member = |breaker| {
        FleetMember::join(breaker, Arc::clone(&view), FleetConfig::new(Arc::clone(&channel.instance)))
    };
    let members = flow.breakers().iter().map(member).collect::<Result<_, _>>()?;
    let listener = tokio::spawn(listen(channel.clone(), flow.clone())).abort_handle();
    Ok(Membership { members, listener })
}

/// The votes of this instance and the others.
fn votes(redis: RedisHandle) -> RedisFleetView<Scripts> {
    RedisFleetView::new(Scripts(redis), "")
}

impl Membership {
    /// Tells the others, as far as they can be reached.
    pub(crate) async fn leave(mut self) {
        let farewells = std::mem::take(&mut self.members).into_iter().map(FleetMember::leave);
        // Untold, they forget this instance when its ballots expire.
        let _ = tokio::time::timeout(FAREWELL, futures_util::future::join_all(farewells)).await;
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
            tracing::warn!(%error, "the other instances cannot be heard");
            return;
        }
    };
    while let Some(event) = subscription.next().await {
        let Event::Message(bytes) = event else { continue };
        match serde_json::from_slice::<Message>(&bytes) {
            Ok(message) if message.from == channel.instance => {}
            Ok(Message { content: Content::News(update), .. }) => flow.apply_update(&update),
            Ok(Message { content: Content::DeletedUser(user), .. }) => flow.apply_deletion(&user),
            Err(error) => tracing::debug!(%error, "another instance speaks in another way"),
        }
    }
}

/// The scripts of the votes, through the handle that everything else uses. Its prefix is before their keys.
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
    use picarcade_breaker::fleet::conformance;
    use picarcade_redis::{Config, DriverKind};
    use picarcade_testkit::RedisServer;

    #[tokio::test]
    async fn votes_keep_the_contract_by_either_driver() {
        let server = RedisServer::start().await.unwrap();
        for (driver, prefix) in [(DriverKind::Redis, "r"), (DriverKind::Fred, "f")] {
            let handle = RedisHandle::connect(Config { driver, ..Config::new(server.url()) }).unwrap();
            handle.ready(Duration::from_secs(30)).await.unwrap();
            conformance::check(&votes(handle), prefix).await;
        }
    }
}
