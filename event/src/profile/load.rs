//! Reading a profile's text: strict, so that a typing error is found when the file is loaded and not by an advertiser's figures.

use std::collections::BTreeMap;

use super::{Held, Meaning, Profile, Style, Title, ValueForm};
use crate::dialect::is_unreplaced_macro;
use crate::hit::Field;
use crate::identifier::{IdField, IdKind};

/// Longest file, bytes.
const FILE_BYTES_MAX: usize = 64 * 1024;
/// Most macros of one medium.
const MACROS_MAX: usize = 512;
/// Longest name of a profile, bytes.
const NAME_BYTES_MAX: usize = 32;
/// Longest name of a medium for people, bytes.
const TITLE_BYTES_MAX: usize = 128;
/// Most names of media.
const MEDIA_MAX: usize = 64;
/// Longest name of a macro, bytes: longer ones are not seen to be macros when they arrive unreplaced.
const MACRO_BYTES_MAX: usize = 64;

/// The styles that a file may name (DOMAIN §2.4).
const STYLES: [(&str, Style); 7] = [
    ("__X__", Style { open: "__", close: "__" }),
    ("{X}", Style { open: "{", close: "}" }),
    ("{{X}}", Style { open: "{{", close: "}}" }),
    ("[X]", Style { open: "[", close: "]" }),
    ("${X}", Style { open: "${", close: "}" }),
    ("%%X%%", Style { open: "%%", close: "%%" }),
    ("$X", Style { open: "$", close: "" }),
];

/// Why a profile was refused: whoever wrote the file has to mend it.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Not TOML, or with keys that a profile does not have; says where.
    #[error("{file}: {error}")]
    Form {
        /// Name of the file.
        file: String,
        /// What is wrong and where.
        error: toml::de::Error,
    },
    /// Longer than a profile is.
    #[error("{file}: longer than {FILE_BYTES_MAX} bytes")]
    TooLong {
        /// Name of the file.
        file: String,
    },
    /// Something besides a macro is wrong.
    #[error("{file}: {problem}")]
    Head {
        /// Name of the file.
        file: String,
        /// What is wrong and what is allowed.
        problem: String,
    },
    /// What a macro holds cannot be.
    #[error("{file}: macro `{name}`: {problem}")]
    Macro {
        /// Name of the file.
        file: String,
        /// Name of the macro.
        name: String,
        /// What is wrong and what is allowed.
        problem: String,
    },
    /// Two files have one name.
    #[error("{file}: another file is the profile `{name}` as well")]
    Twice {
        /// Name of the second file.
        file: String,
        /// Name of both profiles.
        name: String,
    },
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    name: String,
    title: Title,
    #[serde(default)]
    media: Vec<String>,
    styles: Vec<String>,
    macros: BTreeMap<String, Entry>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    holds: String,
    form: Option<String>,
    ios: Option<OnIos>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct OnIos {
    holds: String,
    form: Option<String>,
}

/// Reads and checks one profile. It is compiled against no dialect yet.
pub(super) fn parse(file: &str, text: &str) -> Result<Profile, ProfileError> {
    let file = || file.to_owned();
    if text.len() > FILE_BYTES_MAX {
        return Err(ProfileError::TooLong { file: file() });
    }
    let text: Text = toml::from_str(text).map_err(|error| ProfileError::Form { file: file(), error })?;
    let styles = head(&text).map_err(|problem| ProfileError::Head { file: file(), problem })?;
    let mut macros: Vec<(Box<str>, Meaning)> = Vec::with_capacity(text.macros.len());
    for (name, entry) in text.macros {
        let wrong = |problem| ProfileError::Macro { file: file(), name: name.clone(), problem };
        if macros.iter().any(|(other, _)| other.eq_ignore_ascii_case(&name)) {
            return Err(wrong("stands twice: letter case does not tell macros apart".to_owned()));
        }
        check_name(&name, &styles).map_err(wrong)?;
        let held = read_held(&entry.holds, entry.form.as_deref()).map_err(wrong)?;
        let on_ios = entry.ios.map(|ios| read_held(&ios.holds, ios.form.as_deref()));
        let on_ios = on_ios.transpose().map_err(wrong)?;
        macros.push((name.clone().into_boxed_str(), Meaning { held, on_ios }));
    }
    Ok(Profile {
        name: text.name.into_boxed_str(),
        title: text.title,
        media: text.media.into_iter().map(String::into_boxed_str).collect(),
        styles: styles.into_boxed_slice(),
        macros: macros.into_boxed_slice(),
        remaps: Box::default(),
    })
}

