//! `GET /v1/books`: what became of every beacon, by journal and in all.

use event::outcome::Outcome;
use serde::{Deserialize, Serialize};

use super::Api;
use crate::statement;
use crate::store::{StoreError, Work};

/// `GET /v1/books`.
#[derive(Debug, Serialize)]
pub(super) struct Books {
    total: BooksRow,
    journals: Vec<BooksRow>,
    /// Records of a version that this program does not know.
    records_set_aside: u64,
}

#[derive(Debug, Default, Serialize)]
struct BooksRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    journal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_ms: Option<i64>,
    received: u64,
    pending: u64,
    outcomes: serde_json::Map<String, serde_json::Value>,
    /// received = the sum of the outcomes + pending.
    balanced: bool,
}

impl Api {
    pub(super) fn books(&self) -> Result<Books, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            journal: String,
            at_ms: i64,
            received: u64,
            pending: u64,
            outcomes: Vec<u64>,
        }
        #[derive(Deserialize)]
        struct Count {
            records: u64,
        }
        let store = &self.reporter.store;
        let rows: Vec<Row> = store.rows(Work::Report, statement::BOOKS_READ, &Vec::new())?;
        let set_aside: Vec<Count> = store.rows(Work::Report, statement::SET_ASIDE_COUNT, &Vec::new())?;
        let named = |received: u64, pending: u64, counts: &[u64]| BooksRow {
            journal: None,
            at_ms: None,
            received,
            pending,
            outcomes: Outcome::ALL
                .iter()
                .zip(counts.iter().chain(std::iter::repeat(&0)))
                .map(|(outcome, count)| (outcome.name().to_owned(), (*count).into()))
                .collect(),
            balanced: received == pending + counts.iter().sum::<u64>(),
        };
        let mut sums = vec![0; Outcome::COUNT];
        for row in &rows {
            sums.iter_mut().zip(&row.outcomes).for_each(|(sum, count)| *sum += count);
        }
        Ok(Books {
            total: named(rows.iter().map(|r| r.received).sum(), rows.iter().map(|r| r.pending).sum(), &sums),
            journals: rows
                .into_iter()
                .map(|row| BooksRow {
                    journal: Some(row.journal),
                    at_ms: Some(row.at_ms),
                    ..named(row.received, row.pending, &row.outcomes)
                })
                .collect(),
            records_set_aside: set_aside.first().map_or(0, |row| row.records),
        })
    }
}
