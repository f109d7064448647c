//! Feedback on generations: who may give it, what is stored of it, and what happens to it later.

use picarcade_testkit::{Fault, FaultProxy};
use reqwest::Method;
use serde_json::{Value, json};

use crate::database::{migrated, number, settled, shared};
use crate::service::{Service, until};

pub async fn generate(service: &Service, user: &str) -> String {
    let body = json!({"prompt": "make the sky purple", "active_image": true, "user_id": user});
    service.process(body).await["generation_id"].as_str().unwrap().to_owned()
}

pub async fn give(service: &Service, id: &str, user: &str, mut body: Value) -> (u16, Value) {
    body["user_id"] = json!(user);
    service.post(&format!("/api/v2/generations/{id}/feedback"), &body).await
}

#[tokio::test]
async fn any_instance_records_the_last_feedback_of_the_owner() {
    let server = shared().await;
    let url = migrated(server).await;
    let environment = [("DATABASE_URL", &*url)];
    let (one, two) = tokio::join!(Service::start(&environment), Service::start(&environment));
    let id = generate(&one, "ann").await;
    settled(&one).await;
    let stored = async || {
        let columns = "decided_type, source, right_type, agrees, comment, user_id";
        let sql = format!("SELECT {columns} FROM generation_feedback WHERE generation_id = '{id}'");
        server.psql_at(&url, &sql).await.unwrap().trim().to_owned()
    };
    for (service, body, agrees, row) in [
        (&two, json!({"right_type": "EDIT_IMAGE", "odd": 1}), true, "EDIT_IMAGE|local|EDIT_IMAGE|t||ann"),
        (&two, json!({"right_type": "EDIT_IMAGE"}), true, "EDIT_IMAGE|local|EDIT_IMAGE|t||ann"),
        (
            &one,
            json!({"right_type": "IMAGE_TO_VIDEO", "comment": " it should move\n"}),
            false,
            "EDIT_IMAGE|local|IMAGE_TO_VIDEO|f|it should move|ann",
        ),
    ] {
        let (status, recorded) = give(service, &id, "ann", body).await;
        assert_eq!(
            (status, recorded),
            (200, json!({"status": "recorded", "generation_id": id, "agrees": agrees}))
        );
        until(row, async || stored().await == row).await;
    }
    for (id, user) in [(&*id, "bob"), ("0192a3b4-0000-7000-8000-000000000000", "ann"), ("x", "ann")] {
        assert_eq!(give(&two, id, user, json!({"right_type": "EDIT_IMAGE"})).await.0, 404, "{id} {user}");
    }
    assert_eq!(number(server, &url, "SELECT count(*) FROM generation_feedback").await, 1);
    // The classification has the id of the generation, and its facts.
    let facts = format!("SELECT media_facts FROM intent_classification_logs WHERE id = '{id}'");
    assert_eq!(number(server, &url, &facts).await, 1);
    // A generation counts once, with its first feedback.
    let metrics = two.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    let counted: Vec<_> =
        metrics.lines().filter(|line| line.starts_with("picarcade_feedback_total")).collect();
    let expected = r#"picarcade_feedback_total{source="local",type="EDIT_IMAGE",agrees="true"} 1"#;
    assert_eq!(counted, [expected]);
}

#[tokio::test]
async fn a_wrong_body_names_the_field() {
    let service = Service::start(&[]).await;
    let id = generate(&service, "ann").await;
    for (body, pointer, detail) in [
        (json!({}), "/right_type", "is missing"),
        (json!({"right_type": "EDIT_PICTURE"}), "/right_type", "EDIT_IMAGE"),
        (json!({"right_type": 7}), "/right_type", "is not valid"),
        (json!({"right_type": "VIDEO_EDIT"}), "/right_type", "EDIT_IMAGE"),
        (json!({"right_type": "EDIT_IMAGE", "comment": 7}), "/comment", "must be a string"),
        (json!({"right_type": "EDIT_IMAGE", "comment": " "}), "/comment", "1 to 1000"),
        (json!({"right_type": "EDIT_IMAGE", "comment": "x".repeat(1001)}), "/comment", "1 to 1000"),
    ] {
        let (status, problem) = give(&service, &id, "ann", body).await;
        let error = &problem["errors"][0];
        assert_eq!((status, &error["pointer"]), (422, &json!(pointer)), "{problem}");
        assert!(error["detail"].as_str().unwrap().contains(detail), "{problem}");
    }
    let path = format!("/api/v2/generations/{id}/feedback");
    let malformed = service.request(Method::POST, &path).header("content-type", "application/json");
    assert_eq!(malformed.body("{").send().await.unwrap().status(), 400);
    let null = json!({"right_type": "EDIT_IMAGE", "comment": null});
    assert_eq!(give(&service, &id, "ann", null).await.0, 200);
}

