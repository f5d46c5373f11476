//! The binary: command line, configuration, wiring of the roles.
//!
//! | module | what |
//! |---|---|
//! | [`cli`] | the command line as types |
//! | [`config`], [`data_dir`], [`grammars`], [`instance`] | configuration, data folder with its secrets, where the running instance listens |
//! | [`roles`], [`admin`], [`catalog_file`], [`catalog_topic`], [`region_file`], [`metrics`], [`logging`] | starting, watching and stopping the roles |
//! | [`client`], [`replay`], [`import`], [`report`], [`requests`], [`tokens`], [`table`] | the commands that speak to a running instance |
//! | [`links`], [`journal_tool`], [`audit_tool`], [`security_tool`], [`keys`], [`demo`] | the commands that stand alone |
//!
//! It holds no measuring logic: what a beacon means, how it is kept and how it is counted stand in the other crates.

mod admin;
mod audit_tool;
mod catalog_file;
mod catalog_text;
mod catalog_topic;
mod cli;
mod client;
mod close;
mod config;
mod data_dir;
mod demo;
mod explain;
mod grammars;
mod hints;
mod import;
mod instance;
mod journal_tool;
mod key_file;
mod keys;
mod link_keys;
mod links;
mod logging;
mod metrics;
mod place;
mod region_file;
mod replay;
mod report;
mod requests;
mod roles;
mod sdk_config;
mod security_tool;
mod table;
mod tokens;
mod watch;

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use catalog::Catalog;
use catalog::links::known_dialect;
use clap::Parser;
use event::clock::Clock;
use event::dialect::Dialects;
use event::profile::Profiles;

use catalog_topic::Published;
use cli::{CatalogCommand, Cli, Command, JournalCommand};
use config::{Config, ConfigError};
use data_dir::CATALOG_NAME;
use grammars::Grammars;
use roles::Roles;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = BufWriter::new(io::stdout().lock());
    match run(&cli, &mut out).and_then(|done| out.flush().map(|()| done).map_err(Into::into)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        // Whoever read the output has seen enough: `sightline journal dump … | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", said(&error));
            // Wrong usage and a wrong configuration are the caller's to mend before trying again.
            ExitCode::from(if error.downcast_ref::<ConfigError>().is_some() { 2 } else { 1 })
        }
    }
}

