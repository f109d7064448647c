//! Which callers are accepted, and as which user.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use hyper_util::rt::{TokioExecutor, TokioIo};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::service::Service;

pub const SECRET: &str = "a-secret-of-the-issuer-with-some-length";

fn process(service: &Service, headers: &[(&str, &str)], body: &Value) -> RequestBuilder {
    let mut request = service.request(Method::POST, "/api/v2/process").json(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
}

pub async fn status(service: &Service, headers: &[(&str, &str)], body: &Value) -> u16 {
    process(service, headers, body).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn an_unusable_user_id_is_rejected_in_header_query_and_body() {
    let service = Service::start(&[]).await;
    let (long, id) = ("x".repeat(257), "0192a3b4-0000-7000-8000-000000000000");
    for (method, path, body) in [
        (Method::POST, "/api/v2/process".to_owned(), json!({"prompt": "a red fox"})),
        (Method::POST, "/api/v2/classify-only".to_owned(), json!({"prompt": "a red fox"})),
        (Method::PUT, "/api/v2/sessions/s1".to_owned(), json!({})),
        (Method::POST, format!("/api/v2/generations/{id}/outcome"), json!({"success": true})),
        (Method::POST, format!("/api/v2/generations/{id}/feedback"), json!({"right_type": "EDIT_IMAGE"})),
    ] {
        for (user, named) in [("ann", "\u{7}"), ("ann", " "), ("ann", &*long), (&*long, "ann")] {
            let mut body = body.clone();
            body["user_id"] = json!(named);
            let request = service.request(method.clone(), &path).header("x-user-id", user).json(&body);
            assert_eq!(request.send().await.unwrap().status(), 422, "{path} {user:?} {named:?}");
        }
    }
    let matrix = service.request(Method::GET, "/api/v2/decision-matrix").header("x-user-id", &long);
    assert_eq!(matrix.send().await.unwrap().status(), 422);
}

#[tokio::test]
async fn keys_are_needed_where_they_are_configured() {
    let service =
        Service::start(&[("PICARCADE_API_KEYS", "web:key-of-the-web-app,batch:key-of-the-batches")]).await;
    let body = json!({"prompt": "a red fox"});
    assert_eq!(status(&service, &[], &body).await, 401);
    assert_eq!(status(&service, &[("x-api-key", "wrong")], &body).await, 401);
    assert_eq!(status(&service, &[("authorization", "Bearer key-of-the-web-app")], &body).await, 200);
    assert_eq!(
        status(&service, &[("x-api-key", "key-of-the-batches"), ("x-user-id", "ann")], &body).await,
        200
    );
    let usage = service
        .request(Method::GET, "/api/v2/usage")
        .header("x-api-key", "key-of-the-web-app")
        .header("x-user-id", "ann");
    let usage: Value = usage.send().await.unwrap().json().await.unwrap();
    assert_eq!((&usage["user_id"], &usage["limits"][0]["used"]), (&json!("ann"), &json!(1)));
    assert_eq!(service.request(Method::GET, "/health/ready").send().await.unwrap().status(), 200);
}

pub fn claims(changes: &Value) -> BTreeMap<String, Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut claims: BTreeMap<String, Value> = serde_json::from_value(
        json!({"sub": "ann", "role": "authenticated", "aud": "authenticated", "exp": now + 600}),
    )
    .unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.remove(name)
        } else {
            claims.insert(name.clone(), value.clone())
        };
    }
    claims
}

