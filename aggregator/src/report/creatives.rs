//! Which creatives have a row of their own in reports by creative.
//!
//! A beacon may name any creative, so that strangers, or a macro in the wrong place, can name any number of them. Those of the catalog have a row each, and so
//! have those of the others that have the most impressions and clicks; all that are left share one. Which these are is found out before anything is counted,
//! once for a report: what shares the row is counted as one key, so that its devices are distinct ones, and rows of one statement are those of the next.
//!
//! Must never: leave a hit out.

use event::stage::Stage;
use serde::Deserialize;

use super::asked::seen;
use super::days::Days;
use super::request::{By, Request};
use super::{OTHERS, Reporter};
use crate::judge;
use crate::statement;
use crate::store::{StoreError, Value, Values, Work, partitions};

/// Creatives with a row each that the catalog does not name.
const ROWS_MAX: u64 = 1000;

impl Reporter {
    /// The values of `report_key.sql` that creatives are keyed by.
    pub(super) fn creative_values(&self, request: &Request, days: &Days) -> Result<Values, StoreError> {
        let creatives = if request.by == By::Creative { self.creatives(request, days)? } else { Vec::new() };
        Ok(vec![("creatives", Value::Numbers(creatives)), ("others", Value::Text(OTHERS.to_owned()))])
    }

    /// The numbers of those with a row of their own.
    fn creatives(&self, request: &Request, days: &Days) -> Result<Vec<u64>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            code: u64,
        }
        if let Some(creatives) = days.creatives.get() {
            return Ok(creatives.clone());
        }
        let catalog = self.catalog.load();
        let known = catalog.campaigns.get(&request.campaign).into_iter().flat_map(|found| &found.creatives);
        let known = known.map(|creative| creative.id.clone()).collect();
        // Days that changed since they were settled are looked at as they are now: devices by creative are counted from events.
        let is_of_events = |day: &u16| days.provisional.contains(day) && days.with_events.contains(day);
        let of_events: Vec<u16> = days.provisional.iter().copied().filter(is_of_events).collect();
        let mut published = days.published.clone();
        published.retain(|(day, _)| !is_of_events(day));
        let mut values = judge::scope(&request.campaign, &of_events, &Stage::ALL);
        values.extend([
            judge::all_buckets(),
            ("published", partitions(&published)),
            ("known", Value::Texts(known)),
            ("rows", Value::Number(ROWS_MAX)),
        ]);
        values.extend(seen(&request.sight));
        let rows: Vec<Row> = self.store.rows(Work::Report, statement::REPORT_CREATIVES, &values)?;
        let creatives = rows.into_iter().map(|row| row.code).collect();
        Ok(days.creatives.get_or_init(|| creatives).clone())
    }
}
