//! The rows of the reports, and their two written forms.
//!
//! Must never: write a CSV field that a spreadsheet would run as a formula, or leave a column out of one form.

use serde::Serialize;
use serde_json::Value;

use super::ids::IdsRow;
use super::keys::KeyChange;
use super::request::{Kind, LEVELS_MAX};

/// A finished report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Report {
    /// Campaign id.
    pub campaign: String,
    /// `delivery`, `reach`, `frequency` or `ids`.
    #[serde(rename = "report")]
    pub kind: &'static str,
    /// First day, `YYYY-MM-DD`, in the campaign's time zone; `None` without any data.
    pub from: Option<String>,
    /// Last day.
    pub to: Option<String>,
    /// Time zone in which days and hours are counted.
    pub time_zone: String,
    /// What the rows are keyed by.
    pub by: &'static str,
    /// `gross` or `net`.
    pub filter: &'static str,
    /// All days of the range up to this one are over, settled and up to date; `None` if not even the first is.
    pub settled_until: Option<String>,
    /// Days of the range whose figures may still change: not over, not settled, or changed since.
    pub provisional_days: Vec<String>,
    /// Of a reach or frequency report: changes of the device keys within the range, and whether a device on both sides of one is counted once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key_changes: Vec<KeyChange>,
    /// Of a frequency report: the impressions of all its rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identified_impressions: Option<u64>,
    /// The rows.
    pub rows: Rows,
}

/// Rows of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Rows {
    /// Of a delivery report.
    Delivery(Vec<DeliveryRow>),
    /// Of a reach report.
    Reach(Vec<ReachRow>),
    /// Of a frequency report.
    Frequency(Vec<FrequencyRow>),
    /// Of a report of ids.
    Ids(Vec<IdsRow>),
}

/// Hits of one kind by what became of them. gross = net + the removed ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Removed {
    /// Repeats of an earlier hit of the same view.
    pub duplicate: u64,
    /// Agents that name themselves robots.
    pub robot: u64,
    /// Agents that are neither browsers nor SDKs.
    pub non_browser: u64,
    /// Networks of data centres.
    pub data_center: u64,
    /// Clicks too soon after another one of the same device on the same placement.
    pub double_click: u64,
}

/// Hits by stage, in the report's filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Stages {
    /// Ads downloaded.
    pub tracked: u64,
    /// Viewable impressions.
    pub viewable: u64,
    /// Measured impressions that were not viewable.
    pub not_viewable: u64,
    /// Impressions whose viewability could not be measured.
    pub not_measurable: u64,
    /// Videos started.
    pub starts: u64,
    /// Videos that reached 25 %.
    pub first_quartiles: u64,
    /// 50 %.
    pub midpoints: u64,
    /// 75 %.
    pub third_quartiles: u64,
    /// The end.
    pub completes: u64,
    /// Conversions.
    pub conversions: u64,
}

/// Impressions by the privacy signal that withheld their device key, in the report's filter. One that came with two stands under both. On days that an
/// earlier program settled they are 0 until the day is settled again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Signals {
    /// `Sec-GPC: 1`, or the same in a GPP string.
    pub gpc: u64,
    /// `DNT: 1`, where the tracker honours it.
    pub dnt: u64,
    /// `lmt`, `dc_lat` and the like, or an advertising id of zeros.
    pub limit_ad_tracking: u64,
    /// The TCF applies, and there is no consent for us.
    pub no_consent: u64,
    /// A section of GPP opts out, or cannot be read.
    pub gpp: u64,
    /// Directed to children, or a known child.
    pub child_directed: u64,
}

