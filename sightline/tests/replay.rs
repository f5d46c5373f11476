//! `sightline replay` through the real port: ten-year-old rows at their recorded time, repeats and foreign bytes among them; the figures
//! are those of plain code over the same rows, the same after a restart, and a second replay changes gross and nothing else.

#![cfg(test)]

mod support;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use serde_json::Value;

use support::random::{Random, soak};
use support::truth::{number, rows};
use support::{Instance, Options};

/// Impressions of the file.
const ROWS: u64 = 3_000;
const DEVICES: u64 = 1_800;
/// The file stays below a gigabyte, however long one soaks.
const SOAK_MAX: u64 = 1_000;
/// 2013-10-21T10:29:02Z: far outside the window of live beacons.
const FIRST_MS: u64 = 1_382_351_342_000;
const SPAN_MS: u64 = 5 * 3_600_000;
/// Entries of the histogram; the last one is open-ended.
const LEVELS: u64 = 10;
const HEADER: &str = "epoch_ms\tevent\tbid_id\tdevice_id\tuser_agent\tip\tdomain\tcreative_id";

/// A file of past beacons and what is true of it.
#[derive(Default)]
struct Past {
    bytes: Vec<u8>,
    /// Figures of the impressions: all, without repeats, devices, devices by frequency; and clicks.
    gross: u64,
    net: u64,
    clicks: u64,
    exactly: BTreeMap<u64, u64>,
}

fn past(random: &mut Random) -> Past {
    let mut past = Past { bytes: format!("{HEADER}\n").into_bytes(), ..Past::default() };
    let mut seen: HashSet<u64> = HashSet::new();
    let mut frequency: HashMap<u64, u64> = HashMap::new();
    let mut rows: Vec<(u64, &str, u64, u64)> = Vec::new();
    let devices = DEVICES * soak().min(SOAK_MAX);
    for view in 0..ROWS * soak().min(SOAK_MAX) {
        let device = random.below(devices).min(random.below(devices));
        let at = FIRST_MS + random.below(SPAN_MS);
        rows.push((at, "imp", view, device));
        if random.percent(1) {
            rows.push((at + random.below(46_000), "imp", view, device));
        }
        if random.percent(4) {
            rows.push((at + random.below(600_000), "clk", view, device));
        }
    }
    rows.sort_unstable();
    for (at, event, view, device) in rows {
        let agent: &[u8] = match device % 40 {
            0 => b"",
            1 => b"Mozilla/4.0 (compatible; \xb1\xb1\xbe\xa9)",
            _ => b"Mozilla/5.0 (Windows NT 6.1) AppleWebKit/537.1 (KHTML, like Gecko) Chrome/21.0.1180.89 Safari/537.1",
        };
        // From 1: an id of zeros names no view.
        past.bytes.extend_from_slice(format!("{at}\t{event}\t{:032x}\tD{device:x}~\t", view + 1).as_bytes());
        past.bytes.extend_from_slice(agent);
        past.bytes.extend_from_slice(format!("\t192.0.2.1\texample.com\tcr{}\n", view % 9).as_bytes());
        if event == "clk" {
            past.clicks += 1;
            continue;
        }
        past.gross += 1;
        if seen.insert(view) {
            past.net += 1;
            *frequency.entry(device).or_default() += 1;
        }
    }
    for count in frequency.into_values() {
        *past.exactly.entry(count).or_default() += 1;
    }
    past
}

/// Writes a file beside the data folder.
fn write(instance: &Instance, name: &str, bytes: &[u8]) -> PathBuf {
    let path = instance.root().join(name);
    fs::write(&path, bytes).expect("a file");
    path
}

/// Runs `sightline replay` and answers its exit code, standard output and standard error.
fn replay(instance: &Instance, file: &str, more: &[&str]) -> (i32, String, String) {
    let mut words = vec!["replay", file];
    words.extend_from_slice(more);
    let output = instance.command(&words);
    (
        output.status.code().expect("it ended by itself"),
        String::from_utf8(output.stdout).expect("text"),
        String::from_utf8(output.stderr).expect("text"),
    )
}

