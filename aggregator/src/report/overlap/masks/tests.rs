//! Every figure of an overlap against sets of devices, and what somebody can tell from the rows of a lumped one.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Devices with the members that they are of: groups of very different size, so that much lies about k.
fn devices() -> impl Strategy<Value = (usize, Vec<u32>)> {
    (1_usize..=6).prop_flat_map(|members| {
        let group = (1_u32..1 << members, prop_oneof![1_usize..12, 40_usize..70, 100_usize..900]);
        let groups = prop::collection::vec(group, 0..12);
        groups.prop_map(move |groups| {
            let devices = groups.into_iter().flat_map(|(mask, devices)| std::iter::repeat_n(mask, devices));
            (members, devices.collect())
        })
    })
}

fn names(members: usize) -> Vec<String> {
    (0..members).map(|n| format!("m{n}")).collect()
}

fn masks(members: usize, devices: &[u32], first: Vec<usize>) -> Masks {
    Masks::new(names(members), first, devices.iter().map(|mask| (*mask, 1)))
}

/// The devices of a member, by their numbers.
fn of(devices: &[u32], member: usize) -> BTreeSet<usize> {
    let is_of = |(_, mask): &(usize, &u32)| **mask & (1 << member) != 0;
    devices.iter().enumerate().filter(is_of).map(|(device, _)| device).collect()
}

fn union<'s>(sets: impl IntoIterator<Item = &'s BTreeSet<usize>>) -> BTreeSet<usize> {
    sets.into_iter().flatten().copied().collect()
}

fn number(row: &OverlapRow) -> usize {
    row.key.trim_start_matches('m').parse().expect("a member")
}

