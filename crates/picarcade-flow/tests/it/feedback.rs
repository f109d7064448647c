//! Feedback on decisions.

use std::sync::Arc;

use async_trait::async_trait;
use picarcade_flow::{Caller, Feedback, FlowError, FlowRequest, Generation, GenerationLog, StoreError};
use picarcade_intent::PromptType;

use crate::fixture::{Fixture, caller, edit, local, local_with};

fn says(right_type: PromptType) -> Feedback {
    Feedback { right_type, comment: None }
}

async fn begin(fixture: &Fixture, caller: &Caller) -> String {
    fixture.try_process(edit("make the sky purple"), caller).await.unwrap().generation_id
}

/// Returns the wrong field and what is wrong with it.
fn problem(error: FlowError) -> (String, String) {
    let FlowError::Invalid(mut problems) = error else { panic!("{error:?}") };
    let problem = problems.remove(0);
    (problem.pointer, problem.detail)
}

#[tokio::test]
async fn feedback_says_whether_the_decision_was_right_and_may_change() {
    let fixture = local().await;
    let ann = caller("ann");
    let id = begin(&fixture, &ann).await;
    for (right_type, agrees) in
        [(PromptType::EditImage, true), (PromptType::EditImage, true), (PromptType::ImageToVideo, false)]
    {
        for caller in [ann.clone(), ann.clone().operator()] {
            let recorded = fixture.flow.record_feedback(&id, &caller, says(right_type)).await.unwrap();
            assert_eq!((recorded.status, recorded.agrees), ("recorded", agrees));
            assert_eq!(recorded.generation_id, id);
        }
    }
}

#[tokio::test]
async fn feedback_on_a_generation_of_another_user_is_not_found() {
    let fixture = local().await;
    let id = begin(&fixture, &caller("ann")).await;
    let unknown = uuid::Uuid::nil().to_string();
    for (id, user) in [(&*id, "bob"), (&*unknown, "ann"), ("0192", "ann"), ("", "ann")] {
        for caller in [caller(user), caller(user).operator()] {
            let result = fixture.flow.record_feedback(id, &caller, says(PromptType::EditImage)).await;
            assert!(matches!(result, Err(FlowError::NotFound)), "{result:?}");
        }
    }
}

#[tokio::test]
async fn a_type_that_the_media_do_not_allow_is_rejected() {
    let fixture = local().await;
    let ann = caller("ann");
    let id = begin(&fixture, &ann).await;
    let error = fixture.flow.record_feedback(&id, &ann, says(PromptType::VideoEdit)).await.unwrap_err();
    let (pointer, detail) = problem(error);
    assert_eq!(pointer, "/right_type");
    assert!(detail.contains("EDIT_IMAGE") && !detail.contains("VIDEO_EDIT"), "{detail}");
}

#[tokio::test]
async fn a_comment_has_bounds_after_trimming() {
    let fixture = local().await;
    let ann = caller("ann");
    let id = begin(&fixture, &ann).await;
    let comment = async |text: String| {
        let feedback = Feedback { comment: Some(text), ..says(PromptType::EditImage) };
        fixture.flow.record_feedback(&id, &ann, feedback).await
    };
    for good in ["é".repeat(1000), format!("  {}\n", "é".repeat(1000)), "x".to_owned()] {
        comment(good).await.unwrap();
    }
    for bad in ["é".repeat(1001), String::new(), " \n\u{3000}".to_owned()] {
        let (pointer, detail) = problem(comment(bad).await.unwrap_err());
        assert_eq!((&*pointer, &*detail), ("/comment", "must have 1 to 1000 characters"));
    }
}

/// A log with one generation, of whose classification it knows nothing.
#[derive(Debug)]
struct Incomplete;

#[async_trait]
impl GenerationLog for Incomplete {
    async fn find(&self, _: &str) -> Result<Option<Generation>, StoreError> {
        Ok(Some(Generation {
            user_id: "ann".parse().unwrap(),
            model: "m".into(),
            prompt_type: PromptType::NewImage,
            source: None,
            facts: None,
            estimated_cost_micros: 1,
            reported: false,
        }))
    }
}

#[tokio::test]
async fn any_type_is_accepted_if_the_media_are_unknown() {
    let fixture = local_with(|builder| builder.generation_log(Arc::new(Incomplete))).await;
    let id = uuid::Uuid::now_v7().to_string();
    let recorded =
        fixture.flow.record_feedback(&id, &caller("ann"), says(PromptType::VideoEdit)).await.unwrap();
    assert!(!recorded.agrees);
}

#[tokio::test]
async fn feedback_moves_no_dollars_and_no_breaker() {
    let fixture = local().await;
    let ann = caller("ann").operator();
    let request = FlowRequest { reserve: true, ..edit("make the sky purple") };
    let id = fixture.try_process(request, &ann).await.unwrap().generation_id;
    let state = async || {
        let usage = fixture.flow.usage(&ann).await.unwrap();
        let used: Vec<_> = usage.statuses.iter().map(|status| status.used).collect();
        let breaker = fixture.flow.breakers().breaker("replicate").statistics();
        (used, breaker.success, breaker.failure)
    };
    let before = state().await;
    fixture.flow.record_feedback(&id, &ann, says(PromptType::ImageToVideo)).await.unwrap();
    assert_eq!(state().await, before);
}
