//! What can be asked for, by page and API alike: lodge identifiers, take a receipt back, tell its state.
//!
//! It owns the way from identifiers to the registry. Identifiers live here as borrowed bytes of the request's body, become hashes and are
//! gone with it; no error, log or answer holds one.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event::clock::{Clock, UnixMs};
use event::identifier::{
    ArrivingForm, IdKind, Lodged, TextDigests, has_wrong_check_digit, lodge, lodge_hashed,
};
use event::key::signature::Refused;
use event::key::{KeyRing, OptOutHash};
use security_log::{Hit, Role};

use crate::api;
use crate::apps::{self, Apps};
use crate::dsr::Dsr;
use crate::metrics::{IdResult, Metrics};
use crate::problem::{BadId, Problem};
use crate::rate::{Rate, Table};
use crate::receipt::{ReceiptId, Secret};
use crate::record::Source;
use crate::registry::{Lodging, Registry, RegistryError, Status};
use crate::requests::Requests;
use crate::service::{Kept, Parts};
use crate::settings::Settings;
use crate::used::Used;

/// Everything that a request needs.
pub(crate) struct Desk {
    pub(crate) settings: Settings,
    /// For the page.
    pub(crate) kept: Kept,
    pub(crate) registry: Registry,
    /// Where this process can do what they ask for.
    pub(crate) requests: Option<Requests>,
    /// Deletion requests of other companies, where they are taken.
    pub(crate) dsr: Option<Dsr>,
    pub(crate) metrics: Metrics,
    pub(crate) keys: Arc<KeyRing>,
    clock: Clock,
    /// That a request came and how it was answered; nothing of what it said.
    pub(crate) security: security_log::Recorder,
    rates: Mutex<Table>,
    pub(crate) apps: Apps,
    app_calls: Mutex<AppCalls>,
}

/// What the apps have asked lately.
struct AppCalls {
    rates: Table,
    /// By the app's number.
    used: Vec<Used>,
}

/// An opt-out that is done.
pub(crate) struct Done {
    pub(crate) lodging: Lodging,
    /// One for each identifier, in the request's order.
    pub(crate) ids: Vec<DoneId>,
}

/// What was done for one identifier.
pub(crate) struct DoneId {
    pub(crate) kind: IdKind,
    pub(crate) covered: Vec<ArrivingForm>,
    pub(crate) uncovered: Vec<ArrivingForm>,
    /// The value can be the identifier itself or a digest of one. If it is the identifier, every form is covered.
    pub(crate) ambiguous: bool,
    /// An IMEI whose last digit does not fit the others.
    pub(crate) has_wrong_check_digit: bool,
}

impl DoneId {
    fn new(kind: IdKind, lodged: &Lodged) -> Self {
        Self {
            kind,
            has_wrong_check_digit: false,
            covered: lodged.covered.to_vec(),
            uncovered: lodged.uncovered.to_vec(),
            ambiguous: lodged.ambiguous,
        }
    }

    /// For a form's hidden field: kind, forms, forms, `ambiguous` or nothing.
    pub(crate) fn to_text(&self) -> String {
        let names =
            |forms: &[ArrivingForm]| forms.iter().map(|form| form.name()).collect::<Vec<_>>().join(",");
        let ambiguous = if self.ambiguous { "ambiguous" } else { "" };
        format!("{}:{}:{}:{ambiguous}", self.kind.name(), names(&self.covered), names(&self.uncovered))
    }

    /// The opposite. `None` for anything but names that the program knows.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let kind = IdKind::from_name(parts.next()?)?;
        let mut forms = || {
            let names =
                parts.next()?.split(',').filter(|name| !name.is_empty()).take(ArrivingForm::ALL.len());
            names.map(ArrivingForm::from_name).collect::<Option<Vec<_>>>()
        };
        let (covered, uncovered) = (forms()?, forms()?);
        let ambiguous = parts.next() == Some("ambiguous");
        Some(Self { kind, covered, uncovered, ambiguous, has_wrong_check_digit: false })
    }
}

impl Desk {
    pub(crate) fn new(parts: Parts, apps: Apps) -> Self {
        let Parts { settings, registry, requests, dsr, keys, clock, security, kept } = parts;
        let security = security.recorder();
        let limits = settings.limits;
        let rate = Rate { burst: limits.requests_burst_max, per_minute: limits.requests_per_minute };
        let rates = Mutex::new(Table::new(rate, limits.addresses_max));
        let app_rate =
            Rate { burst: limits.app_requests_burst_max, per_minute: limits.app_requests_per_minute };
        // Room for each app in either generation: none is forgotten.
        let app_calls = Mutex::new(AppCalls {
            rates: Table::new(app_rate, 2 * settings.app.len()),
            used: settings.app.iter().map(|_| Used::new(app_rate)).collect(),
        });
        Self {
            settings,
            kept,
            registry,
            requests,
            dsr,
            metrics: Metrics::new(),
            keys,
            clock,
            security,
            rates,
            apps,
            app_calls,
        }
    }

    pub(crate) fn now_ms(&self) -> UnixMs {
        self.clock.now_ms()
    }

    /// Notes a connection that ended without an answer of ours in the security log.
    pub(crate) fn unanswered(&self, how: &str, peer: IpAddr) {
        self.security.note(&Hit::unanswered(Role::Page, how, peer, self.now_ms()));
    }

