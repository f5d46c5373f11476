//! What is wrong with the fields of one campaign or placement: every key at once, in the words of the catalog's own reader.
//!
//! The reader stops at the first mistake. So the fields are written out one on each line and read until nothing is wrong any more, the line at fault
//! taken out each time: what a form or a sheet is told is what the file would be told.

use std::fmt::Write as _;

use event::profile::Profiles;

use super::value::{Fields, Value, field};
use crate::{Campaign, Catalog, Mistake, mistake};

/// A key at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The key, as the catalog names it.
    pub key: String,
    /// What is wrong and what is allowed.
    pub problem: Mistake,
}

/// Keys that stand in for a wrong one, so that the others are looked at too.
const STAND_IN_CAMPAIGN: &[(&str, &str)] = &[("id", "x"), ("name", "x"), ("time_zone", "UTC")];
const STAND_IN_PLACEMENT: &[(&str, &str)] = &[("id", "x"), ("name", "x"), ("medium", "x")];

/// What is wrong with the fields of a campaign.
pub fn check_campaign(fields: &Fields, profiles: &Profiles) -> Vec<FieldError> {
    check("[[campaign]]\n", fields, STAND_IN_CAMPAIGN, profiles)
}

/// What is wrong with the fields of a placement of this campaign.
pub fn check_placement(campaign: &Campaign, fields: &Fields, profiles: &Profiles) -> Vec<FieldError> {
    let hosts = Value::List(campaign.landing_hosts.iter().cloned().map(Value::Text).collect());
    let mut ahead = format!(
        "[[campaign]]\nid = \"x\"\nname = \"x\"\ntime_zone = \"{}\"\nlanding_hosts = {}\n",
        campaign.time_zone.name(),
        hosts.one_line()
    );
    let days = [("starts", campaign.starts), ("ends", campaign.ends)];
    for (key, day) in days.into_iter().filter_map(|(key, day)| Some((key, day?))) {
        let _ = writeln!(ahead, "{key} = {day}");
    }
    if let Some(currency) = &campaign.currency {
        let _ = writeln!(ahead, "currency = \"{currency}\"");
    }
    ahead.push_str("[[campaign.placement]]\n");
    check(&ahead, fields, STAND_IN_PLACEMENT, profiles)
}

fn check(ahead: &str, fields: &Fields, stand_in: &[(&str, &str)], profiles: &Profiles) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut lines: Vec<(&str, String)> = Vec::new();
    for (key, value) in fields {
        if let Some(value) = value {
            let mut table = toml_edit::Table::new();
            table.insert(key, toml_edit::Item::Value(value.one_line()));
            lines.push((key, table.to_string()));
        }
    }
    for (key, value) in stand_in {
        if field(fields, key).is_none() {
            errors.push(FieldError {
                key: (*key).to_owned(),
                problem: mistake!("missing", "`{key}` is missing", key),
            });
            lines.push((key, format!("{key} = \"{value}\"\n")));
        }
    }
    let lines_ahead = ahead.lines().count();
    // Each round takes a line out or puts something right in its place.
    for _ in 0..=2 * lines.len() {
        let text = lines.iter().fold(ahead.to_owned(), |text, (_, line)| text + line);
        let Err(error) = Catalog::parse_with(&text, "", profiles) else { break };
        let at = error.line.checked_sub(lines_ahead + 1);
        let Some((key, line)) = at.and_then(|at| lines.get_mut(at)) else {
            // Something about all of them.
            errors.push(FieldError { key: String::new(), problem: error.problem });
            break;
        };
        errors.push(FieldError { key: (*key).to_owned(), problem: error.problem });
        match stand_in.iter().find(|(name, _)| name == key) {
            Some((name, value)) => *line = format!("{name} = \"{value}\"\n"),
            None => line.replace_range(.., "\n"),
        }
    }
    errors
}
