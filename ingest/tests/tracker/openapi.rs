//! The description of the API against the API: every parameter, outcome, stage and path, and its examples really sent.

use std::collections::BTreeSet;

use event::dialect::Table;
use event::key::signature::{KEY_HEADER, SIGNATURE_HEADER, TIME_HEADER, WINDOW_SECONDS};
use event::outcome::Outcome;
use event::stage::Stage;
use serde_json::Value;

use crate::rig::{PLAIN_SERVER_KEY, Rig};

const TEXT: &str = include_str!("../../openapi.yaml");

fn description() -> Value {
    yaml_serde::from_str(TEXT).expect("YAML")
}

fn at<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    value.pointer(pointer).expect(pointer)
}

fn names(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("a map").keys().map(String::as_str).collect()
}

fn texts(value: &Value) -> BTreeSet<&str> {
    value.as_array().expect("a list").iter().map(|one| one.as_str().expect("a text")).collect()
}

/// Every `$ref` below a value.
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

#[test]
fn it_is_openapi_and_every_reference_leads_somewhere() {
    let spec = oas3::from_yaml(TEXT).expect("OpenAPI 3.1");
    assert_eq!(spec.openapi, "3.1.0");
    let ids: Vec<_> =
        spec.operations().filter_map(|(_, _, operation)| operation.operation_id.clone()).collect();
    assert_eq!(
        ids.iter().collect::<BTreeSet<_>>().len(),
        spec.operations().count(),
        "each has an id of its own: {ids:?}"
    );
    let description = description();
    let mut found = Vec::new();
    references(&description, &mut found);
    assert!(found.len() > 50, "{}", found.len());
    for target in found {
        at(&description, target.strip_prefix('#').expect("within the file"));
    }
}

#[test]
fn it_says_what_the_program_knows() {
    let description = description();
    let event = at(&description, "/components/schemas/Event/properties");
    let known: BTreeSet<&str> =
        Table::native().parameters().filter(|one| !one.is_dropped).map(|one| one.name).collect();
    assert_eq!(names(event), known, "the native dialect's parameters");
    let stages: BTreeSet<&str> = Stage::ALL.into_iter().map(Stage::name).collect();
    assert_eq!(texts(at(&description, "/components/schemas/Stage/enum")), stages);
    let outcomes = texts(at(&description, "/components/schemas/Result/properties/outcome/enum"));
    let reasons = texts(at(&description, "/components/schemas/Reason/enum"));
    for outcome in Outcome::ALL {
        let shown = outcome.shown_to_caller().name();
        assert!(outcomes.contains(shown) != reasons.contains(shown), "{shown} is an outcome or a reason");
    }
    assert_eq!(
        outcomes.len() + reasons.len(),
        Outcome::COUNT - 1 + 1,
        "opted out is never shown, rejected is no fate"
    );
    let signed: BTreeSet<&str> = ["signer", "signed_at", "signature"]
        .into_iter()
        .map(|scheme| {
            at(&description, &format!("/components/securitySchemes/{scheme}/name")).as_str().expect("a name")
        })
        .collect();
    assert_eq!(signed, BTreeSet::from([KEY_HEADER, TIME_HEADER, SIGNATURE_HEADER]));
    assert!(TEXT.contains(&format!("{WINDOW_SECONDS} seconds off")));
    let limits = ingest::Limits::default();
    for said in [
        format!("{} MiB as sent", limits.body_bytes_max >> 20),
        format!("{} MiB unpacked", limits.body_decoded_bytes_max >> 20),
        "5,000 items".to_owned(),
        "8,192 bytes by default".to_owned(),
        format!("at most {} ms", limits.click_wait_ms_max),
    ] {
        assert!(TEXT.contains(&said), "{said}");
    }
    assert_eq!((limits.batch_items_max, limits.url_bytes_max), (5_000, 8_192));
}

#[test]
fn every_path_is_there_with_its_methods() {
    let rig = Rig::start();
    let description = description();
    for (path, operations) in at(&description, "/paths").as_object().expect("a map") {
        let target = path.replace("{stage}", "viewable");
        let described: BTreeSet<String> = names(operations).iter().map(|name| name.to_uppercase()).collect();
        let reply = rig.connect().request("OPTIONS", &target, &[], b"");
        let allowed: BTreeSet<String> = reply
            .header("allow")
            .split(", ")
            .filter(|method| !["HEAD", "OPTIONS"].contains(method))
            .map(str::to_owned)
            .collect();
        assert_eq!(allowed, described, "{path}");
    }
    let reply = rig.get("/openapi.yaml");
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/yaml"));
    assert_eq!(reply.text(), TEXT);
    assert_eq!(rig.connect().request("HEAD", "/openapi.yaml", &[], b"").status, 200);
    assert_eq!(rig.connect().request("POST", "/openapi.yaml", &[], b"x").status, 405);
    assert_eq!(rig.stop().received(), 0);
}

#[test]
fn its_examples_get_the_answers_that_it_says() {
    let rig = Rig::start();
    let description = description();
    let operation = at(&description, "/paths/~1v1~1events/post");
    let expected = at(operation, "/responses/200/content/application~1json/examples");
    let mut sent = BTreeSet::new();
    for media_type in ["application/json", "application/x-ndjson"] {
        let pointer = format!("/requestBody/content/{}/examples", media_type.replace('/', "~1"));
        for (name, example) in at(operation, &pointer).as_object().expect("a map") {
            let body = match at(example, "/value") {
                Value::String(lines) => lines.clone(),
                value => value.to_string(),
            };
            let bearer = format!("Bearer {PLAIN_SERVER_KEY}");
            let headers = [
                ("content-type", media_type),
                ("idempotency-key", name.as_str()),
                ("authorization", &bearer),
            ];
            let reply = rig.connect().request("POST", "/v1/events", &headers, body.as_bytes());
            assert_eq!(reply.status, 200, "{name}: {}", reply.text());
            let results: Value = serde_json::from_slice(&reply.body).expect("JSON");
            assert_eq!(&results, at(expected, &format!("/{name}/value")), "{name}");
            sent.insert(name.as_str());
        }
    }
    assert_eq!(names(expected), sent, "each answer belongs to a request");

    let beacon = at(&description, "/components/parameters/Beacon/example").as_object().expect("a map");
    let query: Vec<String> =
        beacon.iter().map(|(name, value)| format!("{name}={}", value.as_str().expect("a text"))).collect();
    for path in ["/i", "/e/viewable"] {
        assert_eq!(rig.outcome(&format!("{path}?{}", query.join("&")), &[]), "accepted", "{path}");
    }
    let reply = rig.get(&format!("/c?{}", query.join("&")));
    assert!(reply.status == 302 && !reply.header("location").is_empty(), "{}", reply.status);
    assert_eq!(rig.stop().events.len(), 10);
}
