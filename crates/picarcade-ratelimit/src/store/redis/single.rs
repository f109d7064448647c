//! A decision over one request by itself: one script and one round trip.

use super::super::step::Step;
use super::bytes::{put, put_double};
use super::client::{Client, millis};
use super::encoding::Encoded;
use super::layout::NUMBER;
use super::reply::{self, Comparison};
use super::scripts::SCRIPTS;
use crate::{Ask, Error, Scope};

/// Whether a decision charges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    Charge,
    /// Only reads the state of the limits.
    Dry,
}

impl Client {
    /// Decides one request by itself.
    pub(super) async fn decide(
        &self,
        ask: Ask<'_>,
        present: &[Scope],
        run: Run,
    ) -> Result<Step<Comparison>, Error> {
        let mut keys = Vec::with_capacity(present.len() + 3);
        keys.push(self.keys.deadlines());
        keys.extend(present.iter().map(|scope| self.keys.state(ask.plan, *scope, ask.subjects)));
        keys.extend(ask.reservation.map(|id| self.keys.record(id)));
        if self.asks_the_ledger(&ask) {
            keys.push(self.keys.epoch());
        }
        let mut head = Vec::with_capacity(16 + 5 + NUMBER * Scope::COUNT);
        put_double(&mut head, self.time());
        put_double(&mut head, ask.requests);
        put(&mut head, millis(ask.ttl), 5);
        let mut descriptors = Vec::with_capacity(256);
        for encoded in present.iter().filter_map(|scope| Encoded::of(ask.plan, *scope)) {
            put(&mut head, encoded.limits_hash, NUMBER);
            descriptors.extend_from_slice(&encoded.descriptor);
        }
        // The script reads a hash for each scope.
        head.resize(head.capacity().max(head.len()), 0);
        let mut args = Vec::with_capacity(3);
        args.extend([head, descriptors]);
        if !is_plain(&ask) || run == Run::Dry {
            let mut more = Vec::with_capacity(32);
            let (dry, ledger) = (u64::from(run == Run::Dry), u64::from(self.asks_the_ledger(&ask)));
            for number in [ask.cost_micros, dry, self.max_reservations as u64, ledger] {
                put_double(&mut more, number);
            }
            args.push(more);
        }
        let answer = self.eval(&SCRIPTS.acquire, &keys, &args).await?;
        reply::read(&answer, ask.plan, present, ask.requests)
    }

    /// Decides one request, and repeats it once if the answer is lost and the request has an id.
    /// The id makes the repetition harmless.
    pub(super) async fn decide_twice(
        &self,
        ask: Ask<'_>,
        present: &[Scope],
    ) -> Result<Step<Comparison>, Error> {
        match self.decide(ask, present, Run::Charge).await {
            Err(Error::Interrupted { .. }) if ask.reservation.is_some() => {
                self.decide(ask, present, Run::Charge).await
            }
            answer => answer,
        }
    }
}

/// Returns whether the request asks for requests and nothing else.
pub(super) fn is_plain(ask: &Ask<'_>) -> bool {
    ask.cost_micros == 0 && ask.reservation.is_none()
}
