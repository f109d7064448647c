//! Outcomes of generations.

use picarcade_analytics::{CostEvent, Event, GenerationRow};

use super::model::{HOUR, MINUTE, SECOND};
use super::subject::Subject;
use crate::events::{NOW, at, cost, outcome, selection, time};

pub async fn an_outcome_completes_its_generation_once(subject: &impl Subject) {
    let store = subject.fresh().await;
    let selected = at(NOW - 10 * SECOND, Event::ModelSelection(selection("u", "g")));
    store.write(&[selected]).await.unwrap();
    let foreign = at(NOW - 6 * SECOND, Event::Outcome(outcome("another user", "g", 9)));
    let first = at(NOW - 5 * SECOND, Event::Outcome(outcome("u", "g", 44_000)));
    let second = at(NOW - 4 * SECOND, Event::Outcome(outcome("u", "g", 99_000)));
    for batch in [vec![foreign], vec![first.clone()], vec![second, first.clone()], vec![first]] {
        store.write(&batch).await.unwrap();
        store.maintain(time(NOW)).await.unwrap();
    }
    assert_eq!(store.spent_since(time(NOW - HOUR), time(NOW)).await.unwrap(), 44_000);
    if let Some(count) = subject.count(store.as_ref(), "cost_tracking").await {
        assert_eq!(count, 1);
    }
}

pub async fn an_outcome_waits_for_its_generation(subject: &impl Subject) {
    let store = subject.fresh().await;
    store.write(&[at(NOW - SECOND, Event::Outcome(outcome("u", "g", 5_000)))]).await.unwrap();
    store.maintain(time(NOW)).await.unwrap();
    assert_eq!(store.spent_since(time(NOW - HOUR), time(NOW)).await.unwrap(), 0);
    store.write(&[at(NOW - 2 * SECOND, Event::ModelSelection(selection("u", "g")))]).await.unwrap();
    assert_eq!(store.maintain(time(NOW)).await.unwrap().outcomes_applied, 1);
    assert_eq!(store.spent_since(time(NOW - HOUR), time(NOW)).await.unwrap(), 5_000);
    assert_eq!(store.maintain(time(NOW)).await.unwrap().outcomes_applied, 0);
}

pub async fn an_outcome_completes_the_expense_that_waits_for_it(subject: &impl Subject) {
    let store = subject.fresh().await;
    let expense = CostEvent { generation_id: Some("g".into()), success: None, ..cost("u", None) };
    // The rows are old enough to be rolled up before the outcome arrives.
    let then = NOW - 20 * MINUTE;
    store
        .write(&[at(then, Event::Cost(expense)), at(then, Event::ModelSelection(selection("u", "g")))])
        .await
        .unwrap();
    store.maintain(time(NOW)).await.unwrap();
    assert_eq!(store.spent_since(time(NOW - HOUR), time(NOW)).await.unwrap(), 0);
    store.write(&[at(NOW - SECOND, Event::Outcome(outcome("u", "g", 7_000)))]).await.unwrap();
    assert_eq!(store.spent_since(time(NOW - HOUR), time(NOW)).await.unwrap(), 7_000);
    store.maintain(time(NOW)).await.unwrap();
    assert_eq!(store.spent_since(time(NOW - HOUR), time(NOW)).await.unwrap(), 7_000);
    if let Some(count) = subject.count(store.as_ref(), "cost_tracking").await {
        assert_eq!(count, 1);
    }
}

pub async fn a_generation_is_found_until_and_after_its_outcome(subject: &impl Subject) {
    let store = subject.fresh().await;
    assert_eq!(store.generation("g").await.unwrap(), None);
    let selected = selection("u", "g");
    let expected = GenerationRow {
        user_id: "u".to_owned(),
        selected_model: selected.selected_model.to_string(),
        workflow_type: selected.workflow_type.to_string(),
        source: None,
        media_facts: None,
        estimated_cost_micros: selected.estimated_cost_micros,
        reported: false,
    };
    store.write(&[at(NOW - 3 * SECOND, Event::ModelSelection(selected))]).await.unwrap();
    assert_eq!(store.generation("g").await.unwrap(), Some(expected.clone()));
    assert_eq!(store.generation("another").await.unwrap(), None);
    // An outcome of another user is no report.
    store.write(&[at(NOW - 2 * SECOND, Event::Outcome(outcome("another user", "g", 9)))]).await.unwrap();
    assert_eq!(store.generation("g").await.unwrap(), Some(expected.clone()));
    store.write(&[at(NOW - SECOND, Event::Outcome(outcome("u", "g", 5_000)))]).await.unwrap();
    assert_eq!(store.generation("g").await.unwrap(), Some(GenerationRow { reported: true, ..expected }));
}
