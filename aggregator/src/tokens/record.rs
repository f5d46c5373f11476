//! What is kept of a token, and what is wanted of a new one.
//!
//! ```text
//! desk, tokens/<id>:      {"form":1,"id":"…","name":"…","role":"advertiser","scope":["acme"],"sha256":"<64 hex>","made_ms":…,"made_by":"…",
//!                          "expires_ms":null,"revoked_ms":null}
//! desk, token-uses/<id>:  {"form":1,"used_ms":…}        to the minute
//! ```
//!
//! A document of another form is none: whoever wrote it may have meant a revocation.

use catalog::{Mistake, mistake};
use event::clock::UnixMs;
use serde::{Deserialize, Serialize};

use crate::view::View;

/// Version of both forms.
const FORM: u8 = 1;
/// Longest name of a token, and longest name of a medium, bytes.
const NAME_BYTES_MAX: usize = 200;
/// Longest id of an advertiser, bytes: a catalog id.
const ADVERTISER_BYTES_MAX: usize = 64;
/// Most advertisers or media of a token.
const SCOPE_MAX: usize = 100;
/// Most days that a token may be good for.
const EXPIRES_DAYS_MAX: i64 = 3650;
/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Sees and does everything.
    Operator,
    /// Sees everything exactly, changes nothing.
    Auditor,
    /// Sees the campaigns of some advertisers.
    Advertiser,
    /// Sees the placements of some media.
    Medium,
}

impl Role {
    pub(crate) const ALL: [Self; 4] = [Self::Operator, Self::Auditor, Self::Advertiser, Self::Medium];

    /// The name in tokens, requests and answers.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::Advertiser => "advertiser",
            Self::Medium => "medium",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// A role and what it is limited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Operator,
    Auditor,
    /// Ids of advertisers, at least one.
    Advertiser(Vec<String>),
    /// Names of media as in the catalog, at least one.
    Medium(Vec<String>),
}

impl Scope {
    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Operator => Role::Operator,
            Self::Auditor => Role::Auditor,
            Self::Advertiser(_) => Role::Advertiser,
            Self::Medium(_) => Role::Medium,
        }
    }

    /// The advertisers or media.
    pub(crate) fn names(&self) -> &[String] {
        match self {
            Self::Operator | Self::Auditor => &[],
            Self::Advertiser(names) | Self::Medium(names) => names,
        }
    }

    pub(crate) fn view(&self) -> View {
        match self {
            Self::Operator => View::Operator,
            Self::Auditor => View::Auditor,
            Self::Advertiser(names) => View::Advertiser(names.clone()),
            Self::Medium(names) => View::Medium(names.clone()),
        }
    }

    fn new(role: Role, names: Vec<String>) -> Result<Self, Wrong> {
        match role {
            Role::Operator | Role::Auditor if !names.is_empty() => {
                let role = role.name();
                wrong(
                    "role",
                    mistake!(
                        "token_scopeless",
                        "a token for the role {role} has no scope: it sees everything",
                        role
                    ),
                )
            }
            Role::Operator => Ok(Self::Operator),
            Role::Auditor => Ok(Self::Auditor),
            Role::Advertiser => Ok(Self::Advertiser(checked(names, "advertisers", is_catalog_id)?)),
            Role::Medium => Ok(Self::Medium(checked(names, "media", is_name)?)),
        }
    }
}

fn checked(
    mut names: Vec<String>,
    what: &'static str,
    is_right: impl Fn(&str) -> bool,
) -> Result<Vec<String>, Wrong> {
    names.sort();
    names.dedup();
    if !(1..=SCOPE_MAX).contains(&names.len()) {
        let max = SCOPE_MAX;
        let words = mistake!(
            "token_scope",
            "this role needs 1 to {max} {what}: a token without them would see nothing",
            max,
            what
        );
        return wrong(what, words);
    }
    match names.iter().find(|name| !is_right(name)) {
        Some(name) => wrong(
            what,
            mistake!("token_scope_name", "“{name}” is no name of {what} as the catalog has it", name, what),
        ),
        None => Ok(names),
    }
}

fn is_catalog_id(text: &str) -> bool {
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=ADVERTISER_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_sign)
}

