//! Registers of others, portion by portion: from a body of ids to what became of each.
//!
//! ```text
//! {"register":"national","act":"lodge","ids":[{"kind":"oaid","value":"…"},…]}       "act": lodge or take_back; values raw or any digest
//! {"results":["lodged","already","lodged_in_part","known_bad",…]}                  one for each id, in their order
//! ```
//!
//! For the operator alone: whoever offers this to others has to ask who they are. Unlike at the page, one bad id keeps no other from being lodged.
//! Each portion stands in the audit log twice: `opt_outs.import_begun` before it is taken, with register, act and number of ids, and `opt_outs.imported`
//! with how many ids had which outcome, or `opt_outs.import_failed`. It must never answer with an identifier, nor keep one longer than the body.

use std::borrow::Cow;
use std::sync::Arc;

use audit::Entry;
use event::identifier::{IdKind, LodgeError, line_hash, lodge};
use event::key::KeyRing;
use serde::Deserialize;
use serde_json::json;
use thiserror::Error;

use crate::metrics::ImportMetrics;
use crate::record::AppName;
pub use crate::registry::import::Act;
use crate::registry::import::{Entered, Id};
use crate::registry::{Registry, RegistryError};

/// Most ids of one portion: what they become is well below what the registry's disk takes at once.
pub const IDS_MAX: usize = 2_000;
/// Largest body of a portion, bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// Takes registers of others into the registry. Cheap to clone.
#[derive(Clone)]
pub struct Importer {
    registry: Registry,
    keys: Arc<KeyRing>,
    audit: audit::Log,
    metrics: Arc<ImportMetrics>,
}

/// What became of one id of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// In force, in every form under which it may arrive.
    Lodged,
    /// In force, but a digest was given: in forms that cannot be derived from it the device is not recognised.
    LodgedInPart,
    /// This register had lodged it before.
    Already,
    /// No longer lodged by this register.
    TakenBack,
    /// To be taken back, and this register had not lodged it.
    NotThere,
    /// A value that many devices send: it would be somebody else's opt-out.
    KnownBad,
    /// Not of its kind's form.
    Malformed,
    /// No such kind.
    UnknownKind,
}

impl Outcome {
    /// Each of them.
    pub const ALL: [Self; 8] = [
        Self::Lodged,
        Self::LodgedInPart,
        Self::Already,
        Self::TakenBack,
        Self::NotThere,
        Self::KnownBad,
        Self::Malformed,
        Self::UnknownKind,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lodged => "lodged",
            Self::LodgedInPart => "lodged_in_part",
            Self::Already => "already",
            Self::TakenBack => "taken_back",
            Self::NotThere => "not_there",
            Self::KnownBad => "known_bad",
            Self::Malformed => "malformed",
            Self::UnknownKind => "unknown_kind",
        }
    }
}

/// A portion that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Name of the register.
    pub register: String,
    /// What was asked for.
    pub act: Act,
    /// For each id, in their order.
    pub outcomes: Vec<Outcome>,
}

/// Why a portion was not taken.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The caller's.
    #[error(
        "the body is no {{\"register\":\"…\",\"act\":\"lodge\",\"ids\":[{{\"kind\":\"…\",\"value\":\"…\"}}]}}"
    )]
    Body,
    /// The caller's.
    #[error("a register's name is 1 to 64 visible ASCII characters")]
    Register,
    /// The caller's: cut the file into smaller portions.
    #[error("a portion has at most {IDS_MAX} ids and {BODY_BYTES_MAX} bytes")]
    TooMany,
    /// Its beginning could not be entered in the audit log, so it was not done; or its end could not. Ours or the disk's; the caller may retry.
    #[error("the audit log takes nothing now: {0}")]
    Audit(#[from] audit::Error),
    /// The registry's; as it says. A part of the portion may be in force: send it again.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// Neither `Debug` nor `Serialize`: it holds raw identifiers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Portion<'a> {
    #[serde(borrow)]
    register: Cow<'a, str>,
    #[serde(default)]
    act: Act,
    #[serde(borrow)]
    ids: Vec<Sent<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    value: Cow<'a, str>,
}

/// A portion whose ids are hashes.
struct Hashed {
    register: AppName,
    act: Act,
    /// The sound ones.
    ids: Vec<Id>,
    /// Of each id: what is wrong with it, or what it is to be called if it is lodged.
    readings: Vec<Result<Outcome, Outcome>>,
}

impl Importer {
    /// Imports into this registry, with the keys of its opt-outs.
    pub fn new(registry: Registry, keys: Arc<KeyRing>, audit: audit::Log) -> Self {
        Self { registry, keys, audit, metrics: Arc::new(ImportMetrics::new()) }
    }

