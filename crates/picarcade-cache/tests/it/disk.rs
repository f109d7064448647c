//! The second level on disk: restarts, kills, damage, bounds.

use std::{os::unix::fs::MetadataExt, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use picarcade_cache::{
    Cache, CacheSource, DiskError, DiskRemote, Key, KeyVersion, Remote, Scope, Tag, TagVersion,
};

use crate::support::{Runs, eventually, key};

const LONG: Duration = Duration::from_secs(1000);
const SPACE: &str = "disk";
const MIB: u64 = 1 << 20;

async fn open(directory: &Path) -> Arc<DiskRemote> {
    DiskRemote::open(directory, 64 * MIB).await.unwrap()
}

async fn write(disk: &DiskRemote, number: u64, value: impl Into<Bytes>) -> bool {
    disk.write(SPACE, key(number), value.into(), LONG, KeyVersion::NONE).await.unwrap()
}

#[tokio::test]
async fn entries_removals_and_versions_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path()).await;
    write(&disk, 1, "one").await;
    write(&disk, 2, "two").await;
    disk.remove(SPACE, key(2), LONG).await.unwrap();
    disk.replace(SPACE, key(3), "three".into(), LONG).await.unwrap();
    let scopes = [Scope::All, Scope::Tag(Tag::new("user:ann"))];
    disk.invalidate(SPACE, scopes[1], LONG).await.unwrap();
    let removed = disk.read(SPACE, key(2)).await.unwrap();
    let versions = disk.tag_versions(SPACE, &scopes).await.unwrap();
    drop(disk);

    let disk = open(directory.path()).await;
    assert_eq!(disk.read(SPACE, key(1)).await.unwrap().entry, Some("one".into()));
    assert_eq!(disk.read(SPACE, key(2)).await.unwrap(), removed);
    assert_eq!(disk.read(SPACE, key(3)).await.unwrap().entry, Some("three".into()));
    assert_eq!(disk.tag_versions(SPACE, &scopes).await.unwrap(), versions);
    assert!(versions[0] == TagVersion::NONE && versions[1] != TagVersion::NONE);
    assert_eq!(disk.status().entries, 3);
}

#[tokio::test]
async fn a_cache_answers_from_disk_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let runs = Runs::default();
    for expected in [CacheSource::Loaded, CacheSource::L2] {
        let disk = open(directory.path()).await;
        let cache = Cache::<String>::builder("answers").remote(Arc::clone(&disk) as _).build().unwrap();
        let found = cache.get_or_load(key(1), runs.load("answer".to_owned(), Duration::ZERO)).await.unwrap();
        assert_eq!((found.value.as_str(), found.source), ("answer", expected));
        cache.drain(LONG).await;
        eventually("the answer is on disk", async || disk.status().entries == 1).await;
        drop(cache);
        // A task of the cache holds the directory until it notices the end of its cache.
        eventually("the directory is free", async || Arc::strong_count(&disk) == 1).await;
    }
    assert_eq!(runs.count(), 1);
}

#[tokio::test]
async fn a_directory_has_one_user_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).await;
    let second = DiskRemote::open(directory.path(), MIB).await.unwrap_err();
    assert!(matches!(&second, DiskError::InUse { path } if path == directory.path()));
    assert!(second.to_string().contains("in use by another process"), "{second}");
    write(&first, 1, "still works").await;
    drop(first);
    open(directory.path()).await;
}

#[tokio::test]
async fn a_place_that_is_no_directory_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = DiskRemote::open(file.path().join("cache"), MIB).await.unwrap_err();
    assert!(matches!(error, DiskError::Directory { .. }), "{error}");
}

#[tokio::test]
async fn the_files_are_readable_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("a/b");
    let _disk = open(&place).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&place), mode(place.parent().unwrap())), (0o700, 0o700));
    for file in std::fs::read_dir(&place).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

