//! What every real tracking URL and template of `tracking_urls.tsv` is to us: its dialect, stage, ids and landing URL, or why it is refused.
//! The URLs are public; where each was seen stands in its row.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use event::dialect::{Dialects, Scratch};
use event::identifier::identify;
use event::key::KeyRing;
use event::record::Platform;

/// source, expected, URL; `#` begins a comment.
const TABLE: &str = include_str!("tracking_urls.tsv");

/// What a media client asks for: path and query of an absolute URL. A bare query is fired at the native path.
fn target(url: &str) -> (&str, Option<&str>) {
    let Some((_, behind)) = url.split_once("//") else { return ("/i", Some(url)) };
    let target = behind.find('/').map_or("/", |at| &behind[at..]);
    let target = target.split_once('#').map_or(target, |(target, _)| target);
    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
}

fn text(value: Option<&[u8]>) -> String {
    value.map_or("-".to_owned(), |value| String::from_utf8_lossy(value).into_owned())
}

/// `dialect stage campaign placement landing [defect]`, or why it is none of ours.
fn understood(url: &str) -> String {
    let (path, query) = target(url);
    let Some(entry) = Dialects::built_in().route(path, query) else { return "not-our-path".to_owned() };
    let mut scratch = Scratch::new();
    let reading = entry.read(&mut scratch);
    let hit = &reading.hit;
    let stage = hit.stage.map_or("-", event::stage::Stage::name);
    let defect = match (reading.defect, hit.campaign, hit.placement) {
        (Some(defect), ..) => format!(" {}", defect.name()),
        (None, None, _) => " missing_campaign".to_owned(),
        (None, _, None) => " missing_placement".to_owned(),
        (None, ..) => String::new(),
    };
    let answer = if entry.is_click { "302" } else { "gif" };
    format!(
        "{} {answer} {stage} {} {} {}{defect}",
        entry.table.name(),
        text(hit.campaign),
        text(hit.placement),
        text(hit.landing_url)
    )
}

fn rows() -> impl Iterator<Item = (usize, &'static str, &'static str)> {
    TABLE.lines().enumerate().filter(|(_, line)| !line.starts_with('#')).map(|(number, line)| {
        let mut columns = line.splitn(3, '\t');
        let (_, expected, url) = (columns.next(), columns.next().unwrap(), columns.next().unwrap());
        (number + 1, expected, url)
    })
}

#[test]
fn every_url_is_understood_or_refused_for_the_right_reason() {
    let wrong: Vec<String> = rows()
        .filter_map(|(number, expected, url)| {
            let understood = understood(url);
            (understood != expected)
                .then(|| format!("line {number}:\n  is       {understood}\n  expected {expected}\n  {url}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows().count() > 75);
}

#[test]
fn no_template_yields_a_device() {
    let mut next = 0_u8;
    let keys = KeyRing::generate(|bytes| {
        for byte in bytes {
            next = next.wrapping_mul(37).wrapping_add(11);
            *byte = next;
        }
    });
    for (number, _, url) in rows() {
        let (path, query) = target(url);
        let Some(entry) = Dialects::built_in().route(path, query) else { continue };
        let mut scratch = Scratch::new();
        let reading = entry.read(&mut scratch);
        for platform in Platform::ALL {
            let identity = identify(&reading.hit, platform, &keys, event::profile::Remap::none());
            assert!(identity.device.is_none(), "line {number}: {url}");
            assert!(identity.opt_out.is_empty(), "line {number}: {url}");
        }
        for part in entry.explain() {
            assert!(part.name.len() <= url.len() && !part.value.contains('\0'), "line {number}");
        }
    }
}
