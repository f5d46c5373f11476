//! Medium profiles as data: what each macro of a medium is replaced by (DOMAIN §2.4). One medium fills `__IMEI__` with the MD5 of an IMEI,
//! the next with the IMEI itself; a placement names the profile of its medium, and [`crate::identifier::identify`] reads the identifiers
//! of its hits by it.
//!
//! A tracking URL is written for one meaning and filled by the medium with another: the parameter `m2` of the Miaozhen grammar is made for
//! an MD5 and stands in templates as `m2=__IMEI__`. A [`Remap`] says, for one medium and one dialect, how each identifier field of
//! the dialect is to be read: it follows from the macro that the dialect's table gives for the parameter and from what this
//! medium puts there. It is computed when the profiles are loaded, so that it costs a beacon one look-up by index.
//!
//! What cannot be mistaken needs no profile: 15 digits are an IMEI and 32 hex its MD5 in whatever field they stand. A profile decides where
//! the looks do not: 32 hex can be an OAID or the MD5 of one, the MD5 of a MAC may have been taken with or without colons, 40 or 64 hex
//! may be an OAID or a digest of it, and Tencent's one macro holds an IMEI or an IDFA by the system of the device.
//!
//! `profiles/standard.toml` shows the form of the files. A profile never says what is not known of its medium: a macro that it does not
//! list is read as the dialect says.

mod load;
#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

pub use load::ProfileError;

use crate::dialect::{Dialects, Table};
use crate::hit::Field;
use crate::identifier::IdField;
use crate::record::Platform;

/// The profiles of the program, one for each medium.
const BUILT_IN: &[(&str, &str)] = &[
    ("alimama.toml", include_str!("../profiles/alimama.toml")),
    ("baidu.toml", include_str!("../profiles/baidu.toml")),
    ("bilibili.toml", include_str!("../profiles/bilibili.toml")),
    ("gridsum.toml", include_str!("../profiles/gridsum.toml")),
    ("huawei.toml", include_str!("../profiles/huawei.toml")),
    ("ipinyou.toml", include_str!("../profiles/ipinyou.toml")),
    ("iqiyi.toml", include_str!("../profiles/iqiyi.toml")),
    ("kuaishou.toml", include_str!("../profiles/kuaishou.toml")),
    ("mintegral.toml", include_str!("../profiles/mintegral.toml")),
    ("oceanengine.toml", include_str!("../profiles/oceanengine.toml")),
    ("oppo.toml", include_str!("../profiles/oppo.toml")),
    ("standard.toml", include_str!("../profiles/standard.toml")),
    ("tencent.toml", include_str!("../profiles/tencent.toml")),
    ("uc.toml", include_str!("../profiles/uc.toml")),
    ("vast.toml", include_str!("../profiles/vast.toml")),
    ("weibo.toml", include_str!("../profiles/weibo.toml")),
    ("xiaohongshu.toml", include_str!("../profiles/xiaohongshu.toml")),
    ("xiaomi.toml", include_str!("../profiles/xiaomi.toml")),
    ("zhihu.toml", include_str!("../profiles/zhihu.toml")),
];

/// A set of profiles, compiled against a set of dialects. Immutable; shared behind an `Arc`.
#[derive(Debug)]
pub struct Profiles {
    /// By name, ascending.
    profiles: Vec<Arc<Profile>>,
}

/// How one medium fills its macros.
#[derive(Debug)]
pub struct Profile {
    name: Box<str>,
    title: Title,
    media: Box<[Box<str>]>,
    styles: Box<[Style]>,
    macros: Box<[(Box<str>, Meaning)]>,
    /// One for each of the dialects that the set was compiled against, in their order.
    remaps: Box<[Remap]>,
}

/// Name of a medium for people.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Title {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// How a medium writes a macro: what stands before and after its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Before the name, as `__`.
    pub open: &'static str,
    /// After the name.
    pub close: &'static str,
}

/// What a macro is replaced by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// On every system that `on_ios` does not speak of.
    pub held: Held,
    /// On iOS, if that differs (Tencent's `__MUID__`).
    pub on_ios: Option<Held>,
}

/// A value and its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The field of a hit; `None` for what no hit keeps. An identifier's digests have fields of their own where one exists.
    pub field: Option<Field>,
    /// How the value is written.
    pub form: ValueForm,
}

