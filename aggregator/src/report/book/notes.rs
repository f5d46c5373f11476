//! What a reader of a workbook has to know, who has not read our documentation: how each sheet stands, and what its marks mean.

use serde_json::Value;

use super::column;
use crate::form::{Cell, Language, Table, Type};

/// How a report stands.
pub(super) struct Standing {
    rows: u64,
    /// Rows with something left out; `None` where nothing ever is.
    left_out: Option<u64>,
    settled_until: Option<String>,
    is_provisional: bool,
    /// The share of devices that was counted, where it is not all.
    sample: Option<f64>,
    /// Version of the closing, of a period that is closed.
    closed: Option<u64>,
    /// Whether the period is closed, and the closing holds no such figures.
    is_beside_closing: bool,
    limits: Option<(u64, u64)>,
}

impl Standing {
    pub(super) fn of(table: &Table<'_>) -> Self {
        let about = &table.about;
        let privacy = |name: &str| about.get("privacy").and_then(|privacy| privacy.get(name)?.as_u64());
        Self {
            rows: table.rows.len() as u64,
            left_out: privacy("suppressed_rows"),
            settled_until: about.get("settled_until").and_then(Value::as_str).map(str::to_owned),
            is_provisional: about
                .get("provisional_days")
                .and_then(Value::as_array)
                .is_some_and(|days| !days.is_empty()),
            sample: about.get("sample").and_then(Value::as_f64),
            closed: about.get("closed").and_then(|closed| closed.get("version")?.as_u64()),
            is_beside_closing: about.get("closed").is_some_and(Value::is_null),
            limits: privacy("k").zip(privacy("device_step")),
        }
    }

    /// A row of the list of sheets.
    pub(super) fn cells<'s>(&'s self, name: &'s str) -> Vec<Cell<'s>> {
        let count = |count: Option<u64>| count.map_or(Cell::Nothing, Cell::Count);
        vec![
            Cell::Text(name),
            Cell::Count(self.rows),
            count(self.left_out),
            self.settled_until.as_deref().map_or(Cell::Nothing, Cell::Day),
            self.sample.map_or(Cell::Nothing, Cell::Number),
            count(self.closed),
        ]
    }

    /// The list of sheets.
    pub(super) fn table(rows: Vec<Vec<Cell<'_>>>, language: Language) -> Table<'_> {
        Table {
            name: "sheets",
            about: serde_json::Map::new(),
            notes: Vec::new(),
            columns: vec![
                column("sheet", Type::Text),
                column("rows", Type::Count),
                column("left_out_rows", Type::Count),
                column("settled_until", Type::Day),
                column("sample", Type::Rate),
                column("closed_version", Type::Count),
            ],
            rows,
            language: Some(language),
        }
    }
}

/// What holds of the reports, and which sheets are not there.
pub(super) fn of(
    language: Language,
    (standing, left_out): (&[Standing], &[(&'static str, Option<String>)]),
) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    let mut say = |english: &str, chinese: &str| notes.push(language.of(english, chinese).to_owned());
    say(
        "Days and hours are those of the campaign's time zone. Gross is all that was received; net is gross less every removed hit, each with one reason.",
        "日期与小时按活动时区。过滤前为全部上报；过滤后为过滤前减去各项过滤，每条被过滤的上报只记一个原因。",
    );
    say(
        "Reach counts devices. Reach of several rows does not add up: one device may stand in more than one.",
        "触达按设备计。各行触达不可相加：同一设备可能出现在多行。",
    );
    if standing.iter().any(|one| one.is_provisional) {
        say(
            "Provisional days are not over or not settled: their figures may change, and may differ from sheet to sheet by what came in between.",
            "未定稿日期尚未结束或未定稿：数据可能变动，各表之间也可能因期间新增上报而略有差异。",
        );
    }
    if standing.iter().any(|one| one.closed.is_some()) {
        say(
            "The period is closed: its figures stay as they are. Columns \"Since closed\" say what counting it now would add or take away.",
            "该期间已锁数：数据不再变动。“锁数后调整”列为按最新数据重新统计的差值。",
        );
    } else {
        say(
            "The period is not closed: late hits or deletions may still change its figures.",
            "该期间未锁数：延迟上报或删除仍可能使数据变动。",
        );
    }
    if standing.iter().any(|one| one.is_beside_closing) {
        say(
            "Sheets without the closing's version hold figures of now: the closing holds none of their kind.",
            "未列锁数版本的工作表为最新数据：锁数不含此类数据。",
        );
    }
    if let Some((k, step)) = standing.iter().find_map(|one| one.limits) {
        let (english, chinese) = (
            format!(
                "An empty cell in a row with \"Something left out\" is no zero: it is left out because fewer than {k} devices stand behind it, or because it would tell of such a figure. Devices are rounded down to multiples of {step}."
            ),
            format!(
                "“有数据不显示”的行中空白单元格并非 0：对应设备少于 {k} 台，或可由此推算出此类数据。设备数向下取整至 {step} 的倍数。"
            ),
        );
        say(&english, &chinese);
    }
    if standing.iter().any(|one| one.sample.is_some()) {
        say(
            "Where a share of devices is given, devices are estimated from it; the 95 % interval of each estimate stands beside it.",
            "列有抽样比例的工作表按该比例设备估计，各估计值旁列有 95% 区间。",
        );
    }
    say(
        "Gap is (the medium's impressions − ours) / the medium's, on the placements and days of which it said something. Columns that say nothing in any row are hidden.",
        "差异率 =（媒体后台曝光 − 监测曝光）/ 媒体后台曝光，仅比较媒体已提供数据的点位与日期。全部为空的列已隐藏。",
    );
    notes.extend(left_out.iter().map(|(name, since)| missing(language, name, since.as_deref())));
    notes
}

/// Why a sheet is not there.
fn missing(language: Language, name: &str, since: Option<&str>) -> String {
    let why = match since {
        Some(day) => language.of(
            format!("devices of days before {day} are no longer kept"),
            format!("{day} 之前的设备数据已过保存期"),
        ),
        None => language.of(
            "it takes in too much that is not settled: ask for fewer days".to_owned(),
            "未定稿的数据过多，请缩短日期范围".to_owned(),
        ),
    };
    language.of(format!("Sheet not there: {name} ({why})."), format!("未包含的工作表：{name}（{why}）。"))
}
