//! Which column fills which field: what was asked for with `--map`, and what well-known column names suggest. A pure
//! decision; nothing is read here.

use anyhow::bail;

use crate::config::nearest;

/// A field of a beacon, its name in `POST /v1/events`, and column names that usually hold it, best first.
struct Known {
    field: &'static str,
    columns: &'static [&'static str],
}

/// Every field that a row may fill. Column names are compared in lower case with `-` read as `_`.
const FIELDS: &[Known] = &[
    Known { field: "c", columns: &["c", "campaign", "campaign_id", "arg_c"] },
    Known { field: "p", columns: &["p", "placement", "placement_id", "arg_p"] },
    Known { field: "cr", columns: &["cr", "creative", "creative_id", "arg_cr"] },
    Known {
        field: "t",
        columns: &[
            "t",
            "epoch_ms",
            "time_ms",
            "timestamp_ms",
            "timestamp",
            "ts",
            "time",
            "event_time",
            "arg_t",
            "time_local",
        ],
    },
    Known { field: "rid", columns: &["rid", "request_id", "bid_id", "impression_id", "arg_rid"] },
    Known { field: "stage", columns: &["stage", "event", "event_type", "action"] },
    Known { field: "ip", columns: &["ip", "client_ip", "ip_address", "remote_addr"] },
    Known { field: "ua", columns: &["ua", "user_agent", "useragent", "http_user_agent"] },
    Known { field: "os", columns: &["os", "arg_os"] },
    Known { field: "u", columns: &["u", "landing_url", "arg_u"] },
    Known { field: "oaid", columns: &["oaid", "arg_oaid"] },
    Known { field: "oaid_md5", columns: &["oaid_md5", "arg_oaid_md5"] },
    Known { field: "imei", columns: &["imei", "arg_imei"] },
    Known { field: "imei_md5", columns: &["imei_md5", "arg_imei_md5"] },
    Known { field: "android_id", columns: &["android_id", "arg_android_id"] },
    Known { field: "android_id_md5", columns: &["android_id_md5", "arg_android_id_md5"] },
    Known { field: "idfa", columns: &["idfa", "arg_idfa"] },
    Known { field: "idfa_md5", columns: &["idfa_md5", "arg_idfa_md5"] },
    Known { field: "idfv", columns: &["idfv", "arg_idfv"] },
    Known { field: "aaid", columns: &["aaid", "gaid", "arg_aaid"] },
    Known { field: "aaid_md5", columns: &["aaid_md5", "gaid_md5", "arg_aaid_md5"] },
    Known { field: "caid", columns: &["caid", "arg_caid"] },
    Known { field: "caid_md5", columns: &["caid_md5", "arg_caid_md5"] },
    Known { field: "caid_version", columns: &["caid_version", "arg_caid_version"] },
    Known { field: "mac", columns: &["mac", "arg_mac"] },
    Known { field: "mac_md5", columns: &["mac_md5", "arg_mac_md5"] },
    Known { field: "openudid", columns: &["openudid", "arg_openudid"] },
    Known { field: "cookie", columns: &["cookie", "cookie_id", "device_id", "arg_cookie"] },
    Known { field: "gdpr", columns: &["gdpr", "arg_gdpr"] },
    Known { field: "gdpr_consent", columns: &["gdpr_consent", "arg_gdpr_consent"] },
    Known { field: "gpp", columns: &["gpp", "arg_gpp"] },
    Known { field: "gpp_sid", columns: &["gpp_sid", "arg_gpp_sid"] },
    Known { field: "lmt", columns: &["lmt", "arg_lmt"] },
    Known { field: "coppa", columns: &["coppa", "arg_coppa"] },
];

/// Fields that name a device.
const IDENTIFIERS: &[&str] = &[
    "oaid",
    "oaid_md5",
    "imei",
    "imei_md5",
    "android_id",
    "android_id_md5",
    "idfa",
    "idfa_md5",
    "idfv",
    "aaid",
    "aaid_md5",
    "caid",
    "caid_md5",
    "mac",
    "mac_md5",
    "openudid",
    "cookie",
];

