//! Requests generated from the served description, right ones and wrong ones. Every response must
//! match the description in status, media type and body.
//!
//! The requests are the same in every run. `PICARCADE_TEST_SEED` generates others.

use fastrand::Rng;
use futures_util::{StreamExt, stream};
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use crate::failing_database::UNLIMITED;
use crate::schema::{Schemas, anything};
use crate::service::Service;

const TOKEN: &str = "root-token";

/// How many requests of each kind are sent to an operation.
const RIGHT: usize = 12;
const WRONG: usize = 24;

/// One operation of the description.
#[derive(Clone)]
struct Operation {
    path: String,
    method: String,
    described: Value,
}

/// One request.
struct Request {
    operation: Operation,
    method: Method,
    url: String,
    content_type: Option<&'static str>,
    headers: Vec<(String, HeaderValue)>,
    body: Option<Vec<u8>>,
    /// Whether the request matches the description, so that its form cannot be the fault.
    right: bool,
}

fn operations(document: &Value) -> Vec<Operation> {
    let paths = document["paths"].as_object().unwrap();
    let each = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().unwrap().clone();
        let path = path.clone();
        methods.into_iter().filter(|(_, described)| described["responses"].is_object()).map(
            move |(method, described)| Operation {
                path: path.clone(),
                method: method.to_uppercase(),
                described,
            },
        )
    };
    paths.iter().flat_map(each).collect()
}

/// Encodes every byte that has a meaning in a URL as `%XX`.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Operation {
    /// Adds everything but the body.
    fn parameters<'a>(&'a self, schemas: Schemas<'a>) -> impl Iterator<Item = &'a Value> {
        let parameters = self.described["parameters"].as_array().into_iter().flatten();
        parameters.map(move |parameter| schemas.resolved(parameter))
    }

    /// Adds some of the described header fields. Each is right or, if `wrong`, sometimes arbitrary.
    fn headers(&self, random: &mut Rng, schemas: Schemas<'_>, wrong: bool) -> Vec<(String, HeaderValue)> {
        let mut headers = Vec::new();
        for parameter in self.parameters(schemas).filter(|parameter| parameter["in"] == "header") {
            let (anything_goes, sent) = (wrong && random.bool(), random.bool());
            let value =
                if anything_goes { anything(random, 1) } else { schemas.make(random, &parameter["schema"]) };
            // What a header field cannot carry cannot be sent.
            if let Ok(value) = HeaderValue::from_bytes(text(&value).as_bytes())
                && sent
            {
                headers.push((parameter["name"].as_str().unwrap().to_owned(), value));
            }
        }
        headers
    }

    /// Returns the URL with its parameters. Each is right or, if `wrong`, sometimes arbitrary.
    fn url(&self, random: &mut Rng, schemas: Schemas<'_>, wrong: bool) -> String {
        let mut url = self.path.clone();
        let mut query = Vec::new();
        for parameter in self.parameters(schemas).filter(|parameter| parameter["in"] != "header") {
            let name = parameter["name"].as_str().unwrap();
            let value = if wrong && random.bool() {
                text(&anything(random, 1))
            } else {
                text(&schemas.make(random, &parameter["schema"]))
            };
            match parameter["in"].as_str().unwrap() {
                "path" => url = url.replace(&format!("{{{name}}}"), &encoded(&value)),
                "query" if parameter["required"] == true || random.bool() => {
                    query.push(format!("{name}={}", encoded(&value)));
                }
                _ => {}
            }
        }
        if wrong && random.bool() {
            query.push(
                (*random.choice(&["x", "a=%", "user_id=%ff", "period=", "&&=&", "user_id[]=1"]).unwrap())
                    .to_owned(),
            );
        }
        if query.is_empty() { url } else { format!("{url}?{}", query.join("&")) }
    }

    fn body(&self) -> Option<&Value> {
        self.described.pointer("/requestBody/content/application~1json/schema")
    }

    fn right(&self, random: &mut Rng, schemas: Schemas<'_>) -> Request {
        let body = self.body().map(|schema| schemas.make(random, schema).to_string().into_bytes());
        Request {
            operation: self.clone(),
            method: self.method.parse().unwrap(),
            url: self.url(random, schemas, false),
            content_type: body.as_ref().map(|_| "application/json"),
            headers: self.headers(random, schemas, false),
            body,
            right: true,
        }
    }

    fn wrong(&self, random: &mut Rng, schemas: Schemas<'_>) -> Request {
        let mut request = self.right(random, schemas);
        request.right = false;
        request.url = self.url(random, schemas, true);
        request.headers = self.headers(random, schemas, true);
        match random.u8(..10) {
            0 => {
                request.content_type = *random
                    .choice(&[None, Some("text/plain"), Some("application/"), Some("a/b; charset=\"")])
                    .unwrap();
            }
            1 => request.body = Some((0..random.usize(..200)).map(|_| random.u8(..)).collect()),
            2 => request.body = request.body.map(|body| body[..random.usize(..=body.len())].to_vec()),
            3 => request.body = Some("[".repeat(random.usize(..5000)).into_bytes()),
            4 => request.body = Some(anything(random, 3).to_string().into_bytes()),
            5 => {
                let methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"];
                request.method = random.choice(methods).unwrap().parse().unwrap();
            }
            6 => request
                .url
                .push_str(random.choice(&["/", "//", "/../..", "/%00", "/%2e%2e/x", ";x", "%"]).unwrap()),
            _ => request.body = request.body.map(|body| mutated(random, &body)),
        }
        request
    }
}

