//! An HTTP answer, made of its parts.

use axum::body::Bytes;
use axum::http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};

/// An answer with a body and its type.
pub(super) fn plain(status: u16, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
