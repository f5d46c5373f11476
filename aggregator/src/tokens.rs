//! Who asks: tokens, what each may do, and how often it may ask.
//!
//! The operator's token lies in the data folder and is the first one. All others are made by it and kept on the desk, as the SHA-256 of the token:
//! what is kept opens nothing. A token says its own id, `sightline_<role>_<id>_<64 hex>`, so one document is looked up and compared, in the same time
//! whatever was sent; an id that nobody has is compared with a token that nobody has.
//!
//! Revoked is revoked as soon as the desk says so: here at once, on other nodes within [`desk::LEASE`].
//!
//! Must never: keep, log or return a token, but in the answer to its making.

mod rate;
mod record;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use desk::{Desk, Kind};
use event::clock::UnixMs;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use self::rate::Buckets;
pub(crate) use self::rate::Rate;
use self::record::Use;
pub(crate) use self::record::{Record, Role, Wanted};
use crate::view::View;

/// What every token begins with.
const PREFIX: &str = "sightline_";
/// Hex digits of a token's id.
const ID_HEX: usize = 16;
/// Bytes of a token's secret; it stands there as hex.
const SECRET_BYTES: usize = 32;
/// Uses are kept to the minute.
const MINUTE_MS: i64 = 60_000;

/// A token, as its hash: comparing takes the same time whatever was sent.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// A token as it stands in its file, without blanks around it.
    pub fn new(token: &str) -> Self {
        Self(Sha256::digest(token.trim().as_bytes()).into())
    }

    /// Whether this is the token. Takes as long for any that is not.
    pub fn is(&self, sent: &str) -> bool {
        self.is_hash(&Sha256::digest(sent.as_bytes()).into())
    }

    fn is_hash(&self, sent: &[u8; 32]) -> bool {
        #[cfg(test)]
        tests::COMPARED.set(tests::COMPARED.get() + 1);
        self.0.ct_eq(sent).into()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// The tokens that open the report API.
pub struct Tokens {
    /// The operator's: everything.
    pub operator: Token,
    /// Where the others are kept.
    pub desk: Desk,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    /// The token's role, id and name, for the audit log.
    pub(crate) actor: String,
    /// Whose it is, for people.
    pub(crate) name: String,
    /// What it sees.
    pub(crate) view: View,
    /// Its id; the operator's own has none.
    id: Option<String>,
}

/// Why nobody is let in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No token, or none that is in force. Which of these is not told.
    Unknown,
    /// Too many requests: seconds until the next.
    Limited(u64),
    /// The desk cannot say at present which tokens are in force.
    Behind,
}

/// Tokens in use: what is let in, and when it was.
pub(crate) struct Gate {
    tokens: Tokens,
    buckets: Mutex<Buckets>,
    /// The minute of each token's last use that was written, or is about to be.
    uses: Mutex<HashMap<String, i64>>,
    /// What a token that nobody has is read and compared with.
    nobody: Vec<u8>,
}

impl Gate {
    pub(crate) fn new(tokens: Tokens, rate: Rate) -> Self {
        Self {
            tokens,
            buckets: Mutex::new(Buckets::new(rate)),
            uses: Mutex::default(),
            nobody: Record::nobody().write(),
        }
    }

    /// Where tokens and the like are kept.
    pub(crate) fn desk(&self) -> &Desk {
        &self.tokens.desk
    }

