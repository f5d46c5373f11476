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
            public_url: None,
        }
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
    if address.ip().is_unspecified() {
        return format!("http://127.0.0.1:{}", address.port());
    }
    format!("http://{address}")
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
}
