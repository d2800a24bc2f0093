//! Request bodies, bounded.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ojs_model::json::Fields;
use ojs_model::{Error, ErrorCode};

use crate::problem::Problem;
use crate::state::Api;

/// The members of a request body that must be a JSON object.
pub(crate) struct JsonBody(pub(crate) Fields);

/// As [`JsonBody`], but an empty body reads as `{}`.
pub(crate) struct OptionalJsonBody(pub(crate) Fields);

impl FromRequest<Api> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let bytes = read(request, api.max_body_bytes).await?;
        Ok(Self(Fields::from_body(&bytes)?))
    }
}

impl FromRequest<Api> for OptionalJsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let bytes = read(request, api.max_body_bytes).await?;
        Ok(Self(Fields::from_optional_body(&bytes)?))
    }
}

async fn read(request: Request, max_bytes: usize) -> Result<bytes::Bytes, Error> {
    let announced = request
        .headers()
        .get(axum::http::header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if let Some(announced) = announced.filter(|length| *length > max_bytes) {
        return Err(Error::too_large("request body", announced, max_bytes));
    }
    let body: Body = request.into_body();
    match Limited::new(body, max_bytes).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::new(
            ErrorCode::PayloadTooLarge,
            format!("The request body is larger than the limit of {max_bytes} bytes."),
        )
        .with("what", "request body")
        .with("limit_bytes", max_bytes)),
        Err(_) => Err(Error::new(ErrorCode::InvalidPayload, "The request body could not be read to its end.")),
    }
}
