//! What a report may be asked: path and query parameters, checked, with words that say what is allowed.

use catalog::ALL;
use chrono::NaiveDate;

use crate::form::{Form, Language};
use crate::store::day_number;
use crate::view::Sight;

/// Frequencies listed one by one unless asked otherwise: 1+ to 10+.
pub(crate) const LEVELS_DEFAULT: usize = 10;
/// Most frequencies listed one by one.
pub(crate) const LEVELS_MAX: usize = 80;

/// Which report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What was delivered, gross and net, and what was removed.
    Delivery,
    /// Reach with N+ and exact histogram.
    Reach,
    /// One row for each frequency.
    Frequency,
    /// What the ids of impressions were like.
    Ids,
    /// What media, placements or kinds of id reach together and alone.
    Overlap,
}

/// Whether devices are counted one by one or estimated from a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Precision {
    /// Counted up to a number of device days, estimated above.
    #[default]
    Auto,
    /// Counted.
    Exact,
    /// Estimated, where there are more than a sample holds.
    Sampled,
}

/// What the rows are keyed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// One row.
    Total,
    /// Campaign-local day.
    Day,
    /// Placement id.
    Placement,
    /// Medium, by the catalog.
    Medium,
    /// Creative id.
    Creative,
    /// Region.
    Region,
    /// Platform.
    Platform,
    /// Campaign-local hour of day.
    Hour,
    /// Kind of id that stands for the device. One person may stand in several rows.
    IdKind,
    /// Day and placement, with a blank between them. Nobody asks for it: what media say is held against it.
    PlacementDay,
}

/// Which figures of a period that is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Those that it was closed with.
    #[default]
    Closed,
    /// Those of now.
    Present,
}

/// Members of an overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Members {
    /// As somebody asks for them, with commas between them: which names these are depends on which there are, for a name may hold commas itself.
    Text(String),
    /// These, one by one.
    Names(Vec<String>),
}

/// Which hits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    /// All.
    Gross,
    /// Without general invalid traffic and duplicates.
    Net,
}

/// A checked request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Which report.
    pub kind: Kind,
    /// Campaign id.
    pub campaign: String,
    /// How whoever asks sees the campaign.
    pub sight: Sight,
    /// First day, inclusive, days since 1970-01-01; the first one with data if absent.
    pub from: Option<u16>,
    /// Last day, inclusive; the last one with data if absent.
    pub to: Option<u16>,
    /// Key of the rows.
    pub by: By,
    /// Which hits.
    pub filter: Filter,
    /// How it is written.
    pub form: Form,
    /// In whose words CSV and XLSX are headed; nothing to the other forms.
    pub language: Option<Language>,
    /// How many frequencies are listed, the last one open-ended.
    pub levels: usize,
    /// Counted or estimated.
    pub precision: Precision,
    /// Of a reach report: the audience whose universe reach is a share of.
    pub audience: String,
    /// Of an overlap: its members; the largest if absent.
    pub members: Option<Members>,
    /// Of an overlap: the members at which the stack begins, likewise.
    pub stack: Option<Members>,
    /// Whether a closed period is answered from its closing.
    pub state: State,
    /// Of which closing of exactly these days; the newest if absent.
    pub version: Option<u64>,
    /// Whether a placement is compared with the word of its present medium alone; a medium's token is answered so in any case.
    pub is_present_word: bool,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// 400: a parameter is unknown, repeated or has a bad value.
    #[error("{0}")]
    Bad(String),
    /// 422: understood, and not offered.
    #[error("{0}")]
    NotOffered(String),
}

impl By {
    const ALL: [(Self, &'static str); 10] = [
        (Self::Total, "total"),
        (Self::Day, "day"),
        (Self::Placement, "placement"),
        (Self::Medium, "medium"),
        (Self::Creative, "creative"),
        (Self::Region, "region"),
        (Self::Platform, "platform"),
        (Self::Hour, "hour"),
        (Self::IdKind, "id_kind"),
        (Self::PlacementDay, "placement_day"),
    ];

    /// What a kind of report is broken down by.
    pub(crate) fn of(kind: Kind) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().map(|(by, _)| by).filter(move |by| by.is_of(kind))
    }

    /// Whether reports of this kind are broken down by it.
    fn is_of(self, kind: Kind) -> bool {
        match self {
            Self::Placement | Self::Medium => true,
            Self::Total | Self::Day | Self::Platform => kind != Kind::Overlap,
            Self::Creative | Self::Region | Self::Hour => !matches!(kind, Kind::Ids | Kind::Overlap),
            Self::IdKind => matches!(kind, Kind::Reach | Kind::Frequency | Kind::Overlap),
            Self::PlacementDay => false,
        }
    }

    /// The name in requests and answers.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(by, _)| *by == self).map_or("", |(_, name)| name)
    }

    /// Whether settled devices know this key; else reach by it is computed from events.
    pub(crate) fn is_settled_by_device(self) -> bool {
        match self {
            Self::Total | Self::Day | Self::Placement | Self::Medium | Self::IdKind | Self::PlacementDay => {
                true
            }
            Self::Creative | Self::Region | Self::Platform | Self::Hour => false,
        }
    }
}

