//! What a request asks: its URL's parameters and those of a multipart form.

use percent_encoding::percent_decode;

/// Longest value of a parameter, bytes: the server's `http_max_field_value_size`.
const VALUE_BYTES_MAX: usize = 128 * 1024;
/// Parameters that are no settings (`reserved_param_names` of the server's HTTP handler; `query` and `param_…` are taken out before).
const RESERVED: [&str; 18] = [
    "compress",
    "decompress",
    "user",
    "password",
    "quota_key",
    "query_id",
    "stacktrace",
    "role",
    "buffer_size",
    "wait_end_of_query",
    "session_id",
    "session_timeout",
    "session_check",
    "client_protocol_version",
    "close_session",
    "database",
    "default_format",
    "",
];
/// Endings of names that a multipart form takes for its tables' formats.
const TABLE_ENDINGS: [&str; 3] = ["_format", "_types", "_structure"];

/// Parameters by name, in their order.
#[derive(Debug, Default)]
pub(crate) struct Form {
    pairs: Vec<(String, String)>,
    is_multipart: bool,
}

/// What the server says to a form that it does not take: code 1000, `POCO_EXCEPTION`.
pub(crate) type Refused = (u32, String);

impl Form {
    /// Reads a URL's query.
    pub(crate) fn of_url(query: &str) -> Result<Self, Refused> {
        let mut form = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            form.add(decode(name), decode(value))?;
        }
        Ok(form)
    }

    /// Adds the parts of a `multipart/form-data` body.
    pub(crate) fn add_multipart(&mut self, body: &[u8], boundary: &str) -> Result<(), Refused> {
        self.is_multipart = true;
        let cut_off = || {
            (
                33,
                "Unexpected EOF, did not find the last boundary while parsing a multipart HTTP request"
                    .to_owned(),
            )
        };
        let open = format!("--{boundary}");
        let between = format!("\r\n--{boundary}");
        let mut rest = body.strip_prefix(open.as_bytes()).ok_or_else(cut_off)?;
        loop {
            if rest.starts_with(b"--") {
                return Ok(());
            }
            let end = find(rest, between.as_bytes()).ok_or_else(cut_off)?;
            let (part, next) = rest.split_at(end);
            let head_end = find(part, b"\r\n\r\n").ok_or_else(cut_off)?;
            let head = String::from_utf8_lossy(part.get(..head_end).unwrap_or_default()).into_owned();
            let value = String::from_utf8_lossy(part.get(head_end + 4..).unwrap_or_default()).into_owned();
            let name =
                head.split_once("name=\"").and_then(|(_, rest)| rest.split_once('"')).map(|(name, _)| name);
            self.add(name.unwrap_or_default().to_owned(), value)?;
            rest = next.get(between.len()..).unwrap_or_default();
        }
    }

    fn add(&mut self, name: String, value: String) -> Result<(), Refused> {
        if value.len() > VALUE_BYTES_MAX {
            let words =
                "Poco::Exception. Code: 1000, e.code() = 0, HTML Form Exception: Field value too long";
            return Err((1000, words.to_owned()));
        }
        self.pairs.push((name, value));
        Ok(())
    }

    /// The first value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Whether a switch is on.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        matches!(self.get(name), Some("1" | "true"))
    }

    /// Values to bind.
    pub(crate) fn bound(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().filter_map(|(name, value)| Some((name.strip_prefix("param_")?, value.as_str())))
    }

    /// Settings, in the order of their names.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        let is_setting = |name: &str| {
            !(RESERVED.contains(&name)
                || name == "query"
                || name.starts_with("param_")
                || self.is_multipart && TABLE_ENDINGS.iter().any(|ending| name.ends_with(ending)))
        };
        let mut settings: Vec<_> = self.pairs.iter().filter(|(name, _)| is_setting(name)).cloned().collect();
        // `readonly` last: after it nothing can be set.
        settings.sort_by(|(a, _), (b, _)| (a == "readonly", a).cmp(&(b == "readonly", b)));
        settings
    }
}

fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode(spaced.as_bytes()).decode_utf8_lossy().into_owned()
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_urls_parameters_are_told_apart() {
        let form = Form::of_url("query=SELECT+1&param_a=%5C'x&max_threads=2&database=d&session_id=s")
            .expect("taken");
        assert_eq!(form.get("query"), Some("SELECT 1"));
        assert_eq!(form.bound().collect::<Vec<_>>(), [("a", "\\'x")]);
        assert_eq!(form.settings(), [("max_threads".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn a_multipart_form_holds_statement_and_values() {
        let part = |name: &str, value: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let body = format!("{}{}--b--\r\n", part("query", "SELECT\n{a:String}"), part("param_a", "x--b\\n"));
        let mut form = Form::of_url("").expect("taken");
        form.add_multipart(body.as_bytes(), "b").expect("taken");
        assert_eq!(form.get("query"), Some("SELECT\n{a:String}"));
        assert_eq!(form.bound().collect::<Vec<_>>(), [("a", "x--b\\n")]);
        assert!(Form::default().add_multipart(&body.as_bytes()[..body.len() - 6], "b").is_err());
    }

    #[test]
    fn long_values_are_refused_as_the_server_does() {
        assert!(Form::of_url(&format!("a={}", "x".repeat(VALUE_BYTES_MAX))).is_ok());
        assert!(matches!(Form::of_url(&format!("a={}", "x".repeat(VALUE_BYTES_MAX + 1))), Err((1000, _))));
    }
}
