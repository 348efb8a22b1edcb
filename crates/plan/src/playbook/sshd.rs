//! The step that changes sshd's configuration, as it is written.

use crate::diagnostic::InputError;
use crate::document::{Field, Item, Table};

/// What a playbook wants of sshd.
#[derive(Debug)]
pub(crate) struct SshdConfig {
    pub set: Vec<Assignment>,
    pub matches: Vec<MatchBlock>,
    pub unset: Vec<Field>,
    pub config: Option<Field>,
    pub confirm_within: Option<Field>,
    pub keep_for: Option<Field>,
    pub batch: Option<Vec<Field>>,
    pub max_failures: Option<Field>,
}

/// `KEYWORD = VALUE`; the keyword is no template.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub keyword: Field,
    pub values: Values,
}

/// One value as it is to stand in the file, or words that are to be joined.
#[derive(Debug)]
pub(crate) enum Values {
    One(Field),
    List(Vec<Field>),
}

/// What holds for some.
#[derive(Debug)]
pub(crate) struct MatchBlock {
    pub criteria: Field,
    pub set: Vec<Assignment>,
    pub unset: Vec<Field>,
}

impl SshdConfig {
    /// The fields that are templates and can differ from host to host.
    pub fn templates(&self) -> Vec<&Field> {
        let mut all = assigned(&self.set);
        for block in &self.matches {
            all.push(&block.criteria);
            all.extend(assigned(&block.set));
            all.extend(&block.unset);
        }
        all.extend(&self.unset);
        all.extend([&self.config, &self.confirm_within, &self.keep_for].into_iter().flatten());
        all
    }

    /// The fields that are templates about the run as a whole.
    pub fn rollout(&self) -> Vec<&Field> {
        self.batch.iter().flatten().chain(&self.max_failures).collect()
    }
}

fn assigned(set: &[Assignment]) -> Vec<&Field> {
    let values = set.iter().map(|assignment| match &assignment.values {
        Values::One(field) => std::slice::from_ref(field),
        Values::List(fields) => fields,
    });
    values.flatten().collect()
}

/// The keys of the step.
pub(super) const KEYS: [&str; 8] =
    ["set", "match", "unset", "config", "confirm_within", "keep_for", "batch", "max_failures"];

/// Reads the step.
pub(super) fn read(table: &Table<'_>) -> Result<SshdConfig, InputError> {
    let string = |key: &str| table.get(key).map(|item| item.string()).transpose();
    let scalar = |key: &str| table.get(key).map(|item| item.string_or_scalar()).transpose();
    let blocks = table.get("match").map_or(Ok(Vec::new()), |item| item.tables())?;
    Ok(SshdConfig {
        set: set(table)?,
        matches: blocks.iter().map(block).collect::<Result<_, _>>()?,
        unset: unset(table)?,
        config: string("config")?,
        confirm_within: string("confirm_within")?,
        keep_for: string("keep_for")?,
        batch: table.get("batch").map(|item| item.scalars()).transpose()?,
        max_failures: scalar("max_failures")?,
    })
}

fn block(table: &Table<'_>) -> Result<MatchBlock, InputError> {
    table.deny_unknown(&["criteria", "set", "unset"], format_args!("`{}`", table.path()))?;
    let criteria = table.need("criteria").map_err(|error| {
        error.suggest("whom the block is about, as behind `Match`: criteria = \"User sftp\"")
    })?;
    let block = MatchBlock { criteria: criteria.string()?, set: set(table)?, unset: unset(table)? };
    if block.set.is_empty() && block.unset.is_empty() {
        return Err(table.error(format!("`{}` sets nothing", table.path())));
    }
    Ok(block)
}

fn set(table: &Table<'_>) -> Result<Vec<Assignment>, InputError> {
    let Some(item) = table.get("set") else { return Ok(Vec::new()) };
    item.table()?.items().iter().map(assignment).collect()
}

fn assignment(item: &Item<'_>) -> Result<Assignment, InputError> {
    let keyword = Field { text: item.name.to_owned(), span: item.key_span.clone(), key: item.path() };
    let values = if item.is_array() { Values::List(item.scalars()?) } else { Values::One(yes_or_no(item)?) };
    Ok(Assignment { keyword, values })
}

/// A value; true and false are the yes and no of sshd_config(5).
fn yes_or_no(item: &Item<'_>) -> Result<Field, InputError> {
    let mut field = item.string_or_scalar()?;
    if let Some(truth) = item.boolean() {
        field.text = if truth { "yes" } else { "no" }.to_owned();
    }
    Ok(field)
}

fn unset(table: &Table<'_>) -> Result<Vec<Field>, InputError> {
    table.get("unset").map_or(Ok(Vec::new()), |item| item.strings())
}