/// One column that fills one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// The field's name in the API.
    pub(super) field: &'static str,
    /// The column's name in the file.
    pub(super) column: String,
    /// Whether it was suggested by its name and not asked for.
    pub(super) guessed: bool,
}

/// What the caller asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish<'a> {
    /// `field=column` from `--map`.
    pub(super) map: &'a [String],
    /// From `--stage-column`.
    pub(super) stage_column: Option<&'a str>,
    /// `--campaign` was given.
    pub(super) has_campaign: bool,
    /// `--placement` was given.
    pub(super) has_placement: bool,
}

/// The columns of a file.
pub(super) struct Columns<'a> {
    /// Their names, as far as they are known before reading all of it.
    pub(super) names: &'a [String],
    /// Whether others may come up later (rows of JSON, parameters in logged URLs).
    pub(super) open_ended: bool,
}

/// Decides which column fills which field.
///
/// # Errors
/// Unknown fields and columns, with the nearest known name; two columns for one field; no campaign or placement.
pub(super) fn decide(wish: &Wish<'_>, columns: &Columns<'_>) -> anyhow::Result<Vec<Pair>> {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut settled: Vec<&'static str> = Vec::new();
    let stage = wish.stage_column.map(|column| format!("stage={column}"));
    for text in wish.map.iter().chain(stage.as_ref()) {
        let Some((field, column)) = text.split_once('=') else {
            bail!("--map {text}: write field=column, for example --map rid=bid_id");
        };
        let field = field_named(field)?;
        if settled.contains(&field) {
            bail!("the field {field} is mapped twice: give it one column");
        }
        settled.push(field);
        if !column.is_empty() {
            check_column(field, column, columns)?;
            pairs.push(Pair { field, column: column.to_owned(), guessed: false });
        }
    }
    for (field, given, option) in
        [("c", wish.has_campaign, "--campaign"), ("p", wish.has_placement, "--placement")]
    {
        if given && pairs.iter().any(|pair| pair.field == field) {
            bail!("{option} and --map {field}=… contradict each other: give one of them");
        }
        if given {
            settled.push(field);
        }
    }
    for known in FIELDS.iter().filter(|known| !settled.contains(&known.field)) {
        if let Some(column) = suggested(known, columns, &pairs) {
            pairs.push(Pair { field: known.field, column, guessed: true });
        }
    }
    for (field, given, option) in
        [("c", wish.has_campaign, "--campaign C"), ("p", wish.has_placement, "--placement P")]
    {
        if !given && !pairs.iter().any(|pair| pair.field == field) {
            bail!(
                "no row would have a {}: give {option}, or name its column with --map {field}=COLUMN{}",
                if field == "c" { "campaign" } else { "placement" },
                listed(columns)
            );
        }
    }
    Ok(pairs)
}

/// Whether any field that names a device is filled.
pub(super) fn names_a_device(pairs: &[Pair]) -> bool {
    pairs.iter().any(|pair| IDENTIFIERS.contains(&pair.field))
}

/// Whether a field's value ties rows to a device or a view: such a value must not be altered.
pub(super) fn is_exact(field: &str) -> bool {
    field == "rid" || field == "c" || field == "p" || IDENTIFIERS.contains(&field)
}

fn field_named(name: &str) -> anyhow::Result<&'static str> {
    if let Some(known) = FIELDS.iter().find(|known| known.field == name) {
        return Ok(known.field);
    }
    // A column's name on the wrong side of the sign (`--map bid_id=rid`), else a misspelt field.
    let usual = FIELDS.iter().find(|known| known.columns.contains(&name)).map(|known| known.field);
    let meant = usual.or_else(|| nearest(name, FIELDS.iter().map(|known| known.field)));
    let meant = meant.map_or_else(String::new, |m| format!("; did you mean {m}?"));
    let all: Vec<&str> = FIELDS.iter().map(|known| known.field).collect();
    bail!("--map {name}=…: no field has this name{meant}\n  fields: {}", all.join(" "))
}