fn is_name(text: &str) -> bool {
    text.trim() == text && (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// What is wrong with a wish for a token, in words for whoever wishes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Where it is wrong; empty where it is about all of it.
    pub(crate) key: &'static str,
    pub(crate) mistake: Mistake,
}

fn wrong<T>(key: &'static str, mistake: impl Into<Mistake>) -> Result<T, Wrong> {
    Err(Wrong { key, mistake: mistake.into() })
}

/// What is wanted of a new token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) scope: Scope,
    pub(crate) expires_ms: Option<UnixMs>,
}

impl Wanted {
    /// Reads the body of `POST /v1/tokens`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(body: &[u8], now_ms: UnixMs) -> Result<Self, Wrong> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Asked {
            name: String,
            role: String,
            #[serde(default)]
            advertisers: Vec<String>,
            #[serde(default)]
            media: Vec<String>,
            #[serde(default)]
            expires_days: Option<i64>,
        }
        let asked: Asked = serde_json::from_slice(body).map_err(|error| {
            let words = format!(
                "send {{\"name\":…,\"role\":…}} with advertisers, media or expires_days as JSON (line {}, column {})",
                error.line(),
                error.column()
            );
            Wrong { key: "", mistake: words.into() }
        })?;
        if !is_name(&asked.name) {
            let max = NAME_BYTES_MAX;
            return wrong(
                "name",
                mistake!("token_name", "name has 1 to {max} bytes, and no blanks around it", max),
            );
        }
        let Some(role) = Role::from_name(&asked.role) else {
            return wrong("role", "role must be one of operator, auditor, advertiser, medium");
        };
        let is_of_other = match role {
            Role::Advertiser => !asked.media.is_empty(),
            Role::Medium => !asked.advertisers.is_empty(),
            Role::Operator | Role::Auditor => false,
        };
        if is_of_other {
            return wrong("role", "a token has advertisers or media, as its role says, and not both");
        }
        let mut names = asked.advertisers;
        names.extend(asked.media);
        let expires_ms = match asked.expires_days {
            None => None,
            Some(days @ 1..=EXPIRES_DAYS_MAX) => Some(now_ms + days * DAY_MS),
            Some(_) => {
                let max = EXPIRES_DAYS_MAX;
                return wrong("expires_days", mistake!("token_days", "expires_days must be 1 to {max}", max));
            }
        };
        Ok(Self { name: asked.name, scope: Scope::new(role, names)?, expires_ms })
    }
}

/// What is kept of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) scope: Scope,
    pub(crate) sha256: [u8; 32],
    pub(crate) made_ms: UnixMs,
    /// Who made it, as the audit log names them.
    pub(crate) made_by: String,
    pub(crate) expires_ms: Option<UnixMs>,
    pub(crate) revoked_ms: Option<UnixMs>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    form: u8,
    id: String,
    name: String,
    role: String,
    scope: Vec<String>,
    sha256: String,
    made_ms: UnixMs,
    made_by: String,
    expires_ms: Option<UnixMs>,
    revoked_ms: Option<UnixMs>,
}

impl Record {
    /// The record of a token that nobody has.
    pub(super) fn nobody() -> Self {
        Self {
            id: "0".repeat(super::ID_HEX),
            name: "nobody".to_owned(),
            scope: Scope::Advertiser(vec!["nobody".to_owned()]),
            sha256: [0; 32],
            made_ms: 0,
            made_by: "nobody".to_owned(),
            expires_ms: None,
            revoked_ms: None,
        }
    }

    pub(crate) fn is_in_force(&self, now_ms: UnixMs) -> bool {
        self.revoked_ms.is_none() & self.expires_ms.is_none_or(|end| now_ms < end)
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let kept = Kept {
            form: FORM,
            id: self.id.clone(),
            name: self.name.clone(),
            role: self.scope.role().name().to_owned(),
            scope: self.scope.names().to_vec(),
            sha256: super::hex(&self.sha256),
            made_ms: self.made_ms,
            made_by: self.made_by.clone(),
            expires_ms: self.expires_ms,
            revoked_ms: self.revoked_ms,
        };
        serde_json::to_vec(&kept).expect("texts and numbers can always be written")
    }

