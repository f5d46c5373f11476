//! The whole report of a campaign in one workbook: every sheet a report of its own, asked for as anybody asks for it, so that the workbook has nothing
//! but what those give; ahead of them what they have in common, the figures that it comes to, and what a reader has to know.
//!
//! What cannot be had, because devices are no longer kept or too much is not settled, is left out, and the first sheet says so.

mod notes;
mod plan;

use event::clock::UnixMs;
use serde_json::{Map, Value, json};

use self::notes::Standing;
use self::plan::Plan;
use super::request::{By, Kind, Refused, Request, language};
use super::{ReportError, Reporter, Shaped};
use crate::form::book::{Book, Figure, Leaf};
use crate::form::{Cell, Column, Form, FormError, Language, Place, Table, Type};
use crate::view::Sight;

/// The reports, in the order of their sheets, and what these are called.
const SHEETS: [(Kind, By, [&str; 2]); 15] = [
    (Kind::Delivery, By::Total, ["Delivery", "投放汇总"]),
    (Kind::Delivery, By::Day, ["Delivery by day", "每日投放"]),
    (Kind::Delivery, By::Hour, ["Delivery by hour", "分时投放"]),
    (Kind::Delivery, By::Medium, ["Delivery by medium", "媒体投放"]),
    (Kind::Delivery, By::Placement, ["Delivery by placement", "点位投放"]),
    (Kind::Delivery, By::Creative, ["Delivery by creative", "素材投放"]),
    (Kind::Delivery, By::Region, ["Delivery by region", "地域投放"]),
    (Kind::Delivery, By::Platform, ["Delivery by platform", "平台投放"]),
    (Kind::Reach, By::Total, ["Reach", "触达"]),
    (Kind::Reach, By::Day, ["Reach by day", "每日触达"]),
    (Kind::Reach, By::Medium, ["Reach by medium", "媒体触达"]),
    (Kind::Reach, By::Placement, ["Reach by placement", "点位触达"]),
    (Kind::Frequency, By::Total, ["Frequency", "频次分布"]),
    (Kind::Overlap, By::Medium, ["Overlap of media", "媒体重合度"]),
    (Kind::Ids, By::Medium, ["Ids by medium", "设备号质量"]),
];
/// What a workbook may be asked with.
const PARAMETERS: [&str; 9] =
    ["from", "to", "filter", "levels", "precision", "audience", "state", "version", "language"];
/// What the campaign comes to: figures of a report by total, by their columns.
const FIGURES: [(Kind, &str); 19] = [
    (Kind::Delivery, "net_impressions"),
    (Kind::Delivery, "gross_impressions"),
    (Kind::Delivery, "planned"),
    (Kind::Delivery, "fulfilment"),
    (Kind::Delivery, "clicks"),
    (Kind::Delivery, "measured_rate"),
    (Kind::Delivery, "viewable_rate"),
    (Kind::Delivery, "id_coverage"),
    (Kind::Delivery, "reported_impressions"),
    (Kind::Delivery, "compared_impressions"),
    (Kind::Delivery, "gap"),
    (Kind::Reach, "reach"),
    (Kind::Reach, "average_frequency"),
    (Kind::Reach, "n_plus_3"),
    (Kind::Reach, "universe"),
    (Kind::Reach, "reach_percent"),
    (Kind::Reach, "grp"),
    (Kind::Reach, "cost_per_point"),
    (Kind::Delivery, "unresolved"),
];
/// What stands at the top of the first sheet, of what the report of delivery by total says of itself.
const FACTS: [&str; 12] = [
    "campaign",
    "from",
    "to",
    "time_zone",
    "filter",
    "settled_until",
    "provisional_days",
    "closed",
    "adjustment",
    "privacy",
    "versions",
    "made",
];

