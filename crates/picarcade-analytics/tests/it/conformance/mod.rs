//! The promises of every store, as plain functions over an empty store.

mod feedback;
mod model;
mod outcomes;
mod sessions;
mod statistics;
mod subject;
mod writes;

use feedback::*;
use outcomes::*;
use sessions::*;
use statistics::*;
use writes::*;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use self::subject::{Both, RawSums};
pub use self::subject::{Memory, Subject};

macro_rules! promises {
    ($($promise:ident),* $(,)?) => {
        /// Checks every promise, each on a store of its own.
        pub async fn all(subject: &impl Subject) {
            $(
                eprintln!("  {}", stringify!($promise));
                $promise(subject).await;
            )*
        }
    };
}

promises![
    an_empty_store_answers_zeros,
    a_batch_written_twice_counts_once,
    a_rejected_row_leaves_nothing_of_its_batch,
    nul_is_stripped,
    an_outcome_completes_its_generation_once,
    an_outcome_waits_for_its_generation,
    an_outcome_completes_the_expense_that_waits_for_it,
    a_generation_is_found_until_and_after_its_outcome,
    a_generation_is_found_with_its_decision,
    the_last_feedback_of_a_generation_counts,
    feedback_comes_with_the_whole_prompt_of_its_generation,
    feedback_is_read_page_by_page_since_a_time,
    statistics_are_those_of_the_rows,
    late_rows_are_counted,
    statistics_read_no_row_that_is_rolled_up,
    rows_since_the_last_roll_up_are_counted_from_parts,
    statistics_are_exact_while_rows_arrive_and_minutes_are_rolled_up,
    statistics_of_a_user_are_of_that_user_alone,
    forgetting_a_user_leaves_the_others,
    sessions_are_kept_by_their_owner,
    a_session_has_one_working_medium,
    sessions_expire,
    the_schema_is_current,
];
