//! Placements from a sheet, all or nothing; and the empty sheet to begin with.

use catalog::edit::{Change, Value as Field, field};
use catalog::{Campaign, Catalog, Mistake, mistake};
use event::profile::Profiles;
use hyper::StatusCode;
use hyper::header::{CONTENT_DISPOSITION, HeaderValue};
use serde_json::{Map, Value, json};

use super::super::problem::Problem;
use super::super::{Answer, Api, bad, body};
use super::change::{Asked, Wanted};
use super::refusal::{Code, refusal_with};
use crate::form::Language;
use crate::sheet::placements::{self, Around, Draft};
use crate::sheet::template;
use crate::sheet::{self, SheetError};
use crate::told::Told;

/// Most bytes of ids that the audit log is told.
const ENTERED_BYTES_MAX: usize = 4 << 10;

/// How a sheet is imported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// Everything but the change itself is done.
    pub(super) dry_run: bool,
    /// Placements that are there already get the sheet's values.
    pub(super) replaces: bool,
    /// Placements without a profile get the one that goes by their medium's name.
    pub(super) takes_proposed: bool,
}

impl Options {
    pub(super) fn parse(query: &[(String, String)]) -> Result<Self, Problem> {
        let mut options = Self::default();
        for (name, value) in query {
            match (name.as_str(), value.as_str()) {
                ("dry_run", "true" | "false") => options.dry_run = value == "true",
                ("existing", "refuse" | "replace") => options.replaces = value == "replace",
                ("profiles", "given" | "proposed") => options.takes_proposed = value == "proposed",
                ("version", _) => {}
                _ => {
                    return Err(bad(
                        "the parameters are dry_run (true, false), existing (refuse, replace), profiles (given, proposed) and version",
                    ));
                }
            }
        }
        Ok(options)
    }
}

impl Api {
    /// What a sheet changes.
    pub(super) fn import(&self, asked: &Asked, id: &str, catalog: &Catalog) -> Result<Wanted, Problem> {
        let campaign = catalog.campaigns.get(id).ok_or(Problem::UnknownCampaign)?;
        let sheet =
            sheet::read_wanted(&asked.sheet, &placements::has_header).map_err(|error| unreadable(&error))?;
        let around = Around {
            campaign,
            profiles: &self.links.profiles,
            dialects: &self.links.dialects,
            replaces: asked.import.replaces,
        };
        let mut reading = placements::read(&sheet.grid, &around);
        if reading.error_count > 0 {
            let message = match reading.error_count {
                1 => "one cell is wrong; nothing was imported".to_owned(),
                count => format!("{count} cells are wrong; nothing was imported"),
            };
            let more = Map::from_iter([
                ("cells".to_owned(), json!(reading.errors)),
                ("cell_count".to_owned(), reading.error_count.into()),
                ("ignored_columns".to_owned(), reading.ignored.into()),
                ("sheet".to_owned(), sheet.name.into()),
                ("unread_sheets".to_owned(), sheet.unread.into()),
            ]);
            return Err(refusal_with(Code::Sheet, message, more));
        }
        if reading.drafts.is_empty() {
            let mistake = mistake!("sheet_rowless", "the sheet has a header and no placement below it");
            return Err(told(Code::Sheet, mistake));
        }
        let proposed =
            propose(&mut reading.drafts, (campaign, &self.links.profiles), asked.import.takes_proposed);
        let ids = |exist: bool| -> Vec<&str> {
            reading
                .drafts
                .iter()
                .filter(|draft| draft.exists == exist)
                .map(|draft| draft.id.as_str())
                .collect()
        };
        let (added, changed) = (ids(false), ids(true));
        let said = Map::from_iter([
            ("dry_run".to_owned(), asked.import.dry_run.into()),
            ("added".to_owned(), json!(added)),
            ("changed".to_owned(), json!(changed)),
            ("planned".to_owned(), planned(&reading.drafts)),
            ("proposed_profiles".to_owned(), proposed),
            ("ignored_columns".to_owned(), json!(reading.ignored)),
            ("warnings".to_owned(), json!(reading.warnings)),
            ("sum_rows".to_owned(), json!(reading.sum_rows)),
            ("sheet".to_owned(), sheet.name.into()),
            ("unread_sheets".to_owned(), sheet.unread.into()),
        ]);
        let details = Map::from_iter([
            ("added".to_owned(), Value::from(added.len())),
            ("changed".to_owned(), Value::from(changed.len())),
            ("placements".to_owned(), Value::from(some_of(&reading.drafts))),
        ]);
        let change = |draft: &Draft| {
            let (campaign, fields) = (id.to_owned(), draft.fields.clone());
            if draft.exists {
                Change::SetPlacement { campaign, placement: draft.id.clone(), fields }
            } else {
                Change::AddPlacement { campaign, fields }
            }
        };
        Ok(Wanted { changes: reading.drafts.iter().map(change).collect(), details, said })
    }
}

