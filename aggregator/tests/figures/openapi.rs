//! The description of the API against the API: every route, parameter and refusal, and real answers held against its schemas.

use std::collections::BTreeSet;

use event::identifier::IdKind;
use event::link::LinkKeys;
use event::outcome::Outcome;
use event::record::flag;
use serde_json::Value;

use crate::rig::{CATALOG, DAY_MS, Hit, NOON_MS, Rig, TOKEN, hit};

const TEXT: &str = include_str!("../../openapi.yaml");
/// The API's own table of its routes.
const ROUTES: &str = include_str!("../../src/api.rs");

fn description() -> Value {
    yaml_serde::from_str(TEXT).expect("YAML")
}

fn at<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    value.pointer(pointer).expect(pointer)
}

fn texts(value: &Value) -> BTreeSet<&str> {
    value.as_array().expect("a list").iter().map(|one| one.as_str().expect("a text")).collect()
}

/// A value, or what its reference leads to.
fn resolved<'v>(description: &'v Value, value: &'v Value) -> &'v Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(target) => at(description, target.strip_prefix('#').expect("within the file")),
        None => value,
    }
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

/// Holds an answer against a schema. A property that no schema names is a fault too.
fn check(description: &Value, schema: &Value, value: &Value, place: &str) {
    let schema = resolved(description, schema);
    if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
        let names: BTreeSet<&String> = parts
            .iter()
            .filter_map(|part| resolved(description, part).get("properties")?.as_object())
            .flat_map(|properties| properties.keys())
            .collect();
        for name in value.as_object().expect(place).keys() {
            assert!(names.contains(name), "{place}.{name} is not described");
        }
        for part in parts {
            let part = resolved(description, part);
            check_object(description, part, value, place);
        }
        return;
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
        assert!(allowed.contains(value), "{place}: {value} is none of {allowed:?}");
        return;
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(some) => some.iter().filter_map(Value::as_str).collect(),
        other => panic!("{place}: {other} is no type"),
    };
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = types.contains(&found) || (found == "integer" && types.contains(&"number"));
    assert!(fits, "{place}: {value} is none of {types:?}");
    if let Value::Array(items) = value {
        for (number, item) in items.iter().enumerate() {
            check(description, &schema["items"], item, &format!("{place}[{number}]"));
        }
    }
    if let Value::Object(fields) = value {
        check_object(description, schema, value, place);
        for name in fields.keys() {
            let is_known =
                schema["properties"].get(name).is_some() || schema.get("additionalProperties").is_some();
            assert!(is_known, "{place}.{name} is not described");
        }
    }
}

fn check_object(description: &Value, schema: &Value, value: &Value, place: &str) {
    for name in schema.get("required").map(texts).unwrap_or_default() {
        assert!(value.get(name).is_some(), "{place}.{name} is missing");
    }
    for (name, value) in value.as_object().expect(place) {
        let below = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
        if let Some(below) = below {
            check(description, below, value, &format!("{place}.{name}"));
        }
    }
}

#[test]
fn it_is_openapi_and_every_reference_leads_somewhere() {
    let spec = oas3::from_yaml(TEXT).expect("OpenAPI 3.1");
    assert_eq!(spec.openapi, "3.1.0");
    let ids: BTreeSet<_> =
        spec.operations().filter_map(|(_, _, operation)| operation.operation_id.clone()).collect();
    assert_eq!(ids.len(), spec.operations().count(), "each has an id of its own: {ids:?}");
    let description = description();
    let mut found = Vec::new();
    references(&description, &mut found);
    assert!(found.len() > 100, "{}", found.len());
    for target in found {
        at(&description, target.strip_prefix('#').expect("within the file"));
    }
}

