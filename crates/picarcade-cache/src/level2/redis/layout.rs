//! What the cache stores in Redis: keys, values and scripts.
//!
//! | key (under the prefix of the handle) | value |
//! | --- | --- |
//! | `SPACE:e:KEY` | `E` or `T` (tombstone), the version of the key (8 bytes), the entry |
//! | `SPACE:m:clear`, `SPACE:m:TAG` | the version of the space or of a tag (8 bytes) |
//! | `SPACE:l:KEY` | a lease: the token of its holder, or empty after it was given back |
//! | channel `SPACE:events` | messages |

use std::sync::LazyLock;

use bytes::{BufMut, Bytes, BytesMut};
use picarcade_redis::Script;

use crate::{
    Key,
    level2::remote::{KeyVersion, Record, Scope},
};

pub(super) const ENTRY: u8 = b'E';
pub(super) const TOMBSTONE: u8 = b'T';

pub(super) static WRITE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "cache_write",
        "local head = redis.call('GETRANGE', KEYS[1], 0, 8)\n\
         if #head == 9 and string.sub(head, 2) ~= ARGV[1] then return 0 end\n\
         redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])\n\
         return 1",
    )
});

// The three scripts of leases call only GET and SET, so an account that may take a lease may also
// renew it and give it back.
pub(super) static ACQUIRE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "cache_lease_acquire",
        "local holder = redis.call('GET', KEYS[1])\n\
         if holder and holder ~= '' and holder ~= ARGV[1] then return 0 end\n\
         redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n\
         return 1",
    )
});

pub(super) static RENEW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "cache_lease_renew",
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n\
         redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n\
         return 1",
    )
});

pub(super) static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "cache_lease_release",
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n\
         redis.call('SET', KEYS[1], '', 'PX', 1)\n\
         return 1",
    )
});

pub(super) fn entry_key(space: &str, key: &Key) -> String {
    // Runs for every read, where formatting would be slower.
    [space, ":e:", &*key.hex()].concat()
}

pub(super) fn lease_key(space: &str, key: &Key) -> String {
    [space, ":l:", &*key.hex()].concat()
}

pub(super) fn version_key(space: &str, scope: &Scope) -> String {
    match scope {
        Scope::All => format!("{space}:m:clear"),
        Scope::Tag(tag) => format!("{space}:m:{:016x}", tag.id()),
    }
}

/// Returns the value of an entry or a tombstone.
pub(super) fn framed(kind: u8, version: KeyVersion, entry: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(9 + entry.len());
    out.put_u8(kind);
    out.put_u64_le(version.0);
    out.put_slice(entry);
    out.freeze()
}

/// Returns the content of a value.
pub(super) fn unframed(bytes: &Bytes) -> Record {
    match bytes.split_first_chunk::<9>() {
        Some(([kind, version @ ..], _)) => Record {
            version: KeyVersion(u64::from_le_bytes(*version)),
            entry: match *kind {
                ENTRY => Some(bytes.slice(9..)),
                TOMBSTONE => None,
                // Not a value of the cache. An empty entry is undecodable: it is counted and
                // overwritten.
                _ => Some(Bytes::new()),
            },
        },
        None => Record { version: KeyVersion::NONE, entry: Some(Bytes::new()) },
    }
}
