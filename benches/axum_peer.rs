//! The peer of `POST /api/v2/process`: a bare axum handler that parses a request and answers JSON
//! of the same size.
//!
//! ```sh
//! cargo bench --bench axum_peer -- 127.0.0.1:9001 &
//! wrk -t1 -c100 -d7s -s benches/process.lua http://127.0.0.1:9001
//! # The service, with its request limits set to 0:
//! wrk -t1 -c100 -d7s -s benches/process.lua http://127.0.0.1:8080
//! ```

use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The request, as the service parses it.
#[derive(Debug, Deserialize)]
struct Request {
    prompt: String,
    #[serde(default)]
    active_image: bool,
    #[serde(default)]
    user_id: Option<String>,
}

/// An answer with the same fields and, for the same request, with the same length within a few
/// bytes.
#[derive(Debug, Serialize)]
struct Answer {
    success: bool,
    prompt_type: &'static str,
    model_to_use: &'static str,
    fallback_models: [&'static str; 1],
    enhanced_prompt: String,
    original_prompt: String,
    reasoning: &'static str,
    confidence: f64,
    source: &'static str,
    corrected_from: Option<&'static str>,
    estimated_cost: f64,
    estimated_time: u32,
    model_parameters: Map<String, Value>,
    classification_flags: Value,
    cache_hit: bool,
    cache: Value,
    used_fallback: bool,
    circuit_breaker_state: &'static str,
    rate_limited: bool,
    degraded: Vec<&'static str>,
    generation_id: &'static str,
    processing_time_ms: f64,
    request_id: &'static str,
}

async fn process(Json(request): Json<Request>) -> Json<Answer> {
    let parameters = json!({
        "guidance": 3.5, "input_image": null, "num_inference_steps": 28, "prompt": &request.prompt, "safety_tolerance": 2
    });
    let Value::Object(model_parameters) = parameters else { unreachable!("an object, as written above") };
    Json(Answer {
        success: true,
        prompt_type: "EDIT_IMAGE",
        model_to_use: "black-forest-labs/flux-kontext-max",
        fallback_models: ["runway_gen4_image"],
        enhanced_prompt: format!("{}, keep everything else unchanged", request.prompt),
        original_prompt: request.prompt,
        reasoning: "The prompt asks for a change of the open image, and nothing in it speaks of motion or sound.",
        confidence: if request.user_id.is_some() { 0.976_4 } else { 0.5 },
        source: "local",
        corrected_from: None,
        estimated_cost: 0.03,
        estimated_time: 30,
        model_parameters,
        classification_flags: json!({
            "active_image": request.active_image, "active_video": false, "uploaded_image": false, "referenced_image": false
        }),
        cache_hit: true,
        cache: json!({"intent": "l1", "enhancement": "l1", "parameters": "l1"}),
        used_fallback: false,
        circuit_breaker_state: "none",
        rate_limited: false,
        degraded: Vec::new(),
        generation_id: "0192a3b4-5c6d-7e8f-9012-3456789abcde",
        processing_time_ms: 0.021,
        request_id: "0192a3b4-5c6d-7e8f-9012-3456789abcde",
    })
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).filter(|argument| argument != "--bench");
    let listener = tokio::net::TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:9001")).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, Router::new().route("/api/v2/process", post(process))).await
}