#[test]
fn every_route_is_described_with_its_method() {
    let rig = Rig::new();
    let description = description();
    let described: BTreeSet<String> =
        at(&description, "/paths").as_object().expect("a map").keys().cloned().collect();
    // Rows such as "| `GET /v1/campaigns/{campaign}/delivery`, `…/reach` | …".
    let mut routes = BTreeSet::new();
    for row in ROUTES.lines().filter_map(|line| line.strip_prefix("//! | `")) {
        let named = row.split(" | ").next().expect("a cell");
        let mut before = String::new();
        for name in named.split('`').filter(|name| name.contains('/')) {
            let path = name.split_once(' ').map_or(name, |(_, path)| path);
            let path = path.split(['?', '[']).next().expect("a path");
            let path = match path.strip_prefix("…/") {
                Some(last) => format!("{}/{last}", before.rsplit_once('/').expect("a path").0),
                None => path.to_owned(),
            };
            before.clone_from(&path);
            routes.insert(path);
        }
    }
    assert_eq!(described, routes);
    for path in &described {
        let operations = description["paths"][path].as_object().expect("a map");
        let target =
            path.replace("{campaign}", "utc").replace("{placement}", "p1").replace("{token}", "none");
        let (status, body) = rig.call("PURGE", &target);
        assert!(status == 405 && body.contains("only "), "{path}: {status} {body}");
        let (_, words) = body.split_once("only ").expect("the methods");
        let (allowed, _) = words.split_once(" is allowed").expect("the methods");
        for (method, operation) in operations {
            let method = method.to_uppercase();
            assert!(allowed.split(", ").any(|one| one == method), "{path}: {method} of {allowed}");
            let is_open = operation.get("security").is_some();
            assert_eq!(rig.call_as(&method, &target, None).0, if is_open { 200 } else { 401 }, "{path}");
            let responses = operation["responses"].as_object().expect("a map");
            if !is_open {
                assert!(["401", "429", "503"].iter().all(|status| responses.contains_key(*status)), "{path}");
                let (status, body) = rig.call(&method, &format!("{target}?no_such_parameter=1"));
                assert_eq!(status, 400, "{path}: {body}");
                let problem: Value = serde_json::from_str(&body).expect("JSON");
                check(&description, at(&description, "/components/schemas/Problem"), &problem, path);
            }
        }
    }
    let (status, text) = rig.call_as("GET", "/openapi.yaml", None);
    assert_eq!((status, text.as_str()), (200, TEXT));
    assert_eq!(rig.call_as("HEAD", "/openapi.yaml", None).0, 200);
    assert_eq!(rig.headers("/openapi.yaml")["content-type"], "application/yaml");
}

#[test]
fn what_a_parameter_may_be_is_what_the_api_takes() {
    let rig = Rig::new();
    let description = description();
    for kind in ["delivery", "reach", "frequency", "ids", "overlap"] {
        let pointer = format!("/paths/~1v1~1campaigns~1{{campaign}}~1{kind}/get/parameters");
        let parameters: Vec<&Value> = at(&description, &pointer)
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| resolved(&description, one))
            .collect();
        let (_, all) = rig.call("GET", &format!("/v1/campaigns/utc/{kind}?none=1"));
        for parameter in parameters.iter().filter(|one| one["in"] == "query") {
            let name = parameter["name"].as_str().expect("a name");
            assert!(all.contains(&format!("{name},")) || all.contains(&format!("{name}\"")), "{name}: {all}");
            let Some(allowed) = parameter.pointer("/schema/enum").map(texts) else { continue };
            let (status, body) = rig.call("GET", &format!("/v1/campaigns/utc/{kind}?{name}=no-such"));
            assert_eq!(status, 400);
            let words: Value = serde_json::from_str(&body).expect("JSON");
            let words = words["error"]["message"].as_str().expect("words");
            let (_, list) = words.split_once("one of ").expect("a list");
            assert_eq!(list.split(", ").collect::<BTreeSet<_>>(), allowed, "{kind} {name}");
            for value in allowed {
                let (status, _) = rig.bytes(&format!("/v1/campaigns/utc/{kind}?{name}={value}"));
                assert_eq!(status, 200, "{kind} {name}={value}");
            }
        }
    }
    let kinds: BTreeSet<&str> = IdKind::ALL.into_iter().map(IdKind::name).collect();
    let described = at(&description, "/components/schemas/IdsRow/properties/identified_by_kind/required");
    assert_eq!(texts(described), kinds);
}

