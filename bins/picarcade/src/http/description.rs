//! What the descriptions of the routes have in common, as OpenAPI.
//!
//! A handler describes only what is particular to it: its parameters, its body and its answers. The
//! rest follows from the kind of caller, from the layers around all routes, and from the presence
//! of a body, and is added here. A handler names a status or a header field without describing it
//! if the description is one of these.

use serde_json::Value;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::info::LicenseBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{AllOf, Object, ObjectBuilder, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::server::ServerBuilder;
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, Content, Header, Info, OpenApi, Paths, Ref, RefOr, Required, Response, Schema,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use crate::http::problem::{Body as Problem, PROBLEM_JSON};

/// The kinds of callers that the access layers distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callers {
    /// The callers of the API.
    Api,
    /// The admin.
    Admin,
    /// Operators.
    Operators,
    /// Every client.
    All,
}

/// Returns the document without its operations.
pub(crate) fn empty() -> OpenApi {
    let mut info = Info::new("PicArcade", env!("CARGO_PKG_VERSION"));
    info.license = Some(LicenseBuilder::new().name("MIT").identifier(Some("MIT")).build());
    let summary = "Understands, routes and enhances requests for images and videos";
    info.extensions = Some(keyword("summary", summary.into()));
    let mut schemas = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    let mut components = Components::new();
    components.schemas.extend(schemas);
    components.parameters.extend(parameters().map(|(name, parameter)| (name, parameter.into())));
    components.headers.extend(headers().map(|(name, header)| (name, RefOr::T(header))));
    let schemes = security_schemes().map(|(name, scheme)| (name.to_owned(), RefOr::T(scheme)));
    components.security_schemes.extend(schemes);
    let mut document = OpenApi::new(info, Paths::new());
    document.components = Some(components);
    document.servers = Some(
        [("/", "The service that serves this document"), ("http://127.0.0.1:8080", "The default address")]
            .map(|(url, description)| ServerBuilder::new().url(url).description(Some(description)).build())
            .into(),
    );
    let tags =
        TAGS.map(|(name, description)| TagBuilder::new().name(name).description(Some(description)).build());
    document.tags = Some(tags.into());
    document
}

/// The tags and their descriptions. Generators of clients make a module of each.
const TAGS: [(&str, &str); 6] = [
    ("classification", "Requests for images and videos"),
    ("generations", "What became of generations"),
    ("sessions", "The working image or video of a user"),
    ("information", "Models, rules, statistics and limits"),
    ("admin", "For the admin"),
    ("operations", "Probes, metrics and this document"),
];

fn tag(path: &str, callers: Callers) -> &'static str {
    match (callers, path.strip_prefix("/api/v2/").and_then(|rest| rest.split('/').next())) {
        (Callers::Admin, _) => "admin",
        (_, Some("process" | "classify-only" | "batch")) => "classification",
        (_, Some("generations")) => "generations",
        (_, Some("sessions")) => "sessions",
        (_, Some(_)) => "information",
        (_, None) => "operations",
    }
}

/// Adds what the routes for these callers have in common to their descriptions.
pub(crate) fn describe<S>(mut router: OpenApiRouter<S>, callers: Callers) -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    for (path, item) in &mut router.get_openapi_mut().paths.paths {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            complete(operation, path, callers);
        }
    }
    router
}

