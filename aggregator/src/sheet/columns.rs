//! Which column holds what: header names in Chinese and English, as agencies write them.

use catalog::edit::Value;
use catalog::{Mistake, mistake};

use super::Cell;
use super::header::plain;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Column {
    Id,
    Name,
    Medium,
    Source,
    State,
    LandingPage,
    LandingHosts,
    Profile,
    Dialect,
    SignedLinks,
    VastTag,
    Cost,
    From,
    To,
    Impressions,
}

/// One kind of column.
pub(super) struct Known {
    pub(super) column: Column,
    /// Key in the catalog.
    pub(super) key: &'static str,
    /// Names in English, the first for the template; without blanks, signs and capitals they are the same.
    pub(super) english: &'static [&'static str],
    /// Names in Chinese, the first for the template.
    pub(super) chinese: &'static [&'static str],
}

/// All of them, in the template's order.
pub(super) const KNOWN: &[Known] = &[
    Known {
        column: Column::Id,
        key: "id",
        english: &["Placement ID", "id", "placement", "spot id", "spot"],
        chinese: &["点位ID", "点位编号", "点位号", "广告位ID", "广告位编号", "位置ID", "点位代码"],
    },
    Known {
        column: Column::Name,
        key: "name",
        english: &["Placement name", "name", "spot name", "ad position", "position"],
        chinese: &["点位名称", "点位", "广告位名称", "广告位", "广告位置", "位置", "名称", "投放位置"],
    },
    Known {
        column: Column::Medium,
        key: "medium",
        english: &["Medium", "media", "publisher", "site", "media name"],
        chinese: &["媒体", "媒体名称", "媒介", "网站", "投放媒体"],
    },
    Known {
        column: Column::Source,
        key: "source",
        english: &["Source", "reporting", "kind of source"],
        chinese: &["上报方式", "监测方式", "来源", "数据来源", "对接方式"],
    },
    Known {
        column: Column::State,
        key: "state",
        english: &["State", "status"],
        chinese: &["状态", "投放状态"],
    },
    Known {
        column: Column::LandingPage,
        key: "landing_page",
        english: &["Landing page", "landing url", "click url", "landing"],
        chinese: &["落地页", "落地页链接", "落地页地址", "到达页", "着陆页", "跳转链接", "点击链接"],
    },
    Known {
        column: Column::LandingHosts,
        key: "landing_hosts",
        english: &["Landing hosts", "landing host", "landing domains"],
        chinese: &["落地页域名", "落地域名", "跳转域名"],
    },
    Known {
        column: Column::Profile,
        key: "profile",
        english: &["Macro profile", "profile", "medium profile"],
        chinese: &["宏配置", "媒体宏", "宏模板"],
    },
    Known {
        column: Column::Dialect,
        key: "dialect",
        english: &["Link grammar", "dialect", "grammar"],
        chinese: &["代码格式", "链接格式", "监测代码格式"],
    },
    Known {
        column: Column::SignedLinks,
        key: "signed_links",
        english: &["Signed links", "signed"],
        chinese: &["签名链接", "链接签名"],
    },
    Known {
        column: Column::VastTag,
        key: "vast_tag",
        english: &["VAST tag", "vast", "vast url"],
        chinese: &["VAST标签", "VAST地址", "VAST链接"],
    },
    Known {
        column: Column::Cost,
        key: "cost",
        english: &["Cost", "net cost", "budget", "amount"],
        chinese: &["费用", "净价", "金额", "预算", "投放金额"],
    },
    Known {
        column: Column::From,
        key: "from",
        english: &["From", "start", "start date", "first day", "plan from"],
        chinese: &["开始日期", "投放开始", "开始时间", "起始日期", "开始"],
    },
    Known {
        column: Column::To,
        key: "to",
        english: &["To", "end", "end date", "last day", "plan to"],
        chinese: &["结束日期", "投放结束", "结束时间", "截止日期", "结束"],
    },
    Known {
        column: Column::Impressions,
        key: "impressions",
        english: &[
            "Impressions per day",
            "daily impressions",
            "planned daily impressions",
            "impressions a day",
            "impressions/day",
        ],
        chinese: &[
            "每日曝光",
            "日曝光",
            "日均曝光",
            "每日曝光量",
            "日曝光量",
            "计划日曝光",
            "计划每日曝光",
            "每日预估曝光",
        ],
    },
];

/// What a header cell says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Heading {
    /// A column that is known.
    Known(Column),
    /// Impressions planned for one day.
    Day(chrono::NaiveDate),
    /// Nothing that is known; what is nearest, if somebody most likely meant that.
    Unknown {
        /// A known name.
        nearest: Option<&'static str>,
    },
}

/// Reads a header cell.
pub(super) fn heading(cell: &Cell) -> Heading {
    match cell {
        Cell::Date(day) => Heading::Day(*day),
        Cell::Text(text) => {
            if let Some(day) = super::cells::day_of_text(text) {
                return Heading::Day(day);
            }
            let [whole, bare] = super::header::names(text);
            let known = |name: &str| KNOWN.iter().find(|known| names(known).any(|n| plain(n) == name));
            match known(&whole).or_else(|| known(&bare)) {
                Some(known) => Heading::Known(known.column),
                None => Heading::Unknown { nearest: nearest(&bare) },
            }
        }
        Cell::Number(_) | Cell::Flag(_) | Cell::Failed(_) => Heading::Unknown { nearest: None },
    }
}

