//! The identities, one by one, held against what a report shows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A report, and which identities were held against a figure of it.
pub(super) struct Held<'r> {
    place: String,
    report: &'r Value,
    /// Whether nothing may be left out.
    is_exact: bool,
    /// What device counts are multiples of.
    step: u64,
    pub(super) names: BTreeSet<&'static str>,
}

/// A count of a row; `None` where it is left out.
fn count(row: &Value, name: &str) -> Option<u64> {
    match name.split_once('.') {
        Some((group, member)) => row[group][member].as_u64(),
        None => row[name].as_u64(),
    }
}

/// The sum of the counts of a group; `None` where one is left out.
fn sum(group: &Value) -> Option<u64> {
    group.as_object()?.values().map(Value::as_u64).sum()
}

fn list(row: &Value, name: &str) -> Vec<Option<u64>> {
    row[name].as_array().into_iter().flatten().map(Value::as_u64).collect()
}

fn rows(report: &Value) -> impl Iterator<Item = &Value> {
    report["rows"].as_array().expect("rows").iter()
}

fn key(row: &Value) -> &str {
    row["key"].as_str().expect("a key")
}

impl<'r> Held<'r> {
    pub(super) fn new(place: String, report: &'r Value, is_exact: bool) -> Self {
        let step = report["privacy"]["device_step"].as_u64().unwrap_or(1);
        Self { place, report, is_exact, step, names: BTreeSet::new() }
    }

    /// Holds an identity; `None` where a term of it is left out.
    fn holds(&mut self, name: &'static str, row: &Value, is_held: Option<bool>) {
        match is_held {
            Some(true) => _ = self.names.insert(name),
            Some(false) => panic!("{}: {name} does not hold: {row}", self.place),
            None => assert!(!self.is_exact, "{}: {name} cannot be held: {row}", self.place),
        }
    }

    /// A rate is what it is called: part / whole, and nothing where there is no whole.
    fn rate(&mut self, name: &'static str, row: &Value, (part, whole, times): (&str, &str, f64)) {
        let Some((part, whole)) = count(row, part).zip(count(row, whole)) else {
            return self.holds(name, row, None);
        };
        let value = row[name].as_f64();
        if whole == 0 {
            assert!(value.is_none(), "{}: {name} of nothing: {row}", self.place);
            return;
        }
        let expected = part as f64 * times / whole as f64;
        let is_near = |value: f64| (value - expected).abs() <= 1e-9 * (1.0 + expected);
        self.holds(name, row, value.map(is_near));
    }

