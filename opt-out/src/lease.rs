//! For how long a node may go on measuring on the strength of what it has heard: the arithmetic of the lease, without clocks, threads or sockets.
//!
//! It owns what was heard and up to when that holds. It must never count as heard what is only on its way: an answer about records that this node
//! has not applied says nothing yet.
//!
//! # Two ways to know
//!
//! * **Topic.** Each opt-out role writes a heartbeat a second into the registry's topic. Who has applied one has applied every record before it, so
//!   it knows every opt-out that anybody was told of when the heartbeat was written. It holds for a lease from then, by the writer's system clock.
//!   No heartbeat can have been written after it was read, whatever its clock says: a clock that is ahead gains nothing on a node that keeps up, and
//!   on one that lags at most what it is ahead. One that is ahead by more than a lease is not believed at all; one that is behind by more is
//!   never fresh. So the clocks of a cluster have to agree within a fraction of the lease (NTP does).
//! * **HTTP.** Each opt-out role tells how far the registry reaches that it answers for. If *every* role that is configured answered a request, and
//!   this node has applied so far, it knows every opt-out that anybody was told of when the oldest of those requests was sent. It holds for a lease
//!   from then, by this node's own monotonic clock. It works while Kafka does not: then nobody is told of a new opt-out.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use event::clock::UnixMs;

/// Answers of one role whose reach is not applied yet; the oldest go first. More than the longest lease holds of them.
const ANSWERS_MAX: usize = 64;

/// A moment on this node's two clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// The monotonic clock, by which a lease runs.
    pub(crate) at: Instant,
    /// The system's clock, with which a heartbeat's time is compared. Unix milliseconds.
    pub(crate) unix_ms: UnixMs,
}

/// What was heard, and for how long it holds.
#[derive(Debug)]
pub(crate) struct Lease {
    duration: Duration,
    /// When the newest heartbeat of the topic was written, by this node's monotonic clock.
    topic: Option<Instant>,
    roles: Vec<Role>,
}

/// One role that is asked over HTTP.
#[derive(Debug, Default)]
struct Role {
    /// When the newest request was sent whose answer's reach is applied.
    applied: Option<Instant>,
    /// Answers that reach further than what is applied: when the request was sent, and the reach. Oldest first.
    ahead: VecDeque<(Instant, i64)>,
}

impl Lease {
    /// `roles` is how many are asked over HTTP.
    pub(crate) fn new(duration: Duration, roles: usize) -> Self {
        Self { duration, topic: None, roles: (0..roles).map(|_| Role::default()).collect() }
    }

    /// A heartbeat of the topic was applied.
    pub(crate) fn heartbeat(&mut self, written_ms: UnixMs, now: Moment) {
        let lease_ms = i64::try_from(self.duration.as_millis()).unwrap_or(i64::MAX);
        let age_ms = now.unix_ms.saturating_sub(written_ms);
        if age_ms < lease_ms.saturating_neg() || age_ms >= lease_ms {
            return;
        }
        let age = Duration::from_millis(age_ms.max(0) as u64);
        self.topic = self.topic.max(now.at.checked_sub(age));
    }

    /// A role answered a request that was sent at this moment. `applied` is how far this node is.
    pub(crate) fn answer(&mut self, role: usize, sent: Instant, reach: i64, applied: i64) {
        if let Some(role) = self.roles.get_mut(role) {
            if role.ahead.len() >= ANSWERS_MAX {
                role.ahead.pop_front();
            }
            role.ahead.push_back((sent, reach));
            role.catch_up(applied);
        }
    }

    /// When the newest proof was given: every opt-out that anybody was told of up to then is applied. `applied` is how far this node is.
    pub(crate) fn heard(&mut self, applied: i64) -> Option<Instant> {
        self.roles.iter_mut().for_each(|role| role.catch_up(applied));
        // The one that was silent longest decides; without any role there is no such proof.
        let http = self.roles.iter().map(|role| role.applied).min().flatten();
        self.topic.max(http)
    }

    /// When the lease ends. `None`: it has ended, or nothing was heard yet.
    pub(crate) fn end(&mut self, applied: i64, now: Instant) -> Option<Instant> {
        self.heard(applied)?.checked_add(self.duration).filter(|end| *end > now)
    }
}