    /// Hands the registry's and the list's state to the metrics.
    pub(crate) fn observe(&self) {
        let may_measure = self.registry.standing().may_measure(self.clock.now_ms());
        self.metrics.observe(&self.registry.stats(), &self.registry.list().stats(), may_measure);
        if let Some(requests) = &self.requests {
            self.metrics.observe_persons(&requests.stats());
        }
    }

    /// Counts a request against its sender's limit.
    pub(crate) fn admit(&self, subscriber: u128) -> Result<(), Problem> {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.take(subscriber, self.clock.now_ms()).map_err(Problem::RateLimited)
    }

    /// Counts a signed call against its app's limit, and notes that its signature was used. A repeat does not count: it need not be the app's.
    pub(crate) fn admit_app(&self, app: &apps::Known) -> Result<(), Problem> {
        let now_ms = self.clock.now_ms();
        // One lock for all three steps: of two calls at once, one is the repeat.
        let mut calls = self.app_calls.lock().unwrap_or_else(PoisonError::into_inner);
        let AppCalls { rates, used } = &mut *calls;
        let used = used.get_mut(app.number).ok_or(Problem::Signature(Refused::UnknownKey))?;
        if used.holds(app.time_seconds, &app.signature) {
            return Err(Problem::Signature(Refused::Used));
        }
        rates.take(app.number as u128, now_ms).map_err(Problem::AppRateLimited)?;
        used.note(app.time_seconds, &app.signature, now_ms);
        Ok(())
    }

    /// Opts all of the identifiers out, or none.
    pub(crate) async fn opt_out(
        &self,
        ids: &[(Option<IdKind>, &[u8])],
        source: Source,
    ) -> Result<Done, Problem> {
        let limit = self.settings.limits.ids_per_request_max;
        if ids.is_empty() {
            return Err(Problem::NoIds);
        }
        if ids.len() > limit {
            return Err(Problem::TooManyIds(limit));
        }
        let (hashes, done) = self.hash(ids).map_err(Problem::BadIds)?;
        self.register(hashes, done, source).await
    }

    /// Opts an identifier out that a person typed into the page, and that the page has hashed.
    pub(crate) async fn opt_out_hashed(&self, kind: IdKind, texts: &[TextDigests]) -> Result<Done, Problem> {
        let lodged = lodge_hashed(kind, texts, &self.keys).map_err(|why| {
            self.metrics.id(kind, api::id_result(why));
            Problem::BadIds(vec![BadId { index: 0, why: Some((kind, why)) }])
        })?;
        let hashes = lodged.hashes.to_vec();
        self.register(hashes, vec![DoneId::new(kind, &lodged)], Source::Page).await
    }

    async fn register(
        &self,
        hashes: Vec<OptOutHash>,
        done: Vec<DoneId>,
        source: Source,
    ) -> Result<Done, Problem> {
        let (registry, policy_version) = (self.registry.clone(), self.settings.policy_version);
        let lodged_by = match source {
            Source::Page | Source::Api => &self.metrics.opt_outs_receipt,
            Source::App(_) => &self.metrics.opt_outs_app,
            Source::Register(_) => &self.metrics.opt_outs_register,
        };
        let lodging =
            self.finish(async move { registry.opt_out(&hashes, source, policy_version).await }).await?;
        for id in &done {
            self.metrics.id(id.kind, IdResult::Lodged);
        }
        lodged_by.increment(1);
        Ok(Done { lodging, ids: done })
    }

    /// Takes a receipt's opt-out back.
    pub(crate) async fn opt_in(&self, receipt: ReceiptId, secret: Secret) -> Result<Status, Problem> {
        let registry = self.registry.clone();
        let status = self.finish(async move { registry.opt_in(receipt, &secret).await }).await?;
        self.metrics.opt_ins_receipt.increment(1);
        Ok(status)
    }

    /// Hashes of all identifiers, or what is wrong with some.
    fn hash(&self, ids: &[(Option<IdKind>, &[u8])]) -> Result<(Vec<OptOutHash>, Vec<DoneId>), Vec<BadId>> {
        let (mut hashes, mut done, mut bad) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (kind, value)) in ids.iter().enumerate() {
            match kind.map(|kind| (kind, lodge(kind, value, &self.keys))) {
                Some((kind, Ok(lodged))) => {
                    hashes.extend_from_slice(&lodged.hashes);
                    let has_wrong_check_digit = kind == IdKind::Imei && has_wrong_check_digit(value);
                    done.push(DoneId { has_wrong_check_digit, ..DoneId::new(kind, &lodged) });
                }
                Some((kind, Err(why))) => {
                    self.metrics.id(kind, api::id_result(why));
                    bad.push(BadId { index, why: Some((kind, why)) });
                }
                None => bad.push(BadId { index, why: None }),
            }
        }
        if bad.is_empty() { Ok((hashes, done)) } else { Err(bad) }
    }

    /// Runs a change of the registry to its end, whatever becomes of the connection, and waits for it so long as the limit says.
    async fn finish<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, RegistryError>> + Send + 'static,
    ) -> Result<T, Problem> {
        let limit = Duration::from_secs(self.settings.limits.storage_seconds_max);
        match tokio::time::timeout(limit, tokio::spawn(change)).await {
            Ok(Ok(done)) => done.map_err(Problem::from),
            Ok(Err(error)) => {
                tracing::error!(%error, "opt-out registry: a change ended early");
                Err(Problem::Unavailable)
            }
            Err(_) => {
                tracing::error!(
                    limit_seconds = limit.as_secs(),
                    "opt-out registry: the disk or Kafka is too slow"
                );
                Err(Problem::Unavailable)
            }
        }
    }
}
