//! Runs scripts over connections of the `redis` crate (feature `redis`).

use std::sync::LazyLock;

use async_trait::async_trait;
use redis::{FromRedisValue, Script, Value, aio::ConnectionLike};

use super::{
    redis::{FleetScript, RunScript},
    view::FleetError,
};

static SCRIPTS: LazyLock<[Script; 3]> =
    LazyLock::new(|| FleetScript::ALL.map(|script| Script::new(script.source())));

#[async_trait]
impl<C: ConnectionLike + Clone + Send + Sync> RunScript for C {
    async fn run(
        &self,
        script: FleetScript,
        keys: &[String],
        arguments: &[&str],
    ) -> Result<Vec<u64>, FleetError> {
        let failed = |error: redis::RedisError| FleetError(Box::new(error));
        let [vote, elect, leave] = &*SCRIPTS;
        let script = match script {
            FleetScript::Vote => vote,
            FleetScript::Elect => elect,
            FleetScript::Leave => leave,
        };
        let mut invocation = script.prepare_invoke();
        for key in keys {
            invocation.key(key);
        }
        for argument in arguments {
            invocation.arg(*argument);
        }
        let mut connection = self.clone();
        let answer: Value = invocation.invoke_async(&mut connection).await.map_err(failed)?;
        let list = match answer {
            list @ Value::Array(_) => list,
            one => Value::Array(vec![one]),
        };
        Vec::from_redis_value(list).map_err(|error| FleetError(Box::new(error)))
    }
}