impl Filter {
    /// The name in requests and answers.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gross => "gross",
            Self::Net => "net",
        }
    }
}

impl Kind {
    /// The name in paths and answers.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::Reach => "reach",
            Self::Frequency => "frequency",
            Self::Ids => "ids",
            Self::Overlap => "overlap",
        }
    }

    /// Whether it is a report of devices.
    pub(super) fn is_of_devices(self) -> bool {
        matches!(self, Self::Reach | Self::Frequency | Self::Overlap)
    }

    /// The parameters that it may be asked with.
    pub(super) fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Delivery | Self::Ids => {
                &["from", "to", "by", "filter", "format", "state", "version", "levels", "bom", "language"]
            }
            Self::Reach => &[
                "from",
                "to",
                "by",
                "filter",
                "format",
                "state",
                "version",
                "levels",
                "bom",
                "language",
                "precision",
                "audience",
            ],
            Self::Frequency => &[
                "from",
                "to",
                "by",
                "filter",
                "format",
                "state",
                "version",
                "levels",
                "bom",
                "language",
                "precision",
            ],
            Self::Overlap => &[
                "from",
                "to",
                "by",
                "filter",
                "format",
                "state",
                "version",
                "bom",
                "language",
                "precision",
                "members",
                "stack",
            ],
        }
    }

    /// The kind of a path's last part.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Delivery, Self::Reach, Self::Frequency, Self::Ids, Self::Overlap]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

impl Request {
    /// Whether devices are counted: for the report itself, or to tell which of its rows are too small to be shown.
    pub(crate) fn counts_devices(&self) -> bool {
        self.kind.is_of_devices() || !self.sight.is_exact()
    }

    /// Whether it is answered from settled figures where there are some.
    pub(crate) fn is_settled(&self) -> bool {
        !self.counts_devices() || self.by.is_settled_by_device()
    }

    /// Reads a query string (already split and decoded).
    ///
    /// # Errors
    /// The first parameter that is wrong.
    pub(crate) fn parse(
        kind: Kind,
        (campaign, sight): (&str, Sight),
        query: &[(String, String)],
    ) -> Result<Self, Refused> {
        let mut request = Self {
            kind,
            campaign: campaign.to_owned(),
            sight,
            from: None,
            to: None,
            by: if kind == Kind::Overlap { By::Medium } else { By::Total },
            filter: Filter::Net,
            form: Form::Json,
            language: None,
            levels: if kind == Kind::Frequency { LEVELS_MAX } else { LEVELS_DEFAULT },
            precision: Precision::Auto,
            audience: ALL.to_owned(),
            members: None,
            stack: None,
            state: State::default(),
            version: None,
            is_present_word: false,
        };
        let mut seen: Vec<&str> = Vec::new();
        let mut mark = None;
        for (name, value) in query {
            if seen.contains(&name.as_str()) {
                return Err(Refused::Bad(format!("the parameter {name} stands there twice")));
            }
            seen.push(name);
            let known = kind.parameters();
            if !known.contains(&name.as_str()) {
                let words =
                    format!("there is a parameter that is not known; allowed are {}", known.join(", "));
                return Err(Refused::Bad(words));
            }
            match name.as_str() {
                "from" => request.from = Some(day("from", value)?),
                "to" => request.to = Some(day("to", value)?),
                "by" => request.by = by(kind, value)?,
                "filter" => request.filter = filter(value)?,
                "format" => request.form = form(value)?,
                "bom" => mark = Some(bom(value)?),
                "language" => request.language = Some(language(value)?),
                "levels" => request.levels = levels(value)?,
                "precision" => request.precision = precision(value)?,
                "audience" => request.audience.clone_from(value),
                "members" => request.members = Some(Members::Text(value.clone())),
                "stack" => request.stack = Some(Members::Text(value.clone())),
                "state" => request.state = state(value)?,
                "version" => request.version = Some(version(value)?),
                _ => {}
            }
        }
        match (&mut request.form, mark) {
            (_, None) => {}
            (Form::Csv { mark }, Some(wanted)) => *mark = wanted,
            (_, Some(_)) => return Err(Refused::Bad("bom is for format=csv".to_owned())),
        }
        if request.precision == Precision::Sampled && !request.by.is_settled_by_device() {
            return Err(Refused::NotOffered(format!(
                "by={} is counted from events, every device of them; precision=sampled is offered by total, day, placement, medium and id_kind",
                request.by.name()
            )));
        }
        if let (Some(from), Some(to)) = (request.from, request.to)
            && from > to
        {
            return Err(Refused::Bad("from is after to".to_owned()));
        }
        Ok(request)
    }
}

/// Reads a day of a query string.
///
/// # Errors
/// It is none.
pub(crate) fn day(name: &str, value: &str) -> Result<u16, Refused> {
    let date = NaiveDate::parse_from_str(value, "%Y-%m-%d").ok().filter(|_| value.len() == 10);
    date.and_then(day_number).ok_or_else(|| {
        Refused::Bad(format!("{name} must be a day such as 2026-11-21, in the campaign's time zone"))
    })
}

