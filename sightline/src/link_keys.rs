//! The key files of signed links: `[links] key_files`, or `keys/link.key` of the data folder.
//!
//! On one machine a key is drawn at the first start. In a cluster it never is: each node would draw another, and a link that one of them
//! signed would be refused by the rest.

use std::path::{Path, PathBuf};

use anyhow::Context;
use event::link::{KEY_PREFIX, LinkKeys};

use crate::config::{Config, ConfigError};
use crate::data_dir::{self, DataDir};
use crate::roles;

/// The keys of a role that is about to start. On one machine the data folder's own key is drawn if it is not there.
///
/// # Errors
/// A file that is missing, that others may read, or that holds no link key.
pub(crate) fn load_or_draw(config: &Config, data: &DataDir, audit: &audit::Log) -> anyhow::Result<LinkKeys> {
    if config.links.key_files.is_empty() {
        if config.kafka.is_on() {
            return Ok(LinkKeys::default());
        }
        roles::drawn_token(&data.link_key(), KEY_PREFIX, audit)?;
    }
    load(&config.links.key_files, data)
}

/// The keys that are there: those of `files`, else the data folder's own, else none. Nothing is drawn.
///
/// # Errors
/// As [`load_or_draw`], but the data folder's own key may be missing.
pub(crate) fn load(files: &[PathBuf], data: &DataDir) -> anyhow::Result<LinkKeys> {
    let own = data.link_key();
    if !files.is_empty() {
        return read(files);
    }
    if own.exists() { read(&[own]) } else { Ok(LinkKeys::default()) }
}

fn read(files: &[impl AsRef<Path>]) -> anyhow::Result<LinkKeys> {
    let texts: Vec<_> = files
        .iter()
        .map(|file| data_dir::read_secret(file.as_ref()).map(zeroize::Zeroizing::new))
        .collect::<Result<_, _>>()
        .context("a key file of [links]")?;
    LinkKeys::from_texts(texts.iter().map(|text| text.as_str())).map_err(|error| {
        let names: Vec<_> = files.iter().map(|file| file.as_ref().display().to_string()).collect();
        ConfigError::usage(format!("[links] key_files ({}): {error}", names.join(", "))).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_machine_draws_a_key_once_and_a_cluster_never_does() {
        let dir = tempfile::tempdir().expect("a folder");
        let data = DataDir::new(dir.path());
        std::fs::create_dir(dir.path().join("keys")).expect("made");
        let cluster = "key_file = \"k\"\n[kafka]\nbrokers = [\"kafka:9092\"]\n";
        let cluster = Config::parse(cluster, None).expect("is right");
        let audit = audit::Log::scratch(&dir.path().join("audit")).expect("a log");
        assert!(load_or_draw(&cluster, &data, &audit).expect("has none").is_empty());
        assert!(load(&[], &data).expect("none yet").is_empty());
        assert_eq!(audit.head().seq(), 0);
        let first = load_or_draw(&Config::default(), &data, &audit).expect("drawn");
        load_or_draw(&Config::default(), &data, &audit).expect("read");
        assert_eq!(audit.head().seq(), 1, "that it was drawn is entered, once");
        let again = load(&[], &data).expect("read");
        assert_eq!(first.sign("c", "p", None), again.sign("c", "p", None));
        assert!(!again.is_empty());
    }

    #[test]
    fn the_first_of_several_files_signs_and_a_wrong_one_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let data = DataDir::new(dir.path());
        let files = ["new.key", "old.key"].map(|name| dir.path().join(name));
        let old = data_dir::token(&files[1], KEY_PREFIX).expect("drawn");
        let error = load(&files, &data).err().map(|error| format!("{error:#}")).expect("one is missing");
        assert!(error.contains("new.key"), "{error}");
        data_dir::token(&files[0], KEY_PREFIX).expect("drawn");
        let both = load(&files, &data).expect("both are there");
        let alone = LinkKeys::from_texts([old.text]).expect("a key");
        assert_ne!(both.sign("c", "p", None), alone.sign("c", "p", None));
        std::fs::write(&files[0], "sightline_debug_0000").expect("written");
        let error = load(&files, &data).err().map(|error| format!("{error:#}")).expect("is none");
        assert!(error.contains("new.key") && error.contains("link key 1"), "{error}");
        assert!(!error.contains("0000"), "a secret is not printed");
    }
}