    /// Who sends this token, if it is one in force.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub(crate) fn admit(&self, sent: Option<&str>, now_ms: UnixMs) -> Result<Who, Refusal> {
        let sent = sent.ok_or(Refusal::Unknown)?;
        let hash: [u8; 32] = Sha256::digest(sent.as_bytes()).into();
        if self.tokens.operator.is_hash(&hash) {
            return Ok(Who {
                actor: "operator".to_owned(),
                name: "operator".to_owned(),
                view: View::Operator,
                id: None,
            });
        }
        let found = match id_of(sent) {
            Some(id) => self.tokens.desk.get(Kind::Tokens, id).map_err(|error| {
                tracing::error!(%error, "whether a token is in force cannot be said");
                Refusal::Behind
            })?,
            None => None,
        };
        let is_known = found.is_some();
        let Some(record) = Record::read(found.as_deref().unwrap_or(&self.nobody)) else {
            return Err(Refusal::Unknown);
        };
        // Every test is made, whatever the others say.
        let is_right = Token(record.sha256).is_hash(&hash) & is_known & record.is_in_force(now_ms);
        if !is_right {
            return Err(Refusal::Unknown);
        }
        lock(&self.buckets).take(&record.id, now_ms).map_err(Refusal::Limited)?;
        Ok(Who {
            actor: format!("{} {} {}", record.scope.role().name(), record.id, record.name),
            name: record.name,
            view: record.scope.view(),
            id: Some(record.id),
        })
    }

    /// The token whose use has to be written now, with the minute: once a minute for each.
    pub(crate) fn use_to_write(&self, who: &Who, now_ms: UnixMs) -> Option<(String, i64)> {
        let id = who.id.as_ref()?;
        let minute = now_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
        let mut uses = lock(&self.uses);
        let written = uses.entry(id.clone()).or_insert(i64::MIN);
        if *written >= minute {
            return None;
        }
        *written = minute;
        Some((id.clone(), minute))
    }

    /// Writes a use. Blocks. What fails is logged: the next use is written again.
    pub(crate) fn write_use(&self, (id, minute_ms): &(String, i64)) {
        if let Err(error) = self.tokens.desk.put(Kind::TokenUses, id, &Use { used_ms: *minute_ms }.write()) {
            tracing::warn!(%error, token = id, "the last use of a token was not written");
        }
    }

    /// All tokens but the data folder's, by id, with their last use.
    ///
    /// # Errors
    /// The desk's.
    pub(crate) fn list(&self) -> Result<Vec<(Record, Option<i64>)>, desk::Error> {
        let records = self.tokens.desk.list(Kind::Tokens)?;
        let records = records.iter().filter_map(|(_, document)| Record::read(document));
        records.map(|record| Ok((record.clone(), self.last_use(&record.id)?))).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// The desk's.
    pub(crate) fn find(&self, id: &str) -> Result<Option<(Record, Option<i64>)>, desk::Error> {
        let Some(document) = self.tokens.desk.get(Kind::Tokens, id)? else { return Ok(None) };
        let Some(record) = Record::read(&document) else { return Ok(None) };
        let used = self.last_use(id)?;
        Ok(Some((record, used)))
    }

    fn last_use(&self, id: &str) -> Result<Option<i64>, desk::Error> {
        let document = self.tokens.desk.get(Kind::TokenUses, id)?;
        Ok(document.as_deref().and_then(Use::read).map(|last| last.used_ms))
    }

    /// Puts a record in force. Blocks.
    ///
    /// # Errors
    /// The desk's.
    pub(crate) fn put(&self, record: &Record) -> Result<(), desk::Error> {
        self.tokens.desk.put(Kind::Tokens, &record.id, &record.write())
    }
}

/// Draws a token. The text is returned here and kept nowhere.
///
/// # Errors
/// The system gives no random bytes.
pub(crate) fn draw(
    wanted: Wanted,
    made_by: &str,
    now_ms: UnixMs,
) -> Result<(String, Record), getrandom::Error> {
    let mut bytes = [0; SECRET_BYTES + ID_HEX / 2];
    getrandom::fill(&mut bytes)?;
    let (secret, id) = bytes.split_at(SECRET_BYTES);
    let id = hex(id);
    let token = format!("{PREFIX}{}_{id}_{}", wanted.scope.role().name(), hex(secret));
    let record = Record {
        id,
        name: wanted.name,
        scope: wanted.scope,
        sha256: Token::new(&token).0,
        made_ms: now_ms,
        made_by: made_by.to_owned(),
        expires_ms: wanted.expires_ms,
        revoked_ms: None,
    };
    Ok((token, record))
}

