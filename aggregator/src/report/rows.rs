//! The rows of the reports, and a finished report as the table that is written ([`crate::form`]) by the columns of [`super::columns`].

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::adjustment::Since;
use super::closed::ClosedBy;
use super::columns::{Row, Shape};
use super::ids::IdsRow;
use super::keys::KeyChange;
use super::overlap::{Masks, OverlapRow};
use super::regions::RegionLibrary;
use super::reported::Behind;
use super::sample::{Sample, around};
use crate::form::Table;
use crate::view::Sight;

/// A finished report, as it was counted. It never leaves [`super`] as it is: see [`super::privacy`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Report {
    /// Campaign id.
    pub campaign: String,
    /// `delivery`, `reach`, `frequency`, `ids` or `overlap`.
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
    /// Of a report of devices: the share of them that was counted; null where it is all.
    #[serde(rename = "sample", skip_serializing_if = "Option::is_none")]
    pub share: Option<Value>,
    /// Of a reach report: what reach is a share of, or null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub universe: Option<Value>,
    /// Of a reach report by region: the same of each region that has one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub universes: Vec<Value>,
    /// Of a report by region: the libraries that say what region an address is of. None: every region is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region_libraries: Option<Vec<RegionLibrary>>,
    /// What the figures were made by.
    pub versions: Versions,
    /// Of a period that is closed: which closing it is answered from.
    #[serde(skip_serializing_if = "ClosedBy::is_nothing")]
    pub closed: ClosedBy,
    /// Why a closed period's figures would be other ones now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adjustment: Option<Since>,
    /// Frequencies listed one by one.
    #[serde(skip)]
    pub levels: usize,
    /// For whom it was computed.
    #[serde(skip)]
    pub sight: Sight,
    /// Which devices were counted.
    #[serde(skip)]
    pub sample: Sample,
    /// Of an overlap: what its rows are made of.
    #[serde(skip)]
    pub masks: Option<Masks>,
    /// Devices behind each row of a delivery report or one of ids, by key, where it is to be shaped.
    #[serde(skip)]
    pub devices: BTreeMap<String, u64>,
    /// What stands behind the comparison with what media say, where it is to be shaped.
    #[serde(skip)]
    pub compared: Behind,
    /// The rows.
    #[serde(skip)]
    pub rows: Rows,
}

/// What figures were made by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Versions {
    /// Of the program.
    pub program: Cow<'static, str>,
    /// Of the catalog in force: the first 32 bits of its text's SHA-256, as hexadecimal digits. Empty, and not written, where a
    /// report is shaped.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub catalog: String,
    /// Of the lists and limits that judge validity, likewise.
    pub rules: String,
}

/// Rows of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rows {
    /// Of a delivery report.
    Delivery(Vec<DeliveryRow>),
    /// Of a reach report.
    Reach(Vec<ReachRow>),
    /// Of a frequency report.
    Frequency(Vec<FrequencyRow>),
    /// Of a report of ids.
    Ids(Vec<IdsRow>),
    /// Of an overlap.
    #[serde(skip)]
    Overlap(Vec<OverlapRow>),
}

/// Hits of one kind by what became of them. gross = net + the removed ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
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
    /// What the row's media say that they delivered, impressions; in rows by total, day, placement and medium only, `None` where they said nothing.
    pub reported_impressions: Option<u64>,
    /// Clicks that they say.
    pub reported_clicks: Option<u64>,
    /// Ours, in the report's filter, on the placements and days of which they said something.
    pub compared_impressions: Option<u64>,
    /// Ours where they said clicks.
    pub compared_clicks: Option<u64>,
    /// (reported − compared) / reported impressions; below 0 where we counted more. `None` where they said none.
    pub gap: Option<f64>,
    /// Impressions that the catalog plans for the row's days and placements; by total, day, placement and medium only.
    pub planned: Option<u64>,
    /// net impressions / planned; `None` where nothing is planned.
    pub fulfilment: Option<f64>,
    /// See [`Report::settled_until`].
    pub settled_until: Option<String>,
}

