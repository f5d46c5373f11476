//! `sightline demo`, which is what `make run` leaves somebody with: figures that equal their truth, and addresses that answer.

#![cfg(test)]

mod support;

use std::time::Duration;

use support::http::Connection;
use support::{Instance, Options, wait_for};

/// Longest wait for a few thousand beacons and their report.
const PATIENCE: Duration = Duration::from_mins(2);

/// A `demo` on a catalog of its own making.
fn demo() -> Options {
    Options { role: "demo", head: "# The example catalog.".to_owned(), ..Options::default() }
}

#[test]
fn the_demo_shows_the_truth_and_names_what_to_open() {
    let mut instance = Instance::start(demo());
    wait_for("what to try next", PATIENCE, || instance.logs().contains("the reports (again"));
    let said = instance.logs();
    assert!(said.contains("impressions, gross") && !said.contains("differs"), "{said}");
    let reports = format!("http://{}/", instance.reports());
    let mut lines = said.lines().skip_while(|line| !line.starts_with("the dashboard, to sign in"));
    let token =
        lines.next().and_then(|line| line.split(" in ").last()).and_then(|path| path.strip_suffix(':'));
    assert_eq!(lines.next().map(str::trim), Some(reports.as_str()), "{said}");
    let token = std::fs::read_to_string(token.expect("a path")).expect("the token lies there");
    let mut connection = Connection::open(instance.reports()).expect("connects");
    let page = connection.request("GET", "/", &[], b"").expect("answers");
    assert!(page.status == 200 && page.text().contains("<html"), "{}", page.status);
    let bearer = format!("Bearer {}", token.trim());
    let me = connection.request("GET", "/v1/me", &[("authorization", &bearer)], b"").expect("answers");
    assert_eq!(me.status, 200);

    assert!(instance.terminate().success());
    instance.restart();
    wait_for("the same figures", PATIENCE, || instance.logs().matches("the reports (again").count() == 2);
    let again = instance.logs();
    assert!(again.contains("none was sent again") && !again.contains("differs"), "{again}");
}
