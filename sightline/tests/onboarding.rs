//! A medium is taken on: the URLs that it is handed, by command and by API, count as they are fired; what it fires in its trial state is
//! watched live, with its outcomes and without anything that it sent.

#![cfg(test)]

mod support;

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use event::clock::Clock;
use event::link::LinkKeys;
use serde_json::{Value, json};

use support::http::Connection;
use support::random::Random;
use support::scanner::{Scanner, Secret};
use support::{CATALOG, Instance, Options, signal, wait_for};

/// Longest wait for something that takes a second or two.
const SOON: Duration = Duration::from_mins(1);
const PHONE: &str = "Dalvik/2.1.0 (Linux; U; Android 14; M2102J2SC Build/UKQ1.230804.001)";
/// SIGINT, what Ctrl-C sends.
const INTERRUPT: i32 = 2;

/// The placements of the other tests, one that takes signed links, and one in its trial state.
fn start() -> Instance {
    let more = "[[campaign.placement]]\nid = \"signed\"\nname = \"Signed\"\nmedium = \"Four\"\nsigned_links = true\n\
                landing_page = \"https://www.example.com/\"\nvast_tag = \"https://ads.example.com/vast\"\n\
                [[campaign.placement]]\nid = \"trial\"\nname = \"In trial\"\nmedium = \"Five\"\nstate = \"trial\"\n";
    Instance::start(Options { catalog: format!("{CATALOG}{more}"), ..Options::default() })
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Status and outcome of a hit, as who has the debug key is told.
fn fire(instance: &Instance, target: &str) -> (u16, String) {
    let key = instance.secret("debug.key");
    let headers = [("user-agent", PHONE), ("x-sightline-debug", key.as_str())];
    let answer = Connection::open(instance.tracker()).and_then(|mut c| c.get(target, &headers));
    let answer = answer.expect("the tracker answers");
    let outcome = answer.header("x-sightline-outcome").unwrap_or_default();
    // A click waits 20 ms for the disk and goes out: on a slow one it is counted as unconfirmed.
    let outcome = if outcome == "unconfirmed_click" { "accepted" } else { outcome };
    (answer.status, outcome.to_owned())
}

/// The links of the API.
fn links(instance: &Instance, query: &str) -> Vec<Value> {
    let base = format!("base=http://{}", instance.tracker());
    instance.report("demo/links", &format!("{base}&{query}"))["links"].as_array().expect("links").clone()
}

fn target<'v>(instance: &Instance, link: &'v Value) -> &'v str {
    let url = link["url"].as_str().expect("a URL");
    url.strip_prefix(&format!("http://{}", instance.tracker())).expect("is the tracker's")
}