/// One row of a reach report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ReachRow {
    /// Day, placement …; `total`.
    pub key: String,
    /// Impressions.
    pub impressions: u64,
    /// Impressions with a usable device id: those of the devices that were counted, so that N+ adds up to them. Estimated where these are.
    pub identified_impressions: u64,
    /// Impressions without a device, counted even where devices are estimated: for shaping alone.
    #[serde(skip)]
    pub without_device: u64,
    /// Standard error of `identified_impressions`: 0 where they are counted.
    pub identified_standard_error: f64,
    /// identified / impressions; `None` without impressions.
    pub id_coverage: Option<f64>,
    /// Clicks.
    pub clicks: u64,
    /// Distinct devices with at least one impression.
    pub reach: u64,
    /// identified impressions / reach; `None` without reach.
    pub average_frequency: Option<f64>,
    /// Standard error of `average_frequency`.
    pub frequency_standard_error: f64,
    /// Devices with at least 1, 2, … impressions.
    pub n_plus: Vec<u64>,
    /// Devices with exactly 1, 2, … impressions; the last entry with that many or more.
    pub exactly: Vec<u64>,
    /// Standard error of each entry of `n_plus`: 0 for exact figures.
    pub standard_error: Vec<f64>,
    /// Lower end of the 95 % interval of each entry of `n_plus`; the entry itself where it is counted.
    pub interval_low: Vec<u64>,
    /// Upper end.
    pub interval_high: Vec<u64>,
    /// Whether the figures are counted, not estimated.
    pub exact: bool,
    /// By day only: distinct devices from the report's first day to this one.
    pub cumulative_reach: Option<u64>,
    /// Lower end of its 95 % interval.
    pub cumulative_low: Option<u64>,
    /// Upper end.
    pub cumulative_high: Option<u64>,
    /// How many reach is a share of, by the catalog.
    pub universe: Option<u64>,
    /// reach / universe × 100.
    pub reach_percent: Option<f64>,
    /// Gross rating points: impressions / universe × 100.
    pub grp: Option<f64>,
    /// Cost / GRP, in the campaign's currency; where the cost of the row's placements is known and the range holds all days with data.
    pub cost_per_point: Option<f64>,
    /// See [`Report::settled_until`].
    pub settled_until: Option<String>,
}

/// One row of a frequency report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct FrequencyRow {
    /// Day, placement …; `total`.
    pub key: String,
    /// Impressions of one device.
    pub frequency: usize,
    /// Whether `devices` and `impressions` also hold those of more than `frequency`: the last one of `levels`.
    pub or_more: bool,
    /// Devices with exactly that many; in the last row of `levels` with that many or more.
    pub devices: u64,
    /// Devices with at least that many.
    pub n_plus: u64,
    /// Impressions of `devices`.
    pub impressions: u64,
    /// Standard error of `n_plus`: 0 where it is counted.
    pub standard_error: f64,
    /// Lower end of the 95 % interval of `n_plus`; `n_plus` itself where it is counted.
    pub interval_low: u64,
    /// Upper end.
    pub interval_high: u64,
    /// Whether the figures are counted, not estimated.
    pub exact: bool,
    /// See [`Report::settled_until`].
    pub settled_until: Option<String>,
}

impl ReachRow {
    /// The 95 % interval of `identified_impressions`; the figure itself where it is counted.
    pub(super) fn identified_ends(&self) -> (u64, u64) {
        let (low, high) = around(self.identified_impressions as f64, self.identified_standard_error);
        (low.floor() as u64, high.ceil() as u64)
    }
}

impl Report {
    /// A name for its file.
    pub(super) fn file_name(&self, extension: &str) -> String {
        self.named(&[self.kind, "by", self.by, self.filter], extension)
    }

    /// A name for a workbook with all reports of its days.
    pub(super) fn book_name(&self, extension: &str) -> String {
        self.named(&["report", self.filter], extension)
    }

    fn named(&self, what: &[&str], extension: &str) -> String {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let days = self.from.iter().chain(&self.to).map(String::as_str);
        let campaign = Some(self.campaign.as_str()).filter(|id| id.chars().all(is_plain));
        let parts: Vec<&str> = campaign.into_iter().chain(what.iter().copied()).chain(days).collect();
        format!("{}.{extension}", parts.join("-"))
    }

    /// Its table, as it was counted: for [`super::privacy`] alone, which makes of it what may be written out.
    pub(super) fn table(&self) -> Table<'_> {
        match &self.rows {
            Rows::Delivery(rows) => self.of(rows),
            Rows::Reach(rows) => Table { notes: errors(rows), ..self.of(rows) },
            Rows::Frequency(rows) => self.of(rows),
            Rows::Ids(rows) => self.of(rows),
            Rows::Overlap(rows) => self.of(rows),
        }
    }

    fn of<'r, R: Row>(&'r self, rows: &'r [R]) -> Table<'r> {
        let members = self.masks.as_ref().map_or(0, Masks::members);
        let columns =
            R::columns(Shape { by_day: self.by == "day", levels: self.levels, members, sample: self.sample });
        let cells = |row: &'r R| columns.iter().map(|column| (column.cell)(row)).collect();
        let about = serde_json::to_value(self).ok().and_then(|about| match about {
            Value::Object(about) => Some(about),
            _ => None,
        });
        Table {
            name: self.kind,
            about: about.unwrap_or_default(),
            notes: Vec::new(),
            rows: rows.iter().map(cells).collect(),
            columns: columns.into_iter().map(|column| column.column).collect(),
            language: None,
        }
    }
}

