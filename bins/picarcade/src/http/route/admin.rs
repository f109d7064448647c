//! `/admin/*`: routes for the holder of the admin token, which the router checks.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use hyper::HeaderMap;
use picarcade_breaker::BreakerStatistics;
use picarcade_flow::openapi::{Id, with_keyword, words};
use picarcade_flow::{FieldProblem, Override, UserId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

use crate::config::breaker_names;
use crate::http::app::App;
use crate::http::body::{self, MAX_BODY};
use crate::http::json::sorted;
use crate::http::problem::Problem;

/// The breakers of all services.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BreakerList)]
pub(crate) struct Breakers {
    #[serde(serialize_with = "sorted")]
    breakers: Vec<BreakerStatistics>,
}

/// Returns every breaker.
#[utoipa::path(get, path = "/breakers", operation_id = "listBreakers", responses((status = 200, body = Breakers)))]
pub(crate) async fn breakers(State(app): State<App>) -> Json<Breakers> {
    Json(Breakers { breakers: app.flow.breakers().statistics() })
}

/// The name of a breaker.
struct BreakerName;

impl utoipa::PartialSchema for BreakerName {
    fn schema() -> RefOr<Schema> {
        words(breaker_names()).into()
    }
}

impl ToSchema for BreakerName {}

/// One breaker.
#[derive(Debug, Serialize)]
pub(crate) struct Overridden(#[serde(serialize_with = "sorted")] BreakerStatistics);

/// Overrides a breaker.
#[utoipa::path(
    post,
    path = "/breakers/{name}/{action}",
    operation_id = "overrideBreaker",
    params(
        ("name" = inline(BreakerName), Path, description = "The breaker"),
        ("action" = inline(Override), Path, description = "The override"),
    ),
    responses((status = 200, body = BreakerStatistics)),
)]
pub(crate) async fn override_breaker(
    State(app): State<App>,
    Path((name, action)): Path<(String, String)>,
) -> Result<Json<Overridden>, Problem> {
    let wanted: Override = action.parse().map_err(|_| Problem::not_found())?;
    let statistics = app.flow.override_breaker(&name, wanted).ok_or_else(Problem::not_found)?;
    tracing::info!(breaker = %name, %action, "a breaker was overridden");
    Ok(Json(Overridden(statistics)))
}

/// What to invalidate: exactly one of the three fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Invalidation {
    tag: Option<String>,
    user_id: Option<String>,
    #[serde(default)]
    all: bool,
}

impl utoipa::PartialSchema for Invalidation {
    fn schema() -> RefOr<Schema> {
        let all = with_keyword(ObjectBuilder::new().schema_type(Type::Boolean).build(), "const", json!(true));
        let user = picarcade_flow::openapi::id();
        [("tag", <String as utoipa::PartialSchema>::schema()), ("user_id", user.into()), ("all", all.into())]
            .into_iter()
            .map(|(name, schema)| {
                let only = ObjectBuilder::new().property(name, schema).required(name);
                only.additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
            })
            .fold(OneOfBuilder::new(), OneOfBuilder::item)
            .description(Some("What to invalidate: exactly one of the three fields"))
            .into()
    }
}

impl ToSchema for Invalidation {}

/// The confirmation of an invalidation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Invalidated {
    invalidated: bool,
}

/// Removes cached answers on every instance.
#[utoipa::path(
    post,
    path = "/cache/invalidate", operation_id = "invalidateCache",
    request_body = Invalidation,
    responses((status = 200, body = Invalidated)),
)]
pub(crate) async fn invalidate(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Invalidated>, Problem> {
    let bytes = body::read(&headers, body, MAX_BODY).await?;
    let caches = app.flow.caches();
    match body::parse_as::<Invalidation>(&bytes)? {
        Invalidation { tag: Some(tag), user_id: None, all: false } => {
            caches.remove_by_tag(&tag).await;
        }
        Invalidation { tag: None, user_id: Some(user), all: false } => {
            // A text that is no user id owns no entry.
            if let Ok(user) = UserId::try_from(user) {
                caches.remove_user(&user).await;
            }
        }
        Invalidation { tag: None, user_id: None, all: true } => caches.clear().await,
        _ => {
            let detail = "needs exactly one of tag, user_id and all";
            return Err(Problem::fields(vec![FieldProblem::new("", detail)]));
        }
    }
    Ok(Json(Invalidated { invalidated: true }))
}

/// The extent of a deletion.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Deleted {
    /// The number of deleted rows and sessions.
    deleted: u64,
}

/// Deletes a user: rows, sessions, and cached entries on every instance.
#[utoipa::path(
    delete,
    path = "/users/{user_id}",
    operation_id = "forgetUser",
    params(("user_id" = inline(Id), Path, description = "The user")),
    responses((status = 200, body = Deleted), (status = 422)),
)]
pub(crate) async fn forget_user(
    State(app): State<App>,
    Path(user): Path<String>,
) -> Result<Json<Deleted>, Problem> {
    let user = user.parse::<UserId>().map_err(|error| Problem::fields(vec![error.at("/user_id")]))?;
    let deleted = app.flow.forget_user(&user).await?;
    // The log does not name the user.
    tracing::info!(deleted, "a user was deleted");
    Ok(Json(Deleted { deleted }))
}

/// The configuration without secrets.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Configuration)]
pub(crate) struct Settings {
    settings: Vec<Setting>,
}

/// One setting.
#[derive(Debug, Serialize, ToSchema)]
struct Setting {
    key: String,
    /// Where the value comes from.
    origin: String,
    /// The value; a secret is redacted.
    value: String,
}

/// Returns every setting and its origin.
#[utoipa::path(get, path = "/config", operation_id = "getConfig", responses((status = 200, body = Settings)))]
pub(crate) async fn config(State(app): State<App>) -> Json<Settings> {
    let settings = app.settings.iter().cloned();
    let settings = settings.map(|(key, value, origin)| Setting { key, origin, value }).collect();
    Json(Settings { settings })
}

/// Whether the service is unready.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Drained {
    /// Whether the service is unready. A service that is stopping stays unready.
    draining: bool,
}

/// Makes the service unready without stopping it, so that load balancers send new requests
/// elsewhere. Requests that still arrive are answered.
#[utoipa::path(post, path = "/drain", operation_id = "drain", responses((status = 200, body = Drained)))]
pub(crate) async fn drain(State(app): State<App>) -> Json<Drained> {
    if app.set_drained(true) {
        tracing::info!("drained by the admin: the service is unready");
    }
    Json(Drained { draining: app.is_draining() })
}

/// Makes a drained service ready again.
#[utoipa::path(post, path = "/undrain", operation_id = "undrain", responses((status = 200, body = Drained)))]
pub(crate) async fn undrain(State(app): State<App>) -> Json<Drained> {
    if app.set_drained(false) {
        tracing::info!("no longer drained by the admin");
    }
    Json(Drained { draining: app.is_draining() })
}
