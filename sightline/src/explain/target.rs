//! Finding our part of a URL: any host, with or without scheme; or a URL of ours inside another tracker's, as it stands or percent-encoded.

use catalog::{Catalog, Found};
use event::dialect::{Dialects, Scratch};
use percent_encoding::percent_decode_str;

/// Most layers of encoding that are undone.
const LAYERS_MAX: usize = 3;

/// A path and query that may be ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Path, as it stands.
    pub(super) path: String,
    /// What stands behind the `?`.
    pub(super) query: Option<String>,
    /// It stood inside another URL: of this host, and encoded so many times.
    pub(super) inside: Option<(String, usize)>,
    /// A fragment was cut off: it is never sent.
    pub(super) had_fragment: bool,
}

/// The part of a URL that is ours, best guess first; the outermost if none is.
pub(super) fn find(url: &str, dialects: &Dialects, catalog: Option<&Catalog>) -> Target {
    let url = url.trim().trim_matches(['"', '\'', '<', '>']);
    let outer = split(url);
    let host = host(url).to_owned();
    let mut best = (score(&outer, dialects, catalog), outer);
    for (inner, layers) in inner(url) {
        let target = Target { inside: Some((host.clone(), layers)), ..split(&inner) };
        let score = score(&target, dialects, catalog);
        if score > best.0 {
            best = (score, target);
        }
    }
    best.1
}

/// How much a target looks like one of ours: a path of a dialect, both ids, ids that the catalog knows; then how little in it is strange, for
/// other trackers have paths like ours and parameters that we do not know.
fn score(target: &Target, dialects: &Dialects, catalog: Option<&Catalog>) -> (u8, std::cmp::Reverse<u8>) {
    let Some(entry) = dialects.route(&target.path, target.query.as_deref()) else {
        return (0, std::cmp::Reverse(0));
    };
    let mut scratch = Scratch::new();
    let hit = entry.read(&mut scratch).hit;
    let strange = std::cmp::Reverse(hit.parameters_unknown);
    let (Some(campaign), Some(placement)) = (hit.campaign, hit.placement) else { return (1, strange) };
    match catalog.map(|catalog| catalog.find(campaign, placement)) {
        Some(Found::Known(..)) => (3, strange),
        Some(Found::UnknownPlacement(_) | Found::UnknownCampaign) | None => (2, strange),
    }
}

fn split(url: &str) -> Target {
    let rest = url.split_once("://").map_or(url, |(scheme, rest)| {
        if scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+') { rest } else { url }
    });
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let target = if rest.starts_with('/') { rest } else { rest.find('/').map_or("/", |at| &rest[at..]) };
    let (target, had_fragment) = target.split_once('#').map_or((target, false), |(target, _)| (target, true));
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    Target { path: path.to_owned(), query: query.map(str::to_owned), inside: None, had_fragment }
}

fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest).trim_start_matches('/');
    rest.split(['/', '?']).next().unwrap_or_default()
}

/// URLs inside a URL: those that stand as they are, which take the rest, and those that are encoded, which end with their parameter.
fn inner(url: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let body = url.get(1..).unwrap_or_default();
    for scheme in ["http://", "https://"] {
        found.extend(body.match_indices(scheme).filter_map(|(at, _)| Some((body.get(at..)?.to_owned(), 0))));
    }
    for piece in url.split(['&', ';', ',', '?']) {
        let mut text = piece.split_once('=').map_or(piece, |(_, value)| value).to_owned();
        for layers in 1..=LAYERS_MAX {
            let decoded = percent_decode_str(&text).decode_utf8_lossy().into_owned();
            if decoded == text {
                break;
            }
            let is_url = decoded.starts_with("http://") || decoded.starts_with("https://");
            text = decoded;
            if is_url {
                found.push((text.clone(), layers));
                found.extend(inner_plain(&text, layers));
            }
        }
    }
    found
}

fn inner_plain(url: &str, layers: usize) -> Vec<(String, usize)> {
    let body = url.get(1..).unwrap_or_default();
    ["http://", "https://"]
        .into_iter()
        .flat_map(|scheme| body.match_indices(scheme))
        .filter_map(|(at, _)| Some((body.get(at..)?.to_owned(), layers)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(url: &str) -> Target {
        find(url, Dialects::built_in(), None)
    }

    #[test]
    fn the_host_does_not_matter() {
        for url in [
            "https://t.example.com/i?c=k&p=p1",
            "http://127.0.0.1:8080/i?c=k&p=p1",
            "//t.example.com/i?c=k&p=p1",
            "t.example.com/i?c=k&p=p1",
            "/i?c=k&p=p1",
            " 'https://t.example.com/i?c=k&p=p1' ",
            "https://t.example.com/i?c=k&p=p1#top",
        ] {
            let target = found(url);
            assert_eq!((target.path.as_str(), target.query.as_deref()), ("/i", Some("c=k&p=p1")), "{url}");
            assert_eq!(target.had_fragment, url.contains('#'));
            assert_eq!(target.inside, None);
        }
    }

    #[test]
    fn ours_is_found_inside_another_trackers() {
        let plain = found(
            "http://ad.other.example/c?z=paper&c=1960&u=http://e.cn.miaozhen.com/r/k=6003218&p=6LX&o=https://m.example/",
        );
        assert_eq!(plain.path, "/r/k=6003218&p=6LX&o=https://m.example/");
        assert_eq!(plain.inside, Some(("ad.other.example".to_owned(), 0)));
        let encoded = found(
            "http://stats.other.example/dmp/click?e=Hg&rd=http%3A%2F%2Fe.cn.miaozhen.com%2Fr%2Fk%3D2034550%26p%3D74B4j%26o%3D&x=1",
        );
        assert_eq!(encoded.path, "/r/k=2034550&p=74B4j&o=");
        assert_eq!(encoded.inside, Some(("stats.other.example".to_owned(), 1)));
        let twice =
            found("https://o.example/x?u=https%253A%252F%252Ft.example%252Fi%253Fc%253Dk%2526p%253Dp1");
        assert_eq!((twice.path.as_str(), twice.query.as_deref()), ("/i", Some("c=k&p=p1")));
        assert_eq!(twice.inside.map(|(_, layers)| layers), Some(2));
    }

    #[test]
    fn a_click_of_ours_is_not_taken_for_its_landing_page() {
        let target = found("https://t.example/c?c=k&p=p1&u=https%3A%2F%2Fwww.example%2Fi%3Fc%3Da%26p%3Db");
        assert_eq!(target.path, "/c");
        assert_eq!(found("https://www.example.com/").path, "/");
    }
}