pub fn token(algorithm: Algorithm, secret: &str, changes: &Value) -> String {
    encode(&Header::new(algorithm), &claims(changes), &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

#[tokio::test]
async fn a_token_authenticates_only_its_own_user() {
    let environment = [("PICARCADE_JWT_SECRET", SECRET), ("PICARCADE_JWT_AUDIENCE", "authenticated")];
    let service = Service::start(&environment).await;
    let body = json!({"prompt": "a red fox"});
    let sent = async |token: &str, body: &Value| {
        status(&service, &[("authorization", &format!("Bearer {token}"))], body).await
    };
    let good = token(Algorithm::HS256, SECRET, &json!({}));
    assert_eq!(sent(&good, &body).await, 200);
    assert_eq!(sent(&good, &json!({"prompt": "a red fox", "user_id": "ann"})).await, 200);
    assert_eq!(sent(&good, &json!({"prompt": "a red fox", "user_id": "bob"})).await, 403);
    let spoofed = [("authorization", &*format!("Bearer {good}")), ("x-user-id", "bob")];
    assert_eq!(status(&service, &spoofed, &body).await, 200);
    let usage = service.request(Method::GET, "/api/v2/usage").bearer_auth(&good);
    let usage: Value = usage.send().await.unwrap().json().await.unwrap();
    assert_eq!((&usage["user_id"], &usage["limits"][0]["used"]), (&json!("ann"), &json!(3)));

    let unsigned = {
        let mut parts: Vec<_> = good.split('.').collect();
        // {"alg":"none"}
        parts[0] = "eyJhbGciOiJub25lIn0";
        parts[2] = "";
        parts.join(".")
    };
    let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 300;
    for bad in [
        token(Algorithm::HS256, "another secret", &json!({})),
        token(Algorithm::HS256, SECRET, &json!({"nbf": soon})),
        token(Algorithm::HS512, SECRET, &json!({})),
        token(Algorithm::HS256, SECRET, &json!({"exp": 1_000_000})),
        token(Algorithm::HS256, SECRET, &json!({"exp": null})),
        token(Algorithm::HS256, SECRET, &json!({"aud": "else"})),
        token(Algorithm::HS256, SECRET, &json!({"aud": null})),
        token(Algorithm::HS256, SECRET, &json!({"sub": ""})),
        token(Algorithm::HS256, SECRET, &json!({"sub": null})),
        token(Algorithm::HS256, SECRET, &json!({"role": "anon"})),
        token(Algorithm::HS256, SECRET, &json!({"role": "service_role"})),
        token(Algorithm::HS256, SECRET, &json!({"sub": 7})),
        token(Algorithm::HS256, SECRET, &json!({"sub": "a\nb"})),
        unsigned,
        "nonsense".to_owned(),
        "..".to_owned(),
        format!("{good}x"),
        format!("{good}.{good}"),
        "x".repeat(20_000),
    ] {
        assert_eq!(sent(&bad, &body).await, 401, "{bad}");
    }
    assert_eq!(status(&service, &[], &body).await, 401);
}

#[tokio::test]
async fn a_configured_issuer_is_required() {
    let environment = [("PICARCADE_JWT_SECRET", SECRET), ("PICARCADE_JWT_ISSUER", "https://issuer.example")];
    let service = Service::start(&environment).await;
    let body = json!({"prompt": "a red fox"});
    for (issuer, expected) in
        [(json!("https://issuer.example"), 200), (json!("https://else.example"), 401), (json!(null), 401)]
    {
        let bearer = format!("Bearer {}", token(Algorithm::HS256, SECRET, &json!({"iss": issuer})));
        assert_eq!(status(&service, &[("authorization", &bearer)], &body).await, expected, "{issuer}");
    }
}

#[tokio::test]
async fn keys_and_tokens_work_in_the_same_service() {
    let environment = [("PICARCADE_JWT_SECRET", SECRET), ("PICARCADE_API_KEYS", "web:key-of-the-web-app")];
    let service = Service::start(&environment).await;
    let body = json!({"prompt": "a red fox"});
    let bearer = format!("Bearer {}", token(Algorithm::HS256, SECRET, &json!({})));
    assert_eq!(status(&service, &[("authorization", &bearer)], &body).await, 200);
    assert_eq!(status(&service, &[("authorization", "Bearer key-of-the-web-app")], &body).await, 200);
    assert_eq!(status(&service, &[("x-api-key", "key-of-the-web-app")], &body).await, 200);
    let unsigned = "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.";
    assert_eq!(status(&service, &[("authorization", unsigned)], &body).await, 401);
    for name in ["x-user-id", "x-forwarded-user", "x-real-ip"] {
        assert_eq!(status(&service, &[(name, "ann")], &body).await, 401, "{name}");
    }
}

#[tokio::test]
async fn a_foreign_session_does_not_exist_and_a_token_overrides_the_user_header() {
    let service = Service::start(&[("PICARCADE_JWT_SECRET", SECRET)]).await;
    let of = |user: &str| token(Algorithm::HS256, SECRET, &json!({"sub": user}));
    let send = async |method: Method, user: &str, spoofed: Option<&str>, body: Option<Value>| {
        let mut request = service.request(method, "/api/v2/sessions/s1").bearer_auth(of(user));
        if let Some(spoofed) = spoofed {
            request = request.header("x-user-id", spoofed);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap().status().as_u16()
    };
    let image = json!({"working_image": "https://cdn.example/i.png"});
    assert_eq!(send(Method::PUT, "ann", None, Some(image.clone())).await, 200);
    assert_eq!(send(Method::GET, "ann", None, None).await, 200);
    for spoofed in [None, Some("ann")] {
        assert_eq!(send(Method::GET, "bob", spoofed, None).await, 404);
        assert_eq!(send(Method::PUT, "bob", spoofed, Some(image.clone())).await, 404);
        assert_eq!(send(Method::DELETE, "bob", spoofed, None).await, 404);
    }
    let named = json!({"working_image": "https://cdn.example/i.png", "user_id": "ann"});
    assert_eq!(send(Method::PUT, "bob", None, Some(named)).await, 403);
    let query = service.request(Method::GET, "/api/v2/sessions/s1?user_id=ann").bearer_auth(of("bob"));
    assert_eq!(query.send().await.unwrap().status(), 403);
    // A session of another user does not provide its image to a request.
    let body = json!({"prompt": "make it blue", "session_id": "s1"});
    let request = service.request(Method::POST, "/api/v2/process").bearer_auth(of("bob")).json(&body);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["classification_flags"]["active_image"], false, "{answer}");
    assert_eq!(send(Method::GET, "ann", None, None).await, 200);
}

#[tokio::test]
async fn a_token_whose_subject_is_a_keys_name_has_no_access_to_the_keys_data() {
    let environment = [
        ("PICARCADE_JWT_SECRET", SECRET),
        ("PICARCADE_API_KEYS", "web:key-of-the-web-app,batch:key-of-the-batches"),
    ];
    let service = Service::start(&environment).await;
    let of = |subject: &str| token(Algorithm::HS256, SECRET, &json!({"sub": subject}));
    let session = "/api/v2/sessions/s1";
    let image = json!({"working_image": "https://cdn.example/i.png"});
    let put = service.request(Method::PUT, session).bearer_auth("key-of-the-web-app").json(&image);
    let stored: Value = put.send().await.unwrap().json().await.unwrap();
    assert_eq!(stored["user_id"], "api-key:web");
    let get = async |secret: &str, user: Option<&str>, path: &str| {
        let mut request = service.request(Method::GET, path).bearer_auth(secret);
        if let Some(user) = user {
            request = request.header("x-user-id", user);
        }
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(get("key-of-the-web-app", None, session).await, 200);
    assert_eq!(get("key-of-the-web-app", Some("api-key:web"), session).await, 200);
    // Neither the name nor the user id of the key gives access to it.
    assert_eq!(get(&of("web"), None, session).await, 404);
    assert_eq!(get(&of("api-key:web"), None, session).await, 401);
    assert_eq!(get("key-of-the-batches", Some("web"), session).await, 404);
    assert_eq!(get("key-of-the-batches", Some("api-key:web"), session).await, 422);
    assert_eq!(get("key-of-the-batches", None, "/api/v2/usage?user_id=api-key:web").await, 422);
    let body = json!({"prompt": "a red fox", "user_id": "api-key:web"});
    assert_eq!(status(&service, &[("x-api-key", "key-of-the-batches")], &body).await, 422);
    let batch =
        service.request(Method::POST, "/api/v2/batch").bearer_auth("key-of-the-batches").json(&json!([body]));
    let answer: Value = batch.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["results"][0]["status"], 422, "{answer}");
    // The limits are separate too: the two look-ups of sessions count for the user `web`, and none
    // of the requests of the key itself.
    let usage = service.request(Method::GET, "/api/v2/usage").bearer_auth(of("web"));
    let usage: Value = usage.send().await.unwrap().json().await.unwrap();
    assert_eq!((&usage["user_id"], &usage["limits"][0]["used"]), (&json!("web"), &json!(2)));
}

#[tokio::test]
async fn a_token_with_an_extension_of_the_header_is_refused_and_a_role_may_have_any_form() {
    let service = Service::start(&[("PICARCADE_JWT_SECRET", SECRET)]).await;
    let usage = async |header: Header, changes: &Value| {
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let token = encode(&header, &claims(changes), &key).unwrap();
        let request = service.request(Method::GET, "/api/v2/usage").bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    let with = |crit: Option<&[&str]>, extra: Option<(&str, Value)>| {
        let mut header = Header::new(Algorithm::HS256);
        header.crit = crit.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        if let Some((name, value)) = extra {
            header.extras.insert(name, value);
        }
        header
    };
    for (header, expected) in [
        (with(None, None), 200),
        (with(None, Some(("b64", json!(true)))), 200),
        (with(None, Some(("exp", json!(1)))), 200),
        (with(Some(&["exp"]), None), 401),
        (with(Some(&["b64"]), Some(("b64", json!(false)))), 401),
        (with(Some(&[]), None), 401),
        (with(None, Some(("b64", json!(false)))), 401),
        (with(None, Some(("b64", json!("true")))), 401),
    ] {
        assert_eq!(usage(header.clone(), &json!({})).await, expected, "{header:?}");
    }
    for (role, expected) in [
        (json!(["editor"]), 200),
        (json!({"name": "editor"}), 200),
        (json!(7), 200),
        (json!(["editor", "anon"]), 401),
        (json!({"name": "service_role"}), 401),
    ] {
        let changes = json!({ "role": role });
        assert_eq!(usage(with(None, None), &changes).await, expected, "{changes}");
    }
    let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() + 300.5;
    for (changes, expected) in [
        (json!({"exp": soon}), 200),
        (json!({"exp": soon.to_string()}), 401),
        (json!({"exp": -1}), 401),
        (json!({"aud": ["other", "authenticated"]}), 200),
        (json!({"nbf": soon}), 401),
        (json!({"sub": "x".repeat(300)}), 401),
    ] {
        assert_eq!(usage(with(None, None), &changes).await, expected, "{changes}");
    }
}

#[tokio::test]
async fn an_empty_secret_in_the_file_authenticates_no_caller() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("picarcade.toml");
    std::fs::write(
        &file,
        "api_keys = [\"web:key-of-the-web-app\"]\njwt_secret = \"\"\nadmin_token = \" \"\n",
    )
    .unwrap();
    let service = Service::start_in(directory, &[], &["--config", file.to_str().unwrap()]).await;
    let body = json!({"prompt": "a red fox"});
    let forged = format!("Bearer {}", token(Algorithm::HS256, "", &json!({})));
    for credentials in [
        ("authorization", &*forged),
        ("authorization", "Bearer "),
        ("authorization", "Bearer"),
        ("x-api-key", ""),
    ] {
        assert_eq!(status(&service, &[credentials], &body).await, 401, "{credentials:?}");
        let admin = service.request(Method::GET, "/admin/config").header(credentials.0, credentials.1);
        assert_eq!(admin.send().await.unwrap().status(), 404, "{credentials:?}");
    }
    assert_eq!(status(&service, &[("x-api-key", "key-of-the-web-app")], &body).await, 200);

    // HTTP/2 keeps the space at the end, which HTTP/1 removes.
    let stream = TokioIo::new(service.connect().await);
    let (mut requests, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    for (path, expected) in [("/admin/config", 404), ("/api/v2/usage", 401)] {
        let request =
            hyper::Request::get(format!("{}{path}", service.url)).header("authorization", "Bearer ");
        let answer = requests.send_request(request.body(String::new()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), expected, "{path}");
    }
}

#[tokio::test]
async fn listening_beyond_loopback_needs_identities_or_the_insecure_flag() {
    for (environment, arguments) in
        [(&[("PICARCADE_API_KEYS", "web:key-of-the-web-app")][..], &[][..]), (&[], &["--insecure"])]
    {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--listen", "0.0.0.0:0"]);
        let service = Service::start_in(TempDir::new().unwrap(), environment, &arguments).await;
        let status = async |path: &str| {
            let url = service.url.replace("0.0.0.0", "127.0.0.1");
            service.client.get(format!("{url}{path}")).send().await.unwrap().status().as_u16()
        };
        assert_eq!(status("/health/ready").await, 200);
        // Pages for operators are not open to every client of the network, with keys or without.
        for path in ["/health/detailed", "/health/cache", "/metrics"] {
            assert_eq!(status(path).await, 403, "{path}");
        }
        assert_eq!(status("/api/v2/usage").await, if environment.is_empty() { 200 } else { 401 });
    }
}
