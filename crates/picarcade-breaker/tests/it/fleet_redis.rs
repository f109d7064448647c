//! The view of the fleet on a real Redis: the contract, and the loss of the server.

use std::sync::Arc;

use picarcade_breaker::{
    Config, Recorded, State,
    fleet::{Ballot, FleetConfig, FleetMember, FleetView, RedisFleetView},
};
use picarcade_testkit::{RedisServer, eventually};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};

use crate::fleet_contract;
use crate::support::{breaker, fail, millis, secs};

async fn connect(server: &RedisServer) -> ConnectionManager {
    let client = redis::Client::open(server.url()).unwrap();
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(secs(30)))
        .set_response_timeout(Some(secs(30)));
    client.get_connection_manager_with_config(config).await.unwrap()
}

#[tokio::test]
async fn the_redis_view_keeps_the_contract() {
    let server = RedisServer::start().await.unwrap();
    let view = RedisFleetView::new(connect(&server).await, "test:");
    fleet_contract::check(&view, "redis").await;
}

#[tokio::test]
async fn prefixes_and_unusual_names_are_separate() {
    let server = RedisServer::start().await.unwrap();
    let connection = connect(&server).await;
    let (one, other) =
        (RedisFleetView::new(connection.clone(), "one:"), RedisFleetView::new(connection, "other:"));
    for name in ["a b", "a:b", "日本", "{x}", "*"] {
        assert_eq!(one.vote(name, "i:1", Ballot::Open, secs(60)).await.unwrap().open, 1, "{name}");
        assert_eq!(other.vote(name, "i:2", Ballot::Closed, secs(60)).await.unwrap().open, 0, "{name}");
    }
    assert!(!format!("{one:?}").contains("127.0.0.1"));
}

#[tokio::test]
async fn a_fleet_over_redis_and_without_it() {
    let server = RedisServer::start().await.unwrap();
    let mut fleet = Vec::new();
    for number in 0..3 {
        let breaker = breaker(Config::default().failure_threshold(1));
        let view = Arc::new(RedisFleetView::new(connect(&server).await, "test:"));
        let config = FleetConfig { interval: millis(20), ..FleetConfig::new(format!("instance-{number}")) };
        let member = FleetMember::join(breaker.clone(), view, config).unwrap();
        fleet.push((breaker, member));
    }
    fail(&fleet[0].0);
    fail(&fleet[1].0);
    eventually("a quorum of two opens the third", async || fleet[2].0.state() == State::Open).await;

    // Without Redis each breaker decides alone, and no call fails because of it.
    server.kill();
    fleet[2].0.reset();
    assert!(fleet[2].0.try_acquire().unwrap().success() == Recorded::Counted);
    fail(&fleet[2].0);
    assert_eq!(fleet[2].0.state(), State::Open);
}
