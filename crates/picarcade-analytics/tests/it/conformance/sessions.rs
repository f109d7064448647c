//! Sessions, and the rows of one user.

use std::time::{Duration, SystemTime};

use picarcade_analytics::{Event, Period, Record, SessionRow, new_id};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use uuid::Uuid;

use super::model::{MINUTE, assert_same, naive, rows};
use super::subject::Subject;
use crate::events::{NOW, at, classification, cost, feedback, outcome, selection, time};

fn session(id: &str, user: &str) -> SessionRow {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros();
    SessionRow {
        session_id: id.to_owned(),
        user_id: user.to_owned(),
        current_working_image: None,
        current_working_video: None,
        metadata: serde_json::json!({ "title": "žluťoučký", "n": [1, 2.5, null] }),
        expires_at: None,
        updated_at: time(now as i64),
    }
}

pub async fn sessions_are_kept_by_their_owner(subject: &impl Subject) {
    let store = subject.fresh().await;
    assert_eq!(store.session("s").await.unwrap(), None);
    let image = "https://example.org/a.png".to_owned();
    let row = SessionRow { current_working_image: Some(image), ..session("s", "ann") };
    assert!(store.put_session(&row).await.unwrap());
    assert_eq!(store.session("s").await.unwrap(), Some(row.clone()));
    // Another user can neither replace it nor delete it.
    assert!(!store.put_session(&session("s", "bob")).await.unwrap());
    assert!(!store.delete_session("s", "bob").await.unwrap());
    assert_eq!(store.session("s").await.unwrap(), Some(row.clone()));
    let video = "https://example.org/a.mp4".to_owned();
    let row = SessionRow { current_working_image: None, current_working_video: Some(video), ..row };
    assert!(store.put_session(&row).await.unwrap());
    assert_eq!(store.session("s").await.unwrap(), Some(row));
    assert!(store.delete_session("s", "ann").await.unwrap());
    assert!(!store.delete_session("s", "ann").await.unwrap());
    assert_eq!(store.session("s").await.unwrap(), None);
}

pub async fn a_session_has_one_working_medium(subject: &impl Subject) {
    let store = subject.fresh().await;
    let both = SessionRow {
        current_working_image: Some("i".to_owned()),
        current_working_video: Some("v".to_owned()),
        ..session("s", "ann")
    };
    assert!(store.put_session(&both).await.unwrap_err().is_rejection());
    assert_eq!(store.session("s").await.unwrap(), None);
}

pub async fn sessions_expire(subject: &impl Subject) {
    let store = subject.fresh().await;
    let now = SystemTime::now();
    let past = SessionRow { expires_at: Some(now - Duration::from_secs(1)), ..session("past", "ann") };
    let future =
        SessionRow { expires_at: Some(now + Duration::from_secs(3_600)), ..session("future", "ann") };
    assert!(store.put_session(&past).await.unwrap());
    assert!(store.put_session(&future).await.unwrap());
    assert_eq!(store.session("past").await.unwrap(), None);
    assert!(store.session("future").await.unwrap().is_some());
    // An expired session has no owner.
    assert!(store.put_session(&SessionRow { user_id: "bob".to_owned(), ..past }).await.unwrap());
    assert_eq!(store.maintain(now).await.unwrap().sessions_expired, 1);
    assert!(store.session("future").await.unwrap().is_some());
}

pub async fn statistics_of_a_user_are_of_that_user_alone(subject: &impl Subject) {
    let store = subject.fresh().await;
    let rows = rows(300).new_tree(&mut TestRunner::deterministic()).unwrap().current();
    store.write(&rows).await.unwrap();
    store.maintain(time(NOW)).await.unwrap();
    for user in ["ann", "bob", "nobody"] {
        let found = store.user_statistics(user, Period::Week, time(NOW)).await.unwrap();
        assert_same(&found, &naive(&rows, Some(user), Period::Week, NOW));
    }
}

pub async fn forgetting_a_user_leaves_the_others(subject: &impl Subject) {
    let store = subject.fresh().await;
    // The rows are old enough to be rolled up.
    let then = NOW - 5 * MINUTE;
    let rows: Vec<Record> = ["user-ann", "user-bob"]
        .into_iter()
        .flat_map(|user| {
            [
                at(then - 5, Event::Classification(classification(user))),
                at(then - 4, Event::Cost(cost(user, Some(10)))),
                at(then - 3, Event::ModelSelection(selection(user, user))),
                at(then - 2, Event::Outcome(outcome(user, &format!("{user}'s other"), 1))),
                at(then - 1, Event::Feedback(feedback(user, new_id()))),
            ]
        })
        .collect();
    store.write(&rows).await.unwrap();
    for user in ["user-ann", "user-bob"] {
        assert!(store.put_session(&session(&format!("session of {user}"), user)).await.unwrap());
    }
    store.maintain(time(NOW)).await.unwrap();
    assert_eq!(subject.rollups_with("user-ann").await.unwrap_or(0), 0, "a roll-up names a user");
    let all = store.statistics(Period::Day, time(NOW)).await.unwrap();
    assert_eq!(store.forget_user("user-ann").await.unwrap(), 6);
    assert_eq!(store.forget_user("user-ann").await.unwrap(), 0);
    assert!(store.session("session of user-ann").await.unwrap().is_none());
    assert!(store.session("session of user-bob").await.unwrap().is_some());
    let of = |user| store.user_statistics(user, Period::Day, time(NOW));
    assert_eq!(of("user-ann").await.unwrap().total_classifications, 0);
    assert_eq!(of("user-bob").await.unwrap().total_classifications, 1);
    assert_eq!(store.feedback(time(0), Uuid::nil(), 10).await.unwrap().len(), 1);
    for table in [
        "cost_tracking",
        "model_selection_logs",
        "generation_outcomes",
        "generation_feedback",
        "user_sessions",
    ] {
        if let Some(count) = subject.count(store.as_ref(), table).await {
            assert_eq!(count, 1, "{table}");
            // Rolled-up sums stay.
            assert_eq!(store.statistics(Period::Day, time(NOW)).await.unwrap(), all);
        }
    }
}
