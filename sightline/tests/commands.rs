//! The commands around a running instance, as an operator meets them: exit codes, what is said about mistakes, the first start, a clean
//! stop, readiness, metrics, the catalog that changes while everything runs, and each role alone.

#![cfg(test)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use support::http::Connection;
use support::truth::{number, rows};
use support::{CATALOG, Instance, Options, signal, wait_for};

/// Longest wait for something that takes a second.
const SOON: Duration = Duration::from_secs(30);
const PHONE: &str = "Dalvik/2.1.0 (Linux; U; Android 14; M2102J2SC Build/UKQ1.230804.001)";

/// Runs the binary in a folder, without an instance.
fn run(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sightline"))
        .args(words)
        .current_dir(folder)
        .env_remove("SIGHTLINE_DATA")
        .env_remove("SIGHTLINE_CONFIG")
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn get(address: std::net::SocketAddr, target: &str) -> support::http::Response {
    let mut connection = Connection::open(address).expect("connects");
    connection.get(target, &[("user-agent", PHONE)]).expect("answers")
}

#[test]
fn mistakes_are_answered_with_what_to_do_and_code_two() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("sightline.toml");
    fs::write(&config, "[tracker]\nlisten = \"127.0.0.1:0\"\n\n[tracker.limits]\nurl_byte_max = 1\n")
        .expect("written");
    for words in [&["check-config", "sightline.toml"][..], &["standalone", "--config", "sightline.toml"]] {
        let output = run(folder.path(), words);
        assert_eq!(code(&output), 2, "{}", err(&output));
        let said = err(&output);
        assert!(
            said.contains("sightline.toml:5:") && said.contains("did you mean `url_bytes_max`?"),
            "{said}"
        );
        assert!(!folder.path().join("sightline-data").exists(), "nothing was begun");
    }
    fs::write(&config, "[tracker]\nlisten = \"8080\"\n").expect("written");
    let output = run(folder.path(), &["check-config", "sightline.toml"]);
    assert_eq!(code(&output), 2, "{}", err(&output));
    assert!(err(&output).contains("such as \"127.0.0.1:8080\""), "{}", err(&output));
    for words in [
        &["no-such-command"][..],
        &["report"],
        &["report", "reach", "--by", "week"],
        &["standalone", "--log", "a=b=c"],
    ] {
        assert_eq!(code(&run(folder.path(), words)), 2, "{words:?}");
    }
    let output = run(folder.path(), &["replay", "nowhere"]);
    assert_eq!(code(&output), 2);
    assert!(err(&output).contains("nowhere: there is no such file"), "{}", err(&output));
    let output = run(folder.path(), &["report", "reach"]);
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("no instance runs on the data folder sightline-data"), "{}", err(&output));
    let output = run(folder.path(), &["--help"]);
    assert_eq!(code(&output), 0);
    assert!(out(&output).contains("standalone"), "{}", out(&output));
}

#[test]
fn a_key_file_that_cannot_be_used_is_found_and_told_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("the.key");
    let sections = [
        "[[tracker.server]]\nname = \"stitcher\"\nsigning_key_files = [\"the.key\"]\n",
        "[[opt_out.app]]\nname = \"app\"\nkey_files = [\"the.key\"]\n",
        "[links]\nkey_files = [\"the.key\"]\n",
    ];
    for section in sections {
        fs::write(folder.path().join("sightline.toml"), section).expect("written");
        let check = || run(folder.path(), &["check-config", "sightline.toml"]);
        let _ = fs::remove_file(&key);
        let absent = check();
        assert_eq!(code(&absent), 2, "{}", err(&absent));
        assert_eq!(err(&absent).matches("No such file").count(), 1, "{}", err(&absent));
        for (text, mode, wanted) in
            [("", 0o600, "the.key"), ("too-short\n", 0o600, "the.key"), ("x", 0o644, "chmod 600")]
        {
            fs::write(&key, text).expect("written");
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).expect("chmod");
            let output = check();
            assert_eq!(code(&output), 2, "{section}{mode:o} {}", err(&output));
            assert!(err(&output).contains(wanted) && !err(&output).contains("too-short"), "{}", err(&output));
        }
    }
    fs::write(folder.path().join("sightline.toml"), sections[0]).expect("written");
    fs::remove_file(&key).expect("is there");
    let output = run(folder.path(), &["standalone", "--config", "sightline.toml"]);
    assert_ne!(code(&output), 0);
    let said = err(&output);
    let said = said.lines().find(|line| line.starts_with("error:")).unwrap_or_default();
    assert!(said.matches("No such file").count() == 1 && !said.contains("listen"), "{said}");
}