/// Checks what is not a macro; gives the styles.
fn head(text: &Text) -> Result<Vec<Style>, String> {
    let is_name = (1..=NAME_BYTES_MAX).contains(&text.name.len())
        && text
            .name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
    if !is_name {
        return Err(format!("`name` has 1 to {NAME_BYTES_MAX} characters of a-z 0-9 - _"));
    }
    if text.media.len() > MEDIA_MAX {
        return Err(format!("more than {MEDIA_MAX} `media`"));
    }
    for (key, name) in [("title", &text.title.zh), ("title", &text.title.en)]
        .into_iter()
        .chain(text.media.iter().map(|name| ("media", name)))
    {
        if name.trim().is_empty() || name.len() > TITLE_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(format!("each `{key}` has 1 to {TITLE_BYTES_MAX} bytes and no control character"));
        }
    }
    if text.macros.len() > MACROS_MAX {
        return Err(format!("more than {MACROS_MAX} macros"));
    }
    let style = |name: &String| STYLES.iter().find(|(known, _)| known == name).map(|(_, style)| *style);
    let styles: Option<Vec<Style>> = text.styles.iter().map(style).collect();
    styles.filter(|styles| !styles.is_empty()).ok_or_else(|| {
        let known: Vec<&str> = STYLES.iter().map(|(name, _)| *name).collect();
        format!("`styles` is a list of one or more of {}", known.join(" "))
    })
}

/// A macro whose name would not be seen when it arrives unreplaced would be taken for a value.
fn check_name(name: &str, styles: &[Style]) -> Result<(), String> {
    let is_seen =
        |style: &Style| is_unreplaced_macro(format!("{}{name}{}", style.open, style.close).as_bytes());
    let is_one_word = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'+');
    if name.len() <= MACRO_BYTES_MAX && is_one_word && styles.iter().all(is_seen) {
        return Ok(());
    }
    Err(format!(
        "a name has up to {MACRO_BYTES_MAX} letters, digits and _ - . : and begins with a letter or _"
    ))
}

fn read_held(holds: &str, form: Option<&str>) -> Result<Held, String> {
    let form = match form {
        None => None,
        Some(name) => Some(ValueForm::from_name(name).ok_or_else(|| {
            let known: Vec<&str> = ValueForm::ALL.iter().map(|form| form.name()).collect();
            format!("form `{name}` does not exist; there are {}", known.join(" "))
        })?),
    };
    match (IdKind::from_name(holds), Field::from_name(holds)) {
        (Some(kind), _) => {
            let form = form.ok_or("say in which `form` the identifier comes, for example \"md5\"")?;
            let field = id_field(kind, form)
                .ok_or_else(|| format!("a {holds} in the form {} has no field", form.name()))?;
            Ok(Held { field: Some(Field::Id(field)), form })
        }
        (None, Some(Field::Time)) => match form {
            Some(form @ (ValueForm::Seconds | ValueForm::Milliseconds | ValueForm::DateTime)) => {
                Ok(Held { field: Some(Field::Time), form })
            }
            _ => Err("a time's `form` is seconds, milliseconds or date_time".to_owned()),
        },
        (None, field) => {
            let is_known = matches!(field, Some(Field::Id(IdField::Ifa)))
                || field.is_some_and(|field| !matches!(field, Field::Id(_)))
                || holds == "other";
            if !is_known {
                return Err(format!(
                    "`holds` is the kind of an identifier, a field of a hit, or \"other\"; `{holds}` is none"
                ));
            }
            if form.is_some() {
                return Err(format!("`{holds}` has no `form`"));
            }
            Ok(Held { field, form: ValueForm::Raw })
        }
    }
}

/// The field in which a kind of identifier in some form is understood.
fn id_field(kind: IdKind, form: ValueForm) -> Option<IdField> {
    let is_digest = match form {
        ValueForm::Raw => false,
        ValueForm::Md5 | ValueForm::Sha1 | ValueForm::Sha256 | ValueForm::Sha256OfMd5 => true,
        ValueForm::Md5Colons => return (kind == IdKind::Mac).then_some(IdField::MacColonsMd5),
        ValueForm::Seconds | ValueForm::Milliseconds | ValueForm::DateTime => return None,
    };
    Some(match (kind, is_digest) {
        (IdKind::Oaid, false) => IdField::Oaid,
        (IdKind::Oaid, true) => IdField::OaidMd5,
        (IdKind::Imei, false) => IdField::Imei,
        (IdKind::Imei, true) => IdField::ImeiMd5,
        (IdKind::Aaid, false) => IdField::Aaid,
        (IdKind::Aaid, true) => IdField::AaidMd5,
        (IdKind::AndroidId, false) => IdField::AndroidId,
        (IdKind::AndroidId, true) => IdField::AndroidIdMd5,
        (IdKind::Mac, false) => IdField::Mac,
        (IdKind::Mac, true) => IdField::MacMd5,
        (IdKind::Idfa, false) => IdField::Idfa,
        (IdKind::Idfa, true) => IdField::IdfaMd5,
        (IdKind::Caid, false) => IdField::Caid,
        (IdKind::Caid, true) => IdField::CaidMd5,
        // Its digests are told from it by their length.
        (IdKind::Idfv, _) => IdField::Idfv,
        (IdKind::OpenUdid, false) => IdField::OpenUdid,
        (IdKind::OpenUdid, true) if form != ValueForm::Sha1 => IdField::OpenUdid,
        (IdKind::Cookie, false) => IdField::Cookie,
        (IdKind::OpenUdid | IdKind::Cookie, true) | (IdKind::MacColons, _) => return None,
    })
}
