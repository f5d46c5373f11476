//! The page's form: `POST /opt-out`, as browsers send it without JavaScript.
//!
//! | `action` | other fields | does |
//! |---|---|---|
//! | `browser_out`, `browser_in` | | sets or removes the opt-out cookie, then leads back to the page, which says what the browser kept |
//! | `device` | `kind`, `hashed` or `value` | opts an identifier out, shows the receipt |
//! | `receipt` | `receipt`, `secret` | takes a receipt back; without a secret, one that was given to this browser |
//! | `status` | `receipt`, `secret` | shows a receipt's state |
//! | `erase`, `copy` | | asks for erasure or a copy of this browser's data, by the tracker's id cookie, shows the request's receipt |
//! | `request`, `fetch` | `receipt`, `secret` | shows how far such a request is; hands out the file of a copy |
//! | `show` | `receipt`, `secret`, `ids` | shows a receipt once more, in another language |
//!
//! Answers are pages. A value that was typed is never shown again. `hashed` is what the page's script makes of it: `md5.sha1.sha256` in hex for each of its
//! canonical texts, joined by `~`.

use std::borrow::Cow;

use event::identifier::{IdKind, TEXTS_MAX, TextDigests};
use hyper::header::HeaderValue;
use percent_encoding::percent_decode;

use crate::cookies::{self, Cookies};
use crate::desk::{Desk, DoneId};
use crate::page::{self, Language, Notice, Shown, View};
use crate::problem::Problem;
use crate::receipt::{ReceiptId, Secret};
use crate::record::Source;
use crate::registry::Lodging;
use crate::requests::Kind;
use crate::{origin, rights};

/// Fields that are looked at; a browser sends five.
const FIELDS_MAX: usize = 16;
/// Identifiers of a receipt that are shown once more: the page lodges one at a time.
const SHOWN_MAX: usize = 20;

/// A page or the way to one, and cookies to set with it.
pub(crate) struct Answer {
    pub(crate) to: To,
    pub(crate) cookies: Vec<HeaderValue>,
}

/// Where an answer leads.
pub(crate) enum To {
    /// This page.
    Html(String),
    /// The file of a copy.
    File(Vec<u8>),
    /// The page again, with what was done: only there it is seen whether the browser kept its cookie.
    Home(Changed),
}

/// What was done to this browser, as it stands in the page's query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    Out,
    In,
}

impl Changed {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
        }
    }

    /// What to say, by what the browser has brought along.
    pub(crate) fn said(query: &Fields<'_>, opted_out: bool) -> Option<Notice<'static>> {
        match (query.text("done")?, opted_out) {
            ("out", true) => Some(Notice::Done("browser.done_out")),
            ("out", false) => Some(Notice::Failed("browser.not_kept")),
            ("in", false) => Some(Notice::Done("browser.done_in")),
            _ => None,
        }
    }
}

/// The form's fields. Not `Debug`: they hold what a person typed.
pub(crate) struct Fields<'a>(Vec<Field<'a>>);

/// Name and value.
type Field<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

impl<'a> Fields<'a> {
    /// Reads an `application/x-www-form-urlencoded` body or a query.
    pub(crate) fn parse(body: &'a [u8]) -> Self {
        let pairs = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).take(FIELDS_MAX);
        Self(
            pairs
                .map(|pair| {
                    let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
                    let (name, value) = pair.split_at(equals);
                    (decode(name), decode(value.get(1..).unwrap_or_default()))
                })
                .collect(),
        )
    }

    /// A field's value; the first of several.
    pub(crate) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| **known == *name.as_bytes()).map(|(_, value)| &**value)
    }

    /// The same as text, without surrounding blanks; `None` if it is empty or no UTF-8.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.bytes(name)?).ok().map(str::trim).filter(|text| !text.is_empty())
    }
}

fn decode(part: &[u8]) -> Cow<'_, [u8]> {
    if part.contains(&b'+') {
        let spaced: Vec<u8> = part.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        return Cow::Owned(percent_decode(&spaced).collect());
    }
    Cow::from(percent_decode(part))
}

