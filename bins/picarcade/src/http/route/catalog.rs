//! `GET /api/v2/models/available` and `GET /api/v2/decision-matrix`: the rules in force.

use axum::Json;
use axum::extract::State;
use picarcade_flow::ModelAvailability;
use picarcade_intent::MatrixRow;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::app::App;
use crate::http::identity::Admitted;
use crate::http::json::sorted;

/// The models of the catalogue.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelList)]
#[expect(clippy::struct_field_names, reason = "the field names of the contract")]
pub(crate) struct Models {
    /// The number of models whose provider is available.
    available: usize,
    #[serde(serialize_with = "sorted")]
    models: Vec<ModelAvailability>,
    total: usize,
}

/// Returns the catalogue with the availability of each model.
#[utoipa::path(get, path = "/api/v2/models/available", operation_id = "listModels", responses((status = 200, body = Models)))]
pub(crate) async fn models(State(app): State<App>, _: Admitted) -> Json<Models> {
    let models = app.flow.models();
    let available = models.iter().filter(|model| model.available).count();
    Json(Models { available, total: models.len(), models })
}

/// The decision matrix in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Matrix {
    catalogue_version: String,
    #[serde(serialize_with = "sorted")]
    rows: Vec<MatrixRow>,
    version: String,
}

/// Returns the decision matrix in force.
#[utoipa::path(
    get,
    path = "/api/v2/decision-matrix",
    operation_id = "getDecisionMatrix",
    responses((status = 200, body = Matrix)),
)]
pub(crate) async fn matrix(State(app): State<App>, _: Admitted) -> Json<Matrix> {
    let rules = app.flow.rules();
    Json(Matrix {
        catalogue_version: rules.catalogue.version().to_owned(),
        rows: rules.matrix.rows().to_vec(),
        version: rules.matrix.version().to_owned(),
    })
}
