//! The other way round: from a table to the tracking URL that is handed to a medium, with its macros in place. A URL is handed out only if
//! the table reads it as what it was made for.

use super::route::{Path, PathStage, QueryUse, Tail};
use super::value::encode_base64;
use super::{Dialects, Meaning, Parameter, Scratch, Table};
use crate::hit::Field;
use crate::identifier::IdField;
use crate::stage::Stage;

/// A parameter of a table, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterOf<'t> {
    /// Its name in URLs.
    pub name: &'t str,
    /// The field that it fills; `None` where it holds several fields, is a mark, or is dropped.
    pub field: Option<Field>,
    /// The field that the first word of a list of privacy signals fills; `None` where it is no such list.
    pub list_of: Option<Field>,
    /// The macro that stands for it in templates, without the signs around it.
    pub template_macro: Option<&'t str>,
    /// It is dropped unread.
    pub is_dropped: bool,
    /// It is read in JSON alone.
    pub is_json_only: bool,
}

/// What a link is made for.
#[derive(Clone, Copy)]
pub struct LinkFor<'a> {
    /// What the hit is to say.
    pub stage: Stage,
    /// Campaign id.
    pub campaign: &'a str,
    /// Placement id.
    pub placement: &'a str,
    /// The landing URL to put into a click, as it is.
    pub landing_url: Option<&'a str>,
}

