//! Arbitrary bytes in the second level are a hit or a miss, never a panic, and never a value above
//! the limit.
//!
//! Run `cargo +nightly fuzz run envelope` in `crates/picarcade-cache`, or on the stable toolchain
//! without the sanitizer `RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none envelope`.
//!
//! An input is tried in three ways: unchanged, behind the magic with a correct checksum, and as
//! edits of a good entry with a correct checksum. Without the edits, the fuzzer would not get past
//! the fingerprint of the schema.
#![no_main]

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use picarcade_cache::{Cache, Key, Remote};
use tokio::runtime::Runtime;

use self::in_memory::InMemoryRemote;

#[path = "../../tests/it/in_memory.rs"]
#[allow(dead_code, reason = "only tests switch it off")]
mod in_memory;

const LIMIT: usize = 1 << 16;

struct Bench {
    runtime: Runtime,
    remote: Arc<InMemoryRemote>,
    cache: Cache<String>,
    good: [Bytes; 2],
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let remote = Arc::new(InMemoryRemote::new());
    let (cache, good) = runtime.block_on(async {
        let cache = Cache::<String>::builder("fuzz")
            .max_entry_bytes(LIMIT)
            .compress_above(1000)
            .remote(Arc::clone(&remote) as Arc<dyn Remote>)
            .build()
            .unwrap();
        let mut good = Vec::new();
        // One plain and one compressed entry.
        for value in ["plain".to_owned(), "packed".repeat(1000)] {
            let key = Key::builder("good", 1).part(&value).finish();
            cache.insert(&key, value).await.unwrap();
            good.push(remote.read("fuzz", &key).await.unwrap().entry.unwrap());
        }
        (cache, good.try_into().unwrap())
    });
    Bench { runtime, remote, cache, good }
});

fn with_checksum(mut covered: Vec<u8>) -> Bytes {
    let checksum = crc32fast::hash(&covered);
    covered.extend_from_slice(&checksum.to_le_bytes());
    covered.into()
}

/// Returns a good entry with bytes replaced (position, value), and with its end cut off or extended
/// by the rest of the input.
fn edited(good: &Bytes, input: &[u8]) -> Bytes {
    let mut bytes = good[..good.len() - 4].to_vec();
    let (edits, rest) = input.as_chunks::<3>();
    for [low, high, value] in edits {
        let at = usize::from(u16::from_le_bytes([*low, *high])) % bytes.len();
        bytes[at] = *value;
    }
    match rest {
        [cut] => bytes.truncate(bytes.len() - usize::from(*cut) % bytes.len()),
        more => bytes.extend_from_slice(more),
    }
    with_checksum(bytes)
}

fuzz_target!(|input: &[u8]| {
    let bench = &*BENCH;
    let entries = [
        Bytes::copy_from_slice(input),
        with_checksum([b"PaC1", input].concat()),
        edited(&bench.good[0], input),
        edited(&bench.good[1], input),
    ];
    bench.runtime.block_on(async {
        let key = Key::builder("fuzz", 1).finish();
        for entry in entries {
            bench.cache.remove(&key).await;
            bench.remote.put_raw("fuzz", &key, entry, Duration::from_secs(60));
            if let Some(found) = bench.cache.get(&key).await {
                assert!(found.value.len() <= LIMIT);
            }
        }
    });
});
