//! Answers as bytes: JSON, files, and the description of this API.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde::Serialize;

use super::Answer;
use super::problem::Problem;
use crate::form::Form;

/// The description.
pub(super) const DESCRIPTION: &str = include_str!("../../openapi.yaml");

/// Nothing of what is stored: no token is asked for, and no access entered.
pub(super) fn description(method: &Method) -> Answer {
    match *method {
        Method::GET => body(StatusCode::OK, "application/yaml", DESCRIPTION.into()),
        Method::HEAD => body(StatusCode::OK, "application/yaml", Vec::new()),
        _ => Problem::Method("GET, HEAD").answer(),
    }
}

pub(super) fn json_answer(status: StatusCode, value: &impl Serialize) -> Answer {
    body(status, "application/json", serde_json::to_vec(value).expect("answers can always be written"))
}

/// A written table, under a name to be saved by where its form has files.
pub(super) fn file(form: Form, bytes: Vec<u8>, name: impl FnOnce(&str) -> String) -> Answer {
    let mut answer = body(StatusCode::OK, form.media_type(), bytes);
    if let Some(extension) = form.extension() {
        let disposition = format!("attachment; filename=\"{}\"", name(extension));
        let disposition = HeaderValue::from_str(&disposition).expect("a plain file name");
        answer.headers_mut().insert(CONTENT_DISPOSITION, disposition);
    }
    answer
}

pub(super) fn body(status: StatusCode, media_type: &'static str, bytes: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(bytes)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