/// The empty sheet.
pub(super) fn template(query: &[(String, String)]) -> Result<Answer, Problem> {
    let (mut language, mut is_csv) = (Language::English, false);
    for (name, value) in query {
        match (name.as_str(), value.as_str()) {
            ("language", name) if let Some(named) = Language::from_name(name) => language = named,
            ("format", "csv") => is_csv = true,
            ("format", "xlsx") => is_csv = false,
            _ => return Err(bad("the parameters are format (xlsx, csv) and language (en, zh)")),
        }
    }
    let (media_type, name, bytes) = if is_csv {
        ("text/csv; charset=utf-8; header=present", "placements.csv", template::csv(language))
    } else {
        let made = template::xlsx(language).map_err(|error| {
            tracing::error!(%error, "the template cannot be made");
            Problem::Busy
        })?;
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "placements.xlsx", made)
    };
    let mut answer = body(StatusCode::OK, media_type, bytes);
    let disposition = format!("attachment; filename=\"{name}\"");
    answer
        .headers_mut()
        .insert(CONTENT_DISPOSITION, HeaderValue::from_str(&disposition).expect("a plain name"));
    Ok(answer)
}

/// The profiles that go by their media's names, of the placements for which neither the sheet nor the catalog names one; `takes` says whether they get it.
fn propose(drafts: &mut [Draft], (campaign, profiles): (&Campaign, &Profiles), takes: bool) -> Value {
    let mut proposed = Vec::new();
    for draft in drafts {
        let before = campaign.placements.get(&draft.id);
        let said = field(&draft.fields, "medium").and_then(Field::as_text);
        let medium = said.or_else(|| Some(before?.medium.as_str())).unwrap_or_default().to_owned();
        let has_one = field(&draft.fields, "profile").is_some()
            || before.is_some_and(|before| before.profile.is_some());
        if let Some(profile) = profiles.proposed(&medium).filter(|_| !has_one) {
            proposed.push(json!({ "placement": draft.id, "medium": medium, "profile": profile.name() }));
            if takes {
                draft.fields.push(("profile".to_owned(), Some(Field::Text(profile.name().to_owned()))));
            }
        }
    }
    proposed.into()
}

/// Impressions of all days before and behind the import, and the days that are planned behind it, of each placement whose plan it changes.
fn planned(drafts: &[Draft]) -> Value {
    let of = |draft: &Draft| {
        let (before, after) = draft.planned?;
        let (first, last) = after.days.map(|(first, last)| (first.to_string(), last.to_string())).unzip();
        Some(json!({
            "placement": draft.id, "before": before.impressions, "after": after.impressions, "first_day": first, "last_day": last,
        }))
    };
    drafts.iter().filter_map(of).collect()
}

fn unreadable(error: &SheetError) -> Problem {
    let code = if matches!(error, SheetError::TooLarge(_)) { Code::TooLarge } else { Code::Sheet };
    told(code, error.mistake())
}

/// A refusal of the whole file, with its code for whoever words it otherwise.
fn told(code: Code, mistake: Mistake) -> Problem {
    let message = format!("{mistake}; nothing was imported");
    let more = Map::from_iter([("mistake".to_owned(), json!(Told::from(mistake)))]);
    refusal_with(code, message, more)
}

/// The first ids, as far as an entry has room for them.
fn some_of(drafts: &[Draft]) -> String {
    let mut text = String::new();
    for draft in drafts {
        if text.len() + draft.id.len() + 2 > ENTERED_BYTES_MAX {
            text.push_str(", …");
            break;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&draft.id);
    }
    text
}
