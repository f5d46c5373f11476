//! `sightline import-opt-outs` through the real port: what a register holds is measured no more, in every form; a bad line keeps no other out; an
//! import that is made again, or was broken off by a kill, comes to the same; and a person's own opt-out holds at once while one goes on.

#![cfg(test)]

mod support;

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::json;

use support::http::Connection;
use support::random::{Random, soak};
use support::{Instance, LOOK_EVERY, Options};

/// Ids of a register; a soak makes it a million.
const IDS: u64 = 3_000;
const IDS_MAX: u64 = 1_000_000;

/// Runs the command and answers its exit code, standard output and standard error.
fn import(instance: &Instance, words: &[&str]) -> (i32, String, String) {
    let output = instance.command(&[&["import-opt-outs"], words].concat());
    (
        output.status.code().expect("it ended by itself"),
        String::from_utf8(output.stdout).expect("text"),
        String::from_utf8(output.stderr).expect("text"),
    )
}

/// The lines of an outcome in the closing table.
fn lines_of(table: &str, outcome: &str) -> u64 {
    let row = table.lines().find(|line| line.split_whitespace().next() == Some(outcome));
    let number = row.and_then(|row| row.split_whitespace().nth(1)).unwrap_or("0");
    number.replace(',', "").parse().unwrap_or_else(|_| panic!("{outcome}: {table}"))
}