    /// Takes a portion: durable and in force when this returns. Once begun it goes to its end, whatever becomes of the caller.
    ///
    /// # Errors
    /// [`ImportError`].
    pub async fn take(&self, body: Vec<u8>) -> Result<Imported, ImportError> {
        if body.len() > BODY_BYTES_MAX {
            return Err(ImportError::TooMany);
        }
        let importer = self.clone();
        // Some 10 µs an id: not on a thread that others wait for.
        let hashed = tokio::task::spawn_blocking(move || {
            let hashed = hash(&body, &importer.keys)?;
            let details = json!({"act": hashed.act, "ids": hashed.readings.len()});
            let begun = importer.enter("opt_outs.import_begun", &hashed.register, details)?;
            Ok::<_, ImportError>((hashed, begun))
        });
        let importer = self.clone();
        let done = tokio::spawn(async move {
            let (hashed, begun) = hashed.await.map_err(|error| ended_early(&error))??;
            let entered = importer.registry.import(&hashed.register, hashed.act, &hashed.ids).await;
            let told = entered.map(|entered| importer.told(&hashed, entered));
            let ended = tokio::task::spawn_blocking(move || importer.enter_end(&hashed, begun, told));
            ended.await.map_err(|error| ended_early(&error))?
        });
        done.await.map_err(|error| ended_early(&error))?
    }

    fn enter(
        &self,
        act: &'static str,
        register: &AppName,
        details: serde_json::Value,
    ) -> Result<u64, audit::Error> {
        self.audit.append(&Entry::new("operator", act, register.as_str(), details))
    }

    /// Enters how a portion ended, beside the number of the entry with which it began.
    fn enter_end(
        &self,
        hashed: &Hashed,
        begun: u64,
        told: Result<Imported, RegistryError>,
    ) -> Result<Imported, ImportError> {
        match told {
            Ok(imported) => {
                let mut details = serde_json::Map::from_iter([("begun".to_owned(), json!(begun))]);
                for outcome in Outcome::ALL {
                    let ids = imported.outcomes.iter().filter(|one| **one == outcome).count();
                    if ids > 0 {
                        details.insert(outcome.name().to_owned(), json!(ids));
                    }
                }
                self.enter("opt_outs.imported", &hashed.register, details.into())?;
                Ok(imported)
            }
            Err(error) => {
                // A part of it may be in force.
                let details = json!({ "begun": begun, "why": error.to_string() });
                self.enter("opt_outs.import_failed", &hashed.register, details)?;
                Err(error.into())
            }
        }
    }

    fn told(&self, hashed: &Hashed, entered: Vec<Entered>) -> Imported {
        let mut entered = entered.into_iter();
        let outcomes = hashed.readings.iter().map(|reading| match (reading, hashed.act) {
            (Err(bad), _) => *bad,
            (Ok(lodged), act) => match (entered.next(), act) {
                (Some(Entered::Done), Act::Lodge) => *lodged,
                (Some(Entered::Nothing) | None, Act::Lodge) => Outcome::Already,
                (Some(Entered::Done), Act::TakeBack) => Outcome::TakenBack,
                (Some(Entered::Nothing) | None, Act::TakeBack) => Outcome::NotThere,
            },
        });
        let outcomes: Vec<Outcome> = outcomes.collect();
        for outcome in &outcomes {
            self.metrics.count(*outcome);
        }
        Imported { register: hashed.register.as_str().to_owned(), act: hashed.act, outcomes }
    }
}

fn hash(body: &[u8], keys: &KeyRing) -> Result<Hashed, ImportError> {
    // What is wrong with it is not said: it might be an identifier.
    let portion: Portion<'_> = serde_json::from_slice(body).map_err(|_| ImportError::Body)?;
    let register = AppName::new(&portion.register).ok_or(ImportError::Register)?;
    if portion.ids.len() > IDS_MAX {
        return Err(ImportError::TooMany);
    }
    let mut ids = Vec::with_capacity(portion.ids.len());
    let readings = portion.ids.iter().map(|sent| {
        let kind = IdKind::from_name(&sent.kind).ok_or(Outcome::UnknownKind)?;
        let value = sent.value.as_bytes();
        let lodged = lodge(kind, value, keys).map_err(|why| match why {
            LodgeError::Bad => Outcome::KnownBad,
            LodgeError::Malformed(_) => Outcome::Malformed,
        })?;
        ids.push(Id { line: line_hash(kind, value, keys), hashes: lodged.hashes.to_vec() });
        Ok(if lodged.uncovered.is_empty() { Outcome::Lodged } else { Outcome::LodgedInPart })
    });
    let readings = readings.collect();
    Ok(Hashed { register, act: portion.act, ids, readings })
}