/// What holds of every overlap, lumped and sampled too.
fn check_identities(rows: &[OverlapRow], members: usize) {
    let kind = |kind: &'static str| rows.iter().filter(move |row| row.kind == kind);
    let all = kind("all").next().expect("a row of all");
    assert_eq!((kind("member").count(), kind("pair").count()), (members, members * (members - 1) / 2));
    let reach = |name: &str| kind("member").find(|row| row.key == name).expect("a member").reach;
    let mut stacked = 0;
    for (row, position) in kind("member").zip(1..) {
        assert_eq!(row.stack_position, Some(position));
        let (added, unique) = (row.incremental_reach.expect("a stack"), row.unique.expect("a member"));
        stacked += added;
        assert_eq!(row.stacked_reach, Some(stacked));
        assert!(unique <= added && added <= row.reach && row.reach <= all.reach, "{row:?}");
        assert!(stacked >= row.reach && stacked <= all.reach, "{row:?}");
    }
    assert_eq!(stacked, all.reach, "what all add is all");
    assert!(kind("member").filter_map(|row| row.unique).sum::<u64>() <= all.reach);
    for row in kind("pair") {
        let [one, other] = &row.members[..] else { panic!("{row:?}") };
        let (one, other, shared) = (reach(one), reach(other), row.shared.expect("a pair"));
        assert_eq!(one + other - shared, row.reach);
        assert!(shared <= one.min(other) && row.reach >= one.max(other) && row.reach <= one + other);
        assert!(row.reach <= all.reach);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn rows_are_what_sets_of_devices_say((members, devices) in devices(), asked in any::<prop::sample::Index>(), has_first in any::<bool>()) {
        let first = if has_first { vec![asked.index(members)] } else { Vec::new() };
        let rows = masks(members, &devices, first.clone()).rows(Sample::ALL, None);
        check_identities(&rows, members);
        let sets: Vec<_> = (0..members).map(|member| of(&devices, member)).collect();
        let mut before: Vec<usize> = Vec::new();
        for row in rows.iter().filter(|row| row.kind == "member") {
            let member = number(row);
            let others = union(sets.iter().enumerate().filter(|(n, _)| *n != member).map(|(_, set)| set));
            prop_assert_eq!(row.reach, sets[member].len() as u64);
            prop_assert_eq!(row.unique, Some(sets[member].difference(&others).count() as u64));
            let earlier = union(before.iter().map(|n| &sets[*n]));
            let added = |n: usize| sets[n].difference(&earlier).count() as u64;
            prop_assert_eq!(row.incremental_reach, Some(added(member)));
            match first.get(before.len()) {
                Some(asked) => prop_assert_eq!(*asked, member),
                // Nobody who is left would add more.
                None => prop_assert!((0..members).filter(|n| !before.contains(n)).all(|n| added(n) <= added(member))),
            }
            before.push(member);
            prop_assert_eq!(row.stacked_reach, Some(union(before.iter().map(|n| &sets[*n])).len() as u64));
            prop_assert!(row.exact && row.standard_error == 0.0 && row.interval_low.reach == row.reach && row.interval_high.unique == row.unique);
        }
        for row in rows.iter().filter(|row| row.kind == "pair") {
            let both: Vec<usize> = row.members.iter().map(|name| name.trim_start_matches('m').parse().expect("a member")).collect();
            prop_assert_eq!(row.shared, Some(sets[both[0]].intersection(&sets[both[1]]).count() as u64));
            prop_assert_eq!(row.reach, union([&sets[both[0]], &sets[both[1]]]).len() as u64);
        }
        prop_assert_eq!(rows.last().map(|row| row.reach), Some(union(&sets).len() as u64));
    }

    /// The rows are sums over the sets of the result, so nobody can tell more from them than these.
    #[test]
    fn of_a_lumped_overlap_no_set_is_below_k((members, devices) in devices(), limits in prop::sample::select(vec![(50, 10), (50, 1), (9, 3), (20, 20), (1, 1)])) {
        let (k, step) = limits;
        let truth = masks(members, &devices, Vec::new());
        let lumped = truth.lumped(k, step);
        prop_assert!(lumped.counts.values().all(|devices| *devices >= k && devices % step == 0), "{:?}", lumped.counts);
        let rows = lumped.rows(Sample::ALL, None);
        check_identities(&rows, members);
        // Nobody is added, and of all devices only rests of single members are lost.
        let (before, after) = (truth.sums(), lumped.sums());
        prop_assert!(after.all <= before.all && before.all - after.all < k.max(step) * members as u64);
        prop_assert!(after.reach.iter().zip(&before.reach).all(|(after, before)| after <= before));
        prop_assert!(after.shared.iter().all(|(pair, shared)| *shared <= before.shared[pair]));
        if (k, step) == (1, 1) {
            prop_assert_eq!(&lumped, &truth, "nothing is small, nothing is rounded");
        }
        prop_assert_eq!(truth.lumped(k, step), lumped, "the same again");
    }

    /// Whatever is shown says what is true, roughly.
    #[test]
    fn of_a_safe_overlap_no_figure_is_far_off((members, devices) in devices(), limits in prop::sample::select(vec![(50, 10), (50, 1), (9, 3), (1, 1)])) {
        let (k, step) = limits;
        let truth = masks(members, &devices, Vec::new());
        let Some(safe) = truth.safe(k, step) else {
            prop_assert!(members > 2 || !truth.is_near(&truth.lumped(k, step), step));
            return Ok(());
        };
        prop_assert!(safe.members() >= members.min(2));
        prop_assert!(safe.counts.values().all(|devices| *devices >= k && devices % step == 0), "{:?}", safe.counts);
        let shown = safe.rows(Sample::ALL, None);
        check_identities(&shown, safe.members());
        let kept: Vec<usize> = safe.names().iter().map(|name| name[1..].parse().expect("a member")).collect();
        let of_kept = truth.of(&kept);
        let order = safe.stack().into_iter().map(|(member, _)| member).collect();
        let reach = |rows: &[OverlapRow], name: &str| rows.iter().find(|row| row.key == name).expect("a member").reach;
        let told = of_kept.stacked(order).rows(Sample::ALL, None);
        for (row, truth) in shown.iter().zip(&told).filter(|_| members > 1) {
            prop_assert_eq!(&row.key, &truth.key);
            let whole = row.members.iter().map(|name| reach(&told, name)).min().expect("members");
            let near = |told: u64, truth: u64, whole: u64| told.abs_diff(truth) <= whole / 10 + step;
            let optional = |told: Option<u64>, truth: Option<u64>| near(told.unwrap_or(0), truth.unwrap_or(0), whole);
            prop_assert!(optional(row.unique, truth.unique) && optional(row.incremental_reach, truth.incremental_reach) && optional(row.shared, truth.shared), "{:?} {:?}", row, truth);
            prop_assert!(row.kind == "pair" || near(row.reach, truth.reach, truth.reach), "{:?} {:?}", row, truth);
        }
        if (k, step) == (1, 1) {
            prop_assert_eq!(safe, truth, "nothing is small");
        }
    }

    #[test]
    fn the_largest_are_kept_with_those_that_were_asked_for((members, devices) in devices(), keep in 1_usize..4, asked in any::<prop::sample::Index>()) {
        let truth = masks(members, &devices, vec![asked.index(members)]);
        let reach = truth.sums().reach;
        let kept = truth.clone().largest(keep);
        prop_assert_eq!(kept.members(), keep.min(members));
        let asked = asked.index(members);
        prop_assert_eq!(kept.stack()[0].0, kept.members.iter().position(|name| *name == format!("m{asked}")).expect("it stays"));
        let smallest = kept.members.iter().map(|name| name[1..].parse::<usize>().expect("a member")).filter(|n| *n != asked).map(|n| reach[n]).min();
        let is_left_out = |n: &usize| !kept.members.contains(&format!("m{n}"));
        prop_assert!((0..members).filter(is_left_out).all(|n| smallest.is_none_or(|smallest| reach[n] <= smallest)));
        check_identities(&kept.rows(Sample::ALL, None), keep.min(members));
    }
}

#[test]
fn twenty_members_have_a_bit_each() {
    let everywhere = (1 << 20) - 1;
    let masks = masks(20, &[everywhere, 1 << 19], Vec::new());
    let rows = masks.rows(Sample::ALL, None);
    check_identities(&rows, 20);
    assert_eq!((rows[0].key.as_str(), rows[0].reach, rows[0].unique), ("m19", 2, Some(1)));
}

#[test]
fn sets_that_are_too_small_count_where_most_of_their_kind_are() {
    // 7 devices of all three are too few: they count for the pair that has the most, whose rest beyond a ten counts for the larger of its two.
    let counts = [(0b111, 7), (0b011, 208), (0b101, 60), (0b001, 300), (0b010, 90), (0b100, 80)];
    let lumped = Masks::new(names(3), Vec::new(), counts).lumped(50, 10);
    let expected = [(0b011, 210), (0b101, 60), (0b001, 300), (0b010, 90), (0b100, 80)];
    assert_eq!(lumped, Masks::new(names(3), Vec::new(), expected));
}

#[test]
fn members_that_would_be_told_wrongly_are_left_out() {
    // Of the 145 of the first, 100 are of the second too: without the 45 who are too few it would be all of them.
    let pair = Masks::new(names(2), Vec::new(), [(0b01, 45), (0b11, 100), (0b10, 100)]);
    assert_eq!(pair.lumped(50, 10).rows(Sample::ALL, None)[1].reach, 100, "as it would come out");
    assert_eq!(pair.safe(50, 10), None);

    // Two of some size, and a third whose few devices are spread over both.
    let counts = [(0b001, 400), (0b010, 300), (0b011, 200), (0b101, 40), (0b110, 40), (0b111, 40)];
    let three = Masks::new(names(3), Vec::new(), counts);
    let safe = three.safe(50, 10).expect("two hold");
    assert_eq!(safe.names(), names(2));
    let rows = safe.rows(Sample::ALL, None);
    let told: Vec<_> = rows.iter().map(|row| (row.key.as_str(), row.reach, row.unique, row.shared)).collect();
    assert_eq!(
        told,
        [
            ("m0", 680, Some(440), None),
            ("m1", 580, Some(340), None),
            ("m0 + m1", 1020, None, Some(240)),
            ("all", 1020, None, None)
        ],
        "of these two among each other"
    );

    // 380 devices that ten media have in small groups: nothing holds but of the largest.
    let ten = Masks::new(names(10), Vec::new(), (1..=9).map(|n| (0b11 << (n - 1), 20 + 5 * n)));
    let told = ten.lumped(50, 10).rows(Sample::ALL, None).last().map(|row| row.reach);
    let all = ten.rows(Sample::ALL, None).last().map(|row| row.reach);
    assert!(told < all, "{told:?} of {all:?} would be left");
    assert!(ten.safe(50, 10).is_none_or(|safe| safe.members() < 10));
}
