//! The state of the mock: the script, the journal, and the choice of the response to a request. No
//! sockets here.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::answer::{Answer, Answers};
use super::dialect::{Content, Dialect, Request, Route};
use super::replicate::{End, OutputShape, Prediction};
use super::reply::Reply;
use super::response::{Delivery, FILLER, Response};
use super::{anthropic, openai, replicate};

pub(super) struct Script {
    pub(super) base: String,
    pub(super) answers: Arc<dyn Answers>,
    pub(super) queue: VecDeque<Reply>,
    pub(super) polls: VecDeque<Reply>,
    pub(super) standing: Option<Reply>,
    pub(super) latency: Duration,
    pub(super) shape: OutputShape,
    pub(super) journal: Vec<Request>,
    pub(super) calls: u64,
    predictions: HashMap<String, Prediction>,
    cached_prompts: HashSet<String>,
}

impl fmt::Debug for Script {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Script")
            .field("queue", &self.queue)
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

impl Script {
    pub(super) fn new(base: String) -> Self {
        Self {
            base,
            answers: Arc::new(Answer::default()),
            queue: VecDeque::new(),
            polls: VecDeque::new(),
            standing: None,
            latency: Duration::ZERO,
            shape: OutputShape::default(),
            journal: Vec::new(),
            calls: 0,
            predictions: HashMap::new(),
            cached_prompts: HashSet::new(),
        }
    }

    /// Records `request` and chooses the response.
    pub(super) fn respond(&mut self, request: Request) -> Response {
        let response = match Route::of(&request.method, &request.path) {
            Route::Call(dialect) => self.call(dialect, &request),
            Route::Poll(id) => match self.polls.pop_front() {
                Some(fault) => self.render(Dialect::Replicate, &request, Some(fault)),
                None => self.prediction(&id, Prediction::poll),
            },
            Route::Cancel(id) => self.prediction(&id, Prediction::cancel),
            Route::WrongMethod(_) => Response::json(405, &json!({"error": "method not allowed"})),
            Route::Unknown => Response::json(404, &json!({"error": "no such path in any of the three APIs"})),
        };
        self.journal.push(request);
        response
    }

    fn call(&mut self, dialect: Dialect, request: &Request) -> Response {
        let checked = match dialect {
            Dialect::Anthropic => anthropic::check(request),
            Dialect::OpenAi => openai::check(request),
            Dialect::Replicate => replicate::check(request),
        };
        // A malformed call gets an error and does not consume the script.
        if let Err(refused) = checked {
            return refused;
        }
        self.calls += 1;
        let reply = self.queue.pop_front().or_else(|| self.standing.clone());
        let mut response = self.render(dialect, request, reply);
        response.delay += self.latency;
        response
    }

    fn render(&mut self, dialect: Dialect, request: &Request, reply: Option<Reply>) -> Response {
        let usual = || self.answers.answer(request);
        let pending = if let Some(Reply::Pending(polls)) = reply { polls } else { 0 };
        let content = match reply {
            None | Some(Reply::Pending(_)) => Content::Json(usual().to_json()),
            Some(Reply::Answer(answer)) => Content::Json(answer.to_json()),
            Some(Reply::Json(value)) => Content::Json(value),
            Some(Reply::Prose(text)) => Content::Prose(text),
            Some(Reply::WrongEnum) => Content::Json(Answer::of("MAKE_COFFEE").to_json()),
            Some(Reply::Refusal) => Content::Refusal,
            Some(Reply::Truncated) => Content::Cut(usual().to_json()),
            Some(Reply::Huge(bytes)) => {
                let answer = usual().enhanced(FILLER).to_json();
                // One text: separate pieces would split the place of the padding.
                let response = self.success(dialect, request, &Content::Json(answer), 0, OutputShape::Text);
                return response.delivered(Delivery::Padded(bytes));
            }
            Some(Reply::Hang) => return Response::json(200, &json!({})).delivered(Delivery::Never),
            Some(Reply::Reset) => return Response::json(200, &json!({})).delivered(Delivery::Reset),
            Some(Reply::HalfBody) => return self.render(dialect, request, None).delivered(Delivery::Half),
            Some(Reply::HalfChunked) => {
                return self.render(dialect, request, None).delivered(Delivery::HalfChunked);
            }
            Some(Reply::Encoded(coding, plain)) => {
                let mut response = self.render(dialect, request, Some(*plain));
                response.coding = Some(coding);
                return response.header("content-encoding", coding.as_str());
            }
            Some(Reply::Slow(delay, then)) => {
                let mut response = self.render(dialect, request, Some(*then));
                response.delay += delay;
                return response;
            }
            Some(Reply::Ended(end)) if dialect == Dialect::Replicate => {
                let end = End::Without(end.word(), "");
                return self.predict(request, 0, end);
            }
            Some(failure) => return failed(dialect, failure),
        };
        self.success(dialect, request, &content, pending, self.shape)
    }