/// Returns the document as text.
///
/// A path that differs from another one only by a slash at its end is left out: it has the same
/// answers, and generators of clients would give both the same names.
pub(crate) fn render(mut document: OpenApi) -> String {
    document.paths.paths.retain(|path, _| !path.ends_with('/'));
    for schema in document.components.iter_mut().flat_map(|components| components.schemas.values_mut()) {
        if let RefOr::T(Schema::AllOf(parts)) = schema
            && let Some(whole) = merged(parts)
        {
            *schema = whole.into();
        }
    }
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// Returns a body that is composed of objects as one object, which clients can read more easily.
/// `None` if a part is a reference.
fn merged(parts: &AllOf) -> Option<Object> {
    let mut whole = ObjectBuilder::new().description(parts.description.clone()).build();
    for part in &parts.items {
        let part = match part {
            RefOr::T(Schema::Object(part)) => part.clone(),
            RefOr::T(Schema::AllOf(parts)) => merged(parts)?,
            _ => return None,
        };
        whole.properties.extend(part.properties);
        whole.required.extend(part.required);
        whole.description = whole.description.or(part.description);
        whole.extensions = whole.extensions.or(part.extensions);
    }
    Some(whole)
}

fn complete(operation: &mut Operation, path: &str, callers: Callers) {
    let parameters = operation.parameters.get_or_insert_default();
    for parameter in parameters.iter_mut() {
        if let RefOr::T(Parameter { parameter_in: ParameterIn::Header, name, .. }) = parameter {
            *parameter = component("parameters", &pascal_case(name));
        }
    }
    let has_input = parameters.iter().any(|parameter| matches!(parameter, RefOr::T(_)));
    let has_body = operation.request_body.is_some();
    parameters.push(component("parameters", "XRequestId"));
    parameters.push(component("parameters", "Traceparent"));
    if callers == Callers::Api {
        parameters.push(component("parameters", "XUserId"));
    }
    operation.tags = Some(vec![tag(path, callers).to_owned()]);
    operation.operation_id = operation.operation_id.take().map(|id| camel_case(&id));
    operation.security = Some(security(callers));

    let mut statuses = Vec::new();
    match callers {
        Callers::Api => statuses.extend(["401", "422"]),
        Callers::Admin => statuses.extend(["401", "404"]),
        Callers::Operators => statuses.extend(["401", "403"]),
        Callers::All => {}
    }
    // The usage takes nothing from the limits.
    if callers == Callers::Api && operation.operation_id.as_deref() != Some("getUsage") {
        statuses.push("429");
    }
    if has_body {
        statuses.extend(["400", "408", "413", "415", "422"]);
    }
    // A full server refuses no probes.
    if !path.starts_with("/health") {
        statuses.push("503");
    }
    let responses = &mut operation.responses.responses;
    for status in statuses {
        responses.entry(status.to_owned()).or_insert_with(|| Response::default().into());
    }
    for (status, response) in responses {
        let RefOr::T(response) = response else { continue };
        if response.description.is_empty() {
            description(status, callers, has_body || has_input).clone_into(&mut response.description);
        }
        if status.starts_with(['4', '5']) {
            let content = Content::new(Some(Ref::from_schema_name(Problem::name())));
            let media_type = PROBLEM_JSON.to_str().unwrap_or_default().to_owned();
            response.content.insert(media_type, content.into());
        }
        for name in header_names(status, callers) {
            response.headers.insert((*name).to_owned(), component("headers", &pascal_case(name)));
        }
    }
}

fn description(status: &str, callers: Callers, has_input: bool) -> &'static str {
    match status {
        "400" => "The body is not JSON in UTF-8, or ends early",
        "401" => "No or wrong credentials",
        "403" if callers == Callers::Operators => "For operators, and no admin token is configured",
        "403" => "Another user's token",
        "404" if callers == Callers::Admin => "No such resource, or no admin token is configured",
        "404" => "No such resource, or one of another user",
        "408" => "The body took too long",
        "413" => "The body is too large",
        "415" => "The body is not JSON by its type, or is compressed",
        "422" if has_input => "Well-formed but wrong",
        "422" => "A header field is wrong",
        "429" => "A limit is reached",
        "503" if callers == Callers::Api => "The server is full, stopping, or cannot decide",
        "503" => "The server is full",
        _ => "The answer",
    }
}

/// Returns the header fields of the responses with a status.
fn header_names(status: &str, callers: Callers) -> impl Iterator<Item = &'static &'static str> {
    let limits: &[_] = match callers {
        Callers::Api if status != "401" => &["ratelimit-policy", "ratelimit"],
        _ => &[],
    };
    let of_status: &[_] = match status {
        "401" => &["www-authenticate"],
        "415" => &["accept-encoding"],
        "429" | "503" => &["retry-after"],
        _ => &[],
    };
    ["x-request-id"].iter().chain(limits).chain(of_status)
}