#[tokio::test]
async fn a_key_gives_feedback_for_its_users_and_beyond_their_limits() {
    let environment =
        [("PICARCADE_API_KEYS", "web:key-of-the-web-app"), ("RATE_LIMIT_REQUESTS_PER_MINUTE", "1")];
    let service = Service::start(&environment).await;
    let keyed = async |path: &str, user: &str, body: Value| {
        let request = service
            .request(Method::POST, path)
            .header("x-api-key", "key-of-the-web-app")
            .header("x-user-id", user);
        let response = request.json(&body).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let request = json!({"prompt": "make the sky purple", "active_image": true});
    let (_, answer) = keyed("/api/v2/process", "ann", request).await;
    let path = format!("/api/v2/generations/{}/feedback", answer["generation_id"].as_str().unwrap());
    let body = json!({"right_type": "EDIT_IMAGE"});
    assert_eq!(keyed(&path, "ann", body.clone()).await.0, 200);
    assert_eq!(keyed(&path, "bob", body.clone()).await.0, 404);
    assert_eq!(service.post(&path, &body).await.0, 401);
}

#[tokio::test]
async fn the_privacy_of_prompts_applies_to_comments() {
    let server = shared().await;
    let comment = "the words of ann";
    for (mode, expected) in [("full", comment), ("truncated:3", "the"), ("none", ""), ("hashed", "64")] {
        let url = migrated(server).await;
        let environment = [
            ("DATABASE_URL", &*url),
            ("PICARCADE_PROMPT_PRIVACY", mode),
            ("PICARCADE_PROMPT_HASH_KEY", "a secret of sixteen characters"),
        ];
        let service = Service::start(&environment).await;
        let id = generate(&service, "ann").await;
        let body = json!({"right_type": "EDIT_IMAGE", "comment": comment});
        assert_eq!(give(&service, &id, "ann", body).await.0, 200);
        settled(&service).await;
        let column = if mode == "hashed" { "length(comment)" } else { "comment" };
        let stored =
            server.psql_at(&url, &format!("SELECT {column} FROM generation_feedback")).await.unwrap();
        assert_eq!(stored.trim_end_matches('\n'), expected, "{mode}");
        let whole = "SELECT count(*) FROM intent_classification_logs WHERE prompt_is_whole";
        assert_eq!(number(server, &url, whole).await, u64::from(mode == "full"), "{mode}");
    }
}

#[tokio::test]
async fn a_deleted_user_leaves_no_feedback() {
    let server = shared().await;
    let url = migrated(server).await;
    let service = Service::start(&[("DATABASE_URL", &url), ("PICARCADE_ADMIN_TOKEN", "root")]).await;
    for user in ["ann", "bob"] {
        let id = generate(&service, user).await;
        assert_eq!(give(&service, &id, user, json!({"right_type": "EDIT_IMAGE"})).await.0, 200);
    }
    settled(&service).await;
    let delete = service.request(Method::DELETE, "/admin/users/ann").bearer_auth("root");
    assert_eq!(delete.send().await.unwrap().status(), 200);
    let users = server.psql_at(&url, "SELECT user_id FROM generation_feedback").await.unwrap();
    assert_eq!(users.trim(), "bob");
}

#[tokio::test]
async fn without_the_database_only_older_generations_are_unavailable() {
    let server = shared().await;
    let url = migrated(server).await;
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let through = proxy.through(&url);
    let service = Service::start(&[("DATABASE_URL", &through)]).await;
    let id = generate(&service, "ann").await;
    proxy.set(Fault::Cut).await;
    let right = json!({"right_type": "EDIT_IMAGE"});
    let unknown = "0192a3b4-0000-7000-8000-000000000000";
    let path = format!("/api/v2/generations/{unknown}/feedback");
    let response = service.request(Method::POST, &path).json(&right).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    assert_eq!(give(&service, &id, "ann", right.clone()).await.0, 200);
    proxy.set(Fault::Pass).await;
    let count = "SELECT count(*) FROM generation_feedback";
    until("the feedback is stored", async || number(server, &url, count).await == 1).await;
}
