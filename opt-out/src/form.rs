//! The page's form: `POST /opt-out`, as browsers send it without JavaScript.
//!
//! | `action` | other fields | does |
//! |---|---|---|
//! | `browser_out`, `browser_in` | | sets or removes the opt-out cookie |
//! | `device` | `kind`, `value` | opts an identifier out, shows the receipt |
//! | `receipt` | `receipt`, `secret` | takes a receipt back; without a secret, one that was given to this browser |
//!
//! Answers are pages. A value that was typed is never shown again.

use std::borrow::Cow;

use event::identifier::IdKind;
use hyper::header::HeaderValue;
use percent_encoding::percent_decode;

use crate::cookies::{self, Cookies};
use crate::desk::Desk;
use crate::origin;
use crate::page::{self, Language, Notice};
use crate::problem::Problem;
use crate::receipt::{ReceiptId, Secret};
use crate::record::Source;

/// Fields that are looked at; a browser sends five.
const FIELDS_MAX: usize = 16;

/// A page, and cookies to set with it.
pub(crate) struct Answer {
    pub(crate) html: String,
    pub(crate) cookies: Vec<HeaderValue>,
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
    mut cookies: Cookies,
    from: origin::From,
) -> Result<Answer, Problem> {
    let domain = desk.settings.cookie_domain.as_deref();
    // A page of others may neither opt a person out nor in; what only a cookie entitles to asks for proof that the page is ours.
    match (fields.text("action"), from) {
        (_, origin::From::Others) | (Some("browser_in"), origin::From::Unsaid) => Err(Problem::CrossSite),
        (Some("browser_out"), _) => {
            cookies.opted_out = true;
            desk.metrics.opt_outs_cookie.increment(1);
            let html = page::home(desk, language, &cookies, Some(&Notice::Done("browser.done_out")));
            Ok(Answer { html, cookies: cookies::set_opt_out(true, domain).into_iter().collect() })
        }
        (Some("browser_in"), origin::From::Ours) => {
            cookies.opted_out = false;
            desk.metrics.opt_ins_cookie.increment(1);
            let html = page::home(desk, language, &cookies, Some(&Notice::Done("browser.done_in")));
            Ok(Answer { html, cookies: cookies::set_opt_out(false, domain).into_iter().collect() })
        }
        (Some("device"), _) => {
            let kind = fields.text("kind").and_then(IdKind::from_name).ok_or(Problem::Form)?;
            let value = fields.bytes("value").unwrap_or_default().trim_ascii();
            if value.is_empty() {
                return Err(Problem::NoIds);
            }
            let done = desk.opt_out(&[(Some(kind), value)], Source::Page).await?;
            let html = page::receipt(desk, language, &done);
            cookies.remember(done.lodging.receipt, done.lodging.secret);
            Ok(Answer { html, cookies: cookies.set_receipts().into_iter().collect() })
        }
        (Some("receipt"), from) => {
            let receipt = fields.text("receipt").and_then(ReceiptId::parse).ok_or(Problem::UnknownReceipt)?;
            let secret = match fields.text("secret") {
                Some(typed) => Secret::parse(typed).ok_or(Problem::UnknownReceipt)?,
                None => by_cookie(receipt, &cookies, from)?,
            };
            desk.opt_in(receipt, secret).await?;
            let html = page::home(desk, language, &cookies, Some(&Notice::Done("back.done")));
            Ok(Answer { html, cookies: Vec::new() })
        }
        _ => Err(Problem::Form),
    }
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
    fn only_the_first_fields_are_looked_at() {
        let many = "a=1&".repeat(FIELDS_MAX) + "b=1";
        assert_eq!(Fields::parse(many.as_bytes()).bytes("b"), None);
        assert!(Fields::parse(b"").bytes("").is_none());
    }
}
