//! The catalog's text as a tree that remembers how each byte was written.

use std::collections::HashMap;

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table};

use super::{Change, EditError, Fields, Value, field};

/// A text that is being changed.
pub(super) struct Document {
    tree: DocumentMut,
    /// Places of campaigns in the file, and of placements in their campaign.
    index: HashMap<String, (usize, HashMap<String, usize>)>,
    /// Where in the text placements are added to a campaign that has got one: whatever belongs ahead of them was found then.
    opened: HashMap<String, isize>,
    /// The text began with a byte order mark, which the tree does not keep.
    has_mark: bool,
    /// Lines end as on Windows. The tree knows line feeds only.
    has_crlf: bool,
}

/// The byte order mark.
const MARK: char = '\u{feff}';

impl Document {
    /// Takes a text that is a right catalog.
    pub(super) fn parse(text: &str) -> Result<Self, EditError> {
        let bare = text.strip_prefix(MARK).unwrap_or(text);
        let has_crlf = bare.contains("\r\n");
        let mut plain = if has_crlf { bare.replace("\r\n", "\n") } else { bare.to_owned() };
        if !plain.is_empty() && !plain.ends_with('\n') {
            plain.push('\n');
        }
        if has_crlf
            && plain.matches('\n').count()
                != bare.matches("\r\n").count() + usize::from(!bare.ends_with('\n'))
        {
            return Err(EditError::NotEditable("some of its lines end as on Windows and some do not"));
        }
        let tree: DocumentMut =
            plain.parse().map_err(|_| EditError::NotEditable("it cannot be read as TOML 1.1"))?;
        if tree.to_string() != plain {
            return Err(EditError::NotEditable("part of it would not be kept as it is written"));
        }
        let mut document = Self {
            tree,
            index: HashMap::new(),
            opened: HashMap::new(),
            has_mark: bare.len() != text.len(),
            has_crlf,
        };
        // So that a place is free behind each table.
        each_table(document.tree.as_table_mut(), &mut |table| {
            table.set_position(table.position().map(|at| at * 2));
        });
        document.make_index()?;
        Ok(document)
    }

    /// The text.
    pub(super) fn into_text(self) -> String {
        let mut text = self.tree.to_string();
        if self.has_crlf {
            text = text.replace('\n', "\r\n");
        }
        if self.has_mark {
            text.insert(0, MARK);
        }
        text
    }

    /// Makes one change.
    pub(super) fn apply(&mut self, change: &Change) -> Result<(), EditError> {
        if let Change::AddCampaign(fields) | Change::SetCampaign { fields, .. } = change
            && fields.iter().any(|(key, _)| key == "placement")
        {
            let problem = "`placement`: placements are added, changed and removed one by one";
            return Err(EditError::Refused(problem.to_owned()));
        }
        match change {
            Change::AddCampaign(fields) => self.add_campaign(fields),
            Change::SetCampaign { campaign, fields } => set(self.campaign(campaign)?.0, campaign, fields),
            Change::RemoveCampaign { campaign } => self.remove_campaign(campaign),
            Change::AddPlacement { campaign, fields } => self.add_placement(campaign, fields),
            Change::SetPlacement { campaign, placement, fields } => {
                let (table, placements) = self.campaign(campaign)?;
                let at = *placements.get(placement).ok_or(EditError::UnknownPlacement)?;
                let table = tables_mut(table, "placement")?.and_then(|all| all.get_mut(at));
                set(table.ok_or(EditError::UnknownPlacement)?, placement, fields)
            }
            Change::RemovePlacement { campaign, placement } => self.remove_placement(campaign, placement),
        }
    }

    fn make_index(&mut self) -> Result<(), EditError> {
        self.index.clear();
        self.opened.clear();
        let Some(campaigns) = tables_mut(self.tree.as_table_mut(), "campaign")? else { return Ok(()) };
        for (at, campaign) in campaigns.iter_mut().enumerate() {
            let mut placements = HashMap::new();
            let id = id_of(campaign).unwrap_or_default();
            if let Some(all) = tables_mut(campaign, "placement")? {
                placements = all.iter().enumerate().filter_map(|(at, p)| Some((id_of(p)?, at))).collect();
            }
            self.index.insert(id, (at, placements));
        }
        Ok(())
    }

    fn campaign(&mut self, id: &str) -> Result<(&mut Table, &mut HashMap<String, usize>), EditError> {
        let (at, placements) = self.index.get_mut(id).ok_or(EditError::UnknownCampaign)?;
        let campaigns = tables_mut(self.tree.as_table_mut(), "campaign")?;
        let table = campaigns.and_then(|all| all.get_mut(*at)).ok_or(EditError::UnknownCampaign)?;
        Ok((table, placements))
    }

