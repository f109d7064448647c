//! The form of a value in the second level.
//!
//! ```text
//! magic "PaC1" | codec u8 | flags u8 | tag count u16 | schema u64 | stored ms u64
//! | fresh until ms u64 | stale until ms u64 | load µs u32 | clear version u64
//! | tags (id u64, version u64)* | plain length u32 | body length u32 | body | crc32 u32
//! ```
//!
//! All numbers are little-endian. Codec 0 is JSON, codec 1 is JSON compressed by LZ4 (block). The
//! checksum covers everything before it.
//!
//! Bytes that do not decode are a miss, which the next load overwrites: they may be truncated,
//! damaged, of another schema, from the future, or too long. [`decode`] never panics and never
//! allocates more than its limit.

use std::time::Duration;

use bytes::Bytes;

use crate::{level2::remote::TagVersion, tag::Tag};

const MAGIC: [u8; 4] = *b"PaC1";
const HEADER: usize = 4 + 1 + 1 + 2 + 8 + 8 + 8 + 8 + 4 + 8;
const JSON: u8 = 0;
const JSON_LZ4: u8 = 1;
/// How far the clock of the writer may be ahead of the clock of the reader.
const CLOCK_SKEW_MS: u64 = 1000;

/// Everything about a value except the value itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// The fingerprint of the name and the schema version of the cache.
    pub(crate) schema: u64,
    pub(crate) stored_ms: u64,
    pub(crate) fresh_until_ms: u64,
    pub(crate) stale_until_ms: u64,
    pub(crate) load_micros: u32,
    /// The version of the space when the load began.
    pub(crate) clear_version: TagVersion,
    /// Each tag with its version when the load began.
    pub(crate) tags: Vec<(Tag, TagVersion)>,
}

/// The reason why bytes are not a usable envelope. It is counted, and the lookup is a miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undecodable {
    Truncated,
    Magic,
    Checksum,
    Schema,
    Codec,
    TooLong,
    Stamps,
}

impl Undecodable {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Magic => "magic",
            Self::Checksum => "checksum",
            Self::Schema => "schema",
            Self::Codec => "codec",
            Self::TooLong => "too_long",
            Self::Stamps => "stamps",
        }
    }
}

/// The time that an envelope has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Remaining {
    pub(crate) age: Duration,
    pub(crate) fresh: Duration,
    pub(crate) stale: Duration,
}

impl Envelope {
    /// Returns the time that is left at `now_ms`, or `None` for a dead value. Stamps from the
    /// future or in the wrong order count as dead: a clock that was wrong once must not make a
    /// value immortal.
    pub(crate) fn remaining(&self, now_ms: u64) -> Option<Remaining> {
        let sane = self.stored_ms <= now_ms.saturating_add(CLOCK_SKEW_MS)
            && self.stored_ms <= self.fresh_until_ms
            && self.fresh_until_ms <= self.stale_until_ms;
        (sane && now_ms < self.stale_until_ms).then(|| Remaining {
            age: Duration::from_millis(now_ms.saturating_sub(self.stored_ms)),
            fresh: Duration::from_millis(self.fresh_until_ms.saturating_sub(now_ms)),
            stale: Duration::from_millis(self.stale_until_ms - self.fresh_until_ms.max(now_ms)),
        })
    }
}

/// Puts a JSON body into its envelope, compressed if it is longer than `compress_above` and
/// compression helps. Returns `None` if a length does not fit its field.
pub(crate) fn encode(envelope: &Envelope, json: &[u8], compress_above: usize) -> Option<Bytes> {
    let plain_length = u32::try_from(json.len()).ok()?;
    let tags = u16::try_from(envelope.tags.len()).ok()?;
    let packed = (json.len() > compress_above)
        .then(|| lz4_flex::block::compress(json))
        .filter(|packed| packed.len() < json.len());
    let (codec, body) = match &packed {
        Some(packed) => (JSON_LZ4, packed.as_slice()),
        None => (JSON, json),
    };
    let mut out = Vec::with_capacity(HEADER + envelope.tags.len() * 16 + 8 + body.len() + 4);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[codec, 0]);
    out.extend_from_slice(&tags.to_le_bytes());
    out.extend_from_slice(&envelope.schema.to_le_bytes());
    out.extend_from_slice(&envelope.stored_ms.to_le_bytes());
    out.extend_from_slice(&envelope.fresh_until_ms.to_le_bytes());
    out.extend_from_slice(&envelope.stale_until_ms.to_le_bytes());
    out.extend_from_slice(&envelope.load_micros.to_le_bytes());
    out.extend_from_slice(&envelope.clear_version.0.to_le_bytes());
    for (tag, version) in &envelope.tags {
        out.extend_from_slice(&tag.id().to_le_bytes());
        out.extend_from_slice(&version.0.to_le_bytes());
    }
    out.extend_from_slice(&plain_length.to_le_bytes());
    out.extend_from_slice(&u32::try_from(body.len()).ok()?.to_le_bytes());
    out.extend_from_slice(body);
    let checksum = crc32fast::hash(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    Some(out.into())
}