/// The column of a key in the catalog.
pub(super) fn column_of(key: &str) -> Option<Column> {
    match key {
        "plan" => Some(Column::From),
        _ => KNOWN.iter().find(|known| known.key == key).map(|known| known.column),
    }
}

fn names(known: &'static Known) -> impl Iterator<Item = &'static str> {
    known.english.iter().chain(known.chinese).copied().chain([known.key])
}

/// The known English name within a letter of this one. Chinese names of two letters are all within one of each other.
fn nearest(name: &str) -> Option<&'static str> {
    if !name.is_ascii() || name.len() < 4 {
        return None;
    }
    let english = KNOWN.iter().flat_map(|known| known.english);
    english.copied().find(|known| is_within_one(&plain(known), name))
}

/// Whether one letter more, less, other or swapped with the next turns one text into the other.
fn is_within_one(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let ahead = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let behind = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (short, long) = (a.len().min(b.len()), a.len().max(b.len()));
    let is_swapped = short == long
        && ahead + behind + 2 == long
        && a.get(ahead) == b.get(ahead + 1)
        && a.get(ahead + 1) == b.get(ahead);
    (long - short <= 1 && ahead + behind + 1 >= long) || is_swapped
}

/// What a column's cells have to be like, for whoever filled one in wrongly.
pub(super) fn allowed(column: Column) -> Mistake {
    match column {
        Column::Source => mistake!("cell_source", "allowed is c2s (or 客户端), s2s (or 服务端) or ssai"),
        Column::State => mistake!("cell_state", "allowed is live (or 正式) or trial (or 测试)"),
        Column::SignedLinks => mistake!("cell_flag", "allowed is yes (or 是) or no (or 否)"),
        Column::From | Column::To => {
            mistake!("cell_day", "allowed is a day such as 2026-11-01, 2026/11/1 or 2026年11月1日")
        }
        Column::Impressions => {
            mistake!("cell_impressions", "allowed is a whole number of impressions a day, such as 100000")
        }
        Column::Cost => {
            mistake!("cell_money", "allowed is an amount with at most two decimals, such as 12000.50")
        }
        _ => mistake!("cell_text", "allowed is text"),
    }
}

/// The value of a word that stands for one of the catalog's.
pub(super) fn word(column: Column, text: &str) -> Option<Value> {
    let word = plain(text);
    let is = |words: &[&str]| words.contains(&word.as_str());
    let text = |text: &str| Some(Value::Text(text.to_owned()));
    match column {
        Column::Source if is(&["c2s", "client", "客户端"]) => text("c2s"),
        Column::Source if is(&["s2s", "server", "服务端", "服务器"]) => text("s2s"),
        Column::Source if is(&["ssai"]) => text("ssai"),
        Column::State if is(&["live", "正式", "投放", "上线"]) => text("live"),
        Column::State if is(&["trial", "test", "测试", "试投"]) => text("trial"),
        Column::SignedLinks if is(&["yes", "true", "y", "1", "是"]) => Some(Value::Flag(true)),
        Column::SignedLinks if is(&["no", "false", "n", "0", "否"]) => Some(Value::Flag(false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Heading {
        heading(&Cell::Text(text.to_owned()))
    }

    #[test]
    fn headers_are_known_however_they_are_written() {
        for (text, column) in [
            ("点位ID", Column::Id),
            ("点位 ID（必填）", Column::Id),
            ("placement_id*", Column::Id),
            ("ＰＬＡＣＥＭＥＮＴ　ＩＤ", Column::Id),
            ("点位名称", Column::Name),
            ("Media", Column::Medium),
            ("landing_page", Column::LandingPage),
            ("每日曝光量(次)", Column::Impressions),
            ("impressions", Column::Impressions),
            ("START DATE", Column::From),
        ] {
            assert_eq!(of(text), Heading::Known(column), "{text}");
        }
        let day = chrono::NaiveDate::from_ymd_opt(2026, 11, 1).expect("a day");
        assert_eq!(of("2026/11/1"), Heading::Day(day));
        assert_eq!(of("备注"), Heading::Unknown { nearest: None });
        assert_eq!(of("CPM"), Heading::Unknown { nearest: None });
        assert_eq!(of("meduim"), Heading::Unknown { nearest: Some("Medium") });
        assert_eq!(of("Stat"), Heading::Unknown { nearest: Some("State") });
    }

    #[test]
    fn no_name_stands_for_two_columns() {
        let mut all: Vec<(String, &str)> =
            KNOWN.iter().flat_map(|known| names(known).map(|name| (plain(name), known.key))).collect();
        all.sort();
        all.dedup();
        for (a, b) in all.iter().zip(all.iter().skip(1)) {
            assert_ne!(a.0, b.0, "{a:?} {b:?}");
        }
    }
}