fn security(callers: Callers) -> Vec<SecurityRequirement> {
    let needs = |scheme: &str| SecurityRequirement::new(scheme, [""; 0]);
    match callers {
        Callers::Api => vec![needs("bearer"), needs("apiKey"), SecurityRequirement::default()],
        Callers::Admin => vec![needs("admin")],
        Callers::Operators => vec![needs("admin"), SecurityRequirement::default()],
        Callers::All => Vec::new(),
    }
}

/// Returns the header fields of requests.
fn parameters() -> impl Iterator<Item = (String, Parameter)> {
    let user = ObjectBuilder::from(text())
        .min_length(Some(1))
        .max_length(Some(picarcade_flow::MAX_ID_BYTES))
        .pattern(Some("^[!-~]([ -~]*[!-~])?$"));
    let parameters = [
        (
            "x-request-id",
            "An id of the caller: repeated if it is visible ASCII without quotes, backslashes and angle \
             brackets, and replaced otherwise",
            text(),
            None,
        ),
        (
            "traceparent",
            "The trace that the request belongs to (W3C Trace Context); an invalid value is ignored",
            text(),
            Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ),
        (
            "x-user-id",
            "The end user, named by a caller with an API key or of a service without identities; overrides \
             `user_id` in body and query. Ignored with an end user's token. UTF-8 of at most 256 bytes",
            user.build(),
            Some("ann"),
        ),
        (
            "cache-control",
            "`no-cache` skips cache reads, `no-store` skips reads and writes; other directives are ignored",
            text(),
            Some("no-cache"),
        ),
    ];
    parameters.into_iter().map(|(name, description, schema, example)| {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .description(Some(description))
            .required(Required::False)
            .schema(Some(schema))
            .example(example.map(Value::from));
        (pascal_case(name), parameter.build())
    })
}

/// Returns the header fields of responses. A field that is not required is absent where it does not
/// apply.
fn headers() -> impl Iterator<Item = (String, Header)> {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).build();
    let headers = [
        ("x-request-id", "The id of the request: its own if it sent a valid one", text(), true),
        (
            "ratelimit-policy",
            "Every limit that applies to the caller, with quota (q) and window in seconds (w): a Structured \
             Field list (draft-ietf-httpapi-ratelimit-headers). Absent where no limit applies",
            text(),
            false,
        ),
        (
            "ratelimit",
            "What remains of each limit (r), and the seconds until it is completely free (t)",
            text(),
            false,
        ),
        ("retry-after", "Whole seconds after which a retry can succeed", seconds, true),
        ("www-authenticate", "The accepted kinds of credentials", text(), true),
        ("accept-encoding", "`identity`, if the body is compressed", text(), false),
    ];
    headers.into_iter().map(|(name, description, schema, required)| {
        let header = HeaderBuilder::new().description(Some(description)).schema(Some(schema));
        // utoipa has no field for it.
        let required = required.then(|| keyword("required", true.into()));
        (pascal_case(name), header.extensions(required).build())
    })
}

fn security_schemes() -> [(&'static str, SecurityScheme); 3] {
    let bearer = |description: &str| {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description));
        SecurityScheme::Http(scheme.build())
    };
    [
        ("bearer", bearer("An API key or an end user's JWT")),
        ("apiKey", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("x-api-key")))),
        ("admin", bearer("The admin token")),
    ]
}

/// Returns a keyword that has no field of its own in utoipa.
fn keyword(name: &str, value: Value) -> Extensions {
    [(name, value)].into_iter().collect()
}

fn component<T>(kind: &str, name: &str) -> RefOr<T> {
    RefOr::Ref(Ref::new(format!("#/components/{kind}/{name}")))
}

/// Returns the name of a function as the name of an operation: `deleteSession` for
/// `delete_session`.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &capitalized(word))
}

/// Returns the name of a header field as the name of a component: `XRequestId` for `x-request-id`.
fn pascal_case(name: &str) -> String {
    name.split('-').map(capitalized).collect()
}

fn capitalized(word: &str) -> String {
    word.get(..1).unwrap_or_default().to_uppercase() + word.get(1..).unwrap_or_default()
}

fn text() -> Object {
    Object::with_type(Type::String)
}
