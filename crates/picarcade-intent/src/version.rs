//! Versions of files by their content.

/// Returns the version of a file that ends in the BLAKE3 hash of the rest, without hashing it: the
/// first 16 hexadecimal digits.
pub(crate) fn of_hash_at_end(file: &[u8]) -> String {
    let hash = file.last_chunk().copied().unwrap_or([0; blake3::OUT_LEN]);
    blake3::Hash::from(hash).to_hex().chars().take(16).collect()
}

/// Returns the version of a content: the first 16 hexadecimal digits of its BLAKE3 hash.
pub(crate) fn version_of(content: &[u8]) -> String {
    blake3::hash(content).to_hex().chars().take(16).collect()
}
