//! Who sees which campaigns and placements, and whether as they were counted.
//!
//! A report is asked for with a [`Sight`], and only a [`View`] gives one: so no route can compute figures for a token without having asked what it sees.
//! A campaign or placement that a token does not see is the same to it as one that does not exist.
//!
//! Must never: tell the two apart, by word or by work.

use std::collections::BTreeSet;

use catalog::{Campaign, Catalog, Placement};

use crate::tokens::Role;

/// What a token sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum View {
    /// Everything, and may change it.
    Operator,
    /// Everything.
    Auditor,
    /// The campaigns of these advertisers.
    Advertiser(Vec<String>),
    /// The placements of these media.
    Medium(Vec<String>),
}

/// How a token sees one campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    /// Exactly, or shaped by [`crate::report`].
    is_exact: bool,
    /// Only these placements, in order; the whole campaign where there are none. Never an empty list.
    only: Option<Vec<String>>,
    /// Whose these are, where a token sees them that is of one medium alone.
    medium: Option<String>,
}

impl View {
    /// Whether it sees what is of no tenant: books, tokens, devices that are set aside.
    pub(crate) fn is_of_the_house(&self) -> bool {
        matches!(self, Self::Operator | Self::Auditor)
    }

    /// The role of its tokens.
    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Operator => Role::Operator,
            Self::Auditor => Role::Auditor,
            Self::Advertiser(_) => Role::Advertiser,
            Self::Medium(_) => Role::Medium,
        }
    }

    /// Whether it may change anything.
    pub(crate) fn may_change(&self) -> bool {
        matches!(self, Self::Operator)
    }

    /// Whether it sees what a campaign costs, its universes, and whose it is: everybody who sees all of a campaign.
    pub(crate) fn sees_costs(&self) -> bool {
        !matches!(self, Self::Medium(_))
    }

    /// How it sees a campaign; `None` if it does not. Who sees everything also sees what the catalog does not have.
    pub(crate) fn of(&self, catalog: &Catalog, campaign: &str) -> Option<Sight> {
        if self.is_of_the_house() {
            return Some(Sight::exact());
        }
        self.of_campaign(catalog.campaigns.get(campaign)?)
    }

    fn of_campaign(&self, campaign: &Campaign) -> Option<Sight> {
        match self {
            Self::Operator | Self::Auditor => Some(Sight::exact()),
            Self::Advertiser(advertisers) => {
                let advertiser = campaign.advertiser.as_ref()?;
                advertisers.contains(advertiser).then(Sight::shaped)
            }
            Self::Medium(media) => {
                let of_media =
                    campaign.placements.values().filter(|placement| media.contains(&placement.medium));
                let (ids, names): (Vec<String>, BTreeSet<&str>) =
                    of_media.map(|placement| (placement.id.clone(), placement.medium.as_str())).unzip();
                let medium = names.first().filter(|_| names.len() == 1).map(|name| (*name).to_owned());
                (!ids.is_empty()).then(|| Sight { medium, ..Sight::of_placements(ids) })
            }
        }
    }
}

impl Sight {
    /// Whether figures are shown as they were counted.
    pub(crate) fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// The only placements that count; `None` for all.
    pub(crate) fn only(&self) -> Option<&[String]> {
        self.only.as_deref()
    }

    /// The medium whose placements alone a token sees; `None` where it sees those of several, or all.
    pub(crate) fn medium(&self) -> Option<&str> {
        self.medium.as_deref()
    }

    /// Whether this placement of the campaign is seen.
    pub(crate) fn sees(&self, placement: &Placement) -> bool {
        self.sees_id(&placement.id)
    }

    /// The same by its id. A medium may have thousands, and each is asked for.
    pub(crate) fn sees_id(&self, id: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.binary_search_by(|one| one.as_str().cmp(id)).is_ok())
    }

    fn new(is_exact: bool, mut only: Option<Vec<String>>) -> Self {
        if let Some(only) = &mut only {
            only.sort_unstable();
        }
        Self { is_exact, only, medium: None }
    }

    /// The whole campaign, as it was counted.
    pub(crate) fn exact() -> Self {
        Self::counted(None)
    }

    /// The whole campaign, or some placements alone, as they were counted.
    pub(crate) fn counted(only: Option<Vec<String>>) -> Self {
        Self::new(true, only)
    }

    /// The whole campaign, shaped.
    pub(crate) fn shaped() -> Self {
        Self::new(false, None)
    }

    /// Some placements, shaped.
    pub(crate) fn of_placements(only: Vec<String>) -> Self {
        Self::new(false, Some(only))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOG: &str = r#"
[[campaign]]
id = "c1"
name = "One"
time_zone = "UTC"
advertiser = "acme"
[[campaign.placement]]
id = "p1"
name = "P1"
medium = "A"
[[campaign.placement]]
id = "p2"
name = "P2"
medium = "B"
[[campaign]]
id = "c2"
name = "Two"
time_zone = "UTC"
[[campaign.placement]]
id = "p1"
name = "P1"
medium = "B"
"#;

    #[test]
    fn each_role_sees_its_own() {
        let catalog = Catalog::parse(CATALOG, "catalog.toml").expect("a catalog");
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let sight = |view: &View, campaign: &str| view.of(&catalog, campaign);
        for view in [View::Operator, View::Auditor] {
            for campaign in ["c1", "c2", "gone from the catalog"] {
                assert_eq!(sight(&view, campaign), Some(Sight::exact()));
            }
        }
        let acme = View::Advertiser(names(&["acme", "other"]));
        assert_eq!(sight(&acme, "c1"), Some(Sight::shaped()));
        assert_eq!(
            (sight(&acme, "c2"), sight(&acme, "none")),
            (None, None),
            "a campaign of nobody is nobody's"
        );
        let medium = View::Medium(names(&["A"]));
        let seen = sight(&medium, "c1").expect("has a placement there");
        assert_eq!((seen.is_exact(), seen.only()), (false, Some(&names(&["p1"])[..])));
        let both = sight(&View::Medium(names(&["A", "B"])), "c1").expect("has placements there");
        assert_eq!((seen.medium(), both.medium()), (Some("A"), None), "of one medium alone");
        assert_eq!(both.only(), Some(&names(&["p1", "p2"])[..]));
        let placements = &catalog.campaigns["c1"].placements;
        assert!(seen.sees(&placements["p1"]) && !seen.sees(&placements["p2"]));
        // However they come.
        let some = Sight::of_placements(names(&["p3", "p1", "p2"]));
        assert!(["p1", "p2", "p3"].iter().all(|id| some.sees_id(id)) && !some.sees_id("p4"));
        assert_eq!(sight(&medium, "c2"), None);
    }
}