    fn add_campaign(&mut self, fields: &Fields) -> Result<(), EditError> {
        let id = field(fields, "id").and_then(Value::as_text).unwrap_or_default().to_owned();
        if self.index.contains_key(&id) {
            return Err(EditError::Exists { what: "campaign", id });
        }
        // Behind everything, comments at the end included.
        let trailing = raw(self.tree.trailing().as_str());
        self.tree.set_trailing("");
        let is_first = self.tree.as_table().is_empty() && trailing.is_empty();
        let mut table = table_of(fields, &if is_first { String::new() } else { format!("{trailing}\n") });
        table.set_position(Some(last_position(self.tree.as_table_mut()).saturating_add(1)));
        let item = self.tree.entry("campaign").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        let campaigns = item.as_array_of_tables_mut().ok_or(NOT_TABLES)?;
        campaigns.push(table);
        self.index.insert(id, (campaigns.len() - 1, HashMap::new()));
        Ok(())
    }

    fn remove_campaign(&mut self, id: &str) -> Result<(), EditError> {
        let (at, _) =
            *self.index.get(id).map(|(at, p)| (*at, p)).as_ref().ok_or(EditError::UnknownCampaign)?;
        let campaigns =
            tables_mut(self.tree.as_table_mut(), "campaign")?.ok_or(EditError::UnknownCampaign)?;
        let mut gone = campaigns.remove(at);
        if campaigns.is_empty() {
            self.tree.remove("campaign");
        }
        let last = last_position(&mut gone);
        self.keep_above(&gone, last);
        self.make_index()
    }

    fn add_placement(&mut self, campaign: &str, fields: &Fields) -> Result<(), EditError> {
        let id = field(fields, "id").and_then(Value::as_text).unwrap_or_default().to_owned();
        let (table, placements) = self.campaign(campaign)?;
        if placements.contains_key(&id) {
            return Err(EditError::Exists { what: "placement", id });
        }
        placements.insert(id, placements.len());
        tables_mut(table, "placement")?;
        let (at, above) = if let Some(at) = self.opened.get(campaign) {
            (*at, String::new())
        } else {
            let at = last_position(self.campaign(campaign)?.0) | 1;
            self.opened.insert(campaign.to_owned(), at);
            // What stands between the campaign's last line and the next header belongs to the former down to the last blank line.
            (at, self.take_above(at))
        };
        let mut new = table_of(fields, &format!("{above}\n"));
        new.set_position(Some(at));
        let (table, _) = self.campaign(campaign)?;
        let item = table.entry("placement").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        item.as_array_of_tables_mut().ok_or(NOT_TABLES)?.push(new);
        Ok(())
    }

    fn remove_placement(&mut self, campaign: &str, placement: &str) -> Result<(), EditError> {
        let (table, placements) = self.campaign(campaign)?;
        let at = *placements.get(placement).ok_or(EditError::UnknownPlacement)?;
        let all = tables_mut(table, "placement")?.ok_or(EditError::UnknownPlacement)?;
        let mut gone = all.remove(at);
        if all.is_empty() {
            table.remove("placement");
        }
        let last = last_position(&mut gone);
        self.keep_above(&gone, last);
        self.make_index()
    }

    /// Takes what belongs to the table above from what stands ahead of the first header behind `at`.
    fn take_above(&mut self, at: isize) -> String {
        let mut above = String::new();
        if let Some(next) = self.next_behind(at) {
            let prefix = prefix_of(next);
            let (mine, theirs) = prefix.split_at(end_of_above(&prefix));
            mine.clone_into(&mut above);
            next.decor_mut().set_prefix(theirs);
        } else {
            above.push_str(&raw(self.tree.trailing().as_str()));
            self.tree.set_trailing("");
        }
        above
    }

    /// Leaves what stood ahead of a table that goes and belonged to the one above it.
    fn keep_above(&mut self, gone: &Table, last: isize) {
        let prefix = prefix_of(gone);
        let Some(kept) = prefix.get(..end_of_above(&prefix)).filter(|kept| !kept.is_empty()) else { return };
        if let Some(next) = self.next_behind(last) {
            let joined = format!("{kept}{}", prefix_of(next));
            next.decor_mut().set_prefix(joined);
        } else {
            let joined = format!("{kept}{}", raw(self.tree.trailing().as_str()));
            self.tree.set_trailing(joined);
        }
    }

    /// The first table behind a place in the text.
    fn next_behind(&mut self, at: isize) -> Option<&mut Table> {
        let mut found: Option<isize> = None;
        let tree = self.tree.as_table_mut();
        each_table(tree, &mut |table| {
            let here = table.position().filter(|here| *here > at && !table.is_implicit());
            found = here.into_iter().chain(found).min();
        });
        table_at(tree, found?)
    }
}

const NOT_TABLES: EditError = EditError::NotEditable(
    "campaigns and placements have to be written as [[campaign]] and [[campaign.placement]]",
);

