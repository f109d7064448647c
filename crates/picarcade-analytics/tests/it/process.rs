//! Tests whose process is killed or has a full disk. Each test runs itself again as that process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use picarcade_analytics::{ClassificationEvent, Config, Event, Recorder, SqliteStore, Store};

use crate::counters::until_in_real_time;
use crate::events::{classification, cost};
use crate::flaky::Flaky;

/// The names of the tests that run themselves again.
const KILLED: &str = "process::committed_and_spooled_rows_survive_kill_9";
const FULL: &str = "process::a_full_disk_costs_observations_and_no_money";
const DIRECTORY: &str = "PICARCADE_ANALYTICS_TEST_DIRECTORY";

/// Returns the working directory if the test started this process.
fn directory() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(PathBuf::from)
}

/// Starts this test again in a process of its own, through a shell that first runs `prepare`.
fn again(test: &str, directory: &Path, prepare: &str) -> Child {
    let binary = std::env::current_exe().unwrap();
    Command::new("sh")
        .args(["-c", &format!("{prepare} exec \"$0\" --exact {test} --nocapture"), binary.to_str().unwrap()])
        .env(DIRECTORY, directory)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Starts this test like [`again`], in a mount namespace of its own.
fn unshared(test: &str, directory: &Path, prepare: &str) -> Child {
    let binary = std::env::current_exe().unwrap();
    Command::new("unshare")
        .args(["--user", "--mount", "--map-root-user", "sh", "-c"])
        .args([&format!("{prepare} exec \"$0\" --exact {test} --nocapture"), binary.to_str().unwrap()])
        .env(DIRECTORY, directory)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn config(directory: &Path) -> Config {
    Config {
        spool_dir: Some(directory.join("spool")),
        spool_segment_bytes: 64 << 10,
        batch_rows: 100,
        flush_interval: Duration::from_millis(5),
        retry_min: Duration::from_millis(5),
        retry_max: Duration::from_millis(20),
        ..Config::default()
    }
}

/// Writes a count that another process may read at any time.
fn report(directory: &Path, id: u32, kept: u64) {
    let temporary = directory.join(format!("new-report-{id}"));
    std::fs::write(&temporary, kept.to_string()).unwrap();
    std::fs::rename(temporary, directory.join(format!("report-{id}"))).unwrap();
}

fn reported(directory: &Path, id: u32) -> u64 {
    let text = std::fs::read_to_string(directory.join(format!("report-{id}")));
    text.ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn reported_by_all(directory: &Path) -> u64 {
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    names
        .filter_map(|name| name.to_str()?.strip_prefix("report-")?.parse().ok())
        .map(|id| reported(directory, id))
        .sum()
}

/// A SQLite store that is unavailable half of the time, so that rows always take both ways.
mod unsteady {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, SystemTime};

    use async_trait::async_trait;
    use picarcade_analytics::{
        Error, Maintained, Period, Record, SchemaState, SqliteStore, Statistics, Store,
    };

    #[derive(Debug)]
    pub(super) struct Unsteady(pub(super) SqliteStore, pub(super) AtomicU64);

    #[async_trait]
    impl Store for Unsteady {
        async fn write(&self, batch: &[Record]) -> Result<(), Error> {
            if self.1.fetch_add(1, Ordering::Relaxed) % 8 < 4 {
                return Err(Error::Unavailable { source: "away".into() });
            }
            self.0.write(batch).await
        }
        async fn statistics(&self, period: Period, now: SystemTime) -> Result<Statistics, Error> {
            self.0.statistics(period, now).await
        }
        async fn user_statistics(
            &self,
            user: &str,
            period: Period,
            now: SystemTime,
        ) -> Result<Statistics, Error> {
            self.0.user_statistics(user, period, now).await
        }
        async fn spent_since(&self, from: SystemTime, now: SystemTime) -> Result<u64, Error> {
            self.0.spent_since(from, now).await
        }
        async fn ping(&self) -> Result<Duration, Error> {
            self.0.ping().await
        }
        async fn forget_user(&self, user_id: &str) -> Result<u64, Error> {
            self.0.forget_user(user_id).await
        }
        async fn migrate(&self) -> Result<(), Error> {
            self.0.migrate().await
        }
        async fn schema(&self) -> Result<SchemaState, Error> {
            self.0.schema().await
        }
        async fn maintain(&self, now: SystemTime) -> Result<Maintained, Error> {
            self.0.maintain(now).await
        }
    }
}

/// Two processes share one directory and one database, and both are killed repeatedly at arbitrary
/// moments.
#[tokio::test]
async fn committed_and_spooled_rows_survive_kill_9() {
    if let Some(directory) = directory() {
        record_until_killed(&directory).await;
    }
    let home = tempfile::tempdir().unwrap();
    let directory = home.path();
    // The database is created here, because two processes that create it at once may block each
    // other.
    SqliteStore::open(&directory.join("data")).await.unwrap().close().await;
    for round in 1..=3 {
        let mut children = [again(KILLED, directory, ""), again(KILLED, directory, "")];
        let deadline = Instant::now() + Duration::from_secs(300);
        for child in &mut children {
            // The shell has replaced itself with the process, so the id is the same.
            while reported(directory, child.id()) < 1_500 {
                assert!(Instant::now() < deadline, "round {round}: {}", reported(directory, child.id()));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // SIGKILL arrives at an arbitrary moment.
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    let kept = reported_by_all(directory);
    let store = SqliteStore::open(&directory.join("data")).await.unwrap();
    let recorder = Recorder::try_start(Arc::new(store), config(directory)).await.unwrap();
    recorder.record(Event::Cost(cost("sentinel", None)));
    recorder.flush().await.unwrap();
    until_in_real_time(&recorder, "delivered", |counters| counters.spooled == 0).await;
    recorder.shutdown(Duration::from_secs(10)).await;

    let file = sqlx::sqlite::SqliteConnectOptions::new().filename(directory.join("data/picarcade.db"));
    let pool = sqlx::SqlitePool::connect_with(file).await.unwrap();
    let (rows, distinct): (i64, i64) =
        sqlx::query_as("SELECT count(*), count(DISTINCT prompt) FROM intent_classification_logs")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(rows, distinct, "some came twice");
    assert!(kept >= 6 * 1_500 && rows as u64 >= kept, "{rows} of at least {kept}");
}

async fn record_until_killed(directory: &Path) -> ! {
    let id = std::process::id();
    let store = SqliteStore::open(&directory.join("data")).await.unwrap();
    let store = unsteady::Unsteady(store, 0.into());
    let recorder = Recorder::try_start(Arc::new(store) as Arc<dyn Store>, config(directory)).await.unwrap();
    let mut n = 0;
    loop {
        for _ in 0..50 {
            recorder.record(Event::Classification(ClassificationEvent {
                prompt: format!("{id} {n}").into(),
                ..classification("u")
            }));
            n += 1;
        }
        until_in_real_time(&recorder, "room", |counters| counters.queued < 2_000).await;
        // Rows found in the spool were reported by the process that spooled them.
        let counters = recorder.counters();
        report(directory, id, (counters.committed + counters.spooled).saturating_sub(counters.recovered));
    }
}

/// Uses a file system of 300 KB where this process may mount one. Elsewhere it limits the size of
/// files, so that the operating system refuses to write in the middle of a frame in the same way.
#[tokio::test]
async fn a_full_disk_costs_observations_and_no_money() {
    if let Some(directory) = directory() {
        fill_the_disk(&directory).await;
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let mount = format!("mount -t tmpfs -o size=300k,nr_inodes=64 tmpfs {} && ", home.path().display());
    let may_mount = Command::new("unshare")
        .args(["--user", "--mount", "--map-root-user", "sh", "-c", &format!("{mount} true")])
        .status()
        .is_ok_and(|status| status.success());
    // The unit is a block of 512 bytes, in some shells of 1024.
    let limit = "trap '' XFSZ; ulimit -f 128;";
    let mut child =
        if may_mount { unshared(FULL, home.path(), &mount) } else { again(FULL, home.path(), limit) };
    assert!(child.wait().unwrap().success(), "on a file system of its own: {may_mount}");
}

async fn fill_the_disk(directory: &Path) {
    let store = Flaky::new();
    store.set_down(true);
    // There is one segment, so that the limit of a file limits the spool.
    let config = Config { spool_segment_bytes: 64 << 20, queue_rows: 20_000, ..config(directory) };
    let recorder = Recorder::try_start(Arc::clone(&store) as Arc<dyn Store>, config.clone()).await.unwrap();
    for n in 0..2_000 {
        recorder.record(Event::Classification(classification("u")));
        if n % 10 == 0 {
            recorder.record(Event::Cost(cost("u", Some(n))));
        }
        if n % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    // The number of rows still queued depends on the batch that the writer holds.
    let counters = until_in_real_time(&recorder, "full", |counters| counters.dropped > 0).await;
    assert!(counters.spooled > 0, "{counters:?}");
    assert!(
        counters
            .dropped_by
            .iter()
            .all(|dropped| dropped.table.unwrap().as_str() == "intent_classification_logs")
    );
    // Rows about money that found no room on disk wait in memory and arrive. The rows on the full
    // disk arrive once.
    store.set_down(false);
    let counters =
        until_in_real_time(&recorder, "drained", |counters| counters.queued == 0 && counters.spooled == 0)
            .await;
    let money = store.inner.rows().iter().filter(|row| matches!(row.event, Event::Cost(_))).count();
    assert_eq!(money, 200, "{counters:?}");
    assert_eq!(store.inner.rows().len() as u64, counters.committed, "{counters:?}");
    assert_eq!(counters.committed + counters.dropped, 2_200, "{counters:?}");
    // The disk gets its space back.
    until_in_real_time(&recorder, "small", |counters| counters.spooled_bytes < 1_000).await;

    // Rows are left on a disk that is still full when the next process starts.
    store.set_down(true);
    for _ in 0..2_000 {
        recorder.record(Event::Classification(classification("u")));
    }
    let left = recorder.shutdown(Duration::from_millis(100)).await;
    assert!(left.is_balanced() && left.spooled > 0 && left.queued == 0, "{left:?}");
    drop(recorder);
    let store = Flaky::new();
    let recorder = Recorder::try_start(Arc::clone(&store) as Arc<dyn Store>, config).await.unwrap();
    recorder.record(Event::Cost(cost("sentinel", None)));
    recorder.flush().await.unwrap();
    let counters =
        until_in_real_time(&recorder, "all", |counters| counters.spooled == 0 && counters.queued == 0).await;
    assert_eq!((counters.recovered, counters.dropped), (left.spooled, 0), "{counters:?}");
    assert_eq!(store.inner.rows().len() as u64, counters.recovered + 1);
}
