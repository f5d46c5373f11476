//! What a process and its children spent, thread by thread, from `/proc`.
//!
//! The scheduler's own count (`schedstat`, nanoseconds) where the kernel keeps it, else `stat` (clock ticks). A thread that ended
//! between two readings is missing from the difference: the servers measured here keep theirs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Clock ticks a second in `/proc/<pid>/stat`: fixed at 100 in Linux's interface.
const TICKS_PER_SECOND: u64 = 100;

/// A process and those below it, as they were when it was looked at.
#[derive(Clone, Debug)]
pub struct Tree {
    processes: Vec<u32>,
}

impl Tree {
    /// Looks for `pid` and every process below it.
    pub fn of(pid: u32) -> Self {
        let parents = parents();
        let mut processes = vec![pid];
        let mut next = 0;
        while let Some(parent) = processes.get(next).copied() {
            processes.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
            next += 1;
        }
        Self { processes }
    }

    /// The process alone, whatever it started.
    pub fn alone(pid: u32) -> Self {
        Self { processes: vec![pid] }
    }

    /// What every thread of the tree has spent until now. A process that has ended reads as nothing.
    pub fn read(&self) -> Reading {
        let mut threads = BTreeMap::new();
        for process in &self.processes {
            for thread in numbers_below(&format!("/proc/{process}/task")) {
                let folder = format!("/proc/{process}/task/{thread}");
                if let Some(nanoseconds) = spent(&folder) {
                    let name = fs::read_to_string(format!("{folder}/comm")).unwrap_or_default();
                    threads.insert(thread, (name.trim_end().to_owned(), nanoseconds));
                }
            }
        }
        Reading { threads }
    }

    /// Memory of the tree that is in RAM, bytes.
    pub fn resident_bytes(&self) -> u64 {
        let pages = self.processes.iter().filter_map(|pid| {
            let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
            statm.split_whitespace().nth(1)?.parse::<u64>().ok()
        });
        pages.sum::<u64>() * rustix::param::page_size() as u64
    }
}

/// CPU nanoseconds by thread at one moment.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// By thread id: its name and what it spent, nanoseconds.
    threads: BTreeMap<u32, (String, u64)>,
}

impl Reading {
    /// Nanoseconds spent since `earlier`, by thread name.
    pub fn since(&self, earlier: &Self) -> BTreeMap<String, u64> {
        let mut spent = BTreeMap::new();
        for (thread, (name, now)) in &self.threads {
            let before = earlier.threads.get(thread).map_or(0, |(_, nanoseconds)| *nanoseconds);
            *spent.entry(name.clone()).or_default() += now.saturating_sub(before);
        }
        spent
    }
}

/// (process, its parent) of every process.
fn parents() -> Vec<(u32, u32)> {
    numbers_below("/proc")
        .into_iter()
        .filter_map(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, stat_fields(&stat)?.nth(1)?.parse().ok()?))
        })
        .collect()
}

/// The fields of a `stat` line after the command's name, which may hold anything, spaces and brackets too.
fn stat_fields(stat: &str) -> Option<std::str::SplitWhitespace<'_>> {
    Some(stat.rsplit_once(')')?.1.split_whitespace())
}

fn numbers_below(folder: &str) -> Vec<u32> {
    let entries = fs::read_dir(Path::new(folder)).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Nanoseconds that a thread spent.
fn spent(folder: &str) -> Option<u64> {
    let counted = fs::read_to_string(format!("{folder}/schedstat"))
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .filter(|nanoseconds| *nanoseconds > 0);
    counted.or_else(|| {
        let stat = fs::read_to_string(format!("{folder}/stat")).ok()?;
        let mut fields = stat_fields(&stat)?.skip(11);
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some((user + system) * (1_000_000_000 / TICKS_PER_SECOND))
    })
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn work_of_this_process_is_seen() {
        let tree = Tree::of(std::process::id());
        let before = tree.read();
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut spent = 0;
        let mut value = 0;
        while spent < 20_000_000 && Instant::now() < deadline {
            for _ in 0..1_000_000 {
                value = black_box(crate::beacon::mix(value));
            }
            spent = tree.read().since(&before).values().sum();
        }
        assert!(spent >= 20_000_000, "{spent} ns seen");
    }

    #[test]
    fn a_command_name_with_brackets_does_not_shift_the_fields() {
        let fields: Vec<_> = stat_fields("7 (a) b) c) S 3 7 7").unwrap().collect();
        assert_eq!(fields, ["S", "3", "7", "7"]);
    }
}
