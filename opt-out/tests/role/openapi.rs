//! The description of the API against the API: every kind, form and path, and its examples really sent.

use std::collections::BTreeSet;

use event::identifier::IdKind;
use event::key::signature::{KEY_HEADER, SIGNATURE_HEADER, TIME_HEADER};
use opt_out::{Limits, Settings};
use serde_json::Value;
use tempfile::tempdir;

use crate::dsr_tokens;
use crate::support::{Role, ids_json};

const TEXT: &str = include_str!("../../openapi.yaml");

fn description() -> Value {
    yaml_serde::from_str(TEXT).expect("YAML")
}

fn at<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    value.pointer(pointer).expect(pointer)
}

fn texts(value: &Value) -> BTreeSet<&str> {
    value.as_array().expect("a list").iter().map(|one| one.as_str().expect("a text")).collect()
}

fn start(dir: &std::path::Path) -> Role {
    let limits = Limits { requests_burst_max: 1_000, ..Limits::default() };
    let settings = Settings { limits, ..dsr_tokens::settings(Vec::new()) };
    dsr_tokens::start(dir, settings)
}

/// What is drawn for each receipt, blanked.
fn without_secrets(mut value: Value) -> Value {
    for name in ["receipt", "secret", "acJWT"] {
        if let Some(drawn) = value.get_mut(name) {
            assert!(
                drawn.is_null() || drawn.as_str().is_some_and(|text| text.len() >= 19),
                "{name}: {drawn}"
            );
            *drawn = Value::Null;
        }
    }
    value
}

#[test]
fn it_is_openapi_and_says_what_the_program_knows() {
    let spec = oas3::from_yaml(TEXT).expect("OpenAPI 3.1");
    assert_eq!(spec.openapi, "3.1.0");
    let description = description();
    let kinds: BTreeSet<&str> = IdKind::ALL.into_iter().map(IdKind::name).collect();
    assert_eq!(texts(at(&description, "/components/schemas/Kind/enum")), kinds);
    let signed: BTreeSet<&str> = ["app", "signed_at", "signature"]
        .into_iter()
        .map(|scheme| {
            at(&description, &format!("/components/securitySchemes/{scheme}/name")).as_str().expect("a name")
        })
        .collect();
    assert_eq!(signed, BTreeSet::from([KEY_HEADER, TIME_HEADER, SIGNATURE_HEADER]));
    let limits = Limits::default();
    for said in [
        format!("At most {} by default", limits.ids_per_request_max),
        format!("{} KiB by default", limits.body_bytes_max >> 10),
        format!(
            "by default {} at once and {} a minute",
            limits.requests_burst_max, limits.requests_per_minute
        ),
        format!("{} at once and {} a minute", limits.app_requests_burst_max, limits.app_requests_per_minute),
    ] {
        assert!(TEXT.contains(&said), "{said}");
    }
}

#[test]
fn every_path_is_there_with_its_method_and_every_example_gets_its_answer() {
    let dir = tempdir().expect("a folder");
    let role = start(dir.path());
    let description = description();
    let errors = texts(at(&description, "/components/schemas/Problem/properties/error/enum"));
    let forms = texts(at(&description, "/components/schemas/Form/enum"));
    let mut sent = 0;
    for (path, operations) in at(&description, "/paths").as_object().expect("a map") {
        let refused = role.call_with(path, &[("x-http-method-override", "PUT")], "{}");
        assert_ne!(refused.status, 404, "{path}");
        if path.contains('{') {
            // Of somebody's request: refused without its secret.
            assert_eq!(role.get(path, &[]).status, 403, "{path}");
            continue;
        }
        let Some(operation) = operations.get("post") else {
            let answer = role.get(path, &[]);
            assert_eq!(answer.status, 200, "{path}");
            let content = at(operations, "/get/responses/200/content").as_object().expect("a map");
            let (media_type, said) = content.iter().next().expect("a media type");
            assert_eq!(answer.header("content-type"), Some(media_type.as_str()), "{path}");
            if media_type == "application/json" {
                let has: BTreeSet<String> =
                    answer.json().as_object().expect("a map").keys().cloned().collect();
                let required = texts(at(said, "/schema/required"));
                assert_eq!(has.iter().map(String::as_str).collect::<BTreeSet<_>>(), required, "{path}");
            } else {
                assert_eq!(answer.body, TEXT);
            }
            continue;
        };
        assert_eq!(role.get(path, &[]).status, 405, "{path}");
        let examples = at(operation, "/requestBody/content/application~1json/examples");
        for (name, example) in examples.as_object().expect("a map") {
            let mut request = at(example, "/value").clone();
            if request.get("secret").is_some() {
                let (receipt, secret) = role.lodge(&[("cookie", "a-browser-of-this-test")]);
                request = serde_json::json!({"receipt": receipt, "secret": secret});
            }
            let answer = role.call(path, &request.to_string());
            let pointer =
                format!("/responses/{}/content/application~1json/examples/{name}/value", answer.status);
            let expected = operation.pointer(&pointer).expect(&answer.body);
            let json = answer.json();
            assert_eq!(without_secrets(json.clone()), without_secrets(expected.clone()), "{path} {name}");
            let is_known = |error: &Value| {
                let error = error.as_str().expect("a code");
                errors.contains(error) || error.starts_with("rq_")
            };
            assert!(json.get("error").is_none_or(is_known));
            sent += 1;
        }
    }
    assert_eq!(sent, 12);
    // Every form that an answer can name is listed.
    for kind in ["oaid", "mac"] {
        let value = if kind == "oaid" { "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5" } else { "A1:B2:C3:D4:E5:F6" };
        let answer = role.call("/v1/opt-outs", &ids_json(&[(kind, value)])).json();
        let covered = texts(&answer["ids"][0]["covered"]);
        assert!(covered.is_subset(&forms), "{covered:?}");
    }
    role.handle.stop();
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(name, value)| match value.as_str() {
                Some(target) if name == "$ref" => found.push(target),
                _ => references(value, found),
            }),
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let description = description();
    let mut found = Vec::new();
    references(&description, &mut found);
    assert!(found.len() > 20, "{}", found.len());
    for target in found {
        at(&description, target.strip_prefix('#').expect("within the file"));
    }
}
