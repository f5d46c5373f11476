//! Devices by which of some members they are of, and every figure of an overlap as a sum over these counts.
//!
//! Must never ask the store.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Ends, MEMBERS_MAX, OverlapRow};
use crate::report::sample::Sample;

/// The part of its whole by which a figure of a safe overlap may be off, one in so many, beside a step for the rounding.
const OFF_ONE_IN: u64 = 10;

/// Members and how many devices are of which of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Masks {
    members: Vec<String>,
    /// The beginning of the stack, where it was asked for.
    first: Vec<usize>,
    /// Devices by mask: those of bit n are of member n. None is 0.
    counts: BTreeMap<u32, u64>,
}

/// Sums over the counts.
struct Sums {
    /// Devices of each member.
    reach: Vec<u64>,
    /// Of no other member.
    unique: Vec<u64>,
    /// Of two members, the smaller number first.
    shared: BTreeMap<(usize, usize), u64>,
    all: u64,
}

impl Masks {
    /// `first`: members at which the stack begins, in its order.
    pub(crate) fn new(
        members: Vec<String>,
        first: Vec<usize>,
        counts: impl IntoIterator<Item = (u32, u64)>,
    ) -> Self {
        debug_assert!(members.len() <= MEMBERS_MAX, "one bit for each");
        let mut sums = BTreeMap::new();
        for (mask, devices) in counts.into_iter().filter(|(mask, devices)| *mask != 0 && *devices > 0) {
            *sums.entry(mask).or_insert(0) += devices;
        }
        Self { members, first, counts: sums }
    }

    /// How many members there are.
    pub(crate) fn members(&self) -> usize {
        self.members.len()
    }

    /// Their names.
    pub(crate) fn names(&self) -> &[String] {
        &self.members
    }

    /// How many sets of members have devices.
    pub(crate) fn sets(&self) -> usize {
        self.counts.len()
    }

    /// With a stack that begins with these.
    pub(crate) fn stacked(self, first: Vec<usize>) -> Self {
        Self { first, ..self }
    }

    /// Those with the most devices, and those at which the stack begins.
    pub(crate) fn largest(&self, members_max: usize) -> Self {
        let reach = self.sums().reach;
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        let size = |n: usize| reach.get(n).copied().unwrap_or(0);
        order.sort_by_key(|n| (!self.first.contains(n), Reverse(size(*n)), *n));
        order.truncate(members_max.max(self.first.len()));
        // By name from here on.
        order.sort_by_key(|n| self.members.get(*n));
        self.of(&order)
    }

    /// Of some members alone, in this order.
    pub(crate) fn of(&self, order: &[usize]) -> Self {
        let bit = |n: usize| 1_u32 << n;
        let kept = |mask: u32| {
            let kept = order.iter().enumerate().filter(|(_, old)| mask & bit(**old) != 0);
            kept.fold(0, |mask, (new, _)| mask | bit(new))
        };
        let counts: Vec<(u32, u64)> =
            self.counts.iter().map(|(mask, devices)| (kept(*mask), *devices)).collect();
        let first = self.first.iter().filter_map(|old| order.iter().position(|n| n == old)).collect();
        let members = order.iter().filter_map(|n| self.members.get(*n).cloned()).collect();
        Self::new(members, first, counts)
    }

    /// The same of devices that are told apart by no set of members that fewer than `k` are of, in multiples of `step` (of which `k` is one).
    ///
    /// From the largest sets to the smallest, devices of a set that is too small, and what a set has beyond a multiple of the step, count as devices of
    /// the set without one of its members, of those sets the one with the most devices. What is left of the members by themselves goes. So every sum
    /// and every difference of figures that are made of the result is a sum of whole sets, each of them empty or of k devices or more.
    pub(crate) fn lumped(&self, k: u64, step: u64) -> Self {
        let mut counts = self.counts.clone();
        for size in (1..=self.members.len() as u32).rev() {
            let of_size: Vec<u32> = counts.keys().copied().filter(|mask| mask.count_ones() == size).collect();
            for mask in of_size {
                let devices = counts.get(&mask).copied().unwrap_or(0);
                let kept = if devices < k { 0 } else { devices - devices % step.max(1) };
                counts.insert(mask, kept);
                let smaller = bits(mask).map(|bit| mask & !bit).filter(|smaller| *smaller != 0);
                let most =
                    smaller.max_by_key(|mask| (counts.get(mask).copied().unwrap_or(0), Reverse(*mask)));
                if let Some(most) = most.filter(|_| devices > kept) {
                    *counts.entry(most).or_insert(0) += devices - kept;
                }
            }
        }
        Self::new(self.members.clone(), self.first.clone(), counts)
    }