#[test]
fn a_catalog_that_is_wrong_is_refused_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("sightline.toml"), "catalog = \"catalog.toml\"\n").expect("written");
    let catalog = folder.path().join("catalog.toml");
    fs::write(&catalog, "[[campaign]]\nid = \"a\"\nname = \"A\"\ntime_zone = \"Asia/Beijing\"\n")
        .expect("written");
    let output = run(folder.path(), &["check-config", "sightline.toml"]);
    assert_eq!(code(&output), 2, "{}", err(&output));
    assert!(err(&output).contains("catalog.toml:4:"), "{}", err(&output));
    // A catalog is checked as one.
    let output = run(folder.path(), &["check-config", "catalog.toml"]);
    assert_eq!(code(&output), 2, "{}", err(&output));
    assert!(err(&output).contains("catalog.toml:4:"), "{}", err(&output));
    fs::write(&catalog, CATALOG).expect("written");
    fs::write(&catalog, format!("{CATALOG}dialect = \"admastr\"\n")).expect("written");
    let output = run(folder.path(), &["check-config", "sightline.toml"]);
    assert_eq!(code(&output), 2, "{}", err(&output));
    assert!(err(&output).contains("did you mean admaster?"), "{}", err(&output));
    fs::write(&catalog, CATALOG).expect("written");
    let output = run(folder.path(), &["check-config", "catalog.toml"]);
    assert!(out(&output).contains("a catalog, and right, 1 campaigns"), "{}", out(&output));
    let output = run(folder.path(), &["check-config", "sightline.toml"]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert!(out(&output).contains("1 campaigns, 3 placements"), "{}", out(&output));
}

#[test]
fn a_check_says_where_a_start_would_look_for_its_catalog() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    let check = || {
        let output = run(folder.path(), &["check-config", "sightline.toml"]);
        assert_eq!(code(&output), 0, "{}", err(&output));
        out(&output).lines().nth(1).expect("a second line").to_owned()
    };
    let data = |name: &str| format!("in its data folder, here {}", folder.path().join(name).display());
    // Nothing is configured.
    write("sightline.toml", "");
    let said = check();
    assert!(said.contains("none is named") && said.contains(&data("sightline-data:")), "{said}");
    assert!(said.ends_with("not there yet, and the first start writes an example"), "{said}");
    // A folder, whose catalog is there.
    write("sightline.toml", "data = \"elsewhere\"\n");
    fs::create_dir(folder.path().join("elsewhere")).expect("a folder");
    write("elsewhere/catalog.toml", CATALOG);
    let said = check();
    assert!(said.contains(&data("elsewhere: right, 1 campaigns")), "{said}");
    // A catalog, which is then nowhere else.
    write("sightline.toml", "catalog = \"elsewhere/catalog.toml\"\n");
    let said = check();
    assert!(
        said.starts_with("elsewhere/catalog.toml: right, 1 campaigns") && !said.contains("data"),
        "{said}"
    );
}

#[test]
fn a_first_start_makes_secrets_that_only_their_owner_reads_and_a_second_start_keeps_them() {
    let mut instance = Instance::start(Options::default());
    let secrets = ["device.keys", "operator.token", "replay.key", "debug.key"];
    let before: Vec<String> = secrets.iter().map(|name| instance.secret(name)).collect();
    assert_eq!(before.iter().collect::<BTreeSet<_>>().len(), secrets.len(), "each is drawn for itself");
    for name in secrets {
        let mode =
            fs::metadata(instance.data().join("keys").join(name)).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(instance.logs().contains(&instance.secret("operator.token")), "the first start shows the token");
    for name in ["device.keys", "replay.key", "debug.key"] {
        assert!(!instance.logs().contains(&instance.secret(name)), "{name} is shown nowhere");
    }

    let first = instance.logs().len();
    instance.restart();
    let after: Vec<String> = secrets.iter().map(|name| instance.secret(name)).collect();
    assert_eq!(before, after);
    assert!(
        !instance.logs()[first..].contains(&instance.secret("operator.token")),
        "a second start does not"
    );

    assert!(instance.terminate().success());
    let keys = instance.data().join("keys/device.keys");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).expect("chmod");
    let why = instance.try_restart().expect_err("keys that others may read");
    assert!(why.contains("ended"), "{why}");
    assert!(instance.log_tail().contains("chmod 600"), "{}", instance.log_tail());
}

