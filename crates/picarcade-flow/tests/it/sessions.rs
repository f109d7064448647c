//! The working medium of a session.

use picarcade_flow::{Caller, FlowError, FlowRequest, OutcomeReport, SessionUpdate};

use crate::house::local;

fn image(url: &str) -> SessionUpdate {
    SessionUpdate { working_image: Some(url.to_owned()), ..SessionUpdate::default() }
}

#[tokio::test]
async fn a_session_fills_in_its_medium() {
    let house = local().await;
    let ann = Caller::user("ann");
    house.flow.update_session("s1", &ann, image("https://cdn.example/i.png")).await.unwrap();
    let request = FlowRequest { session_id: Some("s1".into()), ..FlowRequest::new("make the sky purple") };
    let answer = house.try_ask(request.clone(), &ann).await.unwrap();
    assert!(answer.classification_flags.active_image);
    assert_eq!(answer.prompt_type.as_str(), "EDIT_IMAGE");
    assert!(answer.model_parameters.values().any(|value| value == "https://cdn.example/i.png"));
    let other = house.try_ask(request.clone(), &Caller::user("bob")).await.unwrap();
    assert!(!other.classification_flags.active_image, "somebody else's session is no session");
    let video =
        SessionUpdate { working_video: Some("https://cdn.example/v.mp4".into()), ..SessionUpdate::default() };
    let session = house.flow.update_session("s1", &ann, video).await.unwrap();
    assert_eq!(session.working_image, None);
    assert!(house.try_ask(request, &ann).await.unwrap().classification_flags.active_video);
}

#[tokio::test]
async fn only_the_owner_sees_a_session() {
    let house = local().await;
    let (ann, bob) = (Caller::user("ann"), Caller::user("bob"));
    house.flow.update_session("s1", &ann, image("https://cdn.example/i.png")).await.unwrap();
    assert!(matches!(house.flow.session("s1", &bob).await, Err(FlowError::NotFound)));
    let taken = house.flow.update_session("s1", &bob, image("https://evil.example/i.png")).await;
    assert!(matches!(taken, Err(FlowError::NotFound)));
    assert!(matches!(house.flow.delete_session("s1", &bob).await, Err(FlowError::NotFound)));
    assert_eq!(
        house.flow.session("s1", &ann).await.unwrap().working_image.unwrap(),
        "https://cdn.example/i.png"
    );
    house.flow.delete_session("s1", &ann).await.unwrap();
    assert!(matches!(house.flow.session("s1", &ann).await, Err(FlowError::NotFound)));
}

#[tokio::test]
async fn a_user_who_is_forgotten_has_nothing_left_and_others_have_all() {
    let house = local().await;
    let (ann, bob) = (Caller::user("ann"), Caller::user("bob"));
    let mut generations = Vec::new();
    for (user, session) in [(&ann, "s1"), (&bob, "s2")] {
        house.flow.update_session(session, user, image("https://cdn.example/i.png")).await.unwrap();
        generations.push(house.try_ask(FlowRequest::new("a red fox"), user).await.unwrap().generation_id);
    }
    assert!(house.flow.forget_user("ann").await.unwrap() >= 3);
    assert_eq!(house.flow.forget_user("ann").await.unwrap(), 0);
    assert!(matches!(house.flow.forget_user(" ").await, Err(FlowError::Invalid(_))));
    let report = OutcomeReport { success: true, ..OutcomeReport::default() };
    for (user, session, generation, known) in
        [(&ann, "s1", &generations[0], false), (&bob, "s2", &generations[1], true)]
    {
        assert_eq!(house.flow.session(session, user).await.is_ok(), known);
        assert_eq!(house.flow.report_outcome(generation, user, report.clone()).await.is_ok(), known);
        let answer = house.try_ask(FlowRequest::new("a red fox"), user).await.unwrap();
        assert_eq!(answer.cache_hit, known, "{answer:?}");
    }
}