/// How a macro's value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueForm {
    /// As it is.
    Raw,
    /// MD5 of the canonical raw form, of a MAC without colons.
    Md5,
    /// MD5 of a MAC with colons.
    Md5Colons,
    /// SHA-1 of the canonical raw form.
    Sha1,
    /// SHA-256 of the canonical raw form.
    Sha256,
    /// SHA-256 of the MD5 in lower-case hex.
    Sha256OfMd5,
    /// Unix seconds.
    Seconds,
    /// Unix milliseconds.
    Milliseconds,
    /// A date and time in text.
    DateTime,
}

impl ValueForm {
    /// Every form.
    pub const ALL: [Self; 9] = [
        Self::Raw,
        Self::Md5,
        Self::Md5Colons,
        Self::Sha1,
        Self::Sha256,
        Self::Sha256OfMd5,
        Self::Seconds,
        Self::Milliseconds,
        Self::DateTime,
    ];

    /// The name in profile files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Md5 => "md5",
            Self::Md5Colons => "md5_colons",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha256OfMd5 => "sha256_of_md5",
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::DateTime => "date_time",
        }
    }

    /// The form of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.name() == name)
    }
}

impl Profiles {
    /// The profiles of the program, compiled against its dialects.
    ///
    /// # Panics
    /// Never in a build whose tests are green: the files are part of the program.
    pub fn built_in() -> &'static Arc<Self> {
        static BUILT_IN_SET: LazyLock<Arc<Profiles>> = LazyLock::new(|| {
            Arc::new(Profiles::with([], Dialects::built_in().tables()).expect("checked by a test"))
        });
        &BUILT_IN_SET
    }

    /// The profiles of the program, and besides or (by name) instead of them those of `extra`: pairs of a file's name, which is only
    /// printed, and its text. Compiled against `tables`, the dialects in the order of their numbers.
    ///
    /// # Errors
    /// The first thing that is wrong in a file.
    pub fn with<'t>(
        extra: impl IntoIterator<Item = (String, String)>,
        tables: impl IntoIterator<Item = &'t Table>,
    ) -> Result<Self, ProfileError> {
        let tables: Vec<&Table> = tables.into_iter().collect();
        let mut profiles: Vec<Profile> = Vec::new();
        for (file, text) in BUILT_IN {
            profiles.push(load::parse(file, text)?);
        }
        let built_in = profiles.len();
        for (file, text) in extra {
            let profile = load::parse(&file, &text)?;
            match profiles.iter().position(|known| known.name == profile.name) {
                Some(at) if at >= built_in => {
                    return Err(ProfileError::Twice { file, name: profile.name.into() });
                }
                Some(at) => drop(profiles.splice(at..=at, [profile])),
                None => profiles.push(profile),
            }
        }
        profiles.sort_by(|one, other| one.name.cmp(&other.name));
        for profile in &mut profiles {
            profile.remaps = tables.iter().map(|table| profile.remap(table)).collect();
        }
        Ok(Self { profiles: profiles.into_iter().map(Arc::new).collect() })
    }

    /// The profile of a name.
    pub fn get(&self, name: &str) -> Option<&Arc<Profile>> {
        self.profiles.iter().find(|profile| &*profile.name == name)
    }

    /// The profile to propose for a medium, by the name that people gave it: one of whose media's names it is, or begins with as a word
    /// (抖音开屏, `Kuaishou feed`). `None` where two profiles do: a proposal that may be wrong is worse than none.
    pub fn proposed(&self, medium: &str) -> Option<&Arc<Profile>> {
        let mut found =
            self.profiles.iter().filter(|profile| profile.media.iter().any(|name| is_begun_by(medium, name)));
        found.next().filter(|_| found.next().is_none())
    }

    /// Every profile, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.profiles.iter()
    }
}

impl Profile {
    /// Its name in the catalog.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name for people.
    pub fn title(&self) -> &Title {
        &self.title
    }

    /// How the names of its media are written in catalogs.
    pub fn media(&self) -> impl Iterator<Item = &str> {
        self.media.iter().map(|name| &**name)
    }

    /// How the medium writes macros; the first is the one to hand out.
    pub fn styles(&self) -> &[Style] {
        &self.styles
    }

    /// Every macro of the medium that is known: its name without the style, and what it is replaced by.
    pub fn macros(&self) -> impl Iterator<Item = (&str, Meaning)> {
        self.macros.iter().map(|(name, meaning)| (&**name, *meaning))
    }