#[test]
fn a_second_process_is_kept_out_and_a_stop_is_clean() {
    let mut instance = Instance::start(Options::default());
    let config = instance.config();
    let second = run(instance.root(), &["standalone", "--config", config.to_str().expect("text")]);
    assert_eq!(code(&second), 1, "{}", err(&second));
    assert!(err(&second).contains("another process runs on the data folder"), "{}", err(&second));
    assert_eq!(
        get(instance.tracker(), "/i?c=demo&p=p1&rid=a&cookie=b").status,
        200,
        "the first is not disturbed"
    );
    signal(&instance.pid().to_string(), "INT");
    wait_for("the end after SIGINT", SOON, || instance.has_ended());
    assert!(!instance.data().join("instance.json").exists(), "a clean end tidies up");
    instance.restart();
    assert_eq!(number(&reach(&instance), "reach"), 1, "what was answered is there");
    assert_eq!(instance.terminate().code(), Some(0));
}

#[test]
fn the_admin_port_tells_parts_and_metrics() {
    let instance = Instance::start(Options::default());
    assert_eq!(get(instance.admin(), "/live").status, 200);
    let ready = get(instance.admin(), "/ready").json();
    let parts: BTreeSet<&str> =
        ready["parts"].as_object().expect("parts").keys().map(String::as_str).collect();
    assert_eq!(parts, BTreeSet::from(["clicks", "opt_out", "pixels", "store"]), "{ready}");
    assert_eq!(get(instance.admin(), "/ready?part=clicks").status, 200);
    assert_eq!(get(instance.admin(), "/ready?part=none").status, 404);
    assert_eq!(get(instance.admin(), "/").status, 404);
    let mut connection = Connection::open(instance.admin()).expect("connects");
    assert_eq!(connection.request("POST", "/live", &[], b"").expect("answers").status, 405);

    get(instance.tracker(), "/i?c=demo&p=p1&rid=a&cookie=b");
    wait_for("the beacon is in the metrics", SOON, || {
        get(instance.admin(), "/metrics").text().contains("ingest_beacons_total{outcome=\"accepted\"} 1\n")
    });
    let metrics = get(instance.admin(), "/metrics").text();
    assert!(metrics.contains("catalog_campaigns_count 1\n"), "{metrics}");
    hold_against_golden(&metrics);
}

/// Name, type and unit of every metric, as dashboards and alerts are made from. `SIGHTLINE_GOLDEN=1` writes the file anew.
fn hold_against_golden(metrics: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/metrics.txt");
    let described: BTreeSet<&str> = metrics.lines().filter(|line| line.starts_with("# ")).collect();
    let text = described.into_iter().collect::<Vec<_>>().join("\n") + "\n";
    if std::env::var_os("SIGHTLINE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, &text).expect("written");
    }
    let golden = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(
        text, golden,
        "metrics changed: if that is meant, run this test with SIGHTLINE_GOLDEN=1 and look at the difference"
    );
}

/// Settles and answers the reach of the demo campaign.
fn reach(instance: &Instance) -> Value {
    instance.settle();
    let report = instance.report("demo/reach", "by=total");
    rows(&report).first().cloned().unwrap_or_else(|| panic!("no row: {report}"))
}

#[test]
fn a_catalog_that_changes_is_taken_and_a_wrong_one_leaves_the_old_in_force() {
    let instance = Instance::start(Options::default());
    let debug = instance.secret("debug.key");
    let outcome = |placement: &str| {
        let mut connection = Connection::open(instance.tracker()).expect("connects");
        let target = format!("/i?c=demo&p={placement}&rid=v-{placement}&cookie=d-{placement}");
        let headers = [("x-sightline-debug", debug.as_str()), ("user-agent", PHONE)];
        let answer = connection.get(&target, &headers).expect("answers");
        assert_eq!(answer.status, 200);
        answer.header("x-sightline-outcome").expect("a debug answer").to_owned()
    };
    let catalog = instance.root().join("catalog.toml");
    assert_eq!(outcome("p1"), "accepted");
    assert!(outcome("p9").contains("unresolved"), "{}", outcome("p9"));

    fs::write(&catalog, CATALOG.replace("id = \"p1\"", "id = 1")).expect("written");
    wait_for("the wrong catalog is refused", SOON, || {
        get(instance.admin(), "/metrics").text().contains("catalog_loads_total{result=\"refused\"} 1")
    });
    assert!(instance.logs().contains("catalog.toml:9:"), "the log names the line: {}", instance.log_tail());
    assert_eq!(outcome("p1"), "accepted", "the old one is in force");

    let more = "\n[[campaign.placement]]\nid = \"p9\"\nname = \"Ninth\"\nmedium = \"Nine\"\n";
    fs::write(&catalog, format!("{CATALOG}{more}")).expect("written");
    wait_for("the right catalog is taken", SOON, || outcome("p9") == "accepted");
    // What was unresolved before is adopted and counts like the rest; the views are the same, so each counts once.
    wait_for("both placements are counted", SOON, || number(&reach(&instance), "reach") == 2);
    let links = instance.command(&[
        "links",
        "--campaign",
        "demo",
        "--base",
        "https://t.example.com",
        "--catalog",
        "catalog.toml",
    ]);
    assert!(out(&links).contains("https://t.example.com/i?c=demo&p=p9&"), "{}{}", out(&links), err(&links));
}