/// The id that a token says it has.
fn id_of(sent: &str) -> Option<&str> {
    let mut parts = sent.strip_prefix(PREFIX)?.split('_');
    let (role, id, secret) = (parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let fits = Role::from_name(role).is_some() && id.len() == ID_HEX && secret.len() == 2 * SECRET_BYTES;
    (fits && is_hex(id) && is_hex(secret) && parts.next().is_none()).then_some(id)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::record::Scope;
    use super::*;

    const NOW: UnixMs = 1_795_176_000_000;

    std::thread_local! {
        /// How often a hash was compared with another.
        pub(super) static COMPARED: Cell<u32> = const { Cell::new(0) };
    }

    fn gate() -> (tempfile::TempDir, Gate) {
        let dir = tempfile::tempdir().expect("a folder");
        let desk = Desk::folder(dir.path()).expect("a desk");
        let rate = Rate { burst: 3, per_minute: 6 };
        (dir, Gate::new(Tokens { operator: Token::new("secret"), desk }, rate))
    }

    fn made(gate: &Gate, expires_ms: Option<i64>) -> (String, Record) {
        let scope = Scope::Advertiser(vec!["acme".to_owned()]);
        let wanted = Wanted { name: "ACME".to_owned(), scope, expires_ms };
        let (token, record) = draw(wanted, "operator", NOW).expect("drawn");
        gate.put(&record).expect("kept");
        (token, record)
    }

    #[test]
    fn a_token_is_compared_whole() {
        let token = Token::new(" secret\n");
        assert!(token.is("secret"));
        assert!(!token.is("secre") && !token.is("secret1") && !token.is(""));
        assert_eq!(format!("{token:?}"), "Token");
    }

    #[test]
    fn a_token_that_was_made_opens_and_no_other() {
        let (dir, gate) = gate();
        let (token, record) = made(&gate, None);
        let who = gate.admit(Some(&token), NOW).expect("is let in");
        assert_eq!(who.actor, format!("advertiser {} ACME", record.id));
        assert_eq!(who.view, View::Advertiser(vec!["acme".to_owned()]));
        let last = if token.ends_with('0') { "1" } else { "0" };
        let changed = format!("{}{last}", &token[..token.len() - 1]);
        let other_id = token.replace(&record.id, "0123456789abcdef");
        let other_role = token.replace("_advertiser_", "_operator_");
        for wrong in [changed.as_str(), &other_id, &other_role, "sightline_", "", "secret1", &token[1..]] {
            assert_eq!(gate.admit(Some(wrong), NOW).err(), Some(Refusal::Unknown), "{wrong}");
        }
        assert_eq!(gate.admit(None, NOW).err(), Some(Refusal::Unknown));
        assert_eq!(gate.admit(Some("secret"), NOW).expect("the operator's").view, View::Operator);
        // What is kept opens nothing: no part of the secret stands in it.
        let kept =
            std::fs::read_to_string(dir.path().join(format!("tokens/{}.json", record.id))).expect("kept");
        let secret = token.rsplit('_').next().expect("a secret");
        assert!(!kept.contains(secret) && !kept.contains(&secret[..16]), "{kept}");
    }

    #[test]
    fn an_id_that_nobody_has_is_compared_as_often_as_any_and_opens_nothing() {
        let (_dir, mut gate) = gate();
        let (token, record) = made(&gate, None);
        let (revoked, of_revoked) = made(&gate, None);
        gate.put(&Record { revoked_ms: Some(NOW), ..of_revoked }).expect("revoked");
        let wrong = token.replace(&token[token.len() - 8..], "00000000");
        let unknown = token.replace(&record.id, "0123456789abcdef");
        let compared = [wrong.as_str(), &unknown, &revoked, "anything"].map(|sent| {
            COMPARED.set(0);
            assert_eq!(gate.admit(Some(sent), NOW).err(), Some(Refusal::Unknown), "{sent}");
            COMPARED.get()
        });
        assert_eq!(compared, [2; 4], "with the operator's, and with one other");
        // Were it even the token that stands in for those that nobody has.
        let scope = Scope::Auditor;
        let wanted = Wanted { name: "Nobody".to_owned(), scope, expires_ms: None };
        let (token, record) = draw(wanted, "operator", NOW).expect("drawn");
        gate.nobody = record.write();
        assert_eq!(gate.admit(Some(&token), NOW).err(), Some(Refusal::Unknown));
    }

    #[test]
    fn revoked_and_expired_tokens_open_nothing() {
        let (_dir, gate) = gate();
        let (token, record) = made(&gate, None);
        gate.put(&Record { revoked_ms: Some(NOW), ..record }).expect("revoked");
        assert_eq!(gate.admit(Some(&token), NOW).err(), Some(Refusal::Unknown), "at once");
        let (token, _) = made(&gate, Some(NOW + 1000));
        assert!(gate.admit(Some(&token), NOW + 999).is_ok());
        assert_eq!(gate.admit(Some(&token), NOW + 1000).err(), Some(Refusal::Unknown));
    }

    #[test]
    fn each_token_has_a_rate_of_its_own_and_the_operators_none() {
        let (_dir, gate) = gate();
        let ((one, _), (two, _)) = (made(&gate, None), made(&gate, None));
        (0..3).for_each(|_| assert!(gate.admit(Some(&one), NOW).is_ok()));
        assert_eq!(gate.admit(Some(&one), NOW).err(), Some(Refusal::Limited(10)));
        assert!(gate.admit(Some(&two), NOW).is_ok());
        assert!(gate.admit(Some(&one), NOW + 10_000).is_ok());
        (0..100).for_each(|_| assert!(gate.admit(Some("secret"), NOW).is_ok()));
    }

    #[test]
    fn uses_are_written_once_a_minute() {
        let (_dir, gate) = gate();
        let (token, record) = made(&gate, None);
        let who = gate.admit(Some(&token), NOW).expect("is let in");
        let first = gate.use_to_write(&who, NOW + 1).expect("is to be written");
        gate.write_use(&first);
        assert_eq!(gate.use_to_write(&who, NOW + 59_999), None);
        assert!(gate.use_to_write(&who, NOW + 60_000).is_some());
        let (_, used) = gate.find(&record.id).expect("known").expect("is there");
        assert_eq!(used, Some(NOW));
        let operator = gate.admit(Some("secret"), NOW).expect("is let in");
        assert_eq!(gate.use_to_write(&operator, NOW), None);
    }
}
