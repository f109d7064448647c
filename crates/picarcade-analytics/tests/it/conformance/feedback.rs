//! Feedback on generations.

use picarcade_analytics::{ClassificationEvent, Event, FeedbackEvent, FeedbackRow, Record};
use uuid::Uuid;

use super::model::SECOND;
use super::subject::Subject;
use crate::events::{NOW, at, classification, feedback, selection, time};

/// Returns the classification of a generation that began at `micros`, and its id.
fn begun(micros: i64, event: ClassificationEvent) -> (Record, Uuid) {
    let record = at(micros, Event::Classification(event));
    let id = record.id;
    (record, id)
}

fn expected(generation_id: Uuid) -> FeedbackRow {
    FeedbackRow {
        generation_id,
        decided_type: "EDIT_IMAGE".to_owned(),
        source: "llm".to_owned(),
        right_type: "IMAGE_TO_VIDEO".to_owned(),
        comment: Some("it should move".to_owned()),
        prompt: Some("make the sky purple".to_owned()),
        media_facts: Some(1),
    }
}

pub async fn the_last_feedback_of_a_generation_counts(subject: &impl Subject) {
    let (decided, id) = begun(NOW - 9 * SECOND, classification("u"));
    let (_, other) = begun(NOW - 8 * SECOND, classification("u"));
    let says = |micros, id, right: &'static str| {
        at(micros, Event::Feedback(FeedbackEvent { right_type: right.into(), ..feedback("u", id) }))
    };
    let first = says(NOW - 3 * SECOND, id, "NEW_VIDEO");
    let second = says(NOW - 2 * SECOND, id, "EDIT_IMAGE");
    let last = says(NOW - SECOND, id, "IMAGE_TO_VIDEO");
    let foreign = says(NOW - SECOND, other, "NEW_IMAGE");
    let arrivals = [
        vec![vec![first.clone()], vec![second.clone()], vec![last.clone()], vec![last.clone()]],
        vec![vec![last.clone()], vec![first.clone()], vec![second.clone()]],
        vec![vec![second.clone(), last.clone(), first.clone()], vec![first.clone(), second.clone()]],
    ];
    for batches in arrivals {
        let store = subject.fresh().await;
        store.write(&[decided.clone(), foreign.clone()]).await.unwrap();
        for batch in batches {
            store.write(&batch).await.unwrap();
        }
        let rows = store.feedback(time(0), Uuid::nil(), 10).await.unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0], expected(id));
        assert_eq!((rows[1].generation_id, &*rows[1].right_type), (other, "NEW_IMAGE"));
    }
}

pub async fn feedback_comes_with_the_whole_prompt_of_its_generation(subject: &impl Subject) {
    let store = subject.fresh().await;
    let (whole, first) = begun(NOW - 9 * SECOND, classification("u"));
    let (part, second) =
        begun(NOW - 8 * SECOND, ClassificationEvent { prompt_is_whole: false, ..classification("u") });
    let (foreign, third) = begun(NOW - 7 * SECOND, classification("another user"));
    let (_, fourth) = begun(NOW - 6 * SECOND, classification("u"));
    let given = [first, second, third, fourth].map(|id| at(NOW, Event::Feedback(feedback("u", id))));
    // The feedback may be stored before the classification.
    store.write(&given).await.unwrap();
    store.write(&[whole, part, foreign]).await.unwrap();
    let of = |id, prompt: Option<&str>, media_facts| FeedbackRow {
        prompt: prompt.map(str::to_owned),
        media_facts,
        ..expected(id)
    };
    assert_eq!(
        store.feedback(time(0), Uuid::nil(), 10).await.unwrap(),
        [expected(first), of(second, None, Some(1)), of(third, None, None), of(fourth, None, None),],
    );
}

pub async fn feedback_is_read_page_by_page_since_a_time(subject: &impl Subject) {
    let store = subject.fresh().await;
    let ids: Vec<Uuid> = (0..7).map(|n| begun(NOW - 20 * SECOND + n, classification("u")).1).collect();
    // Given in another order than the generations began; the first two before the time.
    let age = |n: usize| if n < 2 { 12 * SECOND } else { 10 * SECOND - n as i64 };
    let given = ids.iter().enumerate().rev();
    let given: Vec<Record> =
        given.map(|(n, id)| at(NOW - age(n), Event::Feedback(feedback("u", *id)))).collect();
    store.write(&given).await.unwrap();
    let (mut read, mut after) = (Vec::new(), Uuid::nil());
    loop {
        let page = store.feedback(time(NOW - 10 * SECOND), after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = last.generation_id;
        read.extend(page.into_iter().map(|row| row.generation_id));
    }
    assert_eq!(read, ids[2..]);
}

pub async fn a_generation_is_found_with_its_decision(subject: &impl Subject) {
    let store = subject.fresh().await;
    let (decided, id) = begun(NOW - 9 * SECOND, classification("u"));
    let id = id.to_string();
    store.write(&[at(NOW - 9 * SECOND, Event::ModelSelection(selection("u", &id)))]).await.unwrap();
    let found = async || store.generation(&id).await.unwrap().unwrap();
    let unknown = found().await;
    assert_eq!((&*unknown.workflow_type, unknown.source, unknown.media_facts), ("EDIT_IMAGE", None, None));
    store.write(&[decided]).await.unwrap();
    let known = found().await;
    assert_eq!((known.source.as_deref(), known.media_facts), (Some("llm"), Some(1)));
}