    /// The identities of every row, and of the rows of one report.
    pub(super) fn all(mut self) -> BTreeSet<&'static str> {
        let kind = self.report["report"].as_str().expect("a kind").to_owned();
        let report = self.report;
        if kind != "frequency" {
            let keys: BTreeSet<&str> = rows(report).map(key).collect();
            assert_eq!(keys.len(), rows(report).count(), "{}: a key stands there twice", self.place);
        }
        for row in rows(report) {
            match kind.as_str() {
                "delivery" => self.delivery(row),
                "reach" => self.reach(row),
                "ids" => self.ids(row),
                _ => {}
            }
        }
        match kind.as_str() {
            "reach" if report["by"] == "day" => self.cumulative(),
            "frequency" => self.frequency(),
            "overlap" => self.overlap(),
            _ => {}
        }
        self.names
    }

    fn delivery(&mut self, row: &Value) {
        let c = |name: &str| count(row, name);
        for (name, of) in
            [("gross = net + removed", "impressions"), ("gross = net + removed, clicks", "clicks")]
        {
            let gross_is_net_and_removed = || {
                Some(
                    c(&format!("gross_{of}"))?
                        == c(&format!("net_{of}"))? + sum(&row[format!("removed_{of}")])?,
                )
            };
            self.holds(name, row, gross_is_net_and_removed());
            let filter = self.report["filter"].as_str().expect("a filter");
            let in_filter = c(of).zip(c(&format!("{filter}_{of}"))).map(|(one, other)| one == other);
            self.holds("the filter's", row, in_filter);
        }
        let parts = || {
            Some(c("identified_impressions")? + c("withheld_impressions")? + c("unidentified_impressions")?)
        };
        self.holds(
            "identified + withheld + unidentified",
            row,
            parts().zip(c("impressions")).map(|(a, b)| a == b),
        );
        let measured = || Some(c("measured")? == c("stages.viewable")? + c("stages.not_viewable")?);
        self.holds("measured = viewable + not viewable", row, measured());
        let total = || Some(c("unmeasured")? == c("impressions")?.saturating_sub(c("measured")?));
        self.holds("total = measured + unmeasured", row, total());
        self.rate("measured_rate", row, ("measured", "impressions", 1.0));
        self.rate("viewable_rate", row, ("stages.viewable", "measured", 1.0));
        self.rate("id_coverage", row, ("identified_impressions", "impressions", 1.0));
        if row["planned"].is_u64() {
            self.rate("fulfilment", row, ("net_impressions", "planned", 1.0));
        }
        if let (Some(said), Some(ours)) =
            (c("reported_impressions").filter(|said| *said > 0), c("compared_impressions"))
        {
            let gap = (said as f64 - ours as f64) / said as f64;
            self.holds("gap", row, row["gap"].as_f64().map(|value| (value - gap).abs() < 1e-9));
        }
    }

    fn reach(&mut self, row: &Value) {
        let c = |name: &str| count(row, name);
        let (n_plus, exactly) = (list(row, "n_plus"), list(row, "exactly"));
        let is_open = exactly.last() != Some(&Some(0));
        self.holds(
            "1+ is reach",
            row,
            n_plus.first().copied().flatten().zip(c("reach")).map(|(a, b)| a == b),
        );
        let of_exactly: Option<u64> = exactly.iter().copied().sum();
        self.holds("reach N adds up to 1+", row, of_exactly.zip(c("reach")).map(|(a, b)| a == b));
        let shown: Vec<u64> = n_plus.iter().copied().flatten().collect();
        self.holds("N+ does not grow", row, Some(shown.is_sorted_by(|a, b| a >= b)));
        for ((at, exactly), one) in exactly.iter().enumerate().zip(&n_plus) {
            let next = if at + 1 == n_plus.len() { Some(0) } else { n_plus.get(at + 1).copied().flatten() };
            let is_between = || Some((*exactly)? == (*one)? - next?);
            self.holds("reach N is N+ less (N+1)+", row, is_between());
        }
        let above: u64 = shown.iter().sum();
        let identified = c("identified_impressions");
        let is_sum = |identified: u64| {
            if self.is_exact && !is_open { above == identified } else { above < identified + self.step }
        };
        let is_sum = identified.map(is_sum);
        self.holds("N+ adds up to the identified impressions", row, is_sum);
        if c("reach") != Some(0) {
            self.rate("average_frequency", row, ("identified_impressions", "reach", 1.0));
        }
        self.rate("id_coverage", row, ("identified_impressions", "impressions", 1.0));
        if row["universe"].is_u64() {
            self.rate("reach_percent", row, ("reach", "universe", 100.0));
            self.rate("grp", row, ("impressions", "universe", 100.0));
            let f = |name: &str| row[name].as_f64();
            if identified != Some(0) && c("reach") != Some(0) {
                let product = || Some(f("reach_percent")? * f("average_frequency")? / f("id_coverage")?);
                let is_near =
                    f("grp").zip(product()).map(|(grp, product)| (grp - product).abs() < 1e-9 * (1.0 + grp));
                self.holds("grp = reach % × frequency / id coverage", row, is_near);
            }
        } else {
            assert!(row["grp"].is_null() && row["reach_percent"].is_null(), "{}: {row}", self.place);
        }
        let ends = list(row, "interval_low").into_iter().zip(list(row, "interval_high"));
        for (devices, (low, high)) in n_plus.iter().zip(ends) {
            let is_within = || Some(low? <= (*devices)? && (*devices)? <= high?);
            self.holds("an estimate lies in its interval", row, is_within());
        }
    }

    /// Reach until each day: it does not fall, and lies between the largest day and the sum of the days.
    fn cumulative(&mut self) {
        let (mut before, mut sum, mut most) = (0, Some(0), 0);
        for row in rows(self.report) {
            let reach = count(row, "reach");
            sum = sum.zip(reach).map(|(sum, reach)| sum + reach);
            most = most.max(reach.unwrap_or(0));
            let Some(cumulative) = count(row, "cumulative_reach") else {
                self.holds("cumulative reach does not fall", row, None);
                continue;
            };
            self.holds("cumulative reach does not fall", row, Some(before <= cumulative));
            self.holds("the union of days is no less than each", row, Some(most <= cumulative));
            let slack = self.slack();
            self.holds(
                "the union of days is no more than their sum",
                row,
                sum.map(|sum| cumulative <= sum + slack),
            );
            before = cumulative;
        }
    }

    /// By how much rounded counts may miss the sum of other rounded ones.
    fn slack(&self) -> u64 {
        (self.step - 1) * rows(self.report).count() as u64
    }

    fn groups(&self) -> BTreeMap<&'r str, Vec<&'r Value>> {
        let mut groups: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for row in rows(self.report) {
            groups.entry(key(row)).or_default().push(row);
        }
        groups
    }

    fn frequency(&mut self) {
        let report = self.report;
        for (key, group) in self.groups() {
            let n_plus: Vec<Option<u64>> = group.iter().map(|row| count(row, "n_plus")).collect();
            let shown: Vec<u64> = n_plus.iter().copied().flatten().collect();
            self.holds("N+ does not grow by frequency", group[0], Some(shown.is_sorted_by(|a, b| a >= b)));
            let devices: Option<u64> = group.iter().map(|row| count(row, "devices")).sum();
            let first = n_plus.first().copied().flatten();
            self.holds("frequencies add up to 1+", group[0], devices.zip(first).map(|(a, b)| a == b));
            let is_capped = group.last().is_some_and(|row| row["or_more"] == true);
            for (at, row) in group.iter().enumerate() {
                assert_eq!(row["frequency"], at as u64 + 1, "{} {key}", self.place);
                let is_last = at + 1 == group.len();
                assert!(is_last || row["or_more"] == false, "{} {key}", self.place);
                let next = if is_last { Some(0) } else { n_plus[at + 1] };
                let is_between = || Some(count(row, "devices")? == n_plus[at]? - next?);
                self.holds("devices of a frequency are N+ less (N+1)+", row, is_between());
                let of_one = |devices: u64| {
                    if row["or_more"] == true { None } else { Some(devices * (at as u64 + 1)) }
                };
                if let Some(expected) = count(row, "devices").and_then(of_one) {
                    self.holds(
                        "impressions = devices × frequency",
                        row,
                        count(row, "impressions").map(|n| n == expected),
                    );
                }
            }
            if !is_capped {
                let impressions: Option<u64> = group.iter().map(|row| count(row, "impressions")).sum();
                let above: Option<u64> = n_plus.iter().copied().sum();
                self.holds(
                    "all N+ are the impressions",
                    group[0],
                    above.zip(impressions).map(|(a, b)| a == b),
                );
            }
        }
        let impressions: u64 = rows(report).filter_map(|row| count(row, "impressions")).sum();
        assert_eq!(report["identified_impressions"], impressions, "{}", self.place);
    }

    fn ids(&mut self, row: &Value) {
        let c = |name: &str| count(row, name);
        let parts = || Some(c("usable")? + c("bad")? + c("absent")? + c("set_aside")?);
        self.holds(
            "usable + bad + absent + set aside",
            row,
            parts().zip(c("impressions")).map(|(a, b)| a == b),
        );
        let kinds = sum(&row["identified_by_kind"]);
        let (is_exact, slack) = (self.is_exact, self.step * 20);
        let is_sum = |(kinds, all): (u64, u64)| {
            if is_exact { kinds == all } else { kinds < all + slack && all < kinds + slack }
        };
        self.holds("kinds add up to the identified", row, kinds.zip(c("identified")).map(is_sum));
        self.rate("id_coverage", row, ("identified", "impressions", 1.0));
        self.rate("return_rate", row, ("usable", "impressions", 1.0));
        let is_part = c("sha_only").zip(c("identified")).map(|(part, all)| part <= all);
        self.holds("known by SHA alone are identified", row, is_part);
    }

    fn overlap(&mut self) {
        let report = self.report;
        // What comes out as none is left out.
        let c = |row: &Value, name: &str| count(row, name).unwrap_or(0);
        let of = |kind: &str| rows(report).filter(|row| row["kind"] == kind).collect::<Vec<_>>();
        let (members, pairs, all) = (of("member"), of("pair"), of("all"));
        let all_row = all[0];
        let everybody = c(all_row, "reach");
        let (mut stacked, mut most, mut sum, mut unique) = (0, 0, 0, 0);
        let mut reach = BTreeMap::new();
        for row in &members {
            stacked += c(row, "incremental_reach");
            let is_stacked = count(row, "stacked_reach").map(|shown| shown == stacked);
            self.holds("what is stacked is what was added", row, is_stacked);
            self.holds(
                "who is of nobody else is of the member",
                row,
                Some(c(row, "unique") <= c(row, "reach")),
            );
            (most, sum, unique) =
                (most.max(c(row, "reach")), sum + c(row, "reach"), unique + c(row, "unique"));
            reach.insert(key(row), c(row, "reach"));
        }
        self.holds("increments add up to all", all_row, Some(stacked == everybody));
        self.holds(
            "all lie between the largest and the sum",
            all_row,
            Some((most..=sum).contains(&everybody)),
        );
        self.holds("unique devices are some of all", all_row, Some(unique <= everybody));
        // A pair of somebody who is left out is left out with him.
        for row in pairs.iter().filter(|row| count(row, "reach").is_some()) {
            let names: Vec<&str> =
                row["members"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
            let (one, other) = (reach[names[0]], reach[names[1]]);
            let union = c(row, "reach");
            self.holds("shared = the two less either", row, Some(c(row, "shared") + union == one + other));
            self.holds(
                "|A or B| lies between max and sum",
                row,
                Some((one.max(other)..=one + other).contains(&union)),
            );
            self.holds("a pair is some of all", row, Some(union <= everybody));
        }
    }

    /// The rows are parts of a total: hits add up to it, and its devices lie between those of the largest row and the sum of all.
    pub(super) fn parts_of(&mut self, total: &Value) {
        let report = self.report;
        let total = rows(total).next().expect("a row");
        for name in [
            "impressions",
            "clicks",
            "gross_impressions",
            "net_impressions",
            "planned",
            "reported_impressions",
        ] {
            // A plan and a medium's word are of some keys only.
            let counts: Vec<Option<u64>> = rows(report).map(|row| count(row, name)).collect();
            let Some(all) = count(total, name).filter(|_| counts.iter().any(Option::is_some)) else {
                continue;
            };
            let shown: u64 = counts.iter().copied().flatten().sum();
            let is_sum = if self.is_exact { shown == all } else { shown <= all };
            self.holds("hits of the rows add up to the total", total, Some(is_sum));
        }
        let reach: Vec<Option<u64>> = rows(report).map(|row| count(row, "reach")).collect();
        if let Some(all) = count(total, "reach").filter(|_| !reach.is_empty()) {
            let most = reach.iter().copied().flatten().max().unwrap_or(0);
            self.holds("the union is no less than each", total, Some(most <= all));
            let (sum, slack) = (reach.iter().copied().sum::<Option<u64>>(), self.slack());
            self.holds("the union is no more than the sum", total, sum.map(|sum| all <= sum + slack));
        }
    }

    /// Frequency and reach of one moment tell the same.
    pub(super) fn frequencies_of(&mut self, reach: &Value) {
        let reach: BTreeMap<&str, &Value> = rows(reach).map(|row| (key(row), row)).collect();
        for (key, group) in self.groups() {
            let row = reach[key];
            for (at, line) in group.iter().enumerate() {
                let of_reach = if at == 0 {
                    count(row, "reach")
                } else {
                    list(row, "n_plus").get(at).copied().flatten()
                };
                if let (Some(one), Some(other)) = (count(line, "n_plus"), of_reach) {
                    self.holds("N+ is the same in both", line, Some(one == other));
                }
            }
        }
    }

    /// An overlap and reach of one moment tell the same; unless only one of them is closed.
    pub(super) fn overlap_of(&mut self, by_member: &Value, total: &Value) {
        if total["closed"] != self.report["closed"] {
            return;
        }
        let total = rows(total).next().expect("a row");
        let reach: BTreeMap<&str, &Value> = rows(by_member).map(|row| (key(row), row)).collect();
        for row in rows(self.report) {
            let of_reach = match row["kind"].as_str() {
                Some("member") => reach.get(key(row)).copied(),
                Some("all") => Some(total),
                _ => None,
            };
            if let Some(of_reach) = of_reach {
                let is_same = count(row, "reach").zip(count(of_reach, "reach")).map(|(a, b)| a == b);
                self.holds("a member has the reach that it has by itself", row, is_same);
            }
        }
    }
}