    /// The record of a document; `None` if it is none that this program understands whole.
    pub(super) fn read(document: &[u8]) -> Option<Self> {
        let kept: Kept = serde_json::from_slice(document)
            .inspect_err(
                |error| tracing::error!(%error, "a token on the desk cannot be read: it opens nothing"),
            )
            .ok()?;
        let scope = Scope::new(Role::from_name(&kept.role)?, kept.scope).ok()?;
        let mut sha256 = [0; 32];
        let digits = kept.sha256.as_bytes().chunks_exact(2);
        if kept.form != FORM || kept.sha256.len() != 2 * sha256.len() {
            tracing::error!(form = kept.form, "a token on the desk has an unknown form: it opens nothing");
            return None;
        }
        for (byte, digits) in sha256.iter_mut().zip(digits) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self {
            id: kept.id,
            name: kept.name,
            scope,
            sha256,
            made_ms: kept.made_ms,
            made_by: kept.made_by,
            expires_ms: kept.expires_ms,
            revoked_ms: kept.revoked_ms,
        })
    }
}

/// When a token was used last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    /// To the minute.
    pub(crate) used_ms: UnixMs,
}

#[derive(Serialize, Deserialize)]
struct KeptUse {
    form: u8,
    used_ms: UnixMs,
}

impl Use {
    pub(super) fn write(self) -> Vec<u8> {
        let kept = KeptUse { form: FORM, used_ms: self.used_ms };
        serde_json::to_vec(&kept).expect("numbers can always be written")
    }

    pub(super) fn read(document: &[u8]) -> Option<Self> {
        let kept: KeptUse = serde_json::from_slice(document).ok()?;
        (kept.form == FORM).then_some(Self { used_ms: kept.used_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(body: &str) -> Result<Wanted, String> {
        Wanted::read(body.as_bytes(), 1000).map_err(|wrong| wrong.mistake.words)
    }

    #[test]
    fn what_is_wanted_is_read_strictly() {
        let right =
            wanted(r#"{"name":"ACME","role":"advertiser","advertisers":["acme","acme"],"expires_days":1}"#);
        let scope = Scope::Advertiser(vec!["acme".to_owned()]);
        assert_eq!(right, Ok(Wanted { name: "ACME".to_owned(), scope, expires_ms: Some(1000 + DAY_MS) }));
        assert_eq!(wanted(r#"{"name":"A","role":"auditor"}"#).map(|wanted| wanted.scope), Ok(Scope::Auditor));
        for (body, word) in [
            ("", "JSON"),
            (r#"{"name":"A","role":"auditor","x":1}"#, "JSON"),
            (r#"{"name":"","role":"auditor"}"#, "name"),
            (r#"{"name":" A","role":"auditor"}"#, "name"),
            (r#"{"name":"A","role":"root"}"#, "operator"),
            (r#"{"name":"A","role":"advertiser"}"#, "advertisers"),
            (r#"{"name":"A","role":"medium","media":[]}"#, "media"),
            (r#"{"name":"A","role":"medium","media":["M"],"advertisers":["a"]}"#, "not both"),
            (r#"{"name":"A","role":"operator","media":["M"]}"#, "everything"),
            (r#"{"name":"A","role":"advertiser","advertisers":["a b"]}"#, "catalog"),
            (r#"{"name":"A","role":"auditor","expires_days":0}"#, "3650"),
        ] {
            let why = wanted(body).expect_err(body);
            assert!(why.contains(word), "{body}: {why}");
        }
    }

    #[test]
    fn a_record_is_read_back_whole_and_one_of_another_form_is_none() {
        let record =
            Record { sha256: [0xab; 32], expires_ms: Some(5), revoked_ms: Some(7), ..Record::nobody() };
        let document = record.write();
        assert_eq!(Record::read(&document), Some(record));
        let text = String::from_utf8(document).expect("text");
        for (from, to) in [
            ("\"form\":1", "\"form\":2"),
            ("\"role\":\"advertiser\"", "\"role\":\"root\""),
            ("\"scope\":[\"nobody\"]", "\"scope\":[]"),
            ("\"abab", "\"xyab"),
            ("\"expires_ms\":5", "\"expires_ms\":5,\"only\":1"),
        ] {
            let other = text.replace(from, to);
            assert!(other != text && Record::read(other.as_bytes()).is_none(), "{to}");
        }
        assert_eq!(Use::read(&Use { used_ms: 60_000 }.write()), Some(Use { used_ms: 60_000 }));
    }
}