/// How many of these devices' impressions are left out now.
fn left_out(instance: &Instance, oaids: &[String]) -> u64 {
    let counts = || {
        let of = |outcome: &str| instance.metric(&format!("ingest_beacons_total{{outcome=\"{outcome}\"}}"));
        (of("opted_out"), of("accepted") + of("opted_out"))
    };
    let (left_out, all) = counts();
    let mut connection = Connection::open(instance.tracker()).expect("a connection");
    for oaid in oaids {
        let answer = connection.request("GET", &format!("/i?c=demo&p=p1&os=0&oaid={oaid}"), &[], b"");
        assert_eq!(answer.expect("an answer").status, 200);
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while counts().1 < all + oaids.len() as u64 {
        assert!(Instant::now() < deadline, "{} beacons were not counted", oaids.len());
        std::thread::sleep(LOOK_EVERY);
    }
    counts().0 - left_out
}

fn write(instance: &Instance, name: &str, bytes: &[u8]) -> String {
    let path = instance.root().join(name);
    std::fs::write(&path, bytes).expect("a file");
    path.to_str().expect("text").to_owned()
}

#[test]
fn a_register_is_taken_in_whole_again_and_taken_back() {
    let mut random = Random::announced("a_register_is_taken_in_whole_again_and_taken_back");
    let ids = (IDS * soak()).min(IDS_MAX);
    let mut instance = Instance::start(Options::default());
    let oaids: Vec<String> = (0..ids).map(|_| random.uuid()).collect();
    let strangers: Vec<String> = (0..50).map(|_| random.uuid()).collect();
    let mut csv = "added,kind,value\n".to_owned();
    for oaid in &oaids {
        writeln!(csv, "2026-01-01,oaid,{oaid}").expect("written");
    }
    let bad = ids + 2;
    csv.push_str("2026-01-01,imei,000000000000000\n2026-01-01,imei,secretnumber\n2026-01-01,shoe,43\nx\n");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(csv.as_bytes()).expect("packed");
    let file = write(&instance, "register.csv.gz", &gzip.finish().expect("packed"));

    let (code, table, said) = import(&instance, &[&file, "--register", "national"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(lines_of(&table, "lodged"), ids, "{table}");
    for outcome in ["known_bad", "malformed", "unknown_kind", "wrong_columns"] {
        assert_eq!(lines_of(&table, outcome), 1, "{outcome}: {table}");
    }
    assert_eq!(lines_of(&table, "total"), ids + 4, "{table}");
    let refused = std::fs::read_to_string(format!("{file}.refused.tsv")).expect("refused lines");
    let mut refused: Vec<&str> = refused.lines().skip(1).collect();
    refused.sort_unstable();
    let expected = ["known_bad", "malformed", "unknown_kind", "wrong_columns"];
    let expected: Vec<String> =
        expected.iter().zip(bad..).map(|(reason, line)| format!("{line}\t{reason}")).collect();
    assert_eq!(refused, expected);
    for text in [&table, &said, &instance.logs(), &refused.join("\n")] {
        assert!(!text.contains("secretnumber") && !text.contains(&oaids[0]), "an id in what is told");
    }
    let some = &oaids[..50];
    assert_eq!(left_out(&instance, some), 50);
    let shouted: Vec<String> = some.iter().map(|oaid| oaid.to_ascii_uppercase()).collect();
    assert_eq!(left_out(&instance, &shouted), 50, "in another case");
    assert_eq!(left_out(&instance, &strangers), 0);

    // The same ids in another file of another form, after a kill: nothing new.
    instance.kill9();
    instance.restart();
    let lines: String = oaids.iter().rev().fold(String::new(), |text, oaid| text + oaid + "\n");
    let packed = zstd::encode_all(lines.as_bytes(), 1).expect("packed");
    let file = write(&instance, "ids.zst", &packed);
    let words = ["--register", "national", "--format", "lines", "--kind", "oaid", "--parallel", "2"];
    let (code, table, said) = import(&instance, &[&[file.as_str()], &words[..]].concat());
    assert_eq!((code, lines_of(&table, "already")), (0, ids), "{table}{said}");
    assert_eq!(instance.metric("opt_out_registry_receipts"), ids);

    // Another register takes back nothing of this one's.
    let back = |register: &str| {
        let words =
            [file.as_str(), "--register", register, "--format", "lines", "--kind", "oaid", "--take-back"];
        import(&instance, &words)
    };
    let (code, table, _) = back("partner");
    assert_eq!((code, lines_of(&table, "not_there")), (0, ids), "{table}");
    assert_eq!(left_out(&instance, some), 50);
    let (code, table, _) = back("national");
    assert_eq!((code, lines_of(&table, "taken_back")), (0, ids), "{table}");
    assert_eq!(left_out(&instance, some), 0);
}

#[test]
fn a_persons_own_opt_out_holds_within_a_second_while_an_import_goes_on() {
    let mut random = Random::announced("a_persons_own_opt_out_holds_within_a_second");
    // Few enough changes between rebuilds that the import crosses them all the time.
    let sections = "[opt_out.list]\noverlay_rebuild_entries = 500\noverlay_entries_max = 20000\n\
                    [opt_out.limits]\nrequests_burst_max = 1000000";
    let instance = Instance::start(Options { sections: sections.to_owned(), ..Options::default() });
    let ids = (4 * IDS * soak()).min(IDS_MAX);
    let lines: String = (0..ids).fold(String::new(), |text, _| text + &random.uuid() + "\n");
    let file = write(&instance, "ids.txt", lines.as_bytes());
    let mut took = Vec::new();
    std::thread::scope(|scope| {
        let import = scope
            .spawn(|| import(&instance, &[&file, "--register", "r", "--format", "lines", "--kind", "oaid"]));
        // At least one, also where the import is over at once.
        loop {
            let oaid = random.uuid();
            let began = Instant::now();
            let body = json!({"ids": [{"kind": "oaid", "value": oaid}]}).to_string();
            let answer = Connection::open(instance.opt_out())
                .and_then(|mut page| {
                    let json = [("content-type", "application/json")];
                    page.request("POST", "/v1/opt-outs", &json, body.as_bytes())
                })
                .expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.text());
            took.push(began.elapsed());
            assert_eq!(left_out(&instance, &[oaid]), 1, "from the answer on");
            if import.is_finished() {
                break;
            }
        }
        let (code, table, said) = import.join().expect("the import ends");
        assert_eq!((code, lines_of(&table, "lodged")), (0, ids), "{table}{said}");
    });
    took.sort_unstable();
    // Not the slowest of all: a machine that tests much at once stands still now and then.
    let median = took[took.len() / 2];
    assert!(median < Duration::from_secs(1), "{} were lodged, half of them in over {median:?}", took.len());
    assert!(instance.metric("opt_out_list_rebuilds_total") > 1, "no rebuild came between");
}

#[test]
fn an_import_that_was_broken_off_is_told_and_done_again() {
    let mut random = Random::announced("an_import_that_was_broken_off_is_told_and_done_again");
    let instance = Instance::start(Options {
        sections: "[opt_out.registry]\nreceipts_max = 1500".to_owned(),
        ..Options::default()
    });
    let lines: String = (0..2_500).fold(String::new(), |text, _| text + &random.uuid() + "\n");
    let file = write(&instance, "ids.txt", lines.as_bytes());
    let words = [file.as_str(), "--register", "r", "--format", "lines", "--kind", "oaid", "--parallel", "1"];
    let (code, table, said) = import(&instance, &words);
    assert_eq!(code, 1, "{table}");
    assert!(said.contains("opt_out.registry.receipts_max") && said.contains("from line 1001"), "{said}");
    assert_eq!((lines_of(&table, "lodged"), lines_of(&table, "not_delivered")), (1_000, 1_500), "{table}");
}

#[test]
fn wrong_usage_and_nobody_there_are_told_apart() {
    let instance = Instance::start(Options::default());
    let file = write(&instance, "ids.csv", b"oaid,0123\n");
    for (words, expected) in [
        (&[file.as_str(), "--register", "r"][..], "names no column"),
        (&[file.as_str(), "--register", "a b"], "1 to 64"),
        (&["missing.csv", "--register", "r"], "missing.csv"),
        (&[file.as_str(), "--register", "r", "--format", "lines"], "--kind"),
        (&["ids", "--register", "r"], "--format"),
    ] {
        let (code, _, said) = import(&instance, words);
        assert_eq!(code, 2, "{words:?}: {said}");
        assert!(said.contains(expected) && !said.contains("0123"), "{words:?}: {said}");
    }
    let file = write(&instance, "good.csv", b"kind,value\noaid,0123\n");
    let (code, _, said) = import(&instance, &[&file, "--register", "r", "--url", "http://127.0.0.1:9"]);
    assert!(code == 1 && said.contains("does not answer"), "{said}");
    let token = write(&instance, "token", b"sightline_operator_wrong\n");
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("chmod");
    let (code, _, said) = import(&instance, &[&file, "--register", "r", "--token-file", &token]);
    assert!(code == 1 && said.contains("token"), "{said}");
}
