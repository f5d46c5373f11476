//! The cookies of the page.
//!
//! * [`crate::COOKIE_NAME`] says "do not measure this browser". It goes to the tracker from every page (`SameSite=None`, unpartitioned), so it
//!   must be the same for everybody: a value of its own would make the opt-out an identifier.
//! * `sightline_receipts` keeps the receipts that were given to this browser, secrets included, so that it can take them back without typing. It
//!   goes to this page alone: `SameSite=Strict`, no `Domain`.

use event::id_cookie;
use hyper::header::{COOKIE, HeaderMap, HeaderValue};

use crate::COOKIE_NAME;
use crate::receipt::{ReceiptId, Secret};

const RECEIPTS_NAME: &str = "sightline_receipts";

/// The opt-out cookie's value: version 1, and nothing else.
const OPTED_OUT: &str = "1";

/// Seconds that browsers keep a cookie at most: 400 days (RFC 6265bis, section 5.5). Renewed at each visit of the page.
const AGE_SECONDS_MAX: u32 = 400 * 86_400;

/// Receipts that the browser remembers for the person; beyond, the oldest is forgotten here, not in the registry. 70 bytes each.
const RECEIPTS_MAX: usize = 10;

/// Id cookies that are looked at.
const IDS_MAX: usize = 4;

/// What a browser brought along.
pub(crate) struct Cookies {
    /// The opt-out cookie is there, and not empty.
    pub(crate) opted_out: bool,
    /// Receipts given to this browser, oldest first.
    pub(crate) receipts: Vec<(ReceiptId, Secret)>,
    /// What has the form of the tracker's id cookie: of its host and of the domain.
    pub(crate) ids: Vec<Vec<u8>>,
}

impl Cookies {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let mut cookies = Self { opted_out: false, receipts: Vec::new(), ids: Vec::new() };
        let ids = headers.get_all(COOKIE).iter().flat_map(|line| id_cookie::find_all(line.as_bytes()));
        cookies.ids.extend(ids.take(IDS_MAX).map(<[u8]>::to_vec));
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        for (name, value) in
            lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='))
        {
            match name {
                COOKIE_NAME => cookies.opted_out |= !matches!(value.trim(), "" | "\"\""),
                RECEIPTS_NAME => {
                    let pairs = value.split('~').filter_map(|pair| pair.split_once('.'));
                    let receipts = pairs
                        .filter_map(|(id, secret)| Some((ReceiptId::parse(id)?, Secret::parse(secret)?)));
                    cookies.receipts.extend(receipts.take(RECEIPTS_MAX));
                }
                _ => {}
            }
        }
        cookies
    }

    /// The secret of a receipt that was given to this browser.
    pub(crate) fn secret(&self, receipt: ReceiptId) -> Option<Secret> {
        self.receipts.iter().find(|(id, _)| *id == receipt).map(|(_, secret)| secret.copy())
    }

    /// Adds a receipt; the oldest makes room.
    pub(crate) fn remember(&mut self, receipt: ReceiptId, secret: Secret) {
        self.receipts.push((receipt, secret));
        let surplus = self.receipts.len().saturating_sub(RECEIPTS_MAX);
        self.receipts.drain(..surplus);
    }

    /// `Set-Cookie` for the receipts.
    pub(crate) fn set_receipts(&self) -> Option<HeaderValue> {
        let pairs: Vec<_> = self
            .receipts
            .iter()
            .map(|(id, secret)| format!("{id}.{}", secret.reveal()).replace('-', ""))
            .collect();
        set(
            RECEIPTS_NAME,
            &pairs.join("~"),
            if pairs.is_empty() { 0 } else { AGE_SECONDS_MAX },
            "SameSite=Strict",
            None,
        )
    }
}

/// `Set-Cookie` that opts this browser out.
pub(crate) fn set_opt_out(domain: Option<&str>) -> Option<HeaderValue> {
    set(COOKIE_NAME, OPTED_OUT, AGE_SECONDS_MAX, "SameSite=None", domain)
}

/// `Set-Cookie`s that opt this browser in again, whether the cookie was set for this host alone (before a domain was configured) or for the domain.
pub(crate) fn forget_opt_out(domain: Option<&str>) -> impl Iterator<Item = HeaderValue> {
    forget(COOKIE_NAME, domain)
}

/// `Set-Cookie`s that take the tracker's id cookie away, whether it was given for the tracker's host alone or for the domain.
pub(crate) fn forget_id(domain: Option<&str>) -> impl Iterator<Item = HeaderValue> {
    forget(id_cookie::NAME, domain)
}

