//! One table of the file: its keys asked for by name, each value held against its form, with the place of what is wrong.

use std::ops::{Range, RangeInclusive};

use chrono::NaiveDate;
use event::hit::is_catalog_id;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::{Checked, Wrong, limit, nearest};
use crate::landing;
use crate::planning::{Money, MoneyError};
use crate::{Mistake, mistake};

/// A table of the file with the place where it begins.
pub(super) struct Table<'t> {
    pub(super) entries: &'t DeTable<'t>,
    /// Where it begins, byte of the text.
    pub(super) at: usize,
}

impl<'t> Table<'t> {
    /// Refuses keys that mean nothing, with the nearest that would.
    pub(super) fn allow(&self, keys: &[&str]) -> Checked<()> {
        let unknown = self.entries.iter().filter(|(key, _)| !keys.contains(&key.get_ref().as_ref()));
        let Some((key, _)) = unknown.min_by_key(|(key, _)| key.span().start) else { return Ok(()) };
        let name = key.get_ref();
        let hint = nearest(name, keys.iter().copied())
            .map(|near| format!("; did you mean `{near}`?"))
            .unwrap_or_default();
        wrong(key.span().start, format!("unknown key `{name}`{hint} Allowed here: {}", keys.join(", ")))
    }

    fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.entries.get(key)
    }

    pub(super) fn at_key(&self, key: &str) -> usize {
        self.get(key).map_or(self.at, |value| value.span().start)
    }

    pub(super) fn tables(&self, key: &str, max: usize) -> Checked<Vec<Table<'t>>> {
        let Some(array) = self.array(key, &format!("write [[{key}]] before each one"))? else {
            return Ok(Vec::new());
        };
        if array.len() > max {
            return wrong(self.at_key(key), mistake!("too_many", "more than {max} of `{key}`", key, max));
        }
        let tables = array.iter().map(|value| match value.get_ref() {
            DeValue::Table(entries) => Ok(Table { entries, at: value.span().start }),
            other => is_not(value.span(), key, other, "a table"),
        });
        tables.collect()
    }

    fn array(&self, key: &str, hint: &str) -> Checked<Option<&'t DeArray<'t>>> {
        match self.get(key).map(|value| (value.span(), value.get_ref())) {
            None => Ok(None),
            Some((_, DeValue::Array(array))) => Ok(Some(array)),
            Some((span, other)) => is_not(span, key, other, &format!("a list: {hint}")),
        }
    }

    pub(super) fn text(&self, key: &str) -> Checked<Option<(&'t str, usize)>> {
        match self.get(key).map(|value| (value.span(), value.get_ref())) {
            None => Ok(None),
            Some((span, DeValue::String(text))) => Ok(Some((text.as_ref(), span.start))),
            Some((span, other)) => is_not(span, key, other, "a text in quotes"),
        }
    }

    pub(super) fn required(&self, key: &str, example: &str) -> Checked<(&'t str, usize)> {
        match self.text(key)? {
            Some(found) => Ok(found),
            None => {
                wrong(self.at, mistake!("missing", "`{key}` is missing here: add {example}", key, example))
            }
        }
    }

    pub(super) fn id(&self, what: &str) -> Checked<String> {
        let (id, at) = self.required("id", "id = \"…\"")?;
        if is_catalog_id(id.as_bytes()) {
            return Ok(id.to_owned());
        }
        wrong(at, mistake!("id_form", "a {what}'s id has 1 to 64 characters of A-Z a-z 0-9 . _ -", what))
    }

    pub(super) fn name(&self, key: &str) -> Checked<String> {
        let (name, at) = self.required(key, &format!("{key} = \"…\""))?;
        let name = name.trim();
        if name.is_empty() || name.len() > limit::NAME_BYTES_MAX || name.chars().any(char::is_control) {
            let max = limit::NAME_BYTES_MAX;
            return wrong(
                at,
                mistake!(
                    "name_form",
                    "`{key}` has 1 to {max} bytes, and no line break or other control character",
                    key,
                    max
                ),
            );
        }
        Ok(name.to_owned())
    }

    pub(super) fn date(&self, key: &str) -> Checked<Option<NaiveDate>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        if let DeValue::Datetime(moment) = value.get_ref()
            && let (Some(date), None, None) = (moment.date, moment.time, moment.offset)
            && let Some(date) =
                NaiveDate::from_ymd_opt(i32::from(date.year), date.month.into(), date.day.into())
        {
            return Ok(Some(date));
        }
        wrong(
            value.span().start,
            format!("`{key}` is a day without quotes and time, for example {key} = 2026-11-01"),
        )
    }

    pub(super) fn seconds(&self, key: &str, max: u32) -> Checked<u32> {
        let Some(value) = self.get(key) else { return Ok(0) };
        if let DeValue::Integer(number) = value.get_ref()
            && let Ok(number) = u32::from_str_radix(number.as_str(), number.radix())
            && number <= max
        {
            return Ok(number);
        }
        wrong(
            value.span().start,
            mistake!("seconds_range", "`{key}` is a whole number of seconds from 0 to {max}", key, max),
        )
    }

    pub(super) fn flag(&self, key: &str) -> Checked<bool> {
        match self.get(key).map(|value| (value.span(), value.get_ref())) {
            None => Ok(false),
            Some((_, DeValue::Boolean(flag))) => Ok(*flag),
            Some((span, other)) => is_not(span, key, other, "true or false without quotes"),
        }
    }

    /// A table of this name, if there is one.
    pub(super) fn table(&self, key: &str) -> Checked<Option<Table<'t>>> {
        match self.get(key).map(|value| (value.span(), value.get_ref())) {
            None => Ok(None),
            Some((span, DeValue::Table(entries))) => Ok(Some(Table { entries, at: span.start })),
            Some((span, other)) => is_not(span, key, other, "a table"),
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// A name, or this one where there is none.
    pub(super) fn name_or(&self, key: &str, default: &str) -> Checked<String> {
        if self.has(key) { self.name(key) } else { Ok(default.to_owned()) }
    }

    pub(super) fn required_date(&self, key: &str) -> Checked<NaiveDate> {
        match self.date(key)? {
            Some(date) => Ok(date),
            None => {
                wrong(self.at, mistake!("missing", "`{key}` is missing here: add {key} = 2026-11-01", key))
            }
        }
    }

    /// A whole number that has to be there.
    pub(super) fn whole(&self, key: &str, range: RangeInclusive<u64>) -> Checked<u64> {
        let (min, max) = (range.start(), range.end());
        let Some(value) = self.get(key) else {
            return wrong(self.at, mistake!("missing", "`{key}` is missing here: add {key} = …", key));
        };
        if let DeValue::Integer(number) = value.get_ref()
            && let Ok(number) = u64::from_str_radix(number.as_str(), number.radix())
            && range.contains(&number)
        {
            return Ok(number);
        }
        wrong(
            value.span().start,
            mistake!("whole_range", "`{key}` is a whole number from {min} to {max}", key, min, max),
        )
    }

    /// A share from 0 to `max`, 1 being the whole.
    pub(super) fn share(&self, key: &str, max: f64) -> Checked<Option<f64>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let number = match value.get_ref() {
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            DeValue::Integer(number) => {
                u32::from_str_radix(number.as_str(), number.radix()).ok().map(f64::from)
            }
            _ => None,
        };
        match number.filter(|number| (0.0..=max).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => wrong(
                value.span().start,
                mistake!(
                    "share_range",
                    "`{key}` is a share from 0 to {max}, such as {key} = 0.1 for one tenth",
                    key,
                    max
                ),
            ),
        }
    }

    /// What something costs, if that is said; `has_currency` tells whether the campaign says in which currency.
    pub(super) fn cost(&self, has_currency: bool) -> Checked<Option<Money>> {
        let Some(value) = self.get("cost") else { return Ok(None) };
        let at = value.span().start;
        let amount = match value.get_ref() {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => None,
        };
        match amount {
            None => wrong(at, money_form()),
            Some(_) if !has_currency => wrong(
                at,
                mistake!(
                    "currency_missing",
                    "`cost` needs a currency: add currency = \"CNY\" to the campaign"
                ),
            ),
            Some(amount) => Ok(Some(amount)),
        }
    }

    pub(super) fn hosts(&self, key: &str) -> Checked<Vec<String>> {
        let Some(array) = self.array(key, &format!("{key} = [\"www.example.com\"]"))? else {
            return Ok(Vec::new());
        };
        if array.len() > limit::LANDING_HOSTS_MAX {
            let max = limit::LANDING_HOSTS_MAX;
            return wrong(
                self.at_key(key),
                mistake!("too_many", "`{key}` has more than {max} hosts", key, max),
            );
        }
        let hosts = array.iter().map(|value| match value.get_ref() {
            DeValue::String(host) => read_host(host, value.span().start),
            other => is_not(value.span(), key, other, "a list of texts in quotes"),
        });
        hosts.collect()
    }
}

