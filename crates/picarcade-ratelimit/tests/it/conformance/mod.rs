//! The contract of every store: functions, and one list of them that every store must pass.

mod decisions;
mod reservations;

use picarcade_ratelimit::{Limit, Scope};

pub use decisions::*;
pub use reservations::*;

use crate::setup::sliding;

/// Creates one test for each function of the contract. `$setup` creates a future of a
/// [`Setup`](crate::setup::Setup).
macro_rules! conformance {
    ($setup:expr) => {
        conformance!(@each $setup;
            exactly_the_limit_passes, a_denial_consumes_nothing_anywhere, a_denial_lists_every_violated_limit,
            a_denial_returns_when_to_retry, a_sliding_window_has_no_fixed_start, two_windows_of_one_scope_both_apply, a_day_starts_at_midnight_in_utc, the_limits_of_the_contract_apply_together,
            a_smooth_window_spreads_requests, limits_of_absent_subjects_do_not_apply, subjects_are_counted_separately,
            a_subject_whose_text_extends_another_is_counted_separately, usage_consumes_nothing,
            a_request_larger_than_the_limit_is_impossible, a_settlement_below_the_estimate_refunds_the_rest, a_settlement_above_the_estimate_charges_the_difference,
            a_repeated_settlement_counts_once, a_settlement_after_the_deadline_only_adds_cost, an_unsettled_reservation_is_charged, a_release_gives_the_estimate_back,
            a_drop_before_dispatch_releases, a_drop_after_dispatch_charges, a_detached_reservation_settles_from_another_instance,
            a_refund_never_reaches_a_newer_window, an_overage_of_an_old_window_counts_now, an_unknown_id_has_the_outcome_unknown,
            a_repeated_call_charges_once, time_that_steps_back_admits_no_more, invalid_arguments_are_rejected_by_name,
            large_amounts_are_exact, a_thousand_concurrent_requests_admit_exactly_the_limit, concurrent_reservations_never_exceed_the_limit
        );
    };
    (@each $setup:expr; $($name:ident),*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::conformance::$name(&$setup.await).await;
            }
        )*
    };
}
pub(crate) use conformance;

fn per_minute(limit: u64) -> Limit {
    Limit::requests(Scope::User, limit, sliding(60))
}

fn dollars_an_hour(micros: u64) -> Limit {
    Limit::cost(Scope::User, micros, sliding(3600))
}
