//! The numbers that the scripts and the encoding share.
//!
//! The scripts name them with a dollar sign: `$LIMIT` in a script is the value of `LIMIT` in
//! [`value`]. See `lua/counters.lua` for the layout of a state and a descriptor.

/// Bytes of a packed number, which is as much as a double holds exactly.
pub(super) const NUMBER: usize = 7;

/// Numbers at the beginning of a state: until when requests may pass, the hash of the limits, the
/// room, the requests that passed since, the time of the last write, and the stamp of the last
/// comparison.
const HEAD_NUMBERS: usize = 6;
/// The first four of them, which are all that the fast path reads.
const FAST_NUMBERS: usize = 4;
/// Bytes before the rules of a state.
pub(super) const STATE_HEAD: usize = HEAD_NUMBERS * NUMBER;
/// Where a state has the number of requests that passed since it was written.
pub(super) const STATE_PASSED: usize = 3 * NUMBER;
/// Where a state has the time to which its rules were moved.
pub(super) const STATE_AT: usize = 4 * NUMBER;

/// Bytes of each rule in a state: the amount of the newest bucket, the total, the reserved amount,
/// and one byte each for the number of past buckets and the age of the last charge.
pub(super) const STATE_RULE: usize = 3 * NUMBER + 2;
/// Where a rule has its total.
pub(super) const RULE_TOTAL: usize = NUMBER;
/// Where a rule has its reserved amount.
pub(super) const RULE_RESERVED: usize = 2 * NUMBER;
/// Where a rule has the age of its last charge in buckets.
pub(super) const RULE_AGE: usize = 3 * NUMBER + 1;

/// Numbers of each rule in a descriptor and in an open state.
pub(super) const RULE_NUMBERS: usize = 6;

/// The unit of a rule in a descriptor.
pub(super) const UNIT_REQUESTS: u64 = 1;
pub(super) const UNIT_COST: u64 = 2;

/// The kind of a rule in a descriptor.
pub(super) const KIND_BUCKETS: u64 = 0;
pub(super) const KIND_LEAKY: u64 = 1;

/// The first number of an answer to a request.
pub(super) const ADMITTED: u64 = 0;
pub(super) const DENIED: u64 = 1;
pub(super) const COMPARE: u64 = 2;
pub(super) const TOO_MANY: u64 = 3;
pub(super) const PASSED: u64 = 4;

/// The outcome of a reservation. A record with `UNKNOWN` is open.
pub(super) const UNKNOWN: u64 = 0;
pub(super) const SETTLED: u64 = 1;
pub(super) const RELEASED: u64 = 2;
pub(super) const EXPIRED: u64 = 3;

/// The first byte of an answer in a batch.
pub(super) const ROW_PASSED: u8 = 0;
pub(super) const ROW_WHOLE: u8 = 1;

/// Numbers of an answer before its readings, and of each reading.
pub(super) const ANSWER_HEAD: usize = 2;
pub(super) const READING: usize = 4;
/// Bytes of a number in an answer.
pub(super) const DOUBLE: usize = 8;

/// Returns the value of a name in the scripts.
pub(super) fn value(name: &str) -> Option<String> {
    let number = match name {
        // A state, in bytes and from the first byte, which is 0.
        "FAST_BYTES" => FAST_NUMBERS * NUMBER,
        "PASSED_OFFSET" => STATE_PASSED,
        "STATE_HEAD" => STATE_HEAD,
        "STATE_RULE" => STATE_RULE,
        "FAST_FORMAT" => return Some("I7".repeat(FAST_NUMBERS)),
        "HEAD_FORMAT" => return Some("I7".repeat(HEAD_NUMBERS)),
        "RULE_FORMAT" => return Some("I7I7I7BB".to_owned()),
        // The numbers of a state as it is packed.
        "TILL" | "LIFE" | "STAMP" => 1,
        "HASH" => 2,
        "ROOM" => 3,
        "SUM" => 4,
        "AT" => 5,
        "STAMP_PACKED" => HEAD_NUMBERS,
        "RULE_PACKED" => 5,
        // The numbers of each rule, from the base of the rule: in a descriptor,
        "RULE" => RULE_NUMBERS,
        "BASE" => RULE_NUMBERS - 1,
        "UNIT" => 1,
        "LIMIT" => 2,
        "KIND" => 3,
        "WIDTH" | "WEIGHT" => 4,
        "SPAN" | "RATE" => 5,
        "BURST" => 6,
        // and in an open state.
        "START" => 1,
        "NEWEST" | "LEVEL" => 2,
        "TOTAL" => 3,
        "RESERVED" => 4,
        "PAST" => 5,
        "LAST" => 6,
        // The record of a reservation.
        "ESTIMATE" => 1,
        "DEADLINE" => 2,
        "FORGET_AT" => 3,
        "OUTCOME" => 4,
        "CHARGED" => 5,
        "PARTS" => 6,
        "HELD_UNIT" => 7,
        // A part of a record.
        "PART_STATE" => 1,
        "PART_DESCRIPTOR" => 2,
        "PART_STARTS" => 3,
        "UNIT_REQUESTS" => return Some(UNIT_REQUESTS.to_string()),
        "UNIT_COST" => return Some(UNIT_COST.to_string()),
        "KIND_BUCKETS" => return Some(KIND_BUCKETS.to_string()),
        "KIND_LEAKY" => return Some(KIND_LEAKY.to_string()),
        "ADMITTED" => return Some(ADMITTED.to_string()),
        "DENIED" => return Some(DENIED.to_string()),
        "COMPARE" => return Some(COMPARE.to_string()),
        "TOO_MANY" => return Some(TOO_MANY.to_string()),
        "PASSED" => return Some(PASSED.to_string()),
        "UNKNOWN" => return Some(UNKNOWN.to_string()),
        "SETTLED" => return Some(SETTLED.to_string()),
        "RELEASED" => return Some(RELEASED.to_string()),
        "EXPIRED" => return Some(EXPIRED.to_string()),
        _ => return None,
    };
    Some(number.to_string())
}