#[test]
fn real_answers_are_as_described() {
    let settings = aggregator::Settings { device_day_impressions_max: 3, ..aggregator::Settings::default() };
    let mut rig = Rig::with(CATALOG, settings);
    rig.public_url = Some("https://t.example.com".to_owned());
    rig.link_keys = link_keys();
    rig.restart(|_| ());
    let yesterday = NOON_MS - DAY_MS;
    let one = Hit { device: Some(1), flags: flag::ID_USABLE, ..hit(yesterday) };
    let mut hits: Vec<Hit> = vec![one; 5];
    let before = Hit { creative: "k", region: "CN-SH", ..hit(yesterday - DAY_MS) };
    hits.extend((2..9).map(|n| Hit { device: Some(n), ..before.clone() }));
    hits.push(Hit { placement: "nobody's", ..hit(yesterday) });
    rig.push(&hits);
    let mut outcomes = [0; Outcome::COUNT];
    outcomes[0] = 1;
    rig.push_books(1, 0, outcomes);
    strangers(&rig);
    let description = description();
    let schema = |path: &str, method: &str| {
        let operation = &description["paths"][path][method];
        at(operation, "/responses/200/content/application~1json/schema")
    };
    let (_, settled) = rig.call("POST", "/v1/settle");
    let settled: Value = serde_json::from_str(&settled).expect("JSON");
    assert!(settled["days"].as_array().is_some_and(|days| days.len() == 2), "{settled}");
    check(&description, schema("/v1/settle", "post"), &settled, "settle");
    let campaign = "/v1/campaigns/{campaign}";
    numbers_are_as_described(&rig, &description);
    let mut checked = BTreeSet::from(["/v1/settle".to_owned(), "/openapi.yaml".to_owned()]);
    for (path, queries, list) in [
        ("/v1/campaigns".to_owned(), &[""][..], "/campaigns"),
        (format!("{campaign}/delivery"), &["", "?by=day", "?by=region"], "/rows"),
        (format!("{campaign}/reach"), &["", "?by=day", "?by=id_kind"], "/rows"),
        (format!("{campaign}/frequency"), &["", "?by=placement"], "/rows"),
        (format!("{campaign}/ids"), &["", "?by=medium"], "/rows"),
        (format!("{campaign}/overlap"), &["", "?by=placement&stack=p1", "?by=id_kind"], "/rows"),
        (format!("{campaign}/links"), &["", "?sign=true&dialect=all"], "/links"),
        (format!("{campaign}/media-numbers"), &["", "?medium=Medium+A"], "/media"),
        (format!("{campaign}/placements/{{placement}}/hits"), &[""], ""),
        ("/v1/alerts".to_owned(), &["", "?campaign=utc"], "/alerts"),
        ("/v1/profiles".to_owned(), &["", "?medium=Kuaishou"], "/profiles"),
        ("/v1/set-aside".to_owned(), &[""], "/devices"),
        ("/v1/books".to_owned(), &[""], "/journals"),
        ("/v1/me".to_owned(), &[""], ""),
    ] {
        let target = path.replace("{campaign}", "utc").replace("{placement}", "p1");
        for query in queries {
            let answer = rig.get(&format!("{target}{query}"));
            if !list.is_empty() {
                let length = at(&answer, list).as_array().map(Vec::len);
                assert!(
                    length.is_some_and(|length| length > 0),
                    "{path}{query}: nothing is checked in {answer}"
                );
            }
            check(&description, schema(&path, "get"), &answer, &path);
        }
        checked.insert(path);
    }
    campaigns_are_as_described(&rig, &description);
    checked.extend(
        ["", "/placements", "/placements/import", "/placements/{placement}"]
            .map(|of| format!("{campaign}{of}")),
    );
    tokens_are_as_described(&rig, &description);
    checked.extend(["placements-template", "tokens", "tokens/{token}"].map(|path| format!("/v1/{path}")));
    closings_are_as_described(&rig, &description);
    checked.extend(["closings", "workbook"].map(|of| format!("{campaign}/{of}")));
    let paths: BTreeSet<String> =
        at(&description, "/paths").as_object().expect("a map").keys().cloned().collect();
    assert_eq!(checked, paths);
}