/// The reports of a workbook.
pub(crate) struct Bound {
    language: Language,
    campaign: String,
    /// What of the catalog is told on its first sheet.
    known: Map<String, Value>,
    shaped: Vec<(&'static str, Kind, By, Shaped)>,
    plan: Plan,
    /// Sheets that are not there, and since when there would be one where that is why.
    left_out: Vec<(&'static str, Option<String>)>,
}

/// What is asked of a workbook: the requests of its sheets.
pub(crate) struct Asked {
    language: Language,
    requests: Vec<(&'static str, Request)>,
}

impl Asked {
    /// Reads a query string, already split and decoded.
    ///
    /// # Errors
    /// The first parameter that is wrong.
    pub(crate) fn parse(
        (campaign, sight): (&str, &Sight),
        query: &[(String, String)],
    ) -> Result<Self, Refused> {
        let mut words = Language::English;
        for (at, (name, value)) in query.iter().enumerate() {
            if !PARAMETERS.contains(&name.as_str()) {
                let words =
                    format!("there is a parameter that is not known; allowed are {}", PARAMETERS.join(", "));
                return Err(Refused::Bad(words));
            }
            if query.iter().skip(at + 1).any(|(other, _)| other == name) {
                return Err(Refused::Bad(format!("the parameter {name} stands there twice")));
            }
            if name == "language" {
                words = language(value)?;
            }
        }
        let request = |(kind, by, names): (Kind, By, [&'static str; 2])| {
            let own = query.iter().filter(|(name, _)| kind.parameters().contains(&name.as_str()));
            let mut own: Vec<(String, String)> =
                own.filter(|(name, _)| name != "language").cloned().collect();
            own.push(("by".to_owned(), by.name().to_owned()));
            let mut request = Request::parse(kind, (campaign, sight.clone()), &own)?;
            (request.form, request.language) = (Form::Xlsx, Some(words));
            let [english, chinese] = names;
            Ok((words.of(english, chinese), request))
        };
        Ok(Self { language: words, requests: SHEETS.into_iter().map(request).collect::<Result<_, _>>()? })
    }
}

impl Reporter {
    /// The reports of a workbook, one after another. Blocks for as long as the store needs.
    ///
    /// # Errors
    /// As of a report; what only some of the sheets cannot be had of is left out.
    pub(crate) fn bound(&self, asked: &Asked) -> Result<Bound, ReportError> {
        let (_, first) = asked.requests.first().expect("a workbook has sheets");
        let catalog = self.catalog.load();
        let campaign = catalog.campaigns.get(&first.campaign);
        let mut bound = Bound {
            language: asked.language,
            campaign: first.campaign.clone(),
            known: Map::new(),
            shaped: Vec::new(),
            plan: Plan::default(),
            left_out: Vec::new(),
        };
        if let Some(campaign) = campaign {
            let sees_all = first.sight.only().is_none();
            bound.known.insert("campaign_name".to_owned(), json!(campaign.name));
            if let Some(advertiser) = campaign.advertiser.as_ref().filter(|_| sees_all) {
                bound.known.insert("advertiser".to_owned(), json!(advertiser));
            }
            if let Some(currency) = campaign.currency.as_ref().filter(|_| sees_all) {
                bound.known.insert("currency".to_owned(), json!(currency));
            }
            bound.plan = Plan::of(campaign, &first.sight);
        }
        for (name, request) in &asked.requests {
            match self.report(request) {
                Ok(shaped) => bound.shaped.push((name, request.kind, request.by, shaped)),
                Err(ReportError::DevicesExpired { first }) => bound.left_out.push((name, Some(first))),
                // The first one says whether there is anything to be had.
                Err(ReportError::Store(error)) if error.is_too_large() && !bound.shaped.is_empty() => {
                    bound.left_out.push((name, None));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(bound)
    }
}

impl Bound {
    /// A name for its file.
    pub(crate) fn file_name(&self, extension: &str) -> String {
        let first = self.shaped.first();
        first.map_or_else(|| format!("report.{extension}"), |(.., shaped)| shaped.book_name(extension))
    }

    /// The bytes of the workbook, made at a time.
    ///
    /// # Errors
    /// See [`FormError`].
    pub(crate) fn write(&self, made_ms: UnixMs) -> Result<Vec<u8>, FormError> {
        let tables: Vec<Table<'_>> = self.shaped.iter().map(|(.., shaped)| shaped.table()).collect();
        let standing: Vec<Standing> = tables.iter().map(Standing::of).collect();
        let figures = self.figures(&tables);
        let mut contents: Vec<Vec<Cell<'_>>> =
            self.shaped.iter().zip(&standing).map(|((name, ..), standing)| standing.cells(name)).collect();
        let plan_name = self.language.of("Plan", "投放计划");
        contents.push(vec![Cell::Text(plan_name), Cell::Count(self.plan.rows.len() as u64)]);
        let facts = self.facts(tables.first(), made_ms);
        let notes = notes::of(self.language, (&standing, &self.left_out));
        let named = self.shaped.iter().map(|(name, ..)| *name).zip(tables);
        let mut leaves: Vec<Leaf<'_>> = named.map(|(name, table)| Leaf { name, table }).collect();
        leaves.push(Leaf { name: plan_name, table: self.plan.table(self.language) });
        let name = self.known.get("campaign_name").and_then(Value::as_str).unwrap_or(&self.campaign);
        let book = Book {
            language: self.language,
            front: (self.language.of("Summary", "摘要"), name.to_owned()),
            facts,
            figures,
            contents: Standing::table(contents, self.language),
            notes,
            leaves,
        };
        book.write(made_ms)
    }

    /// What the report of delivery by total says of itself, and the catalog of the campaign.
    fn facts(&self, first: Option<&Table<'_>>, made_ms: UnixMs) -> Vec<(String, Vec<Value>)> {
        let mut about = first.map(|table| table.about.clone()).unwrap_or_default();
        about.insert("made".to_owned(), super::moment(made_ms).into());
        let known = self.known.iter().map(|(name, value)| (name.clone(), vec![value.clone()]));
        let told = FACTS
            .iter()
            .filter_map(|name| about.shift_remove(*name).map(|value| ((*name).to_owned(), value)));
        let table =
            Table { about: told.collect(), notes: Vec::new(), ..Standing::table(Vec::new(), self.language) };
        known.chain(table.facts()).collect()
    }

    /// What the campaign comes to.
    fn figures<'t>(&self, tables: &[Table<'t>]) -> Vec<Figure<'t>> {
        let of = |(kind, name): &(Kind, &'static str)| {
            let at = self.shaped.iter().position(|(_, of, by, _)| of == kind && *by == By::Total)?;
            let (table, is_delivery) = (tables.get(at)?, *kind == Kind::Delivery);
            let row = table.rows.first()?;
            let place = |wanted: &str| table.columns.iter().position(|column| column.place.flat() == wanted);
            let column = table.columns.get(place(name)?)?;
            let cell = row.get(place(name)?).copied().unwrap_or(Cell::Nothing);
            let is_left_out = place("suppressed").and_then(|at| row.get(at)) == Some(&Cell::Flag(true));
            // Of a campaign without a universe, a plan or a medium's word there is nothing to be said.
            let is_known =
                cell != Cell::Nothing || (is_left_out && !is_delivery) || *name == "net_impressions";
            is_known.then(|| Figure {
                heading: table.heading(column),
                cell,
                kind: column.kind,
                instead: if is_left_out { self.language.of("left out", "不显示") } else { "–" },
            })
        };
        FIGURES.iter().filter_map(of).collect()
    }
}

/// A column of a sheet that is no report's.
fn column(name: &'static str, kind: Type) -> Column {
    Column { place: Place::Alone(name), kind, may_be_empty: true }
}