/// An error and its causes. Some say their cause themselves; it is not said twice.
fn said(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |mut said, cause| {
        let cause = cause.to_string();
        if !said.contains(&cause) {
            if !said.is_empty() {
                said.push_str(": ");
            }
            said.push_str(&cause);
        }
        said
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Runs the command. `Ok(false)` if it was done and what it found is not well.
fn run(cli: &Cli, out: &mut dyn Write) -> anyhow::Result<bool> {
    logging::init(&cli.log)?;
    match &cli.command {
        Command::Standalone(args) => roles::run(Roles::Standalone, args, out).map(|()| true),
        Command::Ingest(args) => roles::run(Roles::Ingest, args, out).map(|()| true),
        Command::OptOut(args) => roles::run(Roles::OptOut, args, out).map(|()| true),
        Command::Aggregator(args) => roles::run(Roles::Aggregator, args, out).map(|()| true),
        Command::Replay(args) => replay::run(args, out),
        Command::ImportOptOuts(args) => import::run(args, out),
        Command::Links(args) => links::run(args, out).map(|()| true),
        Command::Explain(args) => explain::run(args, out),
        Command::Watch(args) => watch::run(args, out).map(|()| true),
        Command::SdkConfig(args) => sdk_config::run(args, out).map(|()| true),
        Command::Report(args) => report::run(args, out).map(|()| true),
        Command::Settle(args) => report::run_settle(args, out).map(|()| true),
        Command::Close(args) => close::run(args, out).map(|()| true),
        Command::Requests(command) => requests::run(command, out),
        Command::Tokens(command) => tokens::run(command, out).map(|()| true),
        Command::Demo(args) => demo::run(args, out),
        Command::Journal(JournalCommand::Verify { dir }) => journal_tool::verify(dir, out),
        Command::Journal(JournalCommand::Dump { dir }) => journal_tool::dump(dir, out),
        Command::Keys(command) => keys::run(command, out).map(|()| true),
        Command::SecurityLog(command) => security_tool::run(command, out),
        Command::Audit(command) => audit_tool::run(command, out),
        Command::Catalog(CatalogCommand::Publish { file, config }) => {
            publish(file, config, out).map(|()| true)
        }
        Command::Catalog(CatalogCommand::Show { config }) => show(config, out).map(|()| true),
        Command::CheckConfig { file } => check_config(file, out).map(|()| true),
    }
}

/// Checks a configuration, the key files that it names and, if it is there, the catalog. A catalog is checked as one.
fn check_config(file: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    // It may be either, and a catalog may be longer than a configuration, which is read again as one.
    let text = catalog_file::text(file)?;
    if is_catalog(&text) {
        let catalog = catalog_file::parse(&text, file, Profiles::built_in())?;
        check_dialects(file, &catalog, Dialects::built_in())?;
        writeln!(out, "{}: a catalog, and right, {}", file.display(), contents(&catalog))?;
        return Ok(());
    }
    let config = Config::load(Some(file), None)?;
    check_keys(&config).map_err(|problem| ConfigError::in_file(file, problem))?;
    let certificates = config.certificates(&Clock::System)?;
    writeln!(out, "{}: right", file.display())?;
    if let Some(certificates) = certificates {
        let until = chrono::DateTime::from_timestamp(certificates.expires_seconds(), 0);
        let until = until.map_or_else(String::new, |until| until.format("%Y-%m-%d %H:%M UTC").to_string());
        writeln!(out, "certificate: right, for {}, until {until}", certificates.names().join(" "))?;
    }
    if let Some(path) = &config.regions.file {
        let library = region_file::read(path)?;
        writeln!(out, "{}: right, {}", path.display(), region_file::described(&library))?;
    }
    if config.kafka.is_on() {
        writeln!(
            out,
            "events are kept for {} days: [reports] retention_days has to be the same in the files of aggregators, opt-out roles and `sightline keys`",
            config.reports.retention_days
        )?;
        writeln!(
            out,
            "the catalog comes from Kafka: see `sightline catalog show --config {}`",
            file.display()
        )?;
        return Ok(());
    }
    let grammars = Grammars::load(config.grammars.as_deref())?;
    let path = config.catalog_path();
    // Where the file says nothing, the folder goes by where a start is made and by its --data: what is meant here is said in full.
    let which = if config.catalog.is_some() {
        path.display().to_string()
    } else {
        let data = std::path::absolute(&config.data).unwrap_or_else(|_| config.data.clone());
        format!(
            "catalog: none is named, so a start takes {CATALOG_NAME} in its data folder, here {}",
            data.display()
        )
    };
    if config.catalog.is_some() || path.exists() {
        let catalog = catalog_file::read(&path, &grammars.profiles)?;
        check_dialects(&path, &catalog, &grammars.dialects)?;
        writeln!(out, "{which}: right, {}", contents(&catalog))?;
    } else {
        writeln!(out, "{which}: not there yet, and the first start writes an example")?;
    }
    Ok(())
}

/// Reads the key files of registered servers, apps and signed links, as a start would.
fn check_keys(config: &Config) -> Result<(), String> {
    config.tracker.check_keys().map_err(|error| format!("[[tracker.server]] {error}"))?;
    config.opt_out.check_keys().map_err(|error| format!("[[opt_out.app]] {error}"))?;
    opt_out::Dsr::check_keys(&config.opt_out).map_err(|error| format!("[opt_out.dsr] {error}"))?;
    let links = link_keys::load(&config.links.key_files, &config.data_dir());
    links.map(drop).map_err(|error| said(&error))
}

/// Holds the dialects that placements name for their links against those that there are.
fn check_dialects(path: &Path, catalog: &Catalog, dialects: &Dialects) -> Result<(), ConfigError> {
    for placement in catalog.campaigns.values().flat_map(|campaign| campaign.placements.values()) {
        if let Some(name) = &placement.dialect {
            known_dialect(dialects, name).map_err(|error| {
                ConfigError::in_file(path, format!("placement {}: {error}", placement.id))
            })?;
        }
    }
    Ok(())
}

/// Whether this is a catalog, given where a configuration was asked for: campaigns stand in no configuration.
fn is_catalog(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with("[[campaign"))
}

/// What a catalog holds.
fn contents(catalog: &Catalog) -> String {
    let placements: usize = catalog.campaigns.values().map(|campaign| campaign.placements.len()).sum();
    format!("{} campaigns, {placements} placements", catalog.campaigns.len())
}

/// The way to the cluster of a configuration.
fn cluster(config: &Path) -> anyhow::Result<(kafka::Cluster, Grammars)> {
    let Config { kafka: settings, grammars, .. } = Config::load(Some(config), None)?;
    if !settings.is_on() {
        let why = "has no [kafka] brokers: without Kafka a catalog is put in force by writing its file";
        return Err(ConfigError::in_file(config, why.to_owned()).into());
    }
    Ok((kafka::Cluster::new(&settings)?, Grammars::load(grammars.as_deref())?))
}

/// Puts a catalog in force on every node of a cluster.
fn publish(file: &Path, config: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    // Read once: what was checked is what is sent, and the file may be a pipe.
    let text = catalog_file::text(file)?;
    let (cluster, grammars) = cluster(config)?;
    let catalog = catalog_file::parse(&text, file, &grammars.profiles)?;
    let version = catalog.version;
    let said = match catalog_topic::publish(&cluster, &catalog, &text, &grammars.profiles)? {
        Published::New => "published",
        Published::Already => "is in force already",
    };
    writeln!(out, "catalog {version:08x} {said}: {} campaigns", catalog.campaigns.len())?;
    Ok(())
}

/// Prints the catalog in force.
fn show(config: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let (cluster, grammars) = cluster(config)?;
    match catalog_topic::in_force(&cluster, &grammars.profiles)? {
        Some((_, text)) => Ok(out.write_all(text.as_bytes())?),
        None => anyhow::bail!(
            "no catalog was published yet: run `sightline catalog publish FILE --config {}`",
            config.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_cause_that_an_error_says_itself_is_not_said_twice() {
        let error = Err::<(), _>(anyhow::anyhow!("no such file")).context("cannot read k: no such file");
        let error = error.context("cannot start").expect_err("an error");
        assert_eq!(said(&error), "cannot start: cannot read k: no such file");
    }

    #[test]
    fn a_catalog_is_told_from_a_configuration() {
        assert!(is_catalog("# mine\n [[campaign]]\nid = \"a\"\n"));
        assert!(!is_catalog("catalog = \"campaigns.toml\"\n[tracker]\n"));
    }
}
