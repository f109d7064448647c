//! An answer of the flow with the id of its request.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// An answer and the id of the request that it answers, as one JSON object.
#[derive(Debug, Serialize)]
pub(crate) struct WithRequestId<'a, T> {
    #[serde(flatten)]
    pub(crate) answer: &'a T,
    pub(crate) request_id: &'a str,
}

impl<T: ToSchema> PartialSchema for WithRequestId<'_, T> {
    fn schema() -> RefOr<Schema> {
        let id = ObjectBuilder::new().property("request_id", String::schema()).required("request_id");
        AllOfBuilder::new().item(T::schema()).item(id).into()
    }
}

/// The description has the name of the answer, which occurs in bodies only together with the id.
impl<T: ToSchema> ToSchema for WithRequestId<'_, T> {
    fn name() -> Cow<'static, str> {
        T::name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(schemas);
    }
}