    /// What may be shown of it: [`lumped`](Self::lumped), of as many of the members as no figure comes out far off for. The more members there are, the smaller
    /// are the sets, and where most of them are too small, what is left of them says something else than the truth: two members who share two thirds
    /// seem to share all. So the smallest members are left out, one by one. `None` where not even two can be held against each other.
    pub(crate) fn safe(&self, k: u64, step: u64) -> Option<Self> {
        let count = self.members.len();
        if count < 2 {
            return Some(self.lumped(k, step));
        }
        let fewer = (2..count).rev().map(|members| self.largest(members));
        let mut tried = std::iter::once(self.clone()).chain(fewer);
        tried.find_map(|some| Some(some.lumped(k, step)).filter(|lumped| some.is_near(lumped, step)))
    }

    /// Whether each figure of a lumped overlap is what it was, but for a step and a tenth of its whole: of the member's reach, of the smaller one's of a
    /// pair, of the reach of all so far.
    fn is_near(&self, lumped: &Self, step: u64) -> bool {
        let near = |told: u64, truth: u64, whole: u64| told.abs_diff(truth) <= whole / OFF_ONE_IN + step;
        let (told, truth) = (lumped.sums(), self.sums());
        let whole = |member: usize| truth.reach.get(member).copied().unwrap_or(0);
        let each = |told: &[u64], truth: &[u64]| {
            told.iter()
                .zip(truth)
                .enumerate()
                .all(|(member, (told, truth))| near(*told, *truth, whole(member)))
        };
        let pair = |((one, other), truth): (&(usize, usize), &u64)| {
            let shared = told.shared.get(&(*one, *other)).copied().unwrap_or(0);
            near(shared, *truth, whole(*one).min(whole(*other)))
        };
        let stack = lumped.stack();
        let order = stack.iter().map(|(member, _)| *member).collect();
        let (mut stacked, mut stacked_truth) = (0, 0);
        let place = |((member, added), (_, truth)): (&(usize, u64), (usize, u64))| {
            stacked += added;
            stacked_truth += truth;
            near(*added, truth, whole(*member)) && near(stacked, stacked_truth, stacked_truth)
        };
        each(&told.reach, &truth.reach)
            && each(&told.unique, &truth.unique)
            && truth.shared.iter().all(pair)
            && stack.iter().zip(self.clone().stacked(order).stack()).all(place)
    }

    fn sums(&self) -> Sums {
        let count = self.members.len();
        let mut sums =
            Sums { reach: vec![0; count], unique: vec![0; count], shared: BTreeMap::new(), all: 0 };
        let mut shared = vec![0_u64; count * count];
        for (mask, devices) in &self.counts {
            sums.all += devices;
            let of: Vec<usize> = bits(*mask).map(|bit| bit.trailing_zeros() as usize).collect();
            for (n, one) in of.iter().enumerate() {
                add(&mut sums.reach, *one, *devices);
                if of.len() == 1 {
                    add(&mut sums.unique, *one, *devices);
                }
                of.iter().skip(n + 1).for_each(|other| add(&mut shared, one * count + other, *devices));
            }
        }
        for one in 0..count {
            for other in one + 1..count {
                sums.shared.insert((one, other), shared.get(one * count + other).copied().unwrap_or(0));
            }
        }
        sums
    }