/// One row of a delivery report.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct DeliveryRow {
    /// Day, placement …; `total`.
    pub key: String,
    /// Impressions in the report's filter.
    pub impressions: u64,
    /// All impressions.
    pub gross_impressions: u64,
    /// Impressions without the removed ones.
    pub net_impressions: u64,
    /// Why impressions were removed.
    pub removed_impressions: Removed,
    /// Clicks in the report's filter.
    pub clicks: u64,
    /// All clicks.
    pub gross_clicks: u64,
    /// Clicks without the removed ones.
    pub net_clicks: u64,
    /// Why clicks were removed.
    pub removed_clicks: Removed,
    /// The other stages, in the report's filter.
    pub stages: Stages,
    /// Impressions whose viewability was measured: viewable or not.
    pub measured: u64,
    /// The other impressions.
    pub unmeasured: u64,
    /// measured / impressions; `None` without impressions. Above 1 where verdicts arrived whose impressions did not.
    pub measured_rate: Option<f64>,
    /// viewable / measured; `None` where nothing was measured.
    pub viewable_rate: Option<f64>,
    /// Verdicts on viewability that are not counted, in no filter, because another one of the same view stands above them.
    pub outdone_verdicts: u64,
    /// Impressions with a usable device id, in the report's filter.
    pub identified_impressions: u64,
    /// identified / impressions; `None` without impressions.
    pub id_coverage: Option<f64>,
    /// Impressions whose device key a privacy signal withheld, in the report's filter.
    pub withheld_impressions: u64,
    /// The other impressions without a device: impressions = identified + withheld + unidentified.
    pub unidentified_impressions: u64,
    /// Which signals withheld them.
    pub signals: Signals,
    /// Impressions that carried ids, all of them bad values.
    pub bad_id_impressions: u64,
    /// Hits of any stage that carried an unreplaced macro.
    pub macros_unreplaced: u64,
    /// Hits that have the key of an earlier one, but another placement or device: kept.
    pub conflicts: u64,
    /// Hits of this campaign whose placement the catalog does not know, of any stage; in rows by total and placement only.
    pub unresolved: Option<u64>,
    /// See [`Report::settled_until`].
    pub settled_until: Option<String>,
}

/// One row of a reach report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ReachRow {
    /// Day, placement …; `total`.
    pub key: String,
    /// Impressions.
    pub impressions: u64,
    /// Impressions with a usable device id.
    pub identified_impressions: u64,
    /// identified / impressions; `None` without impressions.
    pub id_coverage: Option<f64>,
    /// Clicks.
    pub clicks: u64,
    /// Distinct devices with at least one impression.
    pub reach: u64,
    /// identified impressions / reach; `None` without reach.
    pub average_frequency: Option<f64>,
    /// Devices with at least 1, 2, … impressions.
    pub n_plus: Vec<u64>,
    /// Devices with exactly 1, 2, … impressions; the last entry with that many or more.
    pub exactly: Vec<u64>,
    /// Standard error of each entry of `n_plus`: 0 for exact figures.
    pub standard_error: Vec<f64>,
    /// Whether the figures are counted, not estimated.
    pub exact: bool,
    /// By day only: distinct devices from the report's first day to this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cumulative_reach: Option<u64>,
    /// See [`Report::settled_until`].
    pub settled_until: Option<String>,
}

/// One row of a frequency report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FrequencyRow {
    /// Day, placement …; `total`.
    pub key: String,
    /// Impressions of one device.
    pub frequency: usize,
    /// Whether `devices` and `impressions` also hold those of more than `frequency`: the last one of `levels`. In CSV `80+` in `frequency`.
    pub or_more: bool,
    /// Devices with exactly that many; in the last row of `levels` with that many or more.
    pub devices: u64,
    /// Devices with at least that many.
    pub n_plus: u64,
    /// Impressions of `devices`.
    pub impressions: u64,
    /// See [`Report::settled_until`].
    pub settled_until: Option<String>,
}

impl Report {
    /// The JSON form.
    pub(crate) fn json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and lists can always be written")
    }

    /// The CSV form: the rows only, lists and groups spread over columns (`n_plus_1`, `removed_clicks_robot`).
    pub(crate) fn csv(&self, levels: usize) -> Vec<u8> {
        let rows = match &self.rows {
            Rows::Delivery(rows) => flat(rows, &DeliveryRow::default()),
            Rows::Reach(rows) => flat(rows, &ReachRow::empty(levels, self.by == "day")),
            Rows::Frequency(rows) => {
                let rows: Vec<_> = rows.iter().map(FrequencyLine::from).collect();
                flat(&rows, &FrequencyLine::from(&FrequencyRow::empty()))
            }
            Rows::Ids(rows) => flat(rows, &IdsRow::default()),
        };
        let mut out = csv::Writer::from_writer(Vec::new());
        for row in rows {
            out.write_record(&row).expect("memory takes every row of the same length");
        }
        out.into_inner().expect("memory is always flushed")
    }
}

impl ReachRow {
    fn empty(levels: usize, by_day: bool) -> Self {
        let levels = levels.clamp(1, LEVELS_MAX);
        Self {
            key: String::new(),
            impressions: 0,
            identified_impressions: 0,
            id_coverage: None,
            clicks: 0,
            reach: 0,
            average_frequency: None,
            n_plus: vec![0; levels],
            exactly: vec![0; levels],
            standard_error: vec![0.0; levels],
            exact: true,
            cumulative_reach: by_day.then_some(0),
            settled_until: None,
        }
    }
}

impl FrequencyRow {
    fn empty() -> Self {
        Self {
            key: String::new(),
            frequency: 0,
            or_more: false,
            devices: 0,
            n_plus: 0,
            impressions: 0,
            settled_until: None,
        }
    }
}

