//! `deploy/kafka/topics.md` states the properties with which topics are made, in its tables and in its commands.

use std::fs;
use std::path::Path;

use super::*;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kafka/topics.md");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a topic is made with, its partitions first.
fn made(topic: Topic) -> Vec<(String, String)> {
    let partitions = if topic == Topic::Events { Settings::default().partitions } else { 1 };
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let mut made = vec![owned(("partitions", &partitions.to_string()))];
    made.extend(topic.properties().iter().copied().map(owned));
    made
}

#[test]
fn the_page_states_each_topics_properties() {
    let page = page();
    for topic in Topic::ALL {
        let title = format!("## `sightline.{}`\n", topic.suffix());
        let (_, section) = page.split_once(&title).unwrap_or_else(|| panic!("no section {title}"));
        let section = section.split("\n## ").next().unwrap_or_default();
        // Rows of the form | `key` | `value` | why |
        let stated: Vec<(String, String)> = section
            .lines()
            .filter_map(|line| {
                let mut cells = line.strip_prefix("| `")?.split(" | ");
                let key = cells.next()?.trim_end_matches('`');
                let value = cells.next()?.trim_matches('`');
                assert!(cells.next()?.len() > 2, "{key} has no reason");
                Some((key.to_owned(), value.to_owned()))
            })
            .collect();
        assert_eq!(stated, made(topic), "{title}");
    }
}

#[test]
fn the_commands_of_the_page_make_the_same_topics() {
    let page = page();
    for topic in Topic::ALL {
        let start = format!("--create --topic sightline.{} ", topic.suffix());
        let command = page.lines().find_map(|line| line.split_once(&start)).expect("a command").1;
        let words: Vec<&str> = command.split_whitespace().collect();
        let (mut stated, mut copies) = (Vec::new(), None);
        for pair in words.chunks(2) {
            match *pair {
                ["--partitions", count] => stated.push(("partitions".to_owned(), count.to_owned())),
                ["--replication-factor", count] => copies = Some(count),
                ["--config", property] => {
                    let (key, value) = property.split_once('=').expect("key=value");
                    stated.push((key.to_owned(), value.to_owned()));
                }
                _ => panic!("{pair:?}"),
            }
        }
        let mut expected = made(topic);
        expected.push(("min.insync.replicas".to_owned(), "2".to_owned()));
        assert_eq!((stated, copies), (expected, Some("3")), "{topic:?}");
    }
}