fn by(kind: Kind, value: &str) -> Result<By, Refused> {
    let all = || By::ALL.into_iter().filter(|(by, _)| by.is_of(kind));
    all().find(|(_, name)| *name == value).map(|(by, _)| by).ok_or_else(|| {
        let allowed: Vec<_> = all().map(|(_, name)| name).collect();
        Refused::Bad(format!("by must be one of {}", allowed.join(", ")))
    })
}

fn filter(value: &str) -> Result<Filter, Refused> {
    match value {
        "gross" => Ok(Filter::Gross),
        "net" => Ok(Filter::Net),
        "total_net" => Err(Refused::NotOffered(
            "filter=total_net is not offered: sophisticated invalid traffic is not judged here; use net or gross".to_owned(),
        )),
        _ => Err(Refused::Bad("filter must be one of gross, net".to_owned())),
    }
}

fn form(value: &str) -> Result<Form, Refused> {
    match value {
        "json" => Ok(Form::Json),
        "csv" => Ok(Form::Csv { mark: true }),
        "xlsx" => Ok(Form::Xlsx),
        "parquet" => Ok(Form::Parquet),
        _ => Err(Refused::Bad("format must be one of json, csv, xlsx, parquet".to_owned())),
    }
}

fn precision(value: &str) -> Result<Precision, Refused> {
    match value {
        "auto" => Ok(Precision::Auto),
        "exact" => Ok(Precision::Exact),
        "sampled" => Ok(Precision::Sampled),
        _ => Err(Refused::Bad("precision must be one of auto, exact, sampled".to_owned())),
    }
}

fn bom(value: &str) -> Result<bool, Refused> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Refused::Bad("bom must be one of true, false".to_owned())),
    }
}

pub(super) fn language(value: &str) -> Result<Language, Refused> {
    Language::from_name(value).ok_or_else(|| Refused::Bad("language must be one of en, zh".to_owned()))
}

fn state(value: &str) -> Result<State, Refused> {
    match value {
        "closed" => Ok(State::Closed),
        "present" => Ok(State::Present),
        _ => Err(Refused::Bad("state must be one of closed, present".to_owned())),
    }
}

fn version(value: &str) -> Result<u64, Refused> {
    value
        .parse()
        .ok()
        .filter(|version| *version > 0)
        .ok_or_else(|| Refused::Bad("version must be a number from 1".to_owned()))
}

fn levels(value: &str) -> Result<usize, Refused> {
    value
        .parse()
        .ok()
        .filter(|levels| (1..=LEVELS_MAX).contains(levels))
        .ok_or_else(|| Refused::Bad(format!("levels must be a number from 1 to {LEVELS_MAX}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Request, Refused> {
        let query: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Request::parse(Kind::Reach, ("demo", Sight::exact()), &query)
    }

    #[test]
    fn defaults_are_the_whole_life_net_in_total() {
        let request = parse(&[]).expect("defaults");
        assert_eq!((request.from, request.to, request.by), (None, None, By::Total));
        assert_eq!((request.filter, request.form, request.levels), (Filter::Net, Form::Json, 10));
    }

    #[test]
    fn csv_has_excels_mark_unless_it_is_refused() {
        let form = |pairs: &[(&str, &str)]| parse(pairs).map(|request| request.form);
        assert_eq!(form(&[("format", "csv")]), Ok(Form::Csv { mark: true }));
        assert_eq!(form(&[("bom", "false"), ("format", "csv")]), Ok(Form::Csv { mark: false }));
        assert!(form(&[("bom", "0"), ("format", "csv")]).is_err());
        assert!(form(&[("bom", "true"), ("format", "xlsx")]).is_err());
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_allowed() {
        for (name, value, word) in [
            ("from", "2026-13-01", "2026-11-21"),
            ("from", "2026-1-1", "2026-11-21"),
            ("by", "week", "placement"),
            ("filter", "x", "gross"),
            ("format", "xml", "parquet"),
            ("bom", "true", "csv"),
            ("language", "fr", "zh"),
            ("state", "open", "present"),
            ("version", "0", "from 1"),
            ("levels", "0", "80"),
            ("levels", "81", "80"),
            ("precision", "roughly", "sampled"),
            ("members", "a", "audience"),
            ("n", "1", "levels"),
        ] {
            let refused = parse(&[(name, value)]).expect_err(name);
            assert!(matches!(&refused, Refused::Bad(text) if text.contains(word)), "{refused}");
        }
        assert!(matches!(parse(&[("filter", "total_net")]), Err(Refused::NotOffered(_))));
        assert!(parse(&[("by", "day"), ("by", "day")]).is_err());
        assert!(matches!(parse(&[("precision", "sampled"), ("by", "region")]), Err(Refused::NotOffered(_))));
        assert!(parse(&[("from", "2026-11-02"), ("to", "2026-11-01")]).is_err());
    }
}