#[test]
fn reports_and_settle_say_what_to_do() {
    let instance = Instance::start(Options::default());
    let mut connection = Connection::open(instance.tracker()).expect("connects");
    let program = [("user-agent", "curl/8.5.0")];
    connection.get("/i?c=demo&p=p1&rid=program&cookie=b", &program).expect("answers");
    let output = instance.command(&["report", "reach", "--settle"]);
    let said = "1 impression was received, and all removed: see `sightline report delivery";
    assert!(out(&output).contains(said), "{}", out(&output));
    assert!(!out(&output).contains("--settle"), "it was settled: {}", out(&output));
    get(instance.tracker(), "/i?c=demo&p=p1&rid=a&cookie=b");
    let output = instance.command(&["report", "reach", "--settle"]);
    assert!(!out(&output).contains("removed"), "{}", out(&output));
    assert_eq!(code(&output), 0, "{}", err(&output));
    let text = out(&output);
    assert!(
        text.contains("reach of demo") && text.contains("1+") && text.contains("Asia/Shanghai"),
        "{text}"
    );
    let output = instance.command(&["report", "frequency", "--format", "csv"]);
    assert!(out(&output).starts_with("key,frequency,or_more,devices"), "{}", out(&output));
    for (format, beginning) in [("xlsx", &b"PK\x03\x04"[..]), ("parquet", b"PAR1")] {
        let output = instance.command(&["report", "reach", "--format", format]);
        assert!(code(&output) == 0 && output.stdout.starts_with(beginning), "{}", err(&output));
    }
    let output = instance.command(&["report", "delivery", "--format", "json", "--by", "medium"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(rows(&report)[0]["key"], "One", "{report}");
    let output = instance.command(&["settle"]);
    assert!(out(&output).contains("nothing had changed"), "{}", out(&output));

    let output = instance.command(&["report", "reach", "--campaign", "demmo"]);
    assert_eq!(code(&output), 2);
    assert!(err(&output).contains("did you mean demo?"), "{}", err(&output));
    let output = instance.command(&["report", "reach", "--filter", "total_net"]);
    assert_eq!(code(&output), 2, "{}", err(&output));
    assert!(err(&output).contains("possible values: gross, net"), "{}", err(&output));
    for (campaign, placement, wanted) in [
        ("demo", "p1", "placement p1 is live"),
        ("demo", "p9", "there is no placement p9"),
        ("demmo", "p1", "there is no campaign demmo; did you mean demo?"),
    ] {
        let words = ["watch", "--campaign", campaign, "--placement", placement, "--once"];
        let output = instance.command(&words);
        assert_eq!(code(&output), 2, "{}", err(&output));
        assert!(err(&output).contains(wanted), "{}", err(&output));
    }
    let tracker = format!("http://{}", instance.tracker());
    let output = instance.command(&["report", "reach", "--url", &tracker]);
    assert_eq!(code(&output), 2, "{}", err(&output));
    assert!(err(&output).contains("is that the reports port"), "{}", err(&output));
    let token = instance.root().join("wrong.token");
    fs::write(&token, "sightline_operator_wrong").expect("written");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).expect("chmod");
    let output = instance.command(&["report", "reach", "--token-file", "wrong.token"]);
    assert_eq!(code(&output), 1);
    assert!(
        err(&output).contains("does not take this token") && !err(&output).contains("operator_wrong"),
        "{}",
        err(&output)
    );
}

#[test]
fn a_token_is_made_used_listed_and_revoked_from_the_command_line() {
    let mut instance = Instance::start(Options::default());
    let made = instance.command(&[
        "tokens",
        "create",
        "ACME",
        "--role",
        "medium",
        "--medium",
        "One",
        "--expires",
        "30",
    ]);
    assert_eq!(code(&made), 0, "{}", err(&made));
    let token = out(&made).trim().to_owned();
    assert!(
        token.starts_with("sightline_medium_") && !token.contains(char::is_whitespace),
        "nothing beside it"
    );
    let file = instance.root().join("medium.token");
    fs::write(&file, &token).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("chmod");
    let file = file.display().to_string();
    let report = instance.command(&["report", "reach", "--campaign", "demo", "--token-file", &file]);
    assert_eq!(code(&report), 0, "{}", err(&report));
    assert!(out(&report).contains("fewer than 50"), "says how it is shown: {}", out(&report));
    let settle = instance.command(&["settle", "--token-file", &file]);
    assert!(code(&settle) == 1 && err(&settle).contains("another role"), "{}", err(&settle));
    let listed = instance.command(&["tokens", "list"]);
    let id = token.split('_').nth(2).expect("an id").to_owned();
    let line = out(&listed).lines().find(|line| line.contains(&id)).expect("a line").to_owned();
    assert!(["ACME", "medium", "One", "in_force"].iter().all(|part| line.contains(part)), "{line}");

    for (words, part) in [
        (&["tokens", "create", "x", "--role", "advertiser"][..], "1 to 100 advertisers"),
        (&["tokens", "revoke", "0123456789abcdef"], "no token of that id"),
        (&["tokens", "revoke", "../x"], "tokens list"),
    ] {
        let output = instance.command(words);
        assert!(code(&output) == 1 && err(&output).contains(part), "{words:?}: {}", err(&output));
    }
    let unknown =
        instance.command(&["tokens", "create", "x", "--role", "advertiser", "--advertiser", "nobody"]);
    assert!(code(&unknown) == 0 && err(&unknown).contains("nobody"), "{}", err(&unknown));

    // It outlives the process, and what ends it does too.
    instance.kill9();
    instance.restart();
    let report = instance.command(&["report", "reach", "--campaign", "demo", "--token-file", &file]);
    assert_eq!(code(&report), 0, "{}", err(&report));
    let revoked = instance.command(&["tokens", "revoke", &id]);
    assert!(code(&revoked) == 0 && out(&revoked).contains("is revoked"), "{}", err(&revoked));
    let is_refused = |instance: &Instance| {
        let report = instance.command(&["report", "reach", "--campaign", "demo", "--token-file", &file]);
        assert!(code(&report) == 1 && err(&report).contains("401"), "{}", err(&report));
    };
    is_refused(&instance);
    instance.kill9();
    instance.restart();
    is_refused(&instance);
    assert!(!instance.logs().contains(&token[token.len() - 64..]), "the token is in no log");
}

#[test]
fn no_second_request_is_read_behind_a_body_on_the_inner_ports() {
    let instance = Instance::start(Options::default());
    let next = "GET /live HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    for address in [instance.admin(), instance.reports()] {
        for (head, answers) in [
            ("content-length: 2\r\n\r\nab", 1),
            ("content-length: 2\r\ncontent-length: 2\r\n\r\nab", 1),
            ("content-length: 9\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 1),
            ("\r\n", 2),
        ] {
            let mut stream = TcpStream::connect(address).expect("connects");
            stream.set_read_timeout(Some(SOON)).expect("a timeout");
            let request = format!("GET /live HTTP/1.1\r\nhost: a\r\n{head}{next}");
            stream.write_all(request.as_bytes()).expect("sent");
            let mut bytes = Vec::new();
            // What was left unread may end the connection with a reset; the answer comes before it.
            let _ = stream.read_to_end(&mut bytes);
            let text = String::from_utf8(bytes).expect("text");
            assert_eq!(text.matches("HTTP/1.1 ").count(), answers, "{address} {head:?}: {text}");
        }
    }
}

#[test]
fn a_lost_opt_out_registry_ends_the_start_until_it_is_back_or_given_up() {
    let mut instance = Instance::start(Options::default());
    let body = json!({"ids": [{"kind": "imei", "value": "490154203237518"}]}).to_string();
    let request = format!(
        "POST /v1/opt-outs HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(instance.opt_out()).expect("connects");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the connection ends after a body");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    instance.terminate();

    let (folder, away) = (instance.data().join("opt-out"), instance.data().join("away"));
    fs::rename(&folder, &away).expect("moved away");
    instance.try_restart().expect_err("a registry that is gone is no first start");
    assert!(instance.logs().contains("start_empty = true"), "{}", instance.logs());
    assert!(!folder.exists(), "nothing is made that a restored copy would lie among");

    fs::rename(&away, &folder).expect("put back");
    instance.restart();
    instance.terminate();
    fs::rename(&folder, &away).expect("moved away");
    let given_up = "[opt_out.registry]\nstart_empty = true".to_owned();
    instance.set_options(Options { opt_out: given_up, ..Options::default() });
    instance.restart();
    instance.terminate();
    instance.set_options(Options::default());
    instance.restart();
}

#[test]
fn a_journal_is_verified_and_damage_is_told_by_the_exit_code() {
    let mut instance = Instance::start(Options { tracker: "lanes = 1".to_owned(), ..Options::default() });
    for n in 0..200 {
        get(instance.tracker(), &format!("/i?c=demo&p=p1&rid={n}&cookie=d{n}"));
    }
    instance.terminate();
    let output = instance.command(&["journal", "verify", "data/journal"]);
    assert_eq!(code(&output), 0, "{}", out(&output));
    assert!(out(&output).contains("whole in 1 segments"), "{}", out(&output));
    let dump = instance.command(&["journal", "dump", "data/journal/lane-0"]);
    let records: Vec<Value> =
        out(&dump).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(records.iter().filter(|record| record["stage"] == "impression").count(), 200);

    let lane = instance.data().join("journal/lane-0");
    let segment = fs::read_dir(&lane)
        .expect("the lane")
        .map(|entry| entry.expect("a file").path())
        .max_by_key(|path| fs::metadata(path).map_or(0, |meta| meta.len()))
        .expect("a segment");
    let mut bytes = fs::read(&segment).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, bytes).expect("written");
    let output = instance.command(&["journal", "verify", "data/journal"]);
    assert_eq!(code(&output), 1, "{}", out(&output));
    assert!(out(&output).contains("DAMAGED"), "{}", out(&output));
}

