//! What the commands that need no running instance read: configuration, grammars, catalog, link keys. Nothing is written or drawn.

use std::path::PathBuf;

use anyhow::Context;
use catalog::Catalog;
use event::link::LinkKeys;

use crate::catalog_file;
use crate::cli::PlaceArgs;
use crate::config::{Config, ConfigError};
use crate::data_dir::DataDir;
use crate::grammars::Grammars;
use crate::instance::Instance;
use crate::link_keys;

/// A data folder or a configuration, as a client looks at it.
pub(crate) struct Place {
    data: DataDir,
    config: Config,
    catalog: PathBuf,
    /// Somebody named the catalog: then it has to be there.
    is_named: bool,
    /// What hits are understood by.
    pub(crate) grammars: Grammars,
}

impl Place {
    /// Reads the configuration, if one is named, and the grammars.
    ///
    /// # Errors
    /// A wrong configuration or grammar.
    pub(crate) fn open(args: &PlaceArgs) -> anyhow::Result<Self> {
        let mut config = Config::load(args.config.as_deref(), None)?;
        if args.config.is_none() {
            config.data.clone_from(&args.data);
        }
        let data = config.data_dir();
        let catalog = args.catalog.clone().unwrap_or_else(|| {
            // In a cluster the catalog comes over Kafka; a node keeps the last one.
            if config.kafka.is_on() { data.catalog_kept() } else { config.catalog_path() }
        });
        let grammars = Grammars::load(config.grammars.as_deref())?;
        let is_named = args.catalog.is_some() || config.catalog.is_some();
        Ok(Self { data, config, catalog, is_named, grammars })
    }

    /// The catalog.
    ///
    /// # Errors
    /// It is missing or wrong.
    pub(crate) fn catalog(&self) -> anyhow::Result<Catalog> {
        Ok(catalog_file::read(&self.catalog, &self.grammars.profiles)?)
    }

    /// The catalog, if there is one.
    ///
    /// # Errors
    /// It is wrong, or is not where somebody said that it is.
    pub(crate) fn catalog_if_there(&self) -> anyhow::Result<Option<Catalog>> {
        if self.is_named || self.catalog.exists() { self.catalog().map(Some) } else { Ok(None) }
    }

    /// Our id in the TCF's global vendor list, if one is configured.
    pub(crate) fn tcf_vendor(&self) -> Option<std::num::NonZeroU16> {
        self.config.tracker.tcf_vendor()
    }

    /// The link keys, if there are any.
    ///
    /// # Errors
    /// One cannot be read, or is none.
    pub(crate) fn link_keys(&self) -> anyhow::Result<LinkKeys> {
        link_keys::load(&self.config.links.key_files, &self.data)
    }

    /// Public address of the tracker, without a slash at the end: as given, as configured, or that of the running instance.
    ///
    /// # Errors
    /// None is known.
    pub(crate) fn base(&self, given: Option<&str>) -> anyhow::Result<String> {
        if let Some(base) = given {
            let found = catalog::links::base_of(base).ok_or_else(|| {
                ConfigError::usage(format!(
                    "--base {base}: scheme and host, such as https://t.example.com, without a path"
                ))
            })?;
            return Ok(found.to_owned());
        }
        if let Some(url) = &self.config.public_url {
            return Ok(url.trim_end_matches('/').to_owned());
        }
        let instance = Instance::read(&self.data)
            .context("the public address of the tracker is not known: give it with --base https://HOST")?;
        instance
            .tracker_url()
            .context("the running instance has no tracker: give its public address with --base https://HOST")
    }
}
