//! Sessions and the deletion of users.

use picarcade_flow::{FlowError, FlowRequest, OutcomeReport, SessionUpdate};

use crate::fixture::{caller, local};

fn image(url: &str) -> SessionUpdate {
    SessionUpdate { working_image: Some(url.to_owned()), ..SessionUpdate::default() }
}

#[tokio::test]
async fn a_session_adds_its_medium_to_a_request() {
    let fixture = local().await;
    let ann = caller("ann");
    fixture.flow.update_session("s1", &ann, image("https://cdn.example/i.png")).await.unwrap();
    let request = FlowRequest { session_id: Some("s1".into()), ..FlowRequest::new("make the sky purple") };
    let answer = fixture.try_process(request.clone(), &ann).await.unwrap();
    assert!(answer.classification_flags.active_image);
    assert_eq!(answer.prompt_type.as_str(), "EDIT_IMAGE");
    assert!(answer.model_parameters.values().any(|value| value == "https://cdn.example/i.png"));
    let other = fixture.try_process(request.clone(), &caller("bob")).await.unwrap();
    assert!(!other.classification_flags.active_image, "a session of another user is ignored");
    let video =
        SessionUpdate { working_video: Some("https://cdn.example/v.mp4".into()), ..SessionUpdate::default() };
    let session = fixture.flow.update_session("s1", &ann, video).await.unwrap();
    assert_eq!(session.working_image, None);
    assert!(fixture.try_process(request, &ann).await.unwrap().classification_flags.active_video);
}

#[tokio::test]
async fn a_session_is_visible_to_its_owner_only() {
    let fixture = local().await;
    let (ann, bob) = (caller("ann"), caller("bob"));
    fixture.flow.update_session("s1", &ann, image("https://cdn.example/i.png")).await.unwrap();
    assert!(matches!(fixture.flow.session("s1", &bob).await, Err(FlowError::NotFound)));
    let taken = fixture.flow.update_session("s1", &bob, image("https://evil.example/i.png")).await;
    assert!(matches!(taken, Err(FlowError::NotFound)));
    assert!(matches!(fixture.flow.delete_session("s1", &bob).await, Err(FlowError::NotFound)));
    assert_eq!(
        fixture.flow.session("s1", &ann).await.unwrap().working_image.unwrap(),
        "https://cdn.example/i.png"
    );
    fixture.flow.delete_session("s1", &ann).await.unwrap();
    assert!(matches!(fixture.flow.session("s1", &ann).await, Err(FlowError::NotFound)));
}

#[tokio::test]
async fn the_deletion_of_a_user_removes_its_data_and_no_other() {
    let fixture = local().await;
    let (ann, bob) = (caller("ann"), caller("bob"));
    let mut generations = Vec::new();
    for (user, session) in [(&ann, "s1"), (&bob, "s2")] {
        fixture.flow.update_session(session, user, image("https://cdn.example/i.png")).await.unwrap();
        generations
            .push(fixture.try_process(FlowRequest::new("a red fox"), user).await.unwrap().generation_id);
    }
    assert!(fixture.flow.forget_user(&ann.user).await.unwrap() >= 3);
    assert_eq!(fixture.flow.forget_user(&ann.user).await.unwrap(), 0);
    let report = OutcomeReport { success: true, ..OutcomeReport::default() };
    for (user, session, generation, known) in
        [(&ann, "s1", &generations[0], false), (&bob, "s2", &generations[1], true)]
    {
        assert_eq!(fixture.flow.session(session, user).await.is_ok(), known);
        assert_eq!(fixture.flow.report_outcome(generation, user, report.clone()).await.is_ok(), known);
        let answer = fixture.try_process(FlowRequest::new("a red fox"), user).await.unwrap();
        assert_eq!(answer.cache_hit, known, "{answer:?}");
    }
}

#[tokio::test]
async fn an_unusable_session_id_is_named_together_with_the_wrong_fields_of_its_update() {
    let fixture = local().await;
    let ann = caller("ann");
    let update = image("ftp://cdn.example/i.png");
    let Err(FlowError::Invalid(problems)) = fixture.flow.update_session("a\u{7}", &ann, update).await else {
        panic!("must be refused")
    };
    let pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
    assert_eq!(pointers, ["/session_id", "/working_image"]);
    assert!(matches!(fixture.flow.session(" ", &ann).await, Err(FlowError::Invalid(_))));
}
