//! Whether a browser's request comes from our own page, or was brought about by somebody else's.
//!
//! `Sec-Fetch-Site` decides where the browser sends it, else `Origin`. A request with neither does not come from a current browser
//! and carries nobody's cookies against his will; only what takes an opt-out back on the strength of a cookie asks for proof.

use hyper::header::{HOST, HeaderMap, HeaderName, ORIGIN};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// Proved to come from our own page.
    Ours,
    /// The browser does not say.
    Unsaid,
    /// From another site.
    Others,
}

/// Reads where a request comes from. `public` are the origins under which browsers know us, besides the host that was asked.
pub(crate) fn of(headers: &HeaderMap, public: &[String]) -> From {
    let text = |name| {
        headers.get(name).map(|value: &hyper::header::HeaderValue| value.to_str().unwrap_or("").trim())
    };
    match (text(SEC_FETCH_SITE), text(ORIGIN)) {
        (Some("same-origin"), _) => From::Ours,
        // Typed, or from a bookmark: nobody else's page is behind it, and no proof that ours is.
        (Some("none"), _) | (None, None) => From::Unsaid,
        (Some(_), _) => From::Others,
        (None, Some(origin)) => {
            let asked = text(HOST).filter(|host| !host.is_empty());
            let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            let is_ours = public.iter().any(|ours| ours.trim_end_matches('/').eq_ignore_ascii_case(origin))
                || authority.zip(asked).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host));
            if is_ours { From::Ours } else { From::Others }
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn from(headers: &[(HeaderName, &str)]) -> From {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
            .collect();
        of(&headers, &["https://privacy.example.com".to_owned()])
    }

    #[test]
    fn the_browser_is_believed_first() {
        assert_eq!(from(&[(SEC_FETCH_SITE, "same-origin"), (ORIGIN, "null")]), From::Ours);
        assert_eq!(from(&[(SEC_FETCH_SITE, "none")]), From::Unsaid);
        for site in ["cross-site", "same-site", "", "rubbish"] {
            assert_eq!(
                from(&[(SEC_FETCH_SITE, site), (ORIGIN, "http://h"), (HOST, "h")]),
                From::Others,
                "{site}"
            );
        }
    }

    #[test]
    fn older_browsers_tell_by_their_origin() {
        assert_eq!(from(&[]), From::Unsaid);
        assert_eq!(from(&[(HOST, "h:81"), (ORIGIN, "http://h:81")]), From::Ours);
        assert_eq!(from(&[(HOST, "H"), (ORIGIN, "https://h")]), From::Ours);
        assert_eq!(from(&[(HOST, "inner:81"), (ORIGIN, "https://privacy.example.com")]), From::Ours);
        for origin in [
            "null",
            "http://h:82",
            "http://evil",
            "http://h:81.evil",
            "h:81",
            "",
            "https://privacy.example.com.evil",
        ] {
            assert_eq!(from(&[(HOST, "h:81"), (ORIGIN, origin)]), From::Others, "{origin}");
        }
        assert_eq!(from(&[(HOST, ""), (ORIGIN, "http://")]), From::Others);
    }
}
