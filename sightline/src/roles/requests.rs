//! Persons' requests of this process: opened where somebody can carry them out, and missed where they were and are not.
//!
//! It owns `keys/requests.newest`, the newest number when that was last looked at. The folder of the requests cannot tell that it is gone: an empty one looks like
//! a first start. Unlike a lost opt-out registry it stops nothing: nobody is measured who should not be, so a start at night measures on, with an error in its
//! log and a metric that an alert can watch (`opt_out_persons_requests_lost`), at each start until the folder is back or the mark is removed.

use std::path::Path;

use anyhow::Context;
use opt_out::Requests;

use super::{Ground, Want};
use crate::data_dir::{DataDir, write_durably};

/// Opens them, where there is a page to make them on and an aggregator to carry them out, here or elsewhere.
///
/// # Errors
/// Requests that are damaged.
pub(super) fn open(ground: &Ground, want: Want) -> anyhow::Result<Option<Requests>> {
    let is_elsewhere = !ground.config.opt_out.requests.aggregator_url.is_empty();
    let dir = ground.data.requests();
    let mark = ground.data.requests_newest();
    let Mark { newest, lost } = Mark::read(&mark);
    if !(want.page && (want.aggregator || is_elsewhere)) {
        if newest > 0 || dir.join("journal").exists() {
            tracing::error!(
                folder = %dir.display(),
                "this process does not open the persons' requests that are kept here: those that wait or run are NOT answered, and their receipts not \
                 known. Run the opt-out role with an aggregator here again, or give [opt_out.requests] aggregator_url"
            );
        }
        return Ok(None);
    }
    let requests = Requests::open(&dir, &ground.config.opt_out, ground.clock.clone(), ground.audit.clone())
        .with_context(|| format!("persons' requests in {} cannot be opened", dir.display()))?;
    let lost = requests.expect_newest(newest, lost);
    if lost > 0 {
        tracing::error!(
            folder = %dir.display(),
            lost,
            newest,
            mark = %mark.display(),
            "persons' requests are missing: those that waited or ran are NOT answered, and what was erased may come back where the store is made anew. Stop, restore \
             the folder from a copy, remove the mark, and start again; the audit log names them (sightline audit list --act request)"
        );
    }
    keep(Some(&requests), &ground.data);
    Ok(Some(requests))
}

/// Keeps the newest number for the next start, and how many are missing. That it cannot be kept is no reason to stop.
pub(super) fn keep(requests: Option<&Requests>, data: &DataDir) {
    let Some(requests) = requests else { return };
    let mark = data.requests_newest();
    let (known, now) =
        (Mark::read(&mark), Mark { newest: requests.newest(), lost: requests.stats().lost as u32 });
    if now == known {
        return;
    }
    if let Err(error) = write_durably(&mark, 0o600, now.text().as_bytes()) {
        tracing::error!(%error, "the newest number of persons' requests was not kept");
    }
}

/// What the file says: the newest number, and how many were missing, if some were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mark {
    newest: u32,
    lost: u32,
}

impl Mark {
    /// Nothing of a file that is not there, or says nothing: that is logged.
    fn read(path: &Path) -> Self {
        let Ok(text) = std::fs::read_to_string(path) else { return Self::default() };
        Self::parse(text.trim()).unwrap_or_else(|| {
            tracing::error!(mark = %path.display(), "it holds no number: whether persons' requests were lost is not known");
            Self::default()
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let (newest, lost) = text.split_once(" lost ").unwrap_or((text, "0"));
        Some(Self { newest: newest.parse().ok()?, lost: lost.parse().ok()? })
    }

    fn text(self) -> String {
        match self {
            Self { newest, lost: 0 } => format!("{newest}\n"),
            Self { newest, lost } => format!("{newest} lost {lost}\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        for mark in [Mark::default(), Mark { newest: 7, lost: 0 }, Mark { newest: 8, lost: 7 }] {
            assert_eq!(Mark::parse(mark.text().trim()), Some(mark));
        }
        assert_eq!([Mark::parse(""), Mark::parse("7 lost"), Mark::parse("-1")], [None; 3]);
    }
}