/// Sets and takes away keys of a table.
fn set(table: &mut Table, id: &str, fields: &Fields) -> Result<(), EditError> {
    for (key, value) in fields {
        match value {
            Some(Value::Text(same)) if key == "id" && same == id => {}
            _ if key == "id" => return Err(EditError::IdStays),
            None => {
                table.remove(key);
            }
            Some(value) => put(table, key, value),
        }
    }
    Ok(())
}

/// Writes a value; what is there and says the same stays as it was written, and a comment behind it stays anyway.
fn put(table: &mut Table, key: &str, value: &Value) {
    let new = value.to_toml();
    match table.get_mut(key) {
        Some(Item::Value(old)) => {
            if !says(old, value) {
                let decor = old.decor().clone();
                *old = new;
                *old.decor_mut() = decor;
            }
        }
        Some(_) => {
            table.remove(key);
            table.insert(key, Item::Value(new));
        }
        None => {
            table.insert(key, Item::Value(new));
        }
    }
}

/// Whether a value that was read says what this one does.
fn says(old: &toml_edit::Value, new: &Value) -> bool {
    match (old, new) {
        (toml_edit::Value::Array(old), Value::List(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| says(old, new))
        }
        (toml_edit::Value::InlineTable(old), Value::Table(new)) => {
            let same = |(key, new): &(String, Value)| old.get(key).is_some_and(|old| says(old, new));
            old.len() == new.len() && new.iter().all(same)
        }
        (toml_edit::Value::String(old), Value::Text(new)) => old.value() == new,
        (toml_edit::Value::Boolean(old), Value::Flag(new)) => old.value() == new,
        (toml_edit::Value::Integer(old), Value::Whole(new)) => u64::try_from(*old.value()) == Ok(*new),
        (toml_edit::Value::Datetime(old), Value::Date(new)) => old.value().to_string() == new.to_string(),
        (old, Value::Decimal(new)) => {
            let old = old.as_float().or_else(|| old.as_integer().map(|number| number as f64));
            // Both are the nearest number to a decimal with few digits.
            new.parse().ok().is_some_and(|new: f64| old.is_some_and(|old| old.to_bits() == new.to_bits()))
        }
        _ => false,
    }
}

/// A new table with what stands ahead of its header.
fn table_of(fields: &Fields, prefix: &str) -> Table {
    let mut table = Table::new();
    for (key, value) in fields {
        if let Some(value) = value {
            table.insert(key, Item::Value(value.to_toml()));
        }
    }
    table.decor_mut().set_prefix(prefix);
    table
}

/// The tables of a name; an error where it is written in another way.
fn tables_mut<'t>(table: &'t mut Table, key: &str) -> Result<Option<&'t mut ArrayOfTables>, EditError> {
    match table.get_mut(key) {
        None => Ok(None),
        Some(Item::ArrayOfTables(tables)) => Ok(Some(tables)),
        Some(_) => Err(NOT_TABLES),
    }
}

fn id_of(table: &Table) -> Option<String> {
    table.get("id").and_then(Item::as_str).map(str::to_owned)
}

fn raw(text: Option<&str>) -> String {
    text.unwrap_or_default().to_owned()
}

fn prefix_of(table: &Table) -> String {
    raw(table.decor().prefix().and_then(|prefix| prefix.as_str()))
}

/// How much of what stands ahead of a header belongs to what is above it: all before the last blank line.
fn end_of_above(prefix: &str) -> usize {
    let mut end = 0;
    let mut at = 0;
    for line in prefix.split_inclusive('\n') {
        if line.trim().is_empty() && line.ends_with('\n') && at > 0 {
            end = at;
        }
        at += line.len();
    }
    end
}

/// Calls for each table, this one included, in no order of the text.
fn each_table(table: &mut Table, call: &mut dyn FnMut(&mut Table)) {
    call(table);
    for (_, item) in table.iter_mut() {
        match item {
            Item::Table(table) => each_table(table, call),
            Item::ArrayOfTables(tables) => tables.iter_mut().for_each(|table| each_table(table, call)),
            Item::None | Item::Value(_) => {}
        }
    }
}

/// The last place that a table or one below it has in the text.
fn last_position(table: &mut Table) -> isize {
    let mut last = 0;
    each_table(table, &mut |table| last = last.max(table.position().unwrap_or(0)));
    last
}

fn table_at(table: &mut Table, at: isize) -> Option<&mut Table> {
    if table.position() == Some(at) {
        return Some(table);
    }
    for (_, item) in table.iter_mut() {
        let found = match item {
            Item::Table(table) => table_at(table, at),
            Item::ArrayOfTables(tables) => tables.iter_mut().find_map(|table| table_at(table, at)),
            Item::None | Item::Value(_) => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}