/// A closing, the list of them, and every report of a closed period.
fn closings_are_as_described(rig: &Rig, description: &Value) {
    let path = "/v1/campaigns/{campaign}/closings";
    let answered = |path: &str, method: &str, status: u16| {
        let operation = &description["paths"][path][method];
        at(operation, &format!("/responses/{status}/content/application~1json/schema")).clone()
    };
    let range = r#"{"from":"2026-11-18","to":"2026-11-19","note":"x"}"#;
    let target = "/v1/campaigns/utc/closings";
    let (status, body) = rig.send_as("POST", target, Some(&format!("Bearer {TOKEN}")), range);
    assert_eq!(status, 201, "{body}");
    let closed: Value = serde_json::from_str(&body).expect("JSON");
    check(description, &answered(path, "post", 201), &closed, "closed");
    let list = rig.get(target);
    assert_eq!(list["closings"].as_array().map(Vec::len), Some(1));
    check(description, &answered(path, "get", 200), &list, "closings");
    rig.set_catalog(&CATALOG.replace("time_zone = \"UTC\"", "time_zone = \"UTC\"\ndouble_click_seconds = 7"));
    for kind in ["delivery", "reach", "frequency", "ids"] {
        let report = rig.report(&format!("utc/{kind}?from=2026-11-18&to=2026-11-19&by=placement"));
        assert_eq!(report["closed"]["version"], 1, "{report}");
        assert_eq!(report["adjustment"]["double_click_seconds"]["present"], 7, "{report}");
        assert!(report["rows"][0]["adjustment"]["impressions"].is_i64(), "{report}");
        let schema = answered(&format!("/v1/campaigns/{{campaign}}/{kind}"), "get", 200);
        check(description, &schema, &report, kind);
    }
}

/// What is given of media's own numbers, and refused.
fn numbers_are_as_described(rig: &Rig, description: &Value) {
    let operation = &description["paths"]["/v1/campaigns/{campaign}/media-numbers"]["put"];
    let schema = at(operation, "/responses/200/content/application~1json/schema");
    let numbers = r#"{"rows":[{"placement":"p1","day":"2026-11-19","impressions":7,"clicks":1}]}"#;
    for query in ["?dry_run=true", ""] {
        let target = format!("/v1/campaigns/utc/media-numbers{query}");
        let (status, body) = rig.send_as("PUT", &target, Some(&format!("Bearer {TOKEN}")), numbers);
        assert_eq!(status, 200, "{body}");
        let taken: Value = serde_json::from_str(&body).expect("JSON");
        check(description, schema, &taken, "taken");
    }
    let (status, body) = rig.send_as(
        "PUT",
        "/v1/campaigns/utc/media-numbers",
        Some(&format!("Bearer {TOKEN}")),
        "placement,day,imp\nx,y,z",
    );
    let refused: Value = serde_json::from_str(&body).expect("JSON");
    assert!(status == 422 && refused["error"]["cell_count"] == 3, "{body}");
    check(description, at(description, "/components/schemas/Problem"), &refused, "refused");
}

fn link_keys() -> std::sync::Arc<LinkKeys> {
    let key = format!("sightline_link_{}", "0123456789abcdef".repeat(4));
    std::sync::Arc::new(LinkKeys::from_texts([key]).expect("a key"))
}

/// As many hits of an unknown placement as open an alert.
fn strangers(rig: &Rig) {
    rig.push(&(0..10).map(|n| Hit { placement: "nobody's", ..hit(NOON_MS - n) }).collect::<Vec<_>>());
    rig.load();
    rig.look_for_alerts();
}

