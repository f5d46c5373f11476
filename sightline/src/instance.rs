//! `DATA/instance.json`: where the running instance listens. Written after every listener is bound and removed at a clean
//! end; the client commands read it. It holds no secret.

use std::io;
use std::net::SocketAddr;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::data_dir::{DataDir, write_durably};

/// Version of the file's form.
const VERSION: u32 = 1;

/// What a running instance tells its clients. An address is absent where the role does not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Instance {
    /// Version of this form.
    pub(crate) version: u32,
    /// Process id.
    pub(crate) pid: u32,
    /// Tracker.
    pub(crate) tracker: Option<SocketAddr>,
    /// Opt-out page.
    pub(crate) opt_out: Option<SocketAddr>,
    /// Report API.
    pub(crate) reports: Option<SocketAddr>,
    /// Admin port.
    pub(crate) admin: Option<SocketAddr>,
    /// Tracker, with TLS.
    #[serde(default)]
    pub(crate) tracker_tls: Option<SocketAddr>,
    /// Opt-out page, with TLS.
    #[serde(default)]
    pub(crate) opt_out_tls: Option<SocketAddr>,
    /// Report API, with TLS.
    #[serde(default)]
    pub(crate) reports_tls: Option<SocketAddr>,
    /// The one name that the certificate is for; absent where it is for none or several.
    #[serde(default)]
    pub(crate) certificate_name: Option<String>,
    /// Public address of the tracker, if one is configured.
    pub(crate) public_url: Option<String>,
}

impl Instance {
    /// This process, with no addresses yet.
    pub(crate) fn this_process() -> Self {
        Self {
            version: VERSION,
            pid: std::process::id(),
            tracker: None,
            opt_out: None,
            reports: None,
            admin: None,
            tracker_tls: None,
            opt_out_tls: None,
            reports_tls: None,
            certificate_name: None,
            public_url: None,
        }
    }

    /// Public address of the tracker, without a slash at the end: as configured, else the one with TLS, else the plain one.
    pub(crate) fn tracker_url(&self) -> Option<String> {
        if let Some(url) = &self.public_url {
            return Some(url.trim_end_matches('/').to_owned());
        }
        self.tracker_tls.map(|address| self.https_url(address)).or_else(|| self.tracker.map(http_url))
    }

    /// `https://` address of a listener, by the certificate's name: under any other no client trusts it.
    pub(crate) fn https_url(&self, address: SocketAddr) -> String {
        let host = match &self.certificate_name {
            Some(name) => format!("{name}:{}", address.port()),
            None => authority(address),
        };
        // The port that the scheme has by itself goes without saying.
        format!("https://{}", host.strip_suffix(":443").unwrap_or(&host))
    }

    /// Writes the file whole.
    pub(crate) fn write(&self, data: &DataDir) -> anyhow::Result<()> {
        let path = data.instance();
        let text = serde_json::to_vec_pretty(self).context("cannot encode instance.json")?;
        write_durably(&path, 0o644, &text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes the file at the end of the process. A file that is gone already is fine.
    pub(crate) fn remove(data: &DataDir) {
        if let Err(error) = std::fs::remove_file(data.instance())
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %data.instance().display(), "instance file not removed");
        }
    }

    /// Reads the file of the instance that runs on `data`; says what to do if there is none.
    pub(crate) fn read(data: &DataDir) -> anyhow::Result<Self> {
        let path = data.instance();
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
                "no instance runs on the data folder {0}: start one with `sightline standalone --data {0}`, \
                 or name another folder with --data or an address with --url",
                data.root().display()
            ),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let instance: Self =
            serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))?;
        if instance.version != VERSION {
            bail!("{} has version {}; this program reads {VERSION}", path.display(), instance.version);
        }
        Ok(instance)
    }
}

/// `http://` address of a listener, as a person on this machine can open it.
pub(crate) fn http_url(address: SocketAddr) -> String {
    format!("http://{}", authority(address))
}

/// Address and port of a listener, as this machine can reach it.
fn authority(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        return format!("127.0.0.1:{}", address.port());
    }
    address.to_string()
}

/// The one name in a certificate that stands for one host.
pub(crate) fn sole_name(names: &[String]) -> Option<String> {
    let mut hosts =
        names.iter().filter(|name| !name.starts_with("*.") && name.parse::<std::net::IpAddr>().is_err());
    hosts.next().filter(|_| hosts.next().is_none()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_a_missing_one_says_what_to_do() {
        let dir = tempfile::tempdir().expect("a folder");
        let data = DataDir::new(dir.path());
        let error = Instance::read(&data).expect_err("none yet").to_string();
        assert!(error.contains("sightline standalone --data"), "{error}");
        let mut instance = Instance::this_process();
        instance.tracker = Some("127.0.0.1:8080".parse().expect("an address"));
        instance.write(&data).expect("written");
        assert_eq!(Instance::read(&data).expect("read"), instance);
        Instance::remove(&data);
        assert!(!data.instance().exists());
    }

    #[test]
    fn an_address_for_everybody_is_shown_as_this_machine() {
        assert_eq!(http_url("0.0.0.0:8080".parse().expect("an address")), "http://127.0.0.1:8080");
        assert_eq!(http_url("127.0.0.1:81".parse().expect("an address")), "http://127.0.0.1:81");
    }

    #[test]
    fn links_speak_https_where_the_tracker_does() {
        let address = |text: &str| Some(text.parse::<SocketAddr>().expect("an address"));
        let mut instance = Instance::this_process();
        instance.tracker = address("0.0.0.0:80");
        assert_eq!(instance.tracker_url().as_deref(), Some("http://127.0.0.1:80"));
        instance.tracker_tls = address("0.0.0.0:8443");
        assert_eq!(instance.tracker_url().as_deref(), Some("https://127.0.0.1:8443"));
        instance.certificate_name = Some("t.example".to_owned());
        assert_eq!(instance.tracker_url().as_deref(), Some("https://t.example:8443"));
        instance.tracker_tls = address("[::]:443");
        assert_eq!(instance.tracker_url().as_deref(), Some("https://t.example"));
        instance.public_url = Some("https://t.example.com/".to_owned());
        assert_eq!(instance.tracker_url().as_deref(), Some("https://t.example.com"));
    }

    #[test]
    fn a_certificate_has_a_name_if_it_is_for_one_host() {
        let of = |names: &[&str]| sole_name(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["t.example", "192.0.2.1", "*.example"]).as_deref(), Some("t.example"));
        assert_eq!(of(&["t.example", "p.example"]), None);
        assert_eq!(of(&["*.example", "2001:db8::1"]), None);
    }
}