fn ended_early(error: &tokio::task::JoinError) -> ImportError {
    tracing::error!(%error, "opt-out registry: an import ended early");
    ImportError::Registry(RegistryError::Unavailable("an import ended early".to_owned()))
}

#[cfg(test)]
mod tests {
    use event::clock::Clock;

    use super::*;
    use crate::Settings;

    #[test]
    fn each_id_has_an_answer_and_what_is_lodged_is_found_in_every_form() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Arc::new(KeyRing::generate(|bytes| getrandom::fill(bytes).unwrap()));
        let (registry, list) = Registry::open(dir.path(), &Settings::default(), Clock::manual(0)).unwrap();
        registry.bind_key(&keys).unwrap();
        let audit = audit::Log::scratch(&dir.path().join("audit")).unwrap();
        let (importer, head) = (Importer::new(registry, Arc::clone(&keys), audit.clone()), audit.head());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let take = |act: &str, ids: &str| {
            let body = format!(r#"{{"register":"national","act":"{act}","ids":[{ids}]}}"#);
            runtime.block_on(importer.take(body.into_bytes()))
        };
        let oaid = r#"{"kind":"oaid","value":"1a2b3c4d-0000-4111-8222-123456789abc"}"#;
        let md5 = r#"{"kind":"imei","value":"0123456789abcdef0123456789abcdef"}"#;
        let ids = [
            oaid,
            md5,
            r#"{"kind":"imei","value":"000000000000000"}"#,
            r#"{"kind":"imei","value":"12"}"#,
            r#"{"kind":"shoe_size","value":"43"}"#,
            oaid,
        ];
        let done = take("lodge", &ids.join(",")).unwrap();
        let expected = [
            Outcome::Lodged,
            Outcome::LodgedInPart,
            Outcome::KnownBad,
            Outcome::Malformed,
            Outcome::UnknownKind,
            Outcome::Already,
        ];
        assert_eq!(done.outcomes, expected);
        let lodged = lodge(IdKind::Oaid, b"1A2B3C4D-0000-4111-8222-123456789ABC", &keys).unwrap();
        assert!(lodged.hashes.iter().all(|hash| list.contains(hash)), "in another case too");
        assert_eq!(take("lodge", oaid).unwrap().outcomes, [Outcome::Already]);
        let back = take(
            "take_back",
            &[oaid, r#"{"kind":"aaid","value":"1a2b3c4d-0000-4111-8222-123456789abc"}"#].join(","),
        );
        assert_eq!(back.unwrap().outcomes, [Outcome::TakenBack, Outcome::NotThere]);
        assert!(!lodged.hashes.iter().any(|hash| list.contains(hash)));

        assert_eq!(audit.head().seq(), head.seq() + 6, "each portion is entered, its beginning and its end");
        let mut entries = Vec::new();
        let key = audit::Key::from_text(audit::SCRATCH_KEY).unwrap();
        audit::verify(&dir.path().join("audit"), &key, &[], |line| entries.push(line.clone())).unwrap();
        let [begun, ended] = &entries[..2] else { panic!("{entries:?}") };
        assert_eq!((begun.act.as_str(), begun.object.as_str()), ("opt_outs.import_begun", "national"));
        assert_eq!(serde_json::Value::from(begun.details.clone()), json!({"act": "lodge", "ids": 6}));
        assert_eq!(ended.act, "opt_outs.imported");
        assert_eq!(
            serde_json::Value::from(ended.details.clone()),
            json!({
                "begun": begun.seq, "lodged": 1, "lodged_in_part": 1, "already": 1, "known_bad": 1, "malformed": 1,
                "unknown_kind": 1
            })
        );

        assert!(matches!(take("lodge", &vec![oaid; IDS_MAX + 1].join(",")), Err(ImportError::TooMany)));
        for (act, ids) in [("drop", oaid), ("lodge", r#"{"kind":"oaid","value":7}"#), ("lodge", "{")] {
            let error = take(act, ids).expect_err(ids);
            assert!(matches!(error, ImportError::Body), "{error}");
        }
    }

    #[test]
    fn names_are_told_apart() {
        let names: std::collections::HashSet<_> = Outcome::ALL.map(Outcome::name).into();
        assert_eq!(names.len(), Outcome::ALL.len());
    }
}
