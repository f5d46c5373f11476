//! `sightline links`: the tracking URLs to hand to media, from the catalog. Native grammar.
//!
//! The macros are those of the MMA China SDK and most media (`__OAID__`, `__TS__` …). One that a medium does not know arrives
//! unreplaced and counts as a missing value, so a URL with all of them is safe everywhere.

use std::io::Write;

use anyhow::{Context, bail};
use catalog::{Campaign, Catalog, Placement};
use event::record::SourceKind;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::catalog_file;
use crate::cli::{LinksArgs, OutputFormat};
use crate::config::{ConfigError, nearest};
use crate::data_dir::DataDir;
use crate::instance::{Instance, http_url};
use crate::table;

/// What stays as it is in a query value.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Parameters with macros that a medium's app, player or page fills in.
const FROM_VIEWERS: &str = "t=__TS__&rid=__REQUESTID__&os=__OS__&oaid=__OAID__&imei_md5=__IMEI__\
                            &android_id_md5=__ANDROIDID__&idfa=__IDFA__&caid=__CAID__";
/// The same from a medium's server, which also says whose device it speaks for (needs a server key with the rights ip and ua).
const FROM_SERVERS: &str = "t=__TS__&rid=__REQUESTID__&os=__OS__&ip=__IP__&ua=__UA__&oaid=__OAID__&imei_md5=__IMEI__\
                            &android_id_md5=__ANDROIDID__&idfa=__IDFA__&caid=__CAID__";

/// The URLs of one placement.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    campaign: String,
    placement: String,
    medium: String,
    name: String,
    impression: String,
    click: String,
}

/// Runs the command.
pub(crate) fn run(args: &LinksArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let data = DataDir::new(&args.data);
    let path = args.catalog.clone().unwrap_or_else(|| data.catalog());
    let catalog = catalog_file::read(&path, event::profile::Profiles::built_in())?;
    let base = base(args, &data)?;
    let links = links(&catalog, args.campaign.as_deref(), &base)?;
    match args.format {
        OutputFormat::Json => {
            let rows: Vec<_> = links
                .iter()
                .map(|l| {
                    json!({"campaign": l.campaign, "placement": l.placement, "medium": l.medium, "name": l.name,
                           "dialect": "native", "impression": l.impression, "click": l.click})
                })
                .collect();
            writeln!(out, "{}", serde_json::to_string_pretty(&rows).context("cannot encode")?)
        }
        OutputFormat::Csv => print_csv(&links, out),
        OutputFormat::Table => print_table(&links, out),
    }
    .context("cannot print")
}

fn base(args: &LinksArgs, data: &DataDir) -> anyhow::Result<String> {
    if let Some(base) = &args.base {
        if !base.starts_with("https://") && !base.starts_with("http://") {
            return Err(
                ConfigError::usage(format!("--base {base} has to begin with https:// or http://")).into()
            );
        }
        return Ok(base.trim_end_matches('/').to_owned());
    }
    let instance = Instance::read(data)
        .context("the public address of the tracker is not known: give it with --base https://HOST")?;
    if let Some(url) = instance.public_url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    instance
        .tracker
        .map(http_url)
        .context("the running instance has no tracker: give its public address with --base https://HOST")
}

fn links(catalog: &Catalog, campaign: Option<&str>, base: &str) -> anyhow::Result<Vec<Link>> {
    let mut campaigns: Vec<&Campaign> = catalog.campaigns.values().map(AsRef::as_ref).collect();
    campaigns.sort_by(|a, b| a.id.cmp(&b.id));
    if let Some(wanted) = campaign {
        let known: Vec<&str> = campaigns.iter().map(|c| c.id.as_str()).collect();
        if !known.contains(&wanted) {
            let meant = nearest(wanted, known.iter().copied())
                .map_or_else(String::new, |m| format!("; did you mean {m}?"));
            let known = known.join(" ");
            return Err(ConfigError::usage(format!(
                "the catalog has no campaign {wanted}{meant}\n  campaigns: {known}"
            ))
            .into());
        }
        campaigns.retain(|c| c.id == wanted);
    }
    let mut links = Vec::new();
    for campaign in campaigns {
        let mut placements: Vec<&Placement> = campaign.placements.values().map(AsRef::as_ref).collect();
        placements.sort_by(|a, b| a.id.cmp(&b.id));
        links.extend(placements.into_iter().map(|placement| link(campaign, placement, base)));
    }
    if links.is_empty() {
        bail!("the catalog has no placement: add [[campaign.placement]] to it");
    }
    Ok(links)
}