/// The one row of `sightline report reach --format json`, settled.
fn reach(instance: &Instance, filter: &str) -> Value {
    let words = ["report", "reach", "--campaign", "demo", "--filter", filter, "--settle", "--format", "json"];
    let output = instance.command(&words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    rows(&report).first().cloned().unwrap_or_else(|| panic!("no row: {report}"))
}

fn hold_against(instance: &Instance, past: &Past, times: u64) {
    let gross = reach(instance, "gross");
    assert_eq!(number(&gross, "impressions"), past.gross * times, "{gross}");
    assert_eq!(number(&gross, "clicks"), past.clicks * times, "{gross}");
    let net = reach(instance, "net");
    assert_eq!(number(&net, "impressions"), past.net, "{net}");
    assert_eq!(number(&net, "identified_impressions"), past.net, "{net}");
    assert_eq!(number(&net, "clicks"), past.clicks, "{net}");
    assert_eq!(number(&net, "reach"), past.exactly.values().sum::<u64>(), "{net}");
    let reported: BTreeMap<u64, u64> = net["exactly"]
        .as_array()
        .expect("a histogram")
        .iter()
        .enumerate()
        .filter_map(|(index, count)| Some((index as u64 + 1, count.as_u64().filter(|c| *c > 0)?)))
        .collect();
    let mut expected: BTreeMap<u64, u64> = BTreeMap::new();
    for (frequency, devices) in &past.exactly {
        *expected.entry((*frequency).min(LEVELS)).or_default() += devices;
    }
    assert_eq!(reported, expected, "{net}");
}

#[test]
fn past_beacons_count_at_their_time_and_replaying_them_again_changes_only_gross() {
    let mut random = Random::announced("past_beacons_count_at_their_time");
    let past = past(&mut random);
    let mut instance = Instance::start(Options::default());
    write(&instance, "past.tsv", &past.bytes);
    let words =
        ["--campaign", "demo", "--placement", "p1", "--map", "rid=bid_id", "--map", "cookie=device_id"];
    let (code, out, err) = replay(&instance, "past.tsv", &words);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("accepted") && out.contains(&thousands(past.gross + past.clicks)), "{out}");
    assert!(
        err.contains("ua           = column user_agent (by its name)"),
        "what was guessed is said: {err}"
    );
    hold_against(&instance, &past, 1);

    instance.restart();
    hold_against(&instance, &past, 1);

    let (code, out, err) = replay(&instance, "past.tsv", &words);
    assert_eq!(code, 0, "{out}{err}");
    hold_against(&instance, &past, 2);
}

