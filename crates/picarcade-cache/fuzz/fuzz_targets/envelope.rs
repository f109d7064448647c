//! Any bytes in the second level are a hit or a miss: never a panic, never a value that was not stored.
//!
//! `cargo +nightly fuzz run envelope` in `crates/picarcade-cache`. The checksum is made right for every second input,
//! or the fuzzer would never get past it.
#![no_main]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use picarcade_cache::{Cache, InMemoryRemote, Key, Remote};

fuzz_target!(|bytes: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let remote = Arc::new(InMemoryRemote::new());
        let cache = Cache::<String>::builder("fuzz")
            .max_entry_bytes(1 << 16)
            .remote(Arc::clone(&remote) as Arc<dyn Remote>)
            .build()
            .unwrap();
        let mut checked = b"PaC1".to_vec();
        checked.extend_from_slice(bytes);
        let checksum = crc32fast::hash(&checked);
        checked.extend_from_slice(&checksum.to_le_bytes());
        for (n, entry) in [Bytes::copy_from_slice(bytes), checked.into()].into_iter().enumerate() {
            let key = Key::builder("fuzz", 1).part_u64(n as u64).finish();
            remote.put_raw("fuzz", &key, entry, Duration::from_secs(60));
            if let Some(found) = cache.get(&key).await {
                assert!(found.value.len() <= 1 << 16);
            }
        }
    });
});
