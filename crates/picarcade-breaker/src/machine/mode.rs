//! The modes of the machine: the public states, and one finer step.

use crate::State;

/// What the machine does with calls. Finer than [`State`]: a recently closed breaker may ramp up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mode {
    Closed = 0,
    Ramping = 1,
    Open = 2,
    HalfOpen = 3,
    ForcedOpen = 4,
    ForcedClosed = 5,
    Disabled = 6,
    MetricsOnly = 7,
}

impl Mode {
    /// Returns the mode of the lowest three bits.
    #[inline]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        match bits & 0b111 {
            0 => Self::Closed,
            1 => Self::Ramping,
            2 => Self::Open,
            3 => Self::HalfOpen,
            4 => Self::ForcedOpen,
            5 => Self::ForcedClosed,
            6 => Self::Disabled,
            _ => Self::MetricsOnly,
        }
    }

    pub(crate) const fn state(self) -> State {
        match self {
            Self::Closed | Self::Ramping => State::Closed,
            Self::Open => State::Open,
            Self::HalfOpen => State::HalfOpen,
            Self::ForcedOpen => State::ForcedOpen,
            Self::ForcedClosed => State::ForcedClosed,
            Self::Disabled => State::Disabled,
            Self::MetricsOnly => State::MetricsOnly,
        }
    }
}