fn check_column(field: &str, column: &str, columns: &Columns<'_>) -> anyhow::Result<()> {
    if columns.open_ended || columns.names.iter().any(|name| name == column) {
        return Ok(());
    }
    let meant = nearest(column, columns.names.iter().map(String::as_str))
        .map_or_else(String::new, |m| format!("; did you mean {m}?"));
    bail!("--map {field}={column}: the file has no column of this name{meant}{}", listed(columns))
}

fn listed(columns: &Columns<'_>) -> String {
    if columns.names.is_empty() {
        String::new()
    } else {
        format!("\n  columns of the file: {}", columns.names.join(" "))
    }
}

/// The first of a field's usual columns that the file has and nothing else uses.
fn suggested(known: &Known, columns: &Columns<'_>, pairs: &[Pair]) -> Option<String> {
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    known.columns.iter().find_map(|usual| {
        columns
            .names
            .iter()
            .find(|name| plain(name) == *usual && !pairs.iter().any(|pair| pair.column == **name))
            .cloned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn decide_for(map: &[&str], header: &str) -> anyhow::Result<Vec<Pair>> {
        let map: Vec<String> = map.iter().map(|s| (*s).to_owned()).collect();
        let wish = Wish { map: &map, stage_column: None, has_campaign: true, has_placement: true };
        decide(&wish, &Columns { names: &names(header), open_ended: false })
    }

    #[test]
    fn well_known_columns_are_suggested_and_what_was_asked_stands_above() {
        let pairs = decide_for(&["rid=view"], "epoch_ms event bid_id view User-Agent ip creative_id")
            .expect("decides");
        let column =
            |field: &str| pairs.iter().find(|p| p.field == field).map(|p| (p.column.as_str(), p.guessed));
        assert_eq!(column("rid"), Some(("view", false)));
        assert_eq!(column("t"), Some(("epoch_ms", true)));
        assert_eq!(column("ua"), Some(("User-Agent", true)));
        assert_eq!(column("stage"), Some(("event", true)));
        assert_eq!(column("cookie"), None);
        assert!(!names_a_device(&pairs));
    }

    #[test]
    fn an_empty_column_takes_a_suggestion_back() {
        let pairs = decide_for(&["cookie="], "device_id t").expect("decides");
        assert!(pairs.iter().all(|p| p.field != "cookie"));
    }

    #[test]
    fn wrong_names_are_answered_with_the_nearest_ones() {
        let error = decide_for(&["rid=bidid"], "bid_id ip").expect_err("no such column").to_string();
        assert!(
            error.contains("did you mean bid_id?") && error.contains("columns of the file: bid_id ip"),
            "{error}"
        );
        let error = decide_for(&["cokie=ip"], "bid_id ip").expect_err("no such field").to_string();
        assert!(error.contains("did you mean cookie?"), "{error}");
        let error = decide_for(&["bid_id=rid"], "bid_id ip").expect_err("sides swapped").to_string();
        assert!(error.contains("did you mean rid?"), "{error}");
        assert!(decide_for(&["rid"], "bid_id").expect_err("no column").to_string().contains("field=column"));
        assert!(decide_for(&["rid=ip", "rid=bid_id"], "bid_id ip").is_err());
    }

    #[test]
    fn rows_need_a_campaign_and_a_placement_from_one_place() {
        let header = names("campaign_id t");
        let columns = Columns { names: &header, open_ended: false };
        let wish = Wish { has_placement: true, ..Wish::default() };
        assert_eq!(decide(&wish, &columns).expect("from the column")[0].field, "c");
        let error = decide(&Wish::default(), &columns).expect_err("no placement").to_string();
        assert!(error.contains("--placement P"), "{error}");
        let map = ["c=campaign_id".to_owned()];
        let wish = Wish { map: &map, has_campaign: true, has_placement: true, ..Wish::default() };
        assert!(decide(&wish, &columns).expect_err("both").to_string().contains("contradict"));
    }

    #[test]
    fn every_identifier_is_a_field() {
        for id in IDENTIFIERS {
            assert!(FIELDS.iter().any(|known| known.field == *id), "{id}");
        }
    }
}
