//! Registered apps: who may opt out the device that it runs on, in the app's own settings, by a signed call.
//!
//! A person cannot see a CAID and rarely an OAID or IDFA; the app reads them from the system. Its server signs the call
//! ([`event::key::signature`]), and the receipt says that the identifiers came from that app, so that what is asked for on the strength of it later
//! rests on more than something typed. So a call is done once: [`crate::used`] knows its repeats. An app has a rate limit of its own, since all its users come from a few addresses.
//!
//! It owns the apps' keys. It must never print one, and never take a call for an app's on the strength of its name.

use event::clock::UnixMs;
use event::key::signature::{Asked, Refused, Secret, Signed};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use sha2::{Digest, Sha256};

use crate::key_file::{self, KeyFileError};
use crate::record::AppName;
use crate::settings::App;

/// The registered apps.
pub(crate) struct Apps(Vec<Registered>);

struct Registered {
    name: AppName,
    secrets: Vec<Secret>,
}

/// A call that says to be an app's, in time: only the signature is still to be checked.
pub(crate) struct Claim<'a> {
    number: usize,
    app: &'a Registered,
    signed: Signed<'a>,
}

/// An app that has proved to be it.
pub(crate) struct Known {
    /// Its place among the apps, for its rate limit.
    pub(crate) number: usize,
    pub(crate) name: AppName,
    /// When it signed, Unix seconds.
    pub(crate) time_seconds: i64,
    /// The signature in hex: a call is done once.
    pub(crate) signature: [u8; 64],
}

impl Apps {
    /// Reads the key files that the settings name.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub(crate) fn load(apps: &[App]) -> Result<Self, KeyFileError> {
        let registered = |app: &App| -> Option<Result<Registered, KeyFileError>> {
            // The settings were checked: a name that is none does not come here.
            let name = AppName::new(&app.name)?;
            let secrets =
                app.key_files.iter().map(|path| key_file::read_secret(path)).collect::<Result<_, _>>();
            Some(secrets.map(|secrets| Registered { name, secrets }))
        };
        apps.iter().filter_map(registered).collect::<Result<_, _>>().map(Self)
    }

    /// What the headers claim; `None` for a call that nobody signed.
    pub(crate) fn claim<'a>(
        &'a self,
        headers: &'a HeaderMap,
        now_ms: UnixMs,
    ) -> Option<Result<Claim<'a>, Refused>> {
        let signed = Signed::read(|name| headers.get_all(name).iter().map(HeaderValue::as_bytes))?;
        Some(signed.and_then(|signed| {
            let is_it = |app: &Registered| app.name.as_str().as_bytes() == signed.name();
            let found = self.0.iter().enumerate().find(|(_, app)| is_it(app));
            let (number, app) = found.ok_or(Refused::UnknownKey)?;
            signed.check_time(now_ms)?;
            Ok(Claim { number, app, signed })
        }))
    }
}

impl Claim<'_> {
    /// Holds the signature against the request as it came.
    ///
    /// # Errors
    /// [`Refused::Mismatch`].
    pub(crate) fn verify(self, head: &Parts, body: &[u8]) -> Result<Known, Refused> {
        let target = head.uri.path_and_query().map_or("", |target| target.as_str());
        let value = |name| head.headers.get(name).map(HeaderValue::as_bytes);
        let asked = Asked::of(head.method.as_str(), target, value);
        let signature = self.signed.verify(&self.app.secrets, asked, &Sha256::digest(body).into())?;
        let time_seconds = self.signed.time_seconds();
        Ok(Known { number: self.number, name: self.app.name.clone(), time_seconds, signature })
    }
}