/// Does what the form asks for.
pub(crate) async fn post(
    desk: &Desk,
    fields: &Fields<'_>,
    language: Language,
    cookies: Cookies,
    from: origin::From,
) -> Result<Answer, Problem> {
    let domain = desk.settings.cookie_domain.as_deref();
    // A page of others may neither opt a person out nor in; what only a cookie entitles to asks for proof that the page is ours.
    match (fields.text("action"), from) {
        (_, origin::From::Others) | (Some("browser_in" | "erase" | "copy"), origin::From::Unsaid) => {
            Err(Problem::CrossSite)
        }
        (Some("browser_out"), _) => {
            desk.metrics.opt_outs_cookie.increment(1);
            let cookies = cookies::set_opt_out(domain).into_iter().chain(cookies::forget_id(domain));
            Ok(Answer { to: To::Home(Changed::Out), cookies: cookies.collect() })
        }
        (Some("browser_in"), origin::From::Ours) => {
            desk.metrics.opt_ins_cookie.increment(1);
            Ok(Answer { to: To::Home(Changed::In), cookies: cookies::forget_opt_out(domain).collect() })
        }
        (Some("device"), _) => device(desk, fields, language, cookies).await,
        (Some("receipt"), from) => {
            let (receipt, secret) = receipt(fields, &cookies, from)?;
            desk.opt_in(receipt, secret).await?;
            let view = View { notice: Some(Notice::Done("back.done")), ..View::default() };
            Ok(Answer::page(page::home(desk, language, &cookies, &view)))
        }
        (Some("status"), from) => {
            let (receipt, secret) = receipt(fields, &cookies, from)?;
            let status = desk.registry.status(receipt, &secret)?;
            let view = View { notice: Some(Notice::State(&status)), ..View::default() };
            Ok(Answer::page(page::home(desk, language, &cookies, &view)))
        }
        (Some("show"), from) => {
            let (receipt, secret) = receipt(fields, &cookies, from)?;
            let status = desk.registry.status(receipt, &secret)?;
            let ids = fields.text("ids").unwrap_or_default().split(' ').map(DoneId::from_text);
            let ids = ids.take(SHOWN_MAX).collect::<Option<Vec<_>>>().ok_or(Problem::Form)?;
            let shown = Shown { status: &status, secret: secret.reveal(), ids: &ids };
            Ok(Answer::page(page::receipt(desk, language, &shown)))
        }
        (Some("erase"), origin::From::Ours) => request(desk, Kind::Erasure, language, &cookies).await,
        (Some("copy"), origin::From::Ours) => request(desk, Kind::Copy, language, &cookies).await,
        (Some("request" | "fetch"), _) => asked_after(desk, fields, language).await,
        _ => Err(Problem::Form),
    }
}

/// Takes a request for erasure or a copy from this browser.
async fn request(desk: &Desk, kind: Kind, language: Language, cookies: &Cookies) -> Result<Answer, Problem> {
    let submitted = rights::ask_as_browser(desk, kind, cookies).await?;
    let html = page::request(desk, language, &submitted.request, &submitted.secret, true);
    Ok(Answer::page(html))
}

/// Shows how far a request is, or hands out the file of a copy.
async fn asked_after(desk: &Desk, fields: &Fields<'_>, language: Language) -> Result<Answer, Problem> {
    let receipt = fields.text("receipt").and_then(ReceiptId::parse).ok_or(Problem::UnknownReceipt)?;
    let secret = fields.text("secret").and_then(Secret::parse).ok_or(Problem::UnknownReceipt)?;
    let request = rights::find(desk, receipt, &secret)?;
    if fields.text("action") == Some("fetch") {
        let requests = desk.requests.as_ref().ok_or(Problem::NotOffered)?;
        let file = rights::copy_of(desk, requests, &request).await?;
        return Ok(Answer { to: To::File(file), cookies: Vec::new() });
    }
    Ok(Answer::page(page::request(desk, language, &request, &secret, false)))
}

impl Answer {
    fn page(html: String) -> Self {
        Self { to: To::Html(html), cookies: Vec::new() }
    }
}

/// Opts an identifier out, as the page has hashed it or as it was typed.
async fn device(
    desk: &Desk,
    fields: &Fields<'_>,
    language: Language,
    mut cookies: Cookies,
) -> Result<Answer, Problem> {
    let kind = kind(fields).ok_or(Problem::Form)?;
    let value = fields.bytes("value").unwrap_or_default().trim_ascii();
    let done = if let Some(hashed) = fields.text("hashed") {
        desk.opt_out_hashed(kind, &digests(hashed).ok_or(Problem::Form)?).await?
    } else if value.is_empty() {
        return Err(Problem::NoIds);
    } else {
        desk.opt_out(&[(Some(kind), value)], Source::Page).await?
    };
    let Lodging { receipt, secret, .. } = done.lodging;
    let status = desk.registry.status(receipt, &secret)?;
    let shown = Shown { status: &status, secret: secret.reveal(), ids: &done.ids };
    let html = page::receipt(desk, language, &shown);
    cookies.remember(receipt, secret);
    Ok(Answer { to: To::Html(html), cookies: cookies.set_receipts().into_iter().collect() })
}

