//! Values that are bound to a statement's placeholders, in the one text form that every kind of session takes.
//!
//! Must never: be put into a statement's text.

/// A value to bind.
#[derive(Clone, Debug)]
pub enum Value {
    /// `String`
    Text(String),
    /// Any unsigned integer type.
    Number(u64),
    /// Any signed integer type.
    Signed(i64),
    /// `Array(Date)`, days since 1970-01-01.
    Days(Vec<u16>),
    /// `Array(String)`
    Texts(Vec<String>),
    /// `Array(UInt…)`
    Numbers(Vec<u64>),
}

/// Bound values by name.
pub type Values = Vec<(&'static str, Value)>;

impl Value {
    /// The value in the engine's escaped text form: what stands in a field of a TSV file.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => escape(text),
            Self::Number(n) => n.to_string(),
            Self::Signed(n) => n.to_string(),
            Self::Days(days) => list(days, |day| format!("'{}'", day_text(*day))),
            Self::Texts(texts) => list(texts, |text| format!("'{}'", escape(text))),
            Self::Numbers(numbers) => list(numbers, u64::to_string),
        }
    }
}

/// What `in_force.sql` needs: the partitions of settled tables by their names in the store, those of days and generations.
pub(crate) fn partitions(published: &[(u16, u64)]) -> Value {
    let name = |(day, generation): &(u16, u64)| format!("{}-{generation}", day_date(*day).format("%Y%m%d"));
    Value::Texts(published.iter().map(name).collect())
}

fn list<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(","))
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            other => out.push(other),
        }
    }
    out
}

/// `2026-11-21` of days since 1970-01-01.
pub(crate) fn day_text(day: u16) -> String {
    day_date(day).to_string()
}

/// The calendar day of days since 1970-01-01.
fn day_date(day: u16) -> chrono::NaiveDate {
    chrono::NaiveDate::default() + chrono::Days::new(u64::from(day))
}

/// Days since 1970-01-01 of a calendar day; `None` outside 1970–2149.
pub(crate) fn day_number(date: chrono::NaiveDate) -> Option<u16> {
    u16::try_from(date.signed_duration_since(chrono::NaiveDate::default()).num_days()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_as_fields_of_a_tsv_file() {
        assert_eq!(Value::Text("a\tb\\c\n'".to_owned()).text(), "a\\tb\\\\c\\n\\'");
        assert_eq!(Value::Texts(vec!["x','y".to_owned(), String::new()]).text(), "['x\\',\\'y','']");
        assert_eq!(Value::Days(vec![0, 20_778]).text(), "['1970-01-01','2026-11-21']");
        assert_eq!(Value::Numbers(vec![1, u64::MAX]).text(), "[1,18446744073709551615]");
    }

    #[test]
    fn partitions_are_named_as_the_store_names_them() {
        assert_eq!(partitions(&[(20_778, 7)]).text(), "['20261121-7']");
    }

    #[test]
    fn days_go_there_and_back() {
        for day in [0, 1, 20_778, u16::MAX] {
            assert_eq!(day_number(day_date(day)), Some(day));
        }
    }
}