/// Campaigns that are set up, changed and removed, and what is answered where that is refused.
fn campaigns_are_as_described(rig: &Rig, description: &Value) {
    let operator = format!("Bearer {TOKEN}");
    let ask = |method: &str, target: &str, path: &str, body: &str, expected: u16| -> Value {
        let (status, body) = rig.send_as(method, target, Some(&operator), body);
        assert_eq!(status, expected, "{method} {target}: {body}");
        let value = serde_json::from_str(&body).expect("JSON");
        let responses = &description["paths"][path][method.to_lowercase()]["responses"];
        let response = resolved(description, &responses[expected.to_string()]);
        let place = format!("{method} {path} {expected}");
        check(description, at(response, "/content/application~1json/schema"), &value, &place);
        value
    };
    let (campaigns, campaign) = ("/v1/campaigns", "/v1/campaigns/{campaign}");
    let (placements, placement) =
        (format!("{campaign}/placements"), format!("{campaign}/placements/{{placement}}"));
    let example = |of: &str| at(description, &format!("/components/schemas/{of}/example")).to_string();
    let wanted = example("WantedCampaign");
    ask("POST", campaigns, campaigns, &wanted, 201);
    ask("POST", campaigns, campaigns, &wanted, 409);
    let one = "/v1/campaigns/spring";
    ask("POST", &format!("{one}/placements"), &placements, &example("WantedPlacement"), 201);
    ask("POST", &format!("{one}/placements"), &placements, r#"{"id":"p 2","source":"x"}"#, 422);
    let sheet = "Placement ID,Placement name,Medium,2026-11-01\np2,Two,Kuaishou,5\n合计,,,6\n";
    let (import, path) = (format!("{one}/placements/import"), format!("{placements}/import"));
    ask("POST", &import, &path, sheet, 200);
    ask("POST", &import, &path, sheet, 422);
    ask("POST", &format!("{import}?existing=replace"), &path, sheet, 428);
    let version = ask("GET", one, campaign, "", 200)["version"].as_str().expect("a version").to_owned();
    ask("GET", &format!("{one}/placements"), &placements, "", 200);
    let second = format!("{one}/placements/p2");
    ask("GET", &second, &placement, "", 200);
    ask("PATCH", one, campaign, r#"{"name":"S"}"#, 428);
    ask("PATCH", one, campaign, r#"{"name":"S","version":"00000000"}"#, 412);
    let changed = ask("PATCH", one, campaign, &format!(r#"{{"name":"S","version":"{version}"}}"#), 200);
    let version = changed["version"].as_str().expect("a version");
    ask("PATCH", &second, &placement, &format!(r#"{{"state":"gone","version":"{version}"}}"#), 422);
    let changed =
        ask("PATCH", &second, &placement, &format!(r#"{{"state":"trial","version":"{version}"}}"#), 200);
    let version = changed["version"].as_str().expect("a version");
    let gone = ask("DELETE", &format!("{second}?version={version}"), &placement, "", 200);
    ask(
        "DELETE",
        &format!("{one}?version={}", gone["version"].as_str().expect("a version")),
        campaign,
        "",
        200,
    );
    let types = |target: &str| rig.headers(target)["content-type"].to_str().expect("a type").to_owned();
    let described = at(description, "/paths/~1v1~1placements-template/get/responses/200/content");
    for format in ["csv", "xlsx"] {
        let found = types(&format!("/v1/placements-template?format={format}"));
        let found = found.split(';').next().expect("a type");
        assert!(described.get(found).is_some(), "{found}");
    }
}

/// Tokens, and what one of a medium is shown of the same reports.
fn tokens_are_as_described(rig: &Rig, description: &Value) {
    let answered = |method: &str, path: &str, status: u16| {
        let operation = &description["paths"][path][method.to_lowercase()];
        at(operation, &format!("/responses/{status}/content/application~1json/schema")).clone()
    };
    let operator = format!("Bearer {TOKEN}");
    let ask = |method: &str, path: &str, body: &str, expected: u16| -> Value {
        let (status, body) = rig.send_as(method, path, Some(&operator), body);
        assert_eq!(status, expected, "{method} {path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    };
    let wanted = r#"{"name":"A","role":"medium","media":["Medium A"],"expires_days":7}"#;
    let made = ask("POST", "/v1/tokens", wanted, 201);
    check(description, &answered("POST", "/v1/tokens", 201), &made, "made");
    let (id, token) = (made["id"].as_str().expect("an id"), made["token"].as_str().expect("a token"));
    for kind in ["delivery", "reach", "frequency", "ids", "overlap"] {
        for query in ["", "?by=day", "?by=placement"]
            .into_iter()
            .filter(|query| kind != "overlap" || *query != "?by=day")
        {
            let target = format!("/v1/campaigns/utc/{kind}{query}");
            let (status, body) = rig.call_as("GET", &target, Some(&format!("Bearer {token}")));
            assert_eq!(status, 200, "{body}");
            let report: Value = serde_json::from_str(&body).expect("JSON");
            assert!(report["privacy"]["k"] == 50, "{report}");
            check(
                description,
                &answered("GET", &format!("/v1/campaigns/{{campaign}}/{kind}"), 200),
                &report,
                &target,
            );
        }
    }
    check(description, &answered("GET", "/v1/tokens", 200), &ask("GET", "/v1/tokens", "", 200), "tokens");
    for method in ["GET", "DELETE"] {
        let token = ask(method, &format!("/v1/tokens/{id}"), "", 200);
        check(description, &answered(method, "/v1/tokens/{token}", 200), &token, "token");
    }
}