/// The kind that was chosen.
pub(crate) fn kind(fields: &Fields<'_>) -> Option<IdKind> {
    fields.text("kind").and_then(IdKind::from_name)
}

/// The digests of each text; `None` if this is not what the page's script writes.
fn digests(hashed: &str) -> Option<Vec<TextDigests>> {
    let text = |text: &str| {
        let mut parts = text.split('.');
        let digests =
            TextDigests { md5: hex(parts.next()?)?, sha1: hex(parts.next()?)?, sha256: hex(parts.next()?)? };
        parts.next().is_none().then_some(digests)
    };
    // One more than there can be is refused where it is used.
    hashed.split('~').take(TEXTS_MAX + 1).map(text).collect()
}

/// Bytes of lower-case hex.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// The receipt that is spoken of, and its secret: typed, or from this browser's cookie.
fn receipt(
    fields: &Fields<'_>,
    cookies: &Cookies,
    from: origin::From,
) -> Result<(ReceiptId, Secret), Problem> {
    let receipt = fields.text("receipt").and_then(ReceiptId::parse).ok_or(Problem::UnknownReceipt)?;
    let secret = match fields.text("secret") {
        Some(typed) => Secret::parse(typed).ok_or(Problem::UnknownReceipt)?,
        None => by_cookie(receipt, cookies, from)?,
    };
    Ok((receipt, secret))
}

/// The secret of a receipt that was given to this browser, for our own page only.
fn by_cookie(receipt: ReceiptId, cookies: &Cookies, from: origin::From) -> Result<Secret, Problem> {
    match from {
        origin::From::Ours => cookies.secret(receipt).ok_or(Problem::UnknownReceipt),
        origin::From::Unsaid | origin::From::Others => Err(Problem::CrossSite),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_as_browsers_encode_them() {
        let fields = Fields::parse(
            b"action=device&kind=oaid&value=+a%2Bb%26c%3D+&lang=zh&empty=&bare&a=1&a=2&x=%ff&%3d=%zz",
        );
        assert_eq!(fields.text("action"), Some("device"));
        assert_eq!(fields.bytes("value"), Some(&b" a+b&c= "[..]));
        assert_eq!(fields.text("value"), Some("a+b&c="));
        assert_eq!(fields.text("empty"), None);
        assert_eq!(fields.bytes("bare"), Some(&b""[..]));
        assert_eq!(fields.text("a"), Some("1"));
        assert_eq!(fields.text("x"), None, "no UTF-8");
        assert_eq!(fields.bytes("="), Some(&b"%zz"[..]), "a broken escape stays as it is");
        assert_eq!(fields.bytes("absent"), None);
    }

    #[test]
    fn only_what_the_script_writes_is_taken_for_digests() {
        let text = [&"0a".repeat(16)[..], &"1b".repeat(20), &"2c".repeat(32)].join(".");
        let read = digests(&format!("{text}~{text}")).unwrap();
        assert_eq!(
            (read.len(), read[1].md5, read[1].sha1, read[1].sha256),
            (2, [10; 16], [27; 20], [44; 32])
        );
        assert_eq!(digests(&vec![text.clone(); 100].join("~")).unwrap().len(), TEXTS_MAX + 1);
        for wrong in [
            "",
            "~",
            &text[1..],
            &text.to_uppercase(),
            &format!("{text}."),
            &format!("{text}~"),
            &text[..32],
            "é",
        ] {
            assert!(digests(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_was_done_goes_through_a_form_and_back() {
        for text in ["oaid:raw,md5:sha1:", "mac:md5:mac_other_separators,sha256:ambiguous", "idfa:::"] {
            assert_eq!(DoneId::from_text(text).unwrap().to_text(), text);
        }
        for wrong in ["", "oaid", "oaid:raw", "shoe:raw:md5:", "oaid:<b>:md5:"] {
            assert!(DoneId::from_text(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn only_the_first_fields_are_looked_at() {
        let many = "a=1&".repeat(FIELDS_MAX) + "b=1";
        assert_eq!(Fields::parse(many.as_bytes()).bytes("b"), None);
        assert!(Fields::parse(b"").bytes("").is_none());
    }
}