    /// Names of the members in the order of the stack.
    pub(crate) fn stack_names(&self) -> Vec<String> {
        self.stack().into_iter().filter_map(|(member, _)| self.members.get(member).cloned()).collect()
    }

    /// The stack: members in its order with what each adds. Behind those asked for comes, again and again, whoever adds the most; of equal ones the first.
    pub(super) fn stack(&self) -> Vec<(usize, u64)> {
        let mut stack: Vec<(usize, u64)> = Vec::new();
        let mut covered = 0_u32;
        for place in 0..self.members.len() {
            let mut added = vec![0_u64; self.members.len()];
            for (mask, devices) in self.counts.iter().filter(|(mask, _)| **mask & covered == 0) {
                bits(*mask).for_each(|bit| add(&mut added, bit.trailing_zeros() as usize, *devices));
            }
            let rest = added.iter().enumerate().filter(|(n, _)| covered & (1 << n) == 0);
            let next = match self.first.get(place) {
                Some(asked) => added.get(*asked).map(|devices| (*asked, *devices)),
                None => {
                    rest.max_by_key(|(n, devices)| (**devices, Reverse(*n))).map(|(n, devices)| (n, *devices))
                }
            };
            let Some((member, devices)) = next else { break };
            covered |= 1 << member;
            stack.push((member, devices));
        }
        stack
    }

    /// The rows: members in the order of the stack, then pairs, then all.
    pub(crate) fn rows(&self, sample: Sample, settled_until: Option<&str>) -> Vec<OverlapRow> {
        let sums = self.sums();
        let name = |member: usize| self.members.get(member).cloned().unwrap_or_default();
        let of = |counts: &[u64], member: usize| counts.get(member).copied().unwrap_or(0);
        let mut rows = Vec::new();
        let mut stacked = 0;
        for ((member, added), position) in self.stack().into_iter().zip(1..) {
            stacked += added;
            rows.push(OverlapRow {
                key: name(member),
                kind: "member",
                members: vec![name(member)],
                reach: of(&sums.reach, member),
                unique: Some(of(&sums.unique, member)),
                stack_position: Some(position),
                stacked_reach: Some(stacked),
                incremental_reach: Some(added),
                ..OverlapRow::default()
            });
        }
        for ((one, other), shared) in &sums.shared {
            rows.push(OverlapRow {
                key: format!("{} + {}", name(*one), name(*other)),
                kind: "pair",
                members: vec![name(*one), name(*other)],
                reach: of(&sums.reach, *one) + of(&sums.reach, *other) - shared,
                shared: Some(*shared),
                ..OverlapRow::default()
            });
        }
        rows.push(OverlapRow {
            key: "all".to_owned(),
            kind: "all",
            members: self.members.clone(),
            reach: sums.all,
            ..OverlapRow::default()
        });
        for row in &mut rows {
            finish(row, sample, settled_until);
        }
        rows
    }
}

/// What follows from a row's figures.
fn finish(row: &mut OverlapRow, sample: Sample, settled_until: Option<&str>) {
    row.standard_error = sample.standard_error(row.reach);
    let ends = |end: fn((u64, u64)) -> u64| {
        let of = |figure: Option<u64>| figure.map(|devices| end(sample.interval(devices)));
        Ends {
            reach: end(sample.interval(row.reach)),
            unique: of(row.unique),
            stacked_reach: of(row.stacked_reach),
            incremental_reach: of(row.incremental_reach),
            shared: of(row.shared),
        }
    };
    let (low, high) = (ends(|(low, _)| low), ends(|(_, high)| high));
    (row.interval_low, row.interval_high) = (low, high);
    row.exact = sample.is_all();
    row.settled_until = settled_until.map(str::to_owned);
}

/// The single bits of a mask, from the lowest.
fn bits(mask: u32) -> impl Iterator<Item = u32> {
    (0..u32::BITS).map(|n| 1 << n).filter(move |bit| mask & bit != 0)
}

fn add(counts: &mut [u64], at: usize, devices: u64) {
    if let Some(count) = counts.get_mut(at) {
        *count += devices;
    }
}

#[cfg(test)]
mod tests;