fn link(campaign: &Campaign, placement: &Placement, base: &str) -> Link {
    let macros = match placement.source {
        SourceKind::Client => FROM_VIEWERS,
        SourceKind::Server | SourceKind::Stitching => FROM_SERVERS,
    };
    let common = format!("c={}&p={}&{macros}", encoded(&campaign.id), encoded(&placement.id));
    // Where the placement has a landing page, a click without one goes there; else the medium has to say where to.
    let hosts = || placement.landing_hosts.iter().chain(&campaign.landing_hosts);
    let landing = match (&placement.landing_page, hosts().find(|host| !host.starts_with('.')), hosts().next())
    {
        (Some(_), _, _) | (None, None, None) => String::new(),
        (None, Some(host), _) => format!("&u={}", encoded(&format!("https://{host}/"))),
        // ".example.org" stands for all below it and not for itself.
        (None, None, Some(suffix)) => format!("&u={}", encoded(&format!("https://www{suffix}/"))),
    };
    Link {
        campaign: campaign.id.clone(),
        placement: placement.id.clone(),
        medium: placement.medium.clone(),
        name: placement.name.clone(),
        impression: format!("{base}/i?{common}"),
        click: format!("{base}/c?{common}{landing}"),
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

fn print_table(links: &[Link], out: &mut dyn Write) -> std::io::Result<()> {
    for link in links {
        writeln!(out, "{} / {}  {} ({})", link.campaign, link.placement, link.name, link.medium)?;
        let mut urls = table::plain(&["", ""]);
        urls.add_row(["impression", &link.impression]).add_row(["click", &link.click]);
        for line in urls.lines().skip(1) {
            writeln!(out, "{}", line.trim_end())?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn print_csv(links: &[Link], out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "campaign,placement,medium,name,dialect,impression,click")?;
    for l in links {
        let cells = [&l.campaign, &l.placement, &l.medium, &l.name, "native", &l.impression, &l.click]
            .map(table::csv_cell);
        writeln!(out, "{}", cells.join(","))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOG: &str = r#"
[[campaign]]
id = "k"
name = "K"
time_zone = "UTC"
landing_hosts = [".example.org"]
[[campaign.placement]]
id = "b"
name = "Server, side"
medium = "M"
source = "s2s"
[[campaign.placement]]
id = "a"
name = "Client"
medium = "M"
landing_page = "https://www.example.org/"
"#;

    #[test]
    fn each_placement_gets_its_urls() {
        let catalog = Catalog::parse(CATALOG, "c").expect("is right");
        let links = links(&catalog, Some("k"), "https://t.example").expect("has links");
        assert_eq!(links.iter().map(|l| l.placement.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert!(links[0].impression.starts_with("https://t.example/i?c=k&p=a&t=__TS__"), "{links:?}");
        assert!(!links[0].click.contains("&u="), "a click without a URL goes to the landing page");
        assert!(links[1].click.ends_with("&u=https%3A%2F%2Fwww.example.org%2F"), "{links:?}");
        let landing = catalog.landing(catalog.find(b"k", b"b"), Some(b"https://www.example.org/".as_slice()));
        assert!(matches!(landing, catalog::Landing::To(_)), "what is handed out lands");
        assert!(links[1].impression.contains("ip=__IP__") && !links[0].impression.contains("ip="));
    }

    #[test]
    fn an_unknown_campaign_is_answered_with_the_known_ones() {
        let catalog = Catalog::parse(CATALOG.replace("\"k\"", "\"spring\"").as_str(), "c").expect("is right");
        let error = links(&catalog, Some("sprng"), "http://t").expect_err("is unknown").to_string();
        assert!(error.contains("did you mean spring?") && error.contains("campaigns: spring"), "{error}");
    }

    #[test]
    fn cells_with_commas_are_quoted() {
        let catalog = Catalog::parse(CATALOG, "c").expect("is right");
        let mut out = Vec::new();
        print_csv(&links(&catalog, None, "http://t").expect("has links"), &mut out).expect("prints");
        assert!(String::from_utf8(out).expect("text").contains("\"Server, side\""));
    }
}
