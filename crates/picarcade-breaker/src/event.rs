//! Changes of state, sent to subscribers.

use std::time::Duration;

use crate::{Cause, Name, State, machine::Change};

/// An event of a breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "event", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum BreakerEvent {
    /// The state changed.
    StateChanged {
        /// The breaker.
        name: Name,
        /// The number of the change, which grows by one. Events of two threads may arrive in either
        /// order; the generation gives the true order.
        generation: u64,
        /// The state that ended.
        from: State,
        /// The state that began.
        to: State,
        /// The cause.
        cause: Cause,
        /// The minimum open time, if the breaker opened. On the wire `open_for_seconds`.
        #[cfg_attr(feature = "serde", serde(rename = "open_for_seconds", serialize_with = "seconds"))]
        open_for: Option<Duration>,
    },
    /// A breaker in [`State::MetricsOnly`] would have opened. Sent once per run of bad outcomes.
    WouldOpen {
        /// The breaker.
        name: Name,
        /// The cause.
        cause: Cause,
    },
}

impl BreakerEvent {
    pub(crate) fn from_change(name: &Name, change: Change) -> Self {
        let name = name.clone();
        match change {
            Change::State { generation, from, to, cause, open_for } => {
                let open_for = (to == State::Open).then(|| Duration::from_nanos(open_for));
                Self::StateChanged { name, generation, from, to, cause, open_for }
            }
            Change::WouldOpen { cause } => Self::WouldOpen { name, cause },
        }
    }
}

#[cfg(feature = "serde")]
#[allow(clippy::ref_option, reason = "the signature is serde's")]
fn seconds<S: serde::Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    use serde::Serialize;
    time.map(|time| time.as_secs_f64()).serialize(serializer)
}