/// [`FrequencyRow`] as it stands in CSV.
#[derive(Serialize)]
struct FrequencyLine<'a> {
    key: &'a str,
    frequency: String,
    devices: u64,
    n_plus: u64,
    impressions: u64,
    settled_until: Option<&'a str>,
}

impl<'a> From<&'a FrequencyRow> for FrequencyLine<'a> {
    fn from(row: &'a FrequencyRow) -> Self {
        Self {
            key: &row.key,
            frequency: format!("{}{}", row.frequency, if row.or_more { "+" } else { "" }),
            devices: row.devices,
            n_plus: row.n_plus,
            impressions: row.impressions,
            settled_until: row.settled_until.as_deref(),
        }
    }
}

impl Rows {
    /// See [`Report::identified_impressions`].
    pub(crate) fn identified_impressions(&self) -> Option<u64> {
        match self {
            Self::Frequency(rows) => Some(rows.iter().map(|row| row.impressions).sum()),
            Self::Delivery(_) | Self::Reach(_) | Self::Ids(_) => None,
        }
    }
}

/// Header and records. `empty` gives the columns where there are no rows.
fn flat<Row: Serialize>(rows: &[Row], empty: &Row) -> Vec<Vec<String>> {
    let columns = |row: &Row| {
        let mut cells = Vec::new();
        let value = serde_json::to_value(row).expect("rows can always be written");
        spread(String::new(), &value, &mut cells);
        cells
    };
    let header = columns(empty).into_iter().map(|(name, _)| name).collect();
    let records = rows.iter().map(|row| columns(row).into_iter().map(|(_, text)| text).collect());
    std::iter::once(header).chain(records).collect()
}

fn spread(name: String, value: &Value, cells: &mut Vec<(String, String)>) {
    let below = |part: &str| if name.is_empty() { part.to_owned() } else { format!("{name}_{part}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(field, value)| spread(below(field), value, cells)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                spread(below(&(index + 1).to_string()), item, cells);
            }
        }
        Value::Null => cells.push((name, String::new())),
        Value::String(text) => cells.push((name, harmless(text))),
        Value::Bool(_) | Value::Number(_) => cells.push((name, value.to_string())),
    }
}

/// A text that no spreadsheet takes for a formula: such a one gets an apostrophe in front.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// Name of a kind's file for a browser that saves it.
pub(crate) fn file_name(kind: Kind) -> String {
    format!("{}.csv", kind.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rows: Rows) -> Report {
        Report {
            campaign: "demo".to_owned(),
            kind: "reach",
            from: None,
            to: None,
            time_zone: "UTC".to_owned(),
            by: "placement",
            filter: "net",
            settled_until: None,
            provisional_days: Vec::new(),
            key_changes: Vec::new(),
            identified_impressions: rows.identified_impressions(),
            rows,
        }
    }

    #[test]
    fn the_open_ended_frequency_is_marked() {
        let row = FrequencyRow { frequency: 3, or_more: true, impressions: 7, ..FrequencyRow::empty() };
        let report = report(Rows::Frequency(vec![row]));
        let json: Value = serde_json::from_slice(&report.json()).expect("JSON");
        assert_eq!((&json["rows"][0]["or_more"], &json["identified_impressions"]), (&true.into(), &7.into()));
        let text = String::from_utf8(report.csv(3)).expect("UTF-8");
        assert_eq!(text.lines().nth(1), Some(",3+,0,0,7,"));
    }

    #[test]
    fn csv_spreads_lists_and_disarms_formulas() {
        let mut row = ReachRow::empty(2, false);
        row.key = "=cmd|' /C calc'!A0".to_owned();
        row.n_plus = vec![3, 1];
        let text = String::from_utf8(report(Rows::Reach(vec![row])).csv(2)).expect("UTF-8");
        let mut lines = text.lines();
        assert_eq!(
            lines.next(),
            Some(
                "key,impressions,identified_impressions,id_coverage,clicks,reach,average_frequency,n_plus_1,n_plus_2,\
                 exactly_1,exactly_2,standard_error_1,standard_error_2,exact,settled_until"
            )
        );
        assert_eq!(lines.next(), Some("'=cmd|' /C calc'!A0,0,0,,0,0,,3,1,0,0,0.0,0.0,true,"));
    }

    #[test]
    fn csv_has_its_header_without_rows() {
        let text = String::from_utf8(report(Rows::Delivery(Vec::new())).csv(10)).expect("UTF-8");
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains("removed_clicks_double_click") && text.contains("stages_viewable"));
    }
}