#[tokio::test]
async fn the_oldest_entries_are_evicted_and_the_file_stays_below_its_limit() {
    let directory = tempfile::tempdir().unwrap();
    let disk = DiskRemote::open(directory.path(), 16 * MIB).await.unwrap();
    let mut writes = Vec::new();
    for number in 0..6000_u64 {
        let disk = Arc::clone(&disk);
        writes.push(tokio::spawn(async move {
            let size = 1024 + number as usize % 3072;
            write(&disk, number, vec![number as u8; size]).await
        }));
        if writes.len() == 250 {
            for written in writes.drain(..) {
                assert!(written.await.unwrap());
            }
            let file = std::fs::metadata(directory.path().join("cache.redb")).unwrap();
            assert!(file.blocks() * 512 <= 16 * MIB, "{file:?}");
        }
    }
    assert_eq!(disk.read(SPACE, key(0)).await.unwrap().entry, None);
    assert!(disk.read(SPACE, key(5999)).await.unwrap().entry.is_some());
    let status = disk.status();
    assert!(status.evictions > 2000 && status.entries + status.evictions == 6000, "{status:?}");
    assert!(!write(&disk, 1, vec![0; 13 << 20]).await, "larger than the level");
}

#[tokio::test]
async fn recent_removals_are_not_evicted_by_writes() {
    let directory = tempfile::tempdir().unwrap();
    let disk = DiskRemote::open(directory.path(), 16 * MIB).await.unwrap();
    disk.remove(SPACE, key(1), LONG).await.unwrap();
    for number in 2..7 {
        assert!(write(&disk, number, vec![0; 1 << 20]).await);
    }
    assert!(!write(&disk, 7, vec![0; 1 << 20]).await, "the removal is the oldest record");
    assert!(!write(&disk, 1, "from before the removal").await);
}

#[tokio::test]
async fn a_damaged_file_gives_no_wrong_value() {
    let directory = tempfile::tempdir().unwrap();
    let disk = open(directory.path()).await;
    for number in 0..200 {
        write(&disk, number, number.to_le_bytes().repeat(100)).await;
    }
    for number in (0..200).step_by(5) {
        disk.remove(SPACE, key(number), LONG).await.unwrap();
    }
    drop(disk);
    let path = directory.path().join("cache.redb");
    let good = std::fs::read(&path).unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..40 {
        let mut bytes = good.clone();
        match round % 4 {
            0 => bytes.truncate(random.usize(..bytes.len())),
            1 => bytes[random.usize(..4096)] ^= 1 << random.u8(..8),
            2 => bytes.iter_mut().for_each(|byte| *byte = random.u8(..)),
            _ => {
                for _ in 0..16 {
                    let at = random.usize(..bytes.len());
                    bytes[at] = random.u8(..);
                }
            }
        }
        std::fs::write(&path, &bytes).unwrap();
        let disk = open(directory.path()).await;
        for number in 0..200_u64 {
            let entry = disk.read(SPACE, key(number)).await.ok().and_then(|record| record.entry);
            let is_right = entry.as_deref().is_none_or(|entry| entry == number.to_le_bytes().repeat(100));
            assert!(is_right && (number % 5 != 0 || entry.is_none()), "round {round}: {number}");
        }
        eventually("it can be written", async || {
            disk.write(SPACE, key(1000), "new".into(), LONG, KeyVersion::NONE).await.is_ok()
        })
        .await;
        drop(disk);
    }
}

#[tokio::test]
async fn a_kill_loses_no_confirmed_change() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let directory = tempfile::tempdir().unwrap();
    for round in 1..=4_u64 {
        let place = directory.path().join(round.to_string());
        let mut program = std::env::current_exe().unwrap();
        // From target/…/deps/it-… to target/…/examples/disk_writer.
        program.pop();
        program.pop();
        program.push("examples/disk_writer");
        let mut child = tokio::process::Command::new(program)
            .arg(&place)
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut confirmed = 0;
        while let Some(line) = lines.next_line().await.unwrap() {
            confirmed = line.parse().unwrap();
            if confirmed == 20 * round {
                child.start_kill().unwrap();
            }
        }
        assert!(confirmed >= 20 * round);
        child.wait().await.unwrap();
        let disk = open(&place).await;
        for number in 0..=confirmed {
            let key = Key::builder("numbers", 1).part_u64(number).finish();
            let expected = (number % 3 != 0).then(|| Bytes::from(number.to_le_bytes().repeat(256)));
            assert_eq!(disk.read("numbers", &key).await.unwrap().entry, expected, "{number}");
        }
    }
}