#[test]
fn a_wrong_file_or_mapping_says_what_to_do_and_sends_nothing() {
    let instance = Instance::start(Options::default());
    write(
        &instance,
        "past.tsv",
        format!("{HEADER}\n{FIRST_MS}\timp\t1\tD1\tx\t192.0.2.1\te\tcr\n").as_bytes(),
    );
    let (code, _, err) =
        replay(&instance, "past.tsv", &["--campaign", "demo", "--placement", "p1", "--map", "rid=bidid"]);
    assert_eq!(code, 2, "{err}");
    assert!(
        err.contains("did you mean bid_id?") && err.contains("columns of the file: epoch_ms event"),
        "{err}"
    );
    let (code, _, err) = replay(&instance, "past.tsv", &["--placement", "p1"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("--campaign C"), "{err}");
    let (code, _, err) = replay(&instance, "none.tsv", &["--campaign", "demo", "--placement", "p1"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("none.tsv"), "{err}");
    let key = write(&instance, "wrong.key", b"sightline_replay_0000000000000000000000000000000000000000\n");
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("chmod");
    let words = ["--campaign", "demo", "--placement", "p1", "--key-file", "wrong.key"];
    let (code, out, err) = replay(&instance, "past.tsv", &words);
    assert_eq!(code, 1, "{out}{err}");
    assert!(err.contains("does not know the server key") && out.contains("not_delivered"), "{out}{err}");
    assert_eq!(number(&reach(&instance, "gross"), "impressions"), 0);
}

#[test]
fn rows_that_are_refused_are_told_by_reason_and_line_and_never_by_value() {
    let instance = Instance::start(Options::default());
    let now = format!("{FIRST_MS}");
    let text = format!(
        "t\tstage\trid\tcookie\n{now}\timp\tv1\tdevice-one\n{now}\tseen\tv2\tdevice-two\n{now}\timp\tv3\n\
         yesterday\timp\tv4\tdevice-four\n{now}\timp\tv5\tdevice-five\n"
    );
    write(&instance, "past.tsv", text.as_bytes());
    let (code, out, err) = replay(&instance, "past.tsv", &["--campaign", "demo", "--placement", "p1"]);
    assert_eq!(code, 0, "refused rows were delivered: {out}{err}");
    let line_of = |name: &str| {
        let line = out.lines().find(|line| line.trim_start().starts_with(name));
        line.unwrap_or_else(|| panic!("no {name} in\n{out}"))
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(line_of("accepted")[1], "2");
    assert_eq!(line_of("unknown_stage")[1..3], ["1", "3"]);
    assert_eq!(line_of("wrong_columns")[1..3], ["1", "4"]);
    assert_eq!(line_of("no_time")[1..3], ["1", "5"]);
    assert!(!out.contains("device-") && !err.contains("device-"), "{out}{err}");
    assert_eq!(number(&reach(&instance, "net"), "reach"), 2);
}

#[test]
fn json_lines_and_access_logs_are_read_too() {
    let instance = Instance::start(Options::default());
    let json = format!(
        "{{\"ts\":{FIRST_MS},\"event\":\"impression\",\"request_id\":\"j1\",\"device_id\":\"d1\",\"more\":{{}}}}\n\
         {{\"ts\":{FIRST_MS},\"event\":\"clk\",\"request_id\":\"j1\",\"device_id\":\"d1\"}}\n"
    );
    write(&instance, "past.ndjson", json.as_bytes());
    let (code, out, err) = replay(&instance, "past.ndjson", &["--campaign", "demo", "--placement", "p1"]);
    assert_eq!(code, 0, "{out}{err}");
    let log = "203.0.113.9 - - [21/Oct/2013:18:29:02 +0800] \"GET /i?c=demo&p=p2&rid=n1&cookie=d1 HTTP/1.1\" 200 43 \"-\" \"Mozilla/5.0\"\n\
               203.0.113.9 - - [21/Oct/2013:18:29:03 +0800] \"GET /favicon.ico HTTP/1.1\" 404 9 \"-\" \"Mozilla/5.0\"\n\
               203.0.113.9 - - [21/Oct/2013:18:29:04 +0800] \"GET /c?c=demo&p=p2&rid=n1&cookie=d1 HTTP/1.1\" 302 0 \"-\" \"Mozilla/5.0\"\n";
    write(&instance, "access.log", log.as_bytes());
    let (code, out, err) = replay(&instance, "access.log", &[]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("not_a_beacon"), "{out}");
    let row = reach(&instance, "net");
    assert_eq!(
        (number(&row, "impressions"), number(&row, "clicks"), number(&row, "reach")),
        (2, 2, 1),
        "{row}"
    );
    assert_eq!(row["exactly"][1], 1, "one device, twice: {row}");
}

#[test]
fn an_instance_that_is_not_there_is_a_failure_that_names_it() {
    let mut instance = Instance::start(Options::default());
    write(
        &instance,
        "past.tsv",
        format!("{HEADER}\n{FIRST_MS}\timp\t1\tD1\tx\t192.0.2.1\te\tcr\n").as_bytes(),
    );
    let words = ["--campaign", "demo", "--placement", "p1"];
    instance.kill9();
    let (code, _, err) = replay(&instance, "past.tsv", &words);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("does not answer") && err.contains("sightline standalone"), "{err}");
    instance.restart();
    instance.terminate();
    let (code, _, err) = replay(&instance, "past.tsv", &words);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("no instance runs on the data folder"), "{err}");
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let url = format!("http://{nobody}");
    let (code, _, err) = replay(&instance, "past.tsv", &[&words[..], &["--url", &url]].concat());
    assert_eq!(code, 1, "{err}");
    assert!(err.contains(&url), "{err}");
}

fn thousands(number: u64) -> String {
    let text = number.to_string();
    match text.len() {
        0..=3 => text,
        n => format!("{},{}", &text[..n - 3], &text[n - 3..]),
    }
}
