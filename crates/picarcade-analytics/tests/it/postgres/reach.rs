//! Databases that cannot be reached, and calls that are cancelled.

use std::time::Duration;

use picarcade_analytics::{Error, Period, PostgresOptions, PostgresStore, Store};
use picarcade_testkit::{Fault, FaultProxy, PostgresServer, eventually};

use super::count;
use crate::events::{NOW, at, mixed, time};

#[tokio::test]
async fn an_unusable_url_fails_and_an_unreachable_server_is_awaited() {
    for (url, part) in [
        ("mysql://u:hunter2@h/d", "must begin with postgres://"),
        ("postgres://u:hunter2@host:port/d", "not usable"),
        ("", "must begin with"),
    ] {
        let error = PostgresStore::connect(url).await.unwrap_err();
        assert!(matches!(error, Error::Config(_)), "{error:?}");
        assert!(error.to_string().contains(part), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
    let server = PostgresServer::start().await.unwrap();
    let good = server.url();
    let (scheme, rest) = good.split_once("://").unwrap();
    let (_, host) = rest.split_once('@').unwrap();
    let error = PostgresStore::connect(&format!("{scheme}://picarcade:wrong@{host}")).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(!error.is_transient());
    let error = PostgresStore::connect(&format!("{good}x")).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    let store = PostgresStore::connect(&good).await.unwrap();
    let (_, rest) = rest.split_once(':').unwrap();
    let (password, _) = rest.split_once('@').unwrap();
    assert!(!format!("{store:?}").contains(password) || password == "picarcade", "{store:?}");

    // The server is not there yet: the store starts without it, and each call fails as transient.
    server.kill();
    let mut options = PostgresOptions::new(&good).unwrap();
    options.acquire_timeout = Duration::from_secs(5);
    let store = PostgresStore::connect_with(options).await.unwrap();
    let error = store.write(&[at(NOW, mixed(0))]).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    server.restart().await.unwrap();
    store.migrate().await.unwrap();
    store.write(&[at(NOW, mixed(0))]).await.unwrap();
}

/// A network that drops everything does not delay the start, and the server is used when it is
/// reachable.
#[tokio::test]
async fn a_silent_network_does_not_delay_the_start() {
    let server = PostgresServer::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    proxy.set(Fault::BlackHole).await;
    // All waits except that of the start are practically unlimited.
    let mut options = PostgresOptions::new(&proxy.through(&server.url())).unwrap();
    options.connect_timeout = Duration::from_millis(200);
    options.acquire_timeout = Duration::from_hours(1);
    options.statement_timeout = Duration::from_hours(1);
    let store = PostgresStore::connect_with(options).await.unwrap();
    proxy.set(Fault::Pass).await;
    store.migrate().await.unwrap();
    store.write(&[at(NOW, mixed(0))]).await.unwrap();
    assert_eq!(count(&server, &server.url(), "cost_tracking").await, 1);
}

/// A cancelled call may leave the server in a transaction that the client does not know.
#[tokio::test]
async fn a_cancelled_call_leaves_no_transaction_in_the_pool() {
    let server = PostgresServer::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let mut options = PostgresOptions::new(&proxy.through(&server.url())).unwrap();
    options.acquire_timeout = Duration::from_secs(60);
    // The server does not end an idle transaction within this test.
    options.statement_timeout = Duration::from_hours(1);
    let store = PostgresStore::connect_with(options).await.unwrap();
    store.migrate().await.unwrap();
    store.statistics(Period::Hour, time(NOW)).await.unwrap();
    let open =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = 'app' AND usename = 'app' AND state <> 'idle'";
    let none_open = async || server.psql(open).await.unwrap() == "0";
    let some_open = async || server.psql(open).await.unwrap() != "0";
    eventually("the pool is idle", none_open).await;
    // The server begins the transaction, and the call is cancelled before it receives the answer.
    proxy.set(Fault::Delay(Duration::from_secs(3))).await;
    tokio::select! {
        biased;
        () = eventually("a transaction is open", some_open) => {}
        done = store.statistics(Period::Hour, time(NOW)) => panic!("not cancelled: {done:?}"),
    }
    proxy.set(Fault::Pass).await;
    eventually("no transaction is open", none_open).await;
    store.statistics(Period::Hour, time(NOW)).await.unwrap();
}