    fn success(
        &mut self,
        dialect: Dialect,
        request: &Request,
        content: &Content,
        pending: u32,
        shape: OutputShape,
    ) -> Response {
        match dialect {
            Dialect::Anthropic => anthropic::success(request, content, &mut self.cached_prompts),
            Dialect::OpenAi => openai::success(request, content),
            Dialect::Replicate => self.predict(request, pending, End::with(content, shape)),
        }
    }

    fn predict(&mut self, request: &Request, pending: u32, end: End) -> Response {
        let prediction = Prediction::create(self.calls, &self.base, request, pending, end);
        let response = prediction.created();
        self.predictions.insert(prediction.id.clone(), prediction);
        response
    }

    fn prediction(&mut self, id: &str, act: impl FnOnce(&mut Prediction) -> Response) -> Response {
        match self.predictions.get_mut(id) {
            Some(prediction) => act(prediction),
            None => replicate::error(404, "Not found", "The requested resource could not be found."),
        }
    }
}

/// Returns the failures in the form of each API.
fn failed(dialect: Dialect, reply: Reply) -> Response {
    use Dialect::{Anthropic, OpenAi, Replicate};
    match (reply, dialect) {
        (Reply::Status { code, headers, body }, _) => {
            let mut response = Response::json(code, &json!(null));
            // The content type of the caller replaces the default.
            if headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                response.headers.clear();
            }
            response.headers.extend(headers);
            response.body = body;
            response
        }
        (Reply::NotJson, _) => {
            let mut response = Response::json(200, &json!(null));
            response.headers = vec![("content-type".to_owned(), "text/html".to_owned())];
            "<html><body><h1>502 Bad Gateway</h1></body></html>".clone_into(&mut response.body);
            response
        }
        (Reply::Overloaded, Anthropic) => anthropic::error(529, "overloaded_error", "Overloaded"),
        (Reply::Overloaded, OpenAi) => {
            openai::error(503, "server_error", None, "The engine is currently overloaded")
        }
        (Reply::Overloaded, Replicate) => {
            replicate::error(503, "Service unavailable", "Please try again later.")
        }
        (Reply::RateLimited { retry_after }, dialect) => {
            let response = match dialect {
                Anthropic => anthropic::error(429, "rate_limit_error", "Your account has hit a rate limit."),
                OpenAi => openai::error(429, "requests", Some("rate_limit_exceeded"), "Rate limit reached"),
                Replicate => replicate::error(429, "Too Many Requests", "Request was throttled."),
            };
            match retry_after {
                Some(wait) => response.header("retry-after", wait.as_millis().div_ceil(1000).to_string()),
                None => response,
            }
        }
        (Reply::SpendLimit, Anthropic) => {
            let message =
                "You have reached your specified API usage limits. You will regain access next month.";
            anthropic::error(429, "rate_limit_error", message).header("x-should-retry", "false")
        }
        (Reply::SpendLimit, OpenAi) => {
            let message = "You exceeded your current quota, please check your plan and billing details.";
            openai::error(429, "insufficient_quota", Some("insufficient_quota"), message)
        }
        (Reply::SpendLimit, Replicate) => {
            replicate::error(402, "Monthly spend limit reached", "Raise your limit to run more models.")
        }
        (Reply::Unauthorized, Anthropic) => {
            anthropic::error(401, "authentication_error", "invalid x-api-key")
        }
        (Reply::Unauthorized, OpenAi) => openai::error(
            401,
            "invalid_request_error",
            Some("invalid_api_key"),
            "Incorrect API key provided.",
        ),
        (Reply::Unauthorized, Replicate) => replicate::error(401, "Unauthenticated", "Invalid token."),
        (_, Anthropic) => anthropic::error(500, "api_error", "Internal server error"),
        (_, OpenAi) => openai::error(500, "server_error", None, "The server had an error"),
        (_, Replicate) => replicate::error(500, "Internal server error", "An unexpected error occurred."),
    }
}