/// What is said of the errors of estimates.
fn errors(rows: &[ReachRow]) -> Vec<(&'static str, String)> {
    let words = if rows.iter().all(|row| row.exact) {
        "0: every figure is counted, none estimated"
    } else {
        "of each entry of n_plus in the columns standard_error_N, of exactly in exactly_standard_error_N; 0 where a figure is counted"
    };
    vec![("standard_error", words.to_owned())]
}

impl Rows {
    /// See [`Report::identified_impressions`].
    pub(crate) fn identified_impressions(&self) -> Option<u64> {
        match self {
            Self::Frequency(rows) => Some(rows.iter().map(|row| row.impressions).sum()),
            Self::Delivery(_) | Self::Reach(_) | Self::Ids(_) | Self::Overlap(_) => None,
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Delivery(rows) => rows.len(),
            Self::Reach(rows) => rows.len(),
            Self::Frequency(rows) => rows.len(),
            Self::Ids(rows) => rows.len(),
            Self::Overlap(rows) => rows.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::form::Form;

    pub(super) fn report(rows: Rows) -> Report {
        Report {
            campaign: "demo".to_owned(),
            kind: "reach",
            from: Some("2026-11-01".to_owned()),
            to: Some("2026-11-02".to_owned()),
            time_zone: "UTC".to_owned(),
            by: "placement",
            filter: "net",
            settled_until: None,
            provisional_days: Vec::new(),
            key_changes: Vec::new(),
            identified_impressions: rows.identified_impressions(),
            share: None,
            universe: None,
            universes: Vec::new(),
            region_libraries: None,
            closed: ClosedBy::Nothing,
            adjustment: None,
            versions: Versions {
                program: "1".into(),
                catalog: "0000002a".to_owned(),
                rules: "07".to_owned(),
            },
            levels: 2,
            sight: Sight::exact(),
            sample: Sample::ALL,
            masks: None,
            devices: BTreeMap::new(),
            compared: Behind::default(),
            rows,
        }
    }

    fn text(report: &Report, form: Form) -> String {
        String::from_utf8(report.table().write(form, 0).expect("is written")).expect("UTF-8")
    }

    #[test]
    fn the_open_ended_frequency_is_marked() {
        let row = FrequencyRow {
            key: "total".to_owned(),
            frequency: 3,
            or_more: true,
            devices: 1,
            n_plus: 1,
            impressions: 7,
            standard_error: 0.0,
            interval_low: 1,
            interval_high: 1,
            exact: true,
            settled_until: None,
        };
        let report = report(Rows::Frequency(vec![row]));
        let json: Value = serde_json::from_str(&text(&report, Form::Json)).expect("JSON");
        assert_eq!((&json["rows"][0]["or_more"], &json["identified_impressions"]), (&true.into(), &7.into()));
        assert_eq!(
            text(&report, Form::Csv { mark: false }).lines().nth(1),
            Some("total,3,true,1,1,7,0.0,1,1,0.0,1,1,true,")
        );
    }

    #[test]
    fn the_head_of_a_report_stands_before_its_rows() {
        let json: Value =
            serde_json::from_str(&text(&report(Rows::Ids(Vec::new())), Form::Json)).expect("JSON");
        let expected = json!({
            "campaign": "demo", "report": "reach", "from": "2026-11-01", "to": "2026-11-02", "time_zone": "UTC", "by": "placement", "filter": "net",
            "settled_until": null, "provisional_days": [], "versions": {"program": "1", "catalog": "0000002a", "rules": "07"}, "rows": [],
        });
        assert_eq!(json.to_string(), expected.to_string());
    }

    #[test]
    fn every_form_has_its_header_without_rows() {
        let report = report(Rows::Delivery(Vec::new()));
        let csv = text(&report, Form::Csv { mark: false });
        assert_eq!(csv.lines().count(), 1);
        assert!(csv.contains("removed_clicks_double_click") && csv.contains("stages_viewable"));
        for form in [Form::Xlsx, Form::Parquet] {
            assert!(report.table().write(form, 0).is_ok_and(|bytes| !bytes.is_empty()));
        }
    }

    #[test]
    fn a_file_has_a_name_that_no_header_breaks_at() {
        let mut report = report(Rows::Ids(Vec::new()));
        assert_eq!(report.file_name("csv"), "demo-reach-by-placement-net-2026-11-01-2026-11-02.csv");
        report.campaign = "a\"\r\nx: y".to_owned();
        assert_eq!(report.file_name("xlsx"), "reach-by-placement-net-2026-11-01-2026-11-02.xlsx");
    }
}