    /// What a macro (its name without the style, in any letter case) is replaced by.
    pub fn get(&self, name: &str) -> Option<Meaning> {
        self.macros.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, meaning)| *meaning)
    }

    /// A macro as it is to stand in a URL.
    pub fn written(&self, name: &str) -> String {
        let style = self.styles.first().copied().unwrap_or(Style { open: "__", close: "__" });
        format!("{}{name}{}", style.open, style.close)
    }

    /// Which macro of this medium to put where a dialect has a parameter for `field` whose own template says `template`: one that holds
    /// exactly that, else the one of the same name if the hit's reader can make sense of it. `None` where the medium has nothing for it:
    /// leave the parameter out. What is handed out by this is what [`remap`](Self::remap) reads. For a whole link:
    ///
    /// ```
    /// # use event::{dialect::{Dialects, LinkFor}, profile::Profiles, stage::Stage};
    /// let (miaozhen, kuaishou) = (Dialects::built_in().get("miaozhen"), Profiles::built_in().get("kuaishou"));
    /// let (miaozhen, kuaishou) = miaozhen.zip(kuaishou).expect("they are part of the program");
    /// let wanted = LinkFor { stage: Stage::Impression, campaign: "1", placement: "p1", landing_url: None };
    /// let link = miaozhen.link(wanted, |template, field| {
    ///     kuaishou.macro_for(Some(template), field).map(|(name, _)| kuaishou.written(name))
    /// });
    /// assert!(link.is_some_and(|link| link.contains("&m2=__IMEI2__&")));
    /// ```
    pub fn macro_for(&self, template: Option<&str>, field: Field) -> Option<(&str, Meaning)> {
        let same_name =
            template.and_then(|template| self.macros().find(|(name, _)| name.eq_ignore_ascii_case(template)));
        let holds = |held: Held| held.field == Some(field);
        let exact = |(_, meaning): &(&str, Meaning)| {
            holds(meaning.held) && meaning.on_ios.is_none_or(holds)
                // Where the name alone decides how the field is read, only the one of that name is read rightly.
                && same_name.is_none_or(|(_, same)| is_read_alike(same.held, meaning.held))
        };
        let is_meeting = |(_, meaning): &(&str, Meaning)| {
            !matches!(meaning.held.form, ValueForm::Sha1 | ValueForm::Sha256 | ValueForm::Sha256OfMd5)
        };
        let on_one_system =
            |(_, meaning): &(&str, Meaning)| holds(meaning.held) || meaning.on_ios.is_some_and(holds);
        let same_kind = |(_, meaning): &(&str, Meaning)| match (meaning.held.field, field) {
            (Some(Field::Id(one)), Field::Id(other)) => one.kind().is_same_id(other.kind()),
            _ => holds(meaning.held),
        };
        same_name
            .filter(|found| holds(found.1.held) && found.1.on_ios.is_none())
            .or_else(|| self.macros().filter(exact).find(is_meeting))
            .or_else(|| self.macros().find(exact))
            .or_else(|| same_name.filter(same_kind))
            .or_else(|| self.macros().find(on_one_system).filter(|_| same_name.is_none()))
    }

    /// How the identifier fields of a dialect are to be read in the hits of this medium.
    pub fn remap(&self, table: &Table) -> Remap {
        self.remap_of(table.macros())
    }

    /// The same for the dialect of this number among those that the set was compiled against; the dialect's own reading for any other.
    #[inline]
    pub fn remap_of_number(&self, table_number: usize) -> &Remap {
        self.remaps.get(table_number).unwrap_or(Remap::none())
    }

    /// From the template macros of a dialect's parameters. The first of a field counts.
    fn remap_of<'m>(&self, templates: impl Iterator<Item = (&'m str, Field)>) -> Remap {
        let mut remap = Remap::NONE;
        let mut done = [false; IdField::COUNT];
        for (template, field) in templates {
            let Field::Id(field) = field else { continue };
            let Some(done) = done.get_mut(field as usize) else { continue };
            if std::mem::replace(done, true) {
                continue;
            }
            let as_id = |held: Held| match held.field {
                Some(Field::Id(id)) => Some(id),
                _ => None,
            };
            if let Some(meaning) = self.get(template) {
                let held = as_id(meaning.held);
                remap.set(field, held, meaning.on_ios.map_or(held, as_id), held);
            } else if let Some((_, Meaning { held, on_ios: Some(on_ios) })) =
                self.macro_for(Some(template), Field::Id(field))
            {
                // One macro for several fields: on a system that is not known it is taken at the field's word.
                remap.set(field, as_id(held), as_id(on_ios), Some(field));
            }
        }
        remap
    }
}