/// Starts a role on the folder of an instance that has stopped, and answers what it wrote to `instance.json`.
struct Role {
    child: std::process::Child,
}

impl Role {
    fn start(instance: &Instance, name: &str) -> (Self, Value) {
        let child = Command::new(env!("CARGO_BIN_EXE_sightline"))
            .args([name, "--config"])
            .arg(instance.config())
            .current_dir(instance.root())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let role = Self { child };
        let path = instance.data().join("instance.json");
        let mut written = Value::Null;
        wait_for(&format!("{name} is up"), SOON, || {
            let value = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
            written = value.filter(|value| value["pid"] == role.child.id()).unwrap_or_default();
            !written.is_null()
        });
        (role, written)
    }

    fn stop(mut self) {
        signal(&self.child.id().to_string(), "TERM");
        wait_for("the role ends", SOON, || self.child.try_wait().expect("can be asked").is_some());
        assert!(self.child.wait().expect("has ended").success());
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn each_role_runs_alone_and_hands_over_through_the_data_folder() {
    let mut instance = Instance::start(Options::default());
    instance.terminate();
    let address = |written: &Value, name: &str| -> std::net::SocketAddr {
        written[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name} in {written}"))
            .parse()
            .expect("an address")
    };

    let (page, written) = Role::start(&instance, "opt-out");
    assert_eq!((&written["tracker"], &written["reports"]), (&Value::Null, &Value::Null));
    let mut connection = Connection::open(address(&written, "opt_out")).expect("connects");
    let ids = json!({"ids": [{"kind": "cookie", "value": "opted-out-browser"}]});
    let answer = connection.post_json("/v1/opt-outs", &[], &ids).expect("answers");
    assert_eq!(answer.status, 200, "{}", answer.text());
    page.stop();

    let (tracker, written) = Role::start(&instance, "ingest");
    assert_eq!((&written["opt_out"], &written["reports"]), (&Value::Null, &Value::Null));
    for id in ["opted-out-browser", "one", "two"] {
        assert_eq!(
            get(address(&written, "tracker"), &format!("/i?c=demo&p=p1&rid=v-{id}&cookie={id}")).status,
            200
        );
    }
    tracker.stop();

    let (aggregator, written) = Role::start(&instance, "aggregator");
    assert_eq!((&written["tracker"], &written["opt_out"]), (&Value::Null, &Value::Null));
    let output = instance.command(&["report", "reach", "--settle", "--format", "json"]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(number(&rows(&report)[0], "reach"), 2, "the third had opted out: {report}");
    aggregator.stop();
}