/// What no amount of money is.
pub(crate) fn money_form() -> Mistake {
    let form = MoneyError;
    mistake!("money_form", "`cost`: {form}", form)
}

pub(super) fn wrong<T>(at: usize, problem: impl Into<Mistake>) -> Checked<T> {
    Err(Wrong { at, problem: problem.into() })
}

fn is_not<T>(span: Range<usize>, key: &str, value: &DeValue<'_>, expected: &str) -> Checked<T> {
    wrong(span.start, format!("`{key}` is {}, expected {expected}", value.type_str()))
}

/// A landing host as it is kept: lower case.
fn read_host(host: &str, at: usize) -> Checked<String> {
    let bare = host.strip_prefix('.').unwrap_or(host);
    let problem = if host.contains("://") || host.contains('/') {
        mistake!("host_bare", "landing host `{host}`: a host stands without scheme and path", host)
    } else if host.starts_with('*') {
        mistake!(
            "host_star",
            "landing host `{host}`: for every host below one write a leading dot, `.example.com`",
            host
        )
    } else if !host.is_ascii() {
        mistake!("host_ascii", "landing host `{host}`: write a name beyond ASCII in its `xn--` form", host)
    } else if bare.contains(':') && !bare.starts_with('[') {
        mistake!(
            "host_port",
            "landing host `{host}`: a host stands without port; every port of it is allowed",
            host
        )
    } else if !landing::is_host(bare) {
        mistake!("host_form", "landing host `{host}`: that is no host name", host)
    } else if host.starts_with('.') && (!bare.contains('.') || bare.parse::<std::net::Ipv4Addr>().is_ok()) {
        mistake!(
            "host_dot",
            "landing host `{host}`: a leading dot must stand before a name of at least two labels, `.example.com`",
            host
        )
    } else {
        return Ok(host.to_ascii_lowercase());
    };
    wrong(at, problem)
}