impl Table {
    /// Every parameter: those with fields by name, then marks, then what is dropped.
    pub fn parameters(&self) -> impl Iterator<Item = ParameterOf<'_>> {
        let named =
            self.parameters.iter().enumerate().filter(|(number, _)| !self.names.name(*number).is_empty());
        named.map(|(number, parameter)| ParameterOf {
            name: self.name_of(number),
            field: match parameter.meaning {
                Meaning::Field(field) => Some(field),
                _ => None,
            },
            list_of: match parameter.meaning {
                Meaning::Words(list) => self.first_of(list),
                _ => None,
            },
            template_macro: parameter.template_macro.as_deref(),
            is_dropped: matches!(parameter.meaning, Meaning::Dropped(_)),
            is_json_only: parameter.json_only,
        })
    }

    fn first_of(&self, list: u8) -> Option<Field> {
        self.words.get(usize::from(list))?.first().map(|(_, field)| *field)
    }

    /// The macros of templates and the fields that the parameters with them fill.
    pub fn macros(&self) -> impl Iterator<Item = (&str, Field)> {
        self.parameters().filter_map(|parameter| Some((parameter.template_macro?, parameter.field?)))
    }

    /// What stands between two parameters, and between a name and its value (nothing where names are glued to values).
    pub fn signs(&self) -> [String; 2] {
        let text = |byte: u8| char::from(byte).to_string();
        [text(self.grammar.separator), self.grammar.equalizer.map_or_else(String::new, text)]
    }

    /// The names of the marks that say a stage.
    pub fn mark_names(&self) -> impl Iterator<Item = &str> {
        let marks = self.parameters.iter().enumerate().filter(|(_, p)| matches!(p.meaning, Meaning::Mark(_)));
        marks.map(|(number, _)| self.name_of(number))
    }

    /// Whether a path of the dialect names the stage, so that each stage has a URL of its own.
    pub fn names_stages_in_path(&self) -> bool {
        self.paths.iter().any(|path| matches!(path.tail, Tail::Stage | Tail::Event))
    }

    /// As [`link_with`](Self::link_with), for parameters that have a template macro: `macro_of` says what to put for that macro (without the
    /// signs around it) and the field that the parameter fills, or that the parameter is left out.
    pub fn link(
        &self,
        wanted: LinkFor<'_>,
        macro_of: impl Fn(&str, Field) -> Option<String>,
    ) -> Option<String> {
        self.link_with(wanted, |parameter, field| macro_of(parameter.template_macro?, field))
    }

    /// The path and query of a tracking URL. `value_of` says what to put for a parameter with a field, as it is to stand in the URL, or that
    /// the parameter is left out; campaign, placement and landing URL are not asked for. Of several parameters with one field the first that
    /// gets something is taken; a list of privacy signals stands beside those of its fields, and is asked for with the first of them. `None` if the dialect has no path for the stage, or its grammar cannot carry the ids.
    pub fn link_with(
        &self,
        wanted: LinkFor<'_>,
        value_of: impl Fn(ParameterOf<'_>, Field) -> Option<String>,
    ) -> Option<String> {
        let fitting = self.paths.iter().filter_map(|path| Some((self.fitness(path, wanted.stage)?, path)));
        let (_, path) = fitting.min_by_key(|(fitness, _)| *fitness)?;
        let mut items = self.leading(path, wanted)?;
        items.extend(self.values(value_of));
        if let Some(rest) =
            self.parameters.iter().position(|parameter| parameter.is_rest && !parameter.json_only)
            && !self.names.name(rest).is_empty()
        {
            items.push(self.item(rest, &escaped(wanted.landing_url.unwrap_or_default())));
        } else if let (Some(url), Some(number)) = (wanted.landing_url, self.number_of(Field::LandingUrl)) {
            items.push(self.item(number, &escaped(url)));
        }
        let separator = char::from(self.grammar.separator).to_string();
        let tail = match path.tail {
            Tail::None | Tail::Parameters => "",
            Tail::Stage => wanted.stage.name(),
            Tail::Event => self.event_of(wanted.stage)?,
        };
        let sign = if path.tail == Tail::Parameters { "" } else { "?" };
        let mut link = format!("{}{tail}{sign}{}", path.literal, items.join(&separator));
        if let Some(url) = wanted.landing_url.filter(|_| path.query == QueryUse::LandingUrl) {
            link.push('?');
            link.push_str(url);
        }
        self.says(path, &link, wanted).then_some(link)
    }

    /// The items between the ids and the landing URL, in the order in which people look for them.
    fn values(&self, value_of: impl Fn(ParameterOf<'_>, Field) -> Option<String>) -> Vec<String> {
        let mut parameters: Vec<(ParameterOf<'_>, Field)> = self
            .parameters()
            .filter_map(|parameter| Some((parameter, parameter.field.or(parameter.list_of)?)))
            .filter(|(parameter, field)| {
                !parameter.is_json_only
                    && !matches!(field, Field::Campaign | Field::Placement | Field::LandingUrl | Field::Stage)
            })
            .collect();
        parameters.sort_by_key(|(parameter, field)| (rank(*field), parameter.template_macro.is_none()));
        let equalizer = self.signs()[1].clone();
        let mut written: Vec<Field> = Vec::new();
        let mut items = Vec::new();
        for (parameter, field) in parameters {
            let is_list = parameter.list_of.is_some();
            if let Some(value) = value_of(parameter, field).filter(|_| is_list || !written.contains(&field)) {
                if !is_list {
                    written.push(field);
                }
                items.push(format!("{}{equalizer}{value}", parameter.name));
            }
        }
        items
    }

    /// The items that say campaign and placement, and the marker of the path.
    fn leading(&self, path: &Path, wanted: LinkFor<'_>) -> Option<Vec<String>> {
        let of = |field| match field {
            Field::Campaign => Some(wanted.campaign),
            Field::Placement => Some(wanted.placement),
            _ => None,
        };
        let mut items = Vec::new();
        if let Some(pattern) = self.positional.and_then(|number| self.patterns.get(number)) {
            items.push(pattern.written(of));
        }
        if let Some((name, value)) =
            path.when.as_ref().and_then(|when| Some((&when.name, when.value.as_ref()?)))
        {
            items.push(format!("{name}={value}"));
        }
        for field in [Field::Campaign, Field::Placement] {
            if let Some(number) = self.number_of(field) {
                items.push(self.item(number, of(field)?));
            }
        }
        for (number, parameter) in self.parameters.iter().enumerate() {
            if let Meaning::Pattern(pattern) = parameter.meaning
                && let Some(pattern) = self.patterns.get(usize::from(pattern))
            {
                let text = pattern.written(of);
                let text = if pattern.is_base64 { escaped(&encode_base64(text.as_bytes())) } else { text };
                items.push(self.item(number, &text));
            }
        }
        Some(items)
    }

    fn item(&self, number: usize, value: &str) -> String {
        let equalizer = self.grammar.equalizer.map(char::from).map(String::from).unwrap_or_default();
        format!("{}{equalizer}{value}", self.name_of(number))
    }

    fn number_of(&self, field: Field) -> Option<usize> {
        let fills =
            |parameter: &Parameter| parameter.meaning == Meaning::Field(field) && !parameter.json_only;
        self.parameters.iter().position(fills).filter(|number| !self.names.name(*number).is_empty())
    }

    pub(super) fn name_of(&self, number: usize) -> &str {
        std::str::from_utf8(self.names.name(number)).unwrap_or_default()
    }

    fn event_of(&self, stage: Stage) -> Option<&str> {
        self.events.iter().find(|(_, known)| *known == Some(stage)).map(|(name, _)| &**name)
    }

    /// How well a path fits a stage; less is better, `None` not at all.
    fn fitness(&self, path: &Path, stage: Stage) -> Option<u8> {
        match (path.tail, path.stage) {
            _ if path.is_click && stage != Stage::Click => None,
            (_, PathStage::Fixed(fixed)) => (fixed == stage).then_some(u8::from(!path.is_click)),
            (_, PathStage::Rules) => (stage == Stage::Impression).then_some(2),
            (Tail::Event, _) => self.event_of(stage).map(|_| 3),
            (Tail::Stage, _) => Some(4),
            (Tail::None | Tail::Parameters, PathStage::None | PathStage::Refused(_)) => None,
        }
        .map(|fitness| fitness * 2 + u8::from(path.tail == Tail::None))
    }

    /// Whether a link says what it was made for.
    fn says(&self, path: &Path, link: &str, wanted: LinkFor<'_>) -> bool {
        let (target, query) = link.split_once('?').map_or((link, None), |(path, query)| (path, Some(query)));
        let mut scratch = Scratch::new();
        path.entry(self, 0, target, query).is_some_and(|entry| {
            let hit = entry.read(&mut scratch).hit;
            hit.stage == Some(wanted.stage)
                && hit.campaign == Some(wanted.campaign.as_bytes())
                && hit.placement == Some(wanted.placement.as_bytes())
                && wanted.landing_url.is_none_or(|url| hit.landing_url == Some(url.trim().as_bytes()))
        })
    }
}

impl Dialects {
    /// The tables that have a path for this stage and can carry these ids, each with its link.
    pub fn links<'d>(
        &'d self,
        wanted: LinkFor<'d>,
        macro_of: impl Fn(&Table, &str, Field) -> Option<String> + 'd,
    ) -> impl Iterator<Item = (&'d Table, String)> {
        self.tables().iter().filter_map(move |table| {
            let link = table.link(wanted, |template, field| macro_of(table, template, field))?;
            Some((table, link))
        })
    }
}

/// Where a field stands in a URL that people read.
fn rank(field: Field) -> usize {
    const IDS: usize = IdField::COUNT;
    match field {
        Field::Campaign => 0,
        Field::Placement => 1,
        Field::Creative => 2,
        Field::Stage => 3,
        Field::Time => 4,
        Field::RequestId => 5,
        Field::GroupId => 6,
        Field::Os => 7,
        Field::Ip => 8,
        Field::UserAgent => 9,
        Field::Id(id) => 10 + id as usize,
        Field::CaidVersion => 11 + IDS,
        Field::IfaType => 12 + IDS,
        Field::LimitAdTracking => 13 + IDS,
        Field::ChildDirected => 14 + IDS,
        Field::Gdpr => 15 + IDS,
        Field::GdprConsent => 16 + IDS,
        Field::Gpp => 17 + IDS,
        Field::GppSid => 18 + IDS,
        Field::DeviceRisk => 19 + IDS,
        Field::LinkExpires => 20 + IDS,
        Field::LinkSignature => 21 + IDS,
        Field::LandingUrl => 22 + IDS,
    }
}

/// A text percent-encoded, but for the letters and signs that no URL gives a meaning.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for nibble in [byte >> 4, byte & 15] {
                out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
    out
}