impl Role {
    fn catch_up(&mut self, applied: i64) {
        while let Some((sent, _)) = self.ahead.front().filter(|(_, reach)| *reach <= applied) {
            self.applied = self.applied.max(Some(*sent));
            self.ahead.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(5);

    /// A node whose clocks both started at `start`.
    struct Node {
        start: Instant,
        lease: Lease,
    }

    impl Node {
        fn new(roles: usize) -> Self {
            Self { start: Instant::now() + Duration::from_hours(1), lease: Lease::new(LEASE, roles) }
        }

        fn at(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        fn heartbeat(&mut self, written_ms: i64, now_ms: u64) {
            let now = Moment { at: self.at(now_ms), unix_ms: now_ms as i64 };
            self.lease.heartbeat(written_ms, now);
        }

        fn answer(&mut self, role: usize, sent_ms: u64, reach: i64, applied: i64) {
            let sent = self.at(sent_ms);
            self.lease.answer(role, sent, reach, applied);
        }

        /// Milliseconds left at `now_ms`.
        fn left(&mut self, applied: i64, now_ms: u64) -> Option<u64> {
            let now = self.at(now_ms);
            self.lease.end(applied, now).map(|end| (end - now).as_millis() as u64)
        }
    }

    #[test]
    fn nothing_heard_is_no_lease() {
        for roles in [0, 1, 2] {
            assert_eq!(Node::new(roles).left(i64::MAX, 0), None);
        }
    }

    #[test]
    fn a_heartbeat_holds_for_a_lease_from_when_it_was_written() {
        let mut node = Node::new(0);
        node.heartbeat(10_000, 10_200);
        assert_eq!(node.left(0, 10_200), Some(4_800));
        assert_eq!(node.left(0, 14_999), Some(1));
        assert_eq!(node.left(0, 15_000), None);
        // An older one, of another role, takes nothing away.
        node.heartbeat(9_000, 10_300);
        assert_eq!(node.left(0, 10_300), Some(4_700));
    }

    #[test]
    fn late_heartbeats_from_a_backlog_prove_nothing() {
        let mut node = Node::new(0);
        for written_ms in (0..60_000).step_by(1_000) {
            node.heartbeat(written_ms, 64_000);
            assert_eq!(node.left(0, 64_000), None, "{written_ms}");
        }
        node.heartbeat(60_000, 64_000);
        assert_eq!(node.left(0, 64_000), Some(1_000));
    }

    #[test]
    fn clocks_that_differ_shorten_the_lease_or_leave_it_as_it_is() {
        // The writer's clock is ahead by two seconds: from when it was read on, no longer.
        let mut node = Node::new(0);
        node.heartbeat(12_000, 10_000);
        assert_eq!(node.left(0, 10_000), Some(5_000));
        // Behind by two seconds: two seconds less.
        let mut node = Node::new(0);
        node.heartbeat(8_000, 10_000);
        assert_eq!(node.left(0, 10_000), Some(3_000));
        // Behind by more than the lease: never.
        let mut node = Node::new(0);
        node.heartbeat(5_000, 10_000);
        assert_eq!(node.left(0, 10_000), None);
        // Ahead by more than the lease: not believed, it could be any age.
        for written_ms in [15_001, i64::MAX] {
            let mut node = Node::new(0);
            node.heartbeat(written_ms, 10_000);
            assert_eq!(node.left(0, 10_000), None);
        }
        let mut node = Node::new(0);
        node.heartbeat(i64::MIN, 10_000);
        assert_eq!(node.left(0, 10_000), None);
    }

    #[test]
    fn this_nodes_system_clock_changes_no_lease_that_was_given() {
        let mut node = Node::new(0);
        node.heartbeat(10_000, 10_000);
        // Set back by an hour between two heartbeats: the writer's clock is now ahead, and is not believed.
        let now = Moment { at: node.at(11_000), unix_ms: 11_000 - 3_600_000 };
        node.lease.heartbeat(11_000, now);
        assert_eq!(node.left(0, 11_000), Some(4_000));
        assert_eq!(node.left(0, 15_000), None);
    }

    #[test]
    fn an_answer_holds_from_when_its_request_was_sent() {
        let mut node = Node::new(1);
        node.answer(0, 1_000, 7, 7);
        assert_eq!(node.left(7, 2_000), Some(4_000));
        assert_eq!(node.left(7, 6_000), None);
        // Overtaken by a later one: the newer counts.
        node.answer(0, 4_000, 7, 7);
        node.answer(0, 3_000, 7, 7);
        assert_eq!(node.left(7, 6_000), Some(3_000));
    }

    #[test]
    fn an_answer_counts_once_its_reach_is_applied() {
        let mut node = Node::new(1);
        node.answer(0, 1_000, 7, 7);
        node.answer(0, 2_000, 8, 7);
        node.answer(0, 3_000, 10, 7);
        assert_eq!(node.left(7, 3_000), Some(3_000));
        assert_eq!(node.left(8, 3_000), Some(4_000));
        assert_eq!(node.left(9, 3_000), Some(4_000));
        assert_eq!(node.left(10, 3_000), Some(5_000));
    }

    #[test]
    fn of_several_roles_the_one_that_is_silent_longest_decides() {
        let mut node = Node::new(2);
        node.answer(0, 1_000, 0, 0);
        assert_eq!(node.left(0, 1_000), None, "the other never answered");
        node.answer(1, 2_000, 0, 0);
        assert_eq!(node.left(0, 2_000), Some(4_000));
        for sent_ms in [3_000, 4_000, 5_000] {
            node.answer(0, sent_ms, 0, 0);
        }
        assert_eq!(node.left(0, 6_000), Some(1_000));
        assert_eq!(node.left(0, 7_000), None);
        // The topic does as well.
        node.heartbeat(6_500, 7_000);
        assert_eq!(node.left(0, 7_000), Some(4_500));
    }

    #[test]
    fn answers_that_are_never_applied_stay_few() {
        let mut node = Node::new(1);
        for number in 0..1_000 {
            node.answer(0, number, 5_000 + number as i64, 0);
        }
        assert_eq!(node.lease.roles[0].ahead.len(), ANSWERS_MAX);
        node.answer(7, 0, 0, 0);
        assert_eq!(node.left(0, 0), None, "no such role");
    }
}