#[test]
fn every_link_counts_as_it_is_handed_out() {
    let instance = start();
    let all = links(&instance, "stages=all");
    for link in &all {
        let (status, outcome) = fire(&instance, target(&instance, link));
        let expected = match link["stage"].as_str() {
            Some("click") => (302, "accepted"),
            // The wrapper counts nothing by itself.
            Some("vast-tag") => (200, ""),
            _ => (200, "accepted"),
        };
        assert_eq!((status, outcome.as_str()), expected, "{link}");
    }
    assert!(all.len() > 50, "{} links are few", all.len());

    // The command prints the same, in each of its forms.
    let base = format!("http://{}", instance.tracker());
    let command = |format: &str| {
        let words =
            ["links", "--catalog", "catalog.toml", "--base", &base, "--stages", "all", "--format", format];
        let output = instance.command(&words);
        assert!(output.status.success(), "{}", err(&output));
        out(&output)
    };
    let urls = |links: &[Value]| -> BTreeSet<String> {
        links.iter().map(|link| link["url"].as_str().expect("a URL").to_owned()).collect()
    };
    let printed: Vec<Value> = serde_json::from_str(&command("json")).expect("JSON");
    assert_eq!(urls(&printed), urls(&all));
    let (table, csv) = (command("table"), command("csv"));
    for url in urls(&all) {
        assert!(table.lines().any(|line| line == url), "{url} in\n{table}");
        assert!(csv.lines().any(|line| line.ends_with(&format!(",{url}"))), "{url} in\n{csv}");
    }

    // A mistake names what there is.
    let wrong = instance.command(&["links", "--catalog", "catalog.toml", "--stages", "viewabel"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        err(&wrong).contains("--stages: there is no stage \"viewabel\"") && err(&wrong).contains("vast-tag")
    );
}

#[test]
fn a_signed_link_counts_until_its_end_and_for_its_own_placement_alone() {
    let instance = start();
    let of_signed: Vec<Value> = links(&instance, "days=1&stages=impression,click")
        .into_iter()
        .filter(|l| l["placement"] == "signed")
        .collect();
    assert!(of_signed.len() > 5, "{of_signed:?}");
    for link in &of_signed {
        let own = target(&instance, link);
        let accepted = if link["stage"] == "click" { 302 } else { 200 };
        assert_eq!(fire(&instance, own), (accepted, "accepted".to_owned()), "{own}");
        // Without a signature, with another's, with another end: no longer ours.
        let cut = own.find("sig=").map(|at| at + "sig=".len()).expect("is signed");
        let digit = if own[cut..].starts_with('0') { '1' } else { '0' };
        let forged = format!("{}{digit}{}", &own[..cut], &own[cut + 1..]);
        let later = own.replacen("exp=1", "exp=2", 1);
        for wrong in [own.replacen("sig=", "x=", 1), forged, later] {
            let (status, outcome) = fire(&instance, &wrong);
            assert_eq!((status, outcome.as_str()), (accepted, "rejected; reason=bad_signature"), "{wrong}");
        }
        // The tracker's own decision two days on: it has ended.
        let late = Clock::System.now_ms() / 1000 + 2 * 86_400;
        let url = format!("https://t.example{own}");
        let words = ["explain", &url, "--json", "--catalog", "catalog.toml", "--received", &late.to_string()];
        let explained = instance.command(&words);
        let said: Value =
            serde_json::from_slice(&explained.stdout).unwrap_or_else(|e| panic!("{e}: {}", err(&explained)));
        assert_eq!((explained.status.code(), &said["outcome"]), (Some(1), &json!("link_expired")), "{said}");
    }
    // One whose end has passed, made with the instance's own key.
    let keys = LinkKeys::from_texts([instance.secret("link.key")]).expect("the instance's key");
    let now = Clock::System.now_ms() / 1000;
    for (end, expected) in [(now - 5, "rejected; reason=link_expired"), (now + 600, "accepted")] {
        let signature = keys.sign("demo", "signed", Some(end)).expect("is signed");
        let target = format!("/i?c=demo&p=signed&exp={end}&sig={signature}");
        assert_eq!(fire(&instance, &target), (200, expected.to_owned()), "{target}");
    }
}

/// A `sightline watch` that runs, with what it writes in files.
struct Watch {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Watch {
    fn start(instance: &Instance, placement: &str) -> Self {
        let [out, err] = ["out", "err"].map(|name| instance.root().join(format!("watch-{placement}.{name}")));
        let file = |path: &PathBuf| File::create(path).expect("a file");
        // Whoever runs the tests in the background of a script hands an ignored SIGINT down to them; a terminal does not.
        let child = Command::new("env")
            .args(["--default-signal=INT", env!("CARGO_BIN_EXE_sightline")])
            .args(["watch", "--campaign", "demo", "--placement", placement])
            .current_dir(instance.root())
            .env("SIGHTLINE_DATA", instance.data())
            .stdin(Stdio::null())
            .stdout(file(&out))
            .stderr(file(&err))
            .spawn()
            .expect("the binary runs");
        Self { child, out, err }
    }

    fn printed(&self) -> String {
        fs::read_to_string(&self.out).expect("text")
    }

    fn told(&self) -> String {
        fs::read_to_string(&self.err).expect("text")
    }

    /// Waits until it has ended.
    fn end(&mut self) -> ExitStatus {
        let mut ended = None;
        wait_for("the watch ends", SOON, || {
            ended = self.child.try_wait().expect("it can be asked");
            ended.is_some()
        });
        ended.expect("it has ended")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a line with all of these words, and gives it with the hint below it.
fn line_with(watch: &Watch, words: &[&str]) -> String {
    let mut found = String::new();
    wait_for(&format!("a line with {words:?}"), SOON, || {
        let printed = watch.printed();
        let lines: Vec<&str> = printed.lines().collect();
        let at = lines.iter().position(|line| words.iter().all(|word| line.contains(word)));
        let Some(at) = at else { return false };
        let hint = lines.get(at + 1).filter(|line| line.starts_with("    "));
        found = [lines[at], hint.copied().unwrap_or_default()].join("\n");
        true
    });
    found
}

#[test]
fn hits_of_a_trial_placement_are_watched_live_and_tell_no_value() {
    let mut random = Random::announced("hits_of_a_trial_placement_are_watched_live_and_tell_no_value");
    let instance = start();
    let [seen, gone, late, phone, view] = std::array::from_fn(|_| random.uuid());
    let lodged = Connection::open(instance.opt_out()).and_then(|mut connection| {
        connection.post_json("/v1/opt-outs", &[], &json!({"ids": [{"kind": "oaid", "value": gone}]}))
    });
    assert_eq!(lodged.expect("an answer").status, 200);
    let mut watch = Watch::start(&instance, "trial");
    wait_for("nothing has come yet, and that is said", SOON, || watch.told().contains("no hit has come"));
    assert_eq!(watch.printed(), "");

    let outcome = |target: &str| fire(&instance, target).1;
    let trial = "c=demo&p=trial";
    assert_eq!(outcome(&format!("/i?{trial}&oaid={seen}&rid={view}&imei=__IMEI__")), "accepted");
    let first = line_with(&watch, &["native", "impression", "accepted"]);
    assert!(first.contains("ids: oaid") && first.contains("macros left: 1"), "{first}");
    // It is live: what comes later is added, and nothing is printed twice.
    assert_eq!(
        outcome(&format!("/e/viewable?{trial}&oaid={gone}")),
        "accepted",
        "nobody learns who opted out"
    );
    let opted_out = line_with(&watch, &["viewable", "accepted"]);
    assert!(opted_out.contains("ids: oaid") && !opted_out.contains("opted"), "{opted_out}");
    let then = Clock::System.now_ms() / 1000 - 10 * 86_400;
    assert_eq!(
        outcome(&format!("/x/k=demo&p=trial&m11={late}&mt={then}&mj={phone}&o=")),
        "rejected; reason=too_late"
    );
    let refused = line_with(&watch, &["miaozhen", "impression", "too_late"]);
    assert!(refused.contains("ids: oaid") && refused.contains("dropped: mj"), "{refused}");
    assert!(refused.contains("\n    ") && refused.contains("too late to be counted"), "{refused}");
    assert_eq!(outcome(&format!("/e/{phone}?{trial}&oaid={late}")), "rejected; reason=unknown_stage");
    line_with(&watch, &["native", "unknown_stage"]);
    let limited = format!("/vast/start?{trial}&ifa=-2&lmt=1");
    assert_eq!(outcome(&limited), "accepted");
    let limited = line_with(&watch, &["vast", "start", "ids: none"]);
    assert!(limited.contains("no device: limits ad tracking"), "{limited}");

    // Another look at the same hits, and Ctrl-C: whole lines, no complaint, nobody's identifier.
    let once = instance.command(&["watch", "--campaign", "demo", "--placement", "trial", "--once"]);
    assert!(once.status.success(), "{}", err(&once));
    signal(&watch.child.id().to_string(), "INT");
    let ended = watch.end();
    assert!(ended.success() || ended.signal() == Some(INTERRUPT), "{ended}");
    let printed = watch.printed();
    // Each hit begins with its time; above the first stands the day.
    let is_hit = |line: &&str| line.as_bytes().get(2) == Some(&b':');
    let hits = |text: &str| text.lines().filter(is_hit).count();
    assert!(printed.lines().next().is_some_and(|day| day.ends_with(" (times in UTC)")), "{printed}");
    assert!(printed.ends_with('\n') && hits(&printed) == 5, "{printed}");
    assert_eq!(hits(&out(&once)), 5, "{}", out(&once));
    assert_eq!(watch.told().lines().count(), 1, "{}", watch.told());

    let secret = |(name, text): (&str, &String)| Secret { name: name.to_owned(), text: text.clone() };
    let secrets =
        [("seen", &seen), ("opted out", &gone), ("late", &late), ("phone", &phone), ("view", &view)];
    let mut scanner = Scanner::new(&secrets.map(secret));
    scanner.look("the live watch", printed.as_bytes());
    scanner.look("what it told", watch.told().as_bytes());
    scanner.look("one look", &once.stdout);
    scanner.look("the API", instance.report("demo/placements/trial/hits", "").to_string().as_bytes());
    assert!(scanner.found.is_empty(), "{:#?}", scanner.found);
}

#[test]
fn a_watch_that_cannot_go_on_says_why() {
    let mut instance = start();
    let once = |more: &[&str]| instance.command(&[&["watch", "--once", "--campaign"], more].concat());
    let wrong_token = instance.root().join("wrong.token");
    fs::write(&wrong_token, "sightline_operator_wrong\n").expect("written");
    fs::set_permissions(&wrong_token, Permissions::from_mode(0o600)).expect("chmod");
    let wrong_token = wrong_token.to_str().expect("a name of ASCII");
    for (words, code, told) in [
        (&["none", "--placement", "trial"][..], 2, &["there is no campaign none", "campaigns: demo"][..]),
        (&["demo", "--placement", "nowhere"], 2, &["there is no placement nowhere", "trial"]),
        (&["demo", "--placement", "p1"], 2, &["placement p1 is live", "state = \"trial\""]),
        (&["demo", "--placement", "trial", "--token-file", wrong_token], 1, &["401", "token"]),
        (&["demo", "--placement", "trial", "--token-file", "no.token"], 1, &["no.token"]),
        (
            &["demo", "--placement", "trial", "--url", "http://127.0.0.1:9"],
            1,
            &["127.0.0.1:9", "nothing listens there"],
        ),
    ] {
        let output = once(words);
        let error = err(&output);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {error}");
        assert!(told.iter().all(|word| error.contains(word)), "{words:?}: {error}");
        assert!(
            output.stdout.is_empty() && !error.contains("sightline_operator_wrong"),
            "{words:?}: {error}"
        );
    }
    // The instance goes away under a running watch.
    let mut watch = Watch::start(&instance, "trial");
    wait_for("the watch runs", SOON, || watch.told().contains("no hit has come"));
    assert!(instance.terminate().success(), "{}", instance.log_tail());
    assert_eq!(watch.end().code(), Some(1));
    assert!(watch.told().contains("does not answer"), "{}", watch.told());
    // And a watch without one.
    let output = instance.command(&["watch", "--once", "--campaign", "demo", "--placement", "trial"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("sightline standalone"), "{}", err(&output));
}
