//! Versions of files by their content.

/// Returns the version of a content: the first 16 hexadecimal digits of its BLAKE3 hash.
pub(crate) fn version_of(content: &[u8]) -> String {
    blake3::hash(content).to_hex().chars().take(16).collect()
}