/// Returns the envelope of a value and its JSON, which is at most `max_plain` bytes long.
pub(crate) fn decode(bytes: &Bytes, schema: u64, max_plain: usize) -> Result<(Envelope, Bytes), Undecodable> {
    let (covered, checksum) = bytes.split_last_chunk::<4>().ok_or(Undecodable::Truncated)?;
    let mut reader = Reader(covered);
    // Checked before the checksum, so that foreign bytes and damaged entries have different
    // reasons.
    if reader.take::<4>()? != MAGIC {
        return Err(Undecodable::Magic);
    }
    if crc32fast::hash(covered) != u32::from_le_bytes(*checksum) {
        return Err(Undecodable::Checksum);
    }
    let [codec, _flags] = reader.take::<2>()?;
    let tag_count = u16::from_le_bytes(reader.take()?);
    let envelope = Envelope {
        schema: reader.u64()?,
        stored_ms: reader.u64()?,
        fresh_until_ms: reader.u64()?,
        stale_until_ms: reader.u64()?,
        load_micros: reader.u32()?,
        clear_version: TagVersion(reader.u64()?),
        tags: (0..tag_count)
            .map(|_| Ok((Tag::from_id(reader.u64()?), TagVersion(reader.u64()?))))
            .collect::<Result<_, Undecodable>>()?,
    };
    if envelope.schema != schema {
        return Err(Undecodable::Schema);
    }
    if envelope.stored_ms > envelope.fresh_until_ms || envelope.fresh_until_ms > envelope.stale_until_ms {
        return Err(Undecodable::Stamps);
    }
    let plain_length = reader.u32()? as usize;
    let body_length = reader.u32()? as usize;
    if plain_length > max_plain {
        return Err(Undecodable::TooLong);
    }
    if reader.0.len() != body_length {
        return Err(Undecodable::Truncated);
    }
    let json = match codec {
        JSON if body_length == plain_length => bytes.slice_ref(reader.0),
        JSON_LZ4 => {
            let plain =
                lz4_flex::block::decompress(reader.0, plain_length).map_err(|_| Undecodable::Codec)?;
            if plain.len() != plain_length {
                return Err(Undecodable::Codec);
            }
            plain.into()
        }
        _ => return Err(Undecodable::Codec),
    };
    Ok((envelope, json))
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Undecodable> {
        let (chunk, rest) = self.0.split_first_chunk::<N>().ok_or(Undecodable::Truncated)?;
        self.0 = rest;
        Ok(*chunk)
    }

    fn u32(&mut self) -> Result<u32, Undecodable> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Undecodable> {
        self.take().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{Envelope, Undecodable, decode, encode};
    use crate::{level2::remote::TagVersion, tag::Tag};
    use bytes::Bytes;
    use proptest::prelude::*;

    const SCHEMA: u64 = 42;
    const LIMIT: usize = 1 << 20;

    fn envelope() -> impl Strategy<Value = Envelope> {
        (
            any::<u32>(),
            any::<u32>(),
            any::<u32>(),
            any::<u32>(),
            any::<u64>(),
            proptest::collection::vec(any::<(u64, u64)>(), 0..5),
        )
            .prop_map(|(stored, fresh, stale, load_micros, clear_version, tags)| Envelope {
                schema: SCHEMA,
                stored_ms: stored.into(),
                fresh_until_ms: u64::from(stored) + u64::from(fresh),
                stale_until_ms: u64::from(stored) + u64::from(fresh) + u64::from(stale),
                load_micros,
                clear_version: TagVersion(clear_version),
                tags: tags.into_iter().map(|(id, version)| (Tag::from_id(id), TagVersion(version))).collect(),
            })
    }

    proptest! {
        #[test]
        fn an_encoded_value_decodes_to_itself(envelope in envelope(), body in proptest::collection::vec(0_u8..4, 0..3000), above in 0_usize..3000) {
            let bytes = encode(&envelope, &body, above).unwrap();
            let (back, json) = decode(&bytes, SCHEMA, LIMIT).unwrap();
            prop_assert_eq!(back, envelope);
            prop_assert_eq!(json.as_ref(), body.as_slice());
        }

        #[test]
        fn a_truncation_or_a_flipped_bit_is_an_error(
            envelope in envelope(),
            body in proptest::collection::vec(any::<u8>(), 0..200),
            at in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let bytes = encode(&envelope, &body, 64).unwrap();
            let cut = bytes.slice(..at.index(bytes.len()));
            prop_assert!(decode(&cut, SCHEMA, LIMIT).is_err());
            let mut flipped = bytes.to_vec();
            flipped[at.index(bytes.len())] ^= 1 << bit;
            prop_assert!(decode(&flipped.into(), SCHEMA, LIMIT).is_err());
        }

        #[test]
        fn decoding_any_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut dressed = b"PaC1".to_vec();
            dressed.extend_from_slice(&bytes);
            let checksum = crc32fast::hash(&dressed);
            dressed.extend_from_slice(&checksum.to_le_bytes());
            let _ = decode(&bytes.into(), SCHEMA, LIMIT);
            let _ = decode(&dressed.into(), SCHEMA, LIMIT);
        }

        /// Covers an attacker who knows the format: any field may be changed under a correct
        /// checksum.
        #[test]
        fn decoding_edits_under_a_correct_checksum_never_panics_and_respects_the_limit(
            envelope in envelope(),
            body in proptest::collection::vec(0_u8..4, 0..300),
            packed in any::<bool>(),
            edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in 0_usize..40,
        ) {
            let good = encode(&envelope, &body, if packed { 0 } else { usize::MAX }).unwrap();
            let mut bytes = good[..good.len() - 4].to_vec();
            for (at, value) in edits {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            bytes.truncate(bytes.len() - cut.min(bytes.len()));
            let checksum = crc32fast::hash(&bytes);
            bytes.extend_from_slice(&checksum.to_le_bytes());
            if let Ok((_, json)) = decode(&bytes.into(), SCHEMA, LIMIT) {
                prop_assert!(json.len() <= LIMIT);
            }
        }

        /// For any clocks, a value lives no longer than its writer allowed.
        #[test]
        fn no_clock_extends_the_life_of_a_value(envelope in envelope(), now in any::<u64>()) {
            if let Some(left) = envelope.remaining(now) {
                let given = envelope.stale_until_ms - envelope.stored_ms;
                let limit = std::time::Duration::from_millis(given + super::CLOCK_SKEW_MS);
                prop_assert!(left.fresh + left.stale <= limit);
                prop_assert!(now < envelope.stale_until_ms);
                prop_assert!(envelope.stored_ms <= now.saturating_add(super::CLOCK_SKEW_MS));
            }
        }
    }

    #[test]
    fn each_rejection_has_its_reason() {
        let good = Envelope {
            schema: SCHEMA,
            stored_ms: 10,
            fresh_until_ms: 20,
            stale_until_ms: 30,
            load_micros: 1,
            clear_version: TagVersion::NONE,
            tags: Vec::new(),
        };
        let bytes = encode(&good, &[b'x'; 500], 100).unwrap();
        assert!(bytes.len() < 200, "compressed: {}", bytes.len());
        assert_eq!(decode(&bytes, SCHEMA + 1, LIMIT), Err(Undecodable::Schema));
        assert_eq!(decode(&bytes, SCHEMA, 499), Err(Undecodable::TooLong));
        assert_eq!(decode(&Bytes::from_static(b"{\"json\": true}"), SCHEMA, LIMIT), Err(Undecodable::Magic));
        assert_eq!(decode(&Bytes::new(), SCHEMA, LIMIT), Err(Undecodable::Truncated));
        let backwards = encode(&Envelope { fresh_until_ms: 5, ..good.clone() }, b"1", 100).unwrap();
        assert_eq!(decode(&backwards, SCHEMA, LIMIT), Err(Undecodable::Stamps));
        assert_eq!(good.remaining(30), None, "a dead value");
        assert_eq!(
            Envelope { stored_ms: 5000, fresh_until_ms: 6000, stale_until_ms: 7000, ..good }.remaining(10),
            None,
            "a value from the future"
        );
    }

    #[test]
    fn a_decompression_bomb_is_rejected_before_decompression() {
        let huge = Envelope {
            schema: SCHEMA,
            stored_ms: 0,
            fresh_until_ms: 1,
            stale_until_ms: 1,
            load_micros: 0,
            clear_version: TagVersion::NONE,
            tags: Vec::new(),
        };
        let bytes = encode(&huge, &vec![0; 10 << 20], 100).unwrap();
        assert!(bytes.len() < 64 << 10);
        assert_eq!(decode(&bytes, SCHEMA, LIMIT), Err(Undecodable::TooLong));
    }
}