/// Returns the body with one field of another type, missing, or too large.
fn mutated(random: &mut Rng, body: &[u8]) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(body).unwrap();
    if let Some(fields) = value.as_object_mut().filter(|fields| !fields.is_empty()) {
        let names: Vec<_> = fields.keys().cloned().collect();
        let name = random.choice(names).unwrap();
        match random.u8(..4) {
            0 => drop(fields.remove(&name)),
            1 => drop(fields.insert(name, json!("y".repeat(random.usize(..70_000))))),
            _ => drop(fields.insert(name, anything(random, 2))),
        }
    }
    value.to_string().into_bytes()
}

/// Sends the request and compares the response with the description. Returns the difference, if
/// there is one.
async fn check_response(service: &Service, schemas: Schemas<'_>, request: &Request) -> Result<(), String> {
    let mut sent = service.request(request.method.clone(), &request.url).bearer_auth(TOKEN);
    if let Some(content_type) = request.content_type {
        sent = sent.header("content-type", content_type);
    }
    for (name, value) in &request.headers {
        sent = sent.header(name, value);
    }
    if let Some(body) = &request.body {
        sent = sent.body(body.clone());
    }
    // Some of the requests cannot be sent by a client.
    let Ok(sent) = sent.build() else { return Ok(()) };
    let moved = sent.url().path() != request.url.split('?').next().unwrap();
    let response = service.client.execute(sent).await.map_err(|error| format!("no answer: {error:?}"))?;
    let status = response.status().as_u16();
    if status >= 500 {
        return Err(format!("status {status}"));
    }
    if !response.headers().contains_key("x-request-id") {
        return Err("no request id".to_owned());
    }
    let media_type = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    let body = response.bytes().await.map_err(|error| format!("half an answer: {error:?}"))?;
    if request.right && [400, 405, 415, 422].contains(&status) {
        return Err(format!("{status} for what fits the description: {}", String::from_utf8_lossy(&body)));
    }
    if request.method == Method::HEAD {
        return Ok(());
    }
    // The operation of the sent method and path. It may be another operation of the same path.
    let method = request.method.as_str().to_lowercase();
    let described = &schemas.0["paths"][&request.operation.path][method]["responses"][status.to_string()];
    let problem = &schemas.0["components"]["schemas"]["Problem"];
    // An undescribed path or method belongs to no operation, or to another one.
    let elsewhere =
        moved || request.method.as_str() != request.operation.method || !request.right && status == 404;
    if described.is_null() && !(elsewhere && [404, 405].contains(&status)) {
        return if elsewhere && status < 300 {
            Ok(())
        } else {
            Err(format!("status {status} is not described"))
        };
    }
    if elsewhere && status < 300 {
        return Ok(());
    }
    let Some(media_type) = media_type else {
        return if body.is_empty() && described["content"].is_null() {
            Ok(())
        } else {
            Err("no media type".to_owned())
        };
    };
    let essence = media_type.split(';').next().unwrap();
    let schema = if described.is_null() { problem } else { &described["content"][essence]["schema"] };
    if schema.is_null() {
        return Err(format!("{status} as {media_type} is not described"));
    }
    if !essence.ends_with("json") {
        return Ok(());
    }
    let value: Value = serde_json::from_slice(&body).map_err(|error| format!("no JSON: {error}"))?;
    schemas.check(schema, &value).map_err(|error| format!("{status}: {error}: {value}"))
}

#[tokio::test]
async fn every_response_matches_the_description() {
    let seed = std::env::var("PICARCADE_TEST_SEED").map_or(7, |seed| seed.parse().unwrap());
    let mut environment = vec![("PICARCADE_ADMIN_TOKEN", TOKEN)];
    environment.extend(UNLIMITED);
    let service = Service::start(&environment).await;
    let document = service.get("/openapi.json").await;
    let schemas = Schemas(&document);
    let mut random = Rng::with_seed(seed);
    let operations = operations(&document);
    assert!(operations.len() >= 23, "{}", operations.len());
    let mut requests = Vec::new();
    for operation in &operations {
        requests.extend((0..RIGHT).map(|_| operation.right(&mut random, schemas)));
        requests.extend((0..WRONG).map(|_| operation.wrong(&mut random, schemas)));
    }
    let service = &service;
    let verdicts = stream::iter(&requests)
        .map(|request| async move { (request, check_response(service, schemas, request).await) })
        .buffer_unordered(8);
    let wrong: Vec<_> = verdicts
        .filter_map(|(request, verdict)| async {
            let body = request.body.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            let body: String = body.chars().take(300).collect();
            verdict.err().map(|error| format!("{} {} {body}\n  {error}", request.method, request.url))
        })
        .collect()
        .await;
    assert!(wrong.is_empty(), "seed {seed}: {} of {}:\n{}", wrong.len(), requests.len(), wrong.join("\n"));
}
