//! Which column holds what: header names in Chinese and English, as agencies write them.

use catalog::edit::Value;
use catalog::{Mistake, mistake};

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
        english: &[
            "Cost",
            "net cost",
            "budget",
            "amount",
            "total cost",
            "total price",
            "total amount",
            "total budget",
        ],
        chinese: &[
            "费用",
            "净价",
            "金额",
            "预算",
            "投放金额",
            "总价",
            "总金额",
            "总费用",
            "总预算",
            "净总价",
        ],
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

/// The column of a name, which is given without what people write in many ways ([`plain`]).
pub(super) fn named(name: &str) -> Option<Column> {
    KNOWN.iter().find(|known| names(known).any(|known| plain(known) == name)).map(|known| known.column)
}

/// The column of a key in the catalog.
pub(super) fn column_of(key: &str) -> Option<Column> {
    match key {
        "plan" => Some(Column::From),
        _ => KNOWN.iter().find(|known| known.key == key).map(|known| known.column),
    }
}

/// Its names in headers. The catalog's `impressions` is none: alone it may be those of all days.
fn names(known: &'static Known) -> impl Iterator<Item = &'static str> {
    let key = (known.column != Column::Impressions).then_some(known.key);
    known.english.iter().chain(known.chinese).copied().chain(key)
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
