//! Other companies' deletion requests: the key and the folder of [`opt_out::Dsr`].
//!
//! On one machine a key is drawn at the first start. In a cluster it never is: each opt-out role would draw another, and publish it. It must never print
//! one.

use anyhow::{Context, bail};
use opt_out::Dsr;

use super::Ground;
use crate::data_dir;

/// The exchange, where it is configured. `has_requests`: whether anybody carries erasures out.
pub(super) fn open(ground: &Ground, has_requests: bool) -> anyhow::Result<Option<Dsr>> {
    let settings = &ground.config.opt_out;
    if !settings.dsr.is_on() {
        return Ok(None);
    }
    if !has_requests {
        bail!(
            "[opt_out.dsr] takes deletion requests that nobody here carries out: run an aggregator in this process, or name one in [opt_out.requests] \
             aggregator_url"
        );
    }
    let mut files = settings.dsr.key_files.clone();
    if files.is_empty() {
        if ground.cluster.is_some() {
            bail!("[opt_out.dsr] needs key_files in a cluster: every opt-out role signs with the same key");
        }
        let own = ground.data.dsr_key();
        data_dir::secret(&own, || Ok(opt_out::dsr::draw()?.trim().to_owned()))?;
        files.push(own);
    }
    let dsr = Dsr::open(&ground.data.dsr(), settings, &files, &ground.clock, ground.audit.clone());
    dsr.map(Some).context("other companies' deletion requests cannot be taken")
}