/// Whether a text begins with a name as a word, in any letter case.
fn is_begun_by(text: &str, name: &str) -> bool {
    let (text, name) = (text.trim().to_lowercase(), name.to_lowercase());
    let is_letter = |c: char| c.is_ascii_alphanumeric();
    text.strip_prefix(&name).is_some_and(|rest| {
        // Chinese has no blanks between words.
        !(rest.starts_with(is_letter) && name.ends_with(is_letter))
    })
}

/// Whether a value of the second kind is understood in a field that is read as the first: where the looks decide.
fn is_read_alike(read_as: Held, held: Held) -> bool {
    let (Some(Field::Id(read_as)), Some(Field::Id(held))) = (read_as.field, held.field) else {
        return read_as == held;
    };
    read_as == held || (read_as.kind() == held.kind() && read_as.is_told_by_looks())
}

/// How the identifier fields of a dialect are to be read for one medium: as the dialect says, as another field, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remap {
    android: [Option<IdField>; IdField::COUNT],
    ios: [Option<IdField>; IdField::COUNT],
    other: [Option<IdField>; IdField::COUNT],
    /// The fields that hold something else on iOS than on Android: bit n for the [`IdField`] with number n.
    by_system: u32,
}

impl Default for Remap {
    fn default() -> Self {
        Self::NONE
    }
}

impl Remap {
    /// A reference to [`Remap::NONE`] that lives as long as the program.
    pub fn none() -> &'static Self {
        static NONE: Remap = Remap::NONE;
        &NONE
    }

    /// As the dialect says.
    pub const NONE: Self = {
        let mut fields = [None; IdField::COUNT];
        let mut at = 0;
        while at < IdField::COUNT {
            #[expect(clippy::indexing_slicing, reason = "a constant, checked when it is compiled")]
            {
                fields[at] = Some(IdField::ALL[at]);
            }
            at += 1;
        }
        Self { android: fields, ios: fields, other: fields, by_system: 0 }
    };

    /// What a field of the dialect holds on a platform; `None` when the medium puts something there that is no identifier.
    #[inline]
    pub fn field(&self, field: IdField, platform: Platform) -> Option<IdField> {
        self.on(platform).get(field as usize).copied().flatten()
    }

    /// What each field of the dialect holds on a platform, in the order of [`IdField::ALL`].
    #[inline]
    pub(crate) fn on(&self, platform: Platform) -> &[Option<IdField>; IdField::COUNT] {
        match platform {
            Platform::Android | Platform::Tv => &self.android,
            Platform::Ios => &self.ios,
            Platform::Unknown | Platform::OtherMobile | Platform::Pc => &self.other,
        }
    }

    /// What a field holds on Android, on iOS and elsewhere, where that goes by the system. Which system a hit is from may be wrong or
    /// unknown: an opt-out has to hold whichever it is.
    #[inline]
    pub(crate) fn by_system(&self, slot: usize) -> Option<[Option<IdField>; 3]> {
        if self.by_system >> slot & 1 == 0 {
            return None;
        }
        Some([&self.android, &self.ios, &self.other].map(|held| held.get(slot).copied().flatten()))
    }

    /// The fields that are not read as the dialect says: the field, and what it holds on Android, on iOS and elsewhere.
    pub fn changes(&self) -> impl Iterator<Item = (IdField, [Option<IdField>; 3])> {
        let held = self.android.iter().zip(&self.ios).zip(&self.other);
        IdField::ALL
            .into_iter()
            .zip(held.map(|((android, ios), other)| [*android, *ios, *other]))
            .filter(|(field, held)| held.iter().any(|held| *held != Some(*field)))
    }

    fn set(
        &mut self,
        field: IdField,
        android: Option<IdField>,
        ios: Option<IdField>,
        other: Option<IdField>,
    ) {
        self.by_system |= u32::from(android != ios) << field as u32;
        for (fields, held) in [(&mut self.android, android), (&mut self.ios, ios), (&mut self.other, other)] {
            if let Some(slot) = fields.get_mut(field as usize) {
                *slot = held;
            }
        }
    }
}