fn forget(name: &str, domain: Option<&str>) -> impl Iterator<Item = HeaderValue> {
    let scopes = [Some(None), domain.map(Some)].into_iter().flatten();
    scopes.filter_map(move |domain| set(name, "", 0, "SameSite=None", domain))
}

/// Name of the cookie that the page's script sets for a moment, to see whether it comes from a page of another site.
const PROBE_NAME: &str = "sightline_probe";
/// Digits of its value.
const PROBE_DIGITS: usize = 32;

/// Whether the browser brought along the probe that `token` names. Whoever does not know the token learns nothing.
pub(crate) fn has_probe(headers: &HeaderMap, token: &str) -> bool {
    let is_token = token.len() == PROBE_DIGITS && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    is_token && pairs.any(|(name, value)| name == PROBE_NAME && value == token)
}

/// `None` only for a domain that no header can hold; [`mod@crate::service`] refuses to start with one.
fn set(
    name: &str,
    value: &str,
    age_seconds: u32,
    same_site: &str,
    domain: Option<&str>,
) -> Option<HeaderValue> {
    let domain = domain.map(|domain| format!("; Domain={domain}")).unwrap_or_default();
    let line =
        format!("{name}={value}; Path=/; Max-Age={age_seconds}; {same_site}; Secure; HttpOnly{domain}");
    let mut line = HeaderValue::from_str(&line).ok()?;
    line.set_sensitive(true);
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Cookies {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
        }
        Cookies::read(&headers)
    }

    #[test]
    fn the_opt_out_cookie_is_unpartitioned_the_same_for_all_and_reaches_the_tracker() {
        let set = set_opt_out(Some("example.com")).unwrap();
        assert_eq!(
            set.to_str().unwrap(),
            "sightline_opt_out=1; Path=/; Max-Age=34560000; SameSite=None; Secure; HttpOnly; Domain=example.com"
        );
        let unset: Vec<_> = forget_opt_out(Some("example.com")).collect();
        let host_only = "sightline_opt_out=; Path=/; Max-Age=0; SameSite=None; Secure; HttpOnly";
        assert_eq!(unset, [host_only.to_owned(), format!("{host_only}; Domain=example.com")]);
        assert_eq!(forget_opt_out(None).count(), 1);
    }

    #[test]
    fn the_id_cookie_is_taken_away_wherever_it_was_given() {
        let lines: Vec<_> = forget_id(Some("example.com")).collect();
        let texts: Vec<_> = lines.iter().map(|line| line.to_str().unwrap()).collect();
        let host = "sightline_id=; Path=/; Max-Age=0; SameSite=None; Secure; HttpOnly";
        assert_eq!(texts, [host.to_owned(), format!("{host}; Domain=example.com")]);
        assert_eq!(forget_id(None).count(), 1);
    }

    #[test]
    fn a_probe_is_seen_by_who_knows_its_token() {
        let token = "0123456789abcdef0123456789abcdef";
        let mut headers = HeaderMap::new();
        headers.append(
            COOKIE,
            HeaderValue::from_static("a=b; sightline_probe=0123456789abcdef0123456789abcdef"),
        );
        assert!(has_probe(&headers, token));
        for other in ["", "0123456789abcdef0123456789abcde0", "sightline_probe"] {
            assert!(!has_probe(&headers, other), "{other}");
        }
        assert!(!has_probe(&HeaderMap::new(), token));
    }

    #[test]
    fn what_was_set_is_read_back() {
        let mut cookies = read(&[]);
        for number in 0..12 {
            cookies.remember(ReceiptId([number; 10]), Secret::new([number; 32]));
        }
        let set = cookies.set_receipts().unwrap();
        let line = set.to_str().unwrap();
        assert!(line.contains("SameSite=Strict; Secure; HttpOnly") && !line.contains("Domain"));
        let pair = line.split(';').next().unwrap();
        let cookies = read(&["other=1", &format!("a=b; {pair}; sightline_opt_out=1")]);
        assert!(cookies.opted_out);
        let numbers: Vec<u8> = cookies.receipts.iter().map(|(id, _)| id.0[0]).collect();
        assert_eq!(numbers, (2..12).collect::<Vec<_>>(), "the oldest made room");
        let secret = cookies.secret(ReceiptId([7; 10])).unwrap();
        assert!(Secret::new([7; 32]).digest().matches(&secret));
    }

    #[test]
    fn rubbish_is_no_cookie() {
        for line in [
            "",
            "sightline_opt_out=",
            "sightline_opt_out=\"\"",
            "sightline_opt_out",
            "sightline_receipts=x.y~~.",
            "=;=;",
        ] {
            let cookies = read(&[line]);
            assert!(!cookies.opted_out && cookies.receipts.is_empty(), "{line}");
        }
    }
}
