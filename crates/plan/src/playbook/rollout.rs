//! How a playbook goes from host to host, as it is written: batches, budgets, slots, checks.

use crate::diagnostic::InputError;
use crate::document::{Field, Table};

/// The keys at the top of a playbook.
pub(super) const KEYS: [&str; 5] = ["batch", "max_failures", "max_unreachable", "max_down", "health"];

/// What a playbook says of its run as a whole.
#[derive(Debug, Default)]
pub(crate) struct Rollout {
    pub batch: Option<Vec<Field>>,
    pub max_failures: Option<Field>,
    pub max_unreachable: Option<Field>,
    /// Host set, and how many of it; neither is a template of its own kind.
    pub max_down: Vec<(Field, Field)>,
    pub health: Option<Health>,
}

/// What must be well after a batch; `run` is never a template.
#[derive(Debug)]
pub(crate) struct Health {
    pub local: Vec<Field>,
    pub run: Option<Field>,
    pub retries: Option<Field>,
    pub interval: Option<Field>,
    pub timeout: Option<Field>,
}

impl Rollout {
    /// The fields that are templates; no host can be named in them.
    pub fn templates(&self) -> Vec<&Field> {
        let mut all: Vec<&Field> = self.batch.iter().flatten().collect();
        all.extend(self.max_failures.iter().chain(&self.max_unreachable));
        all.extend(self.max_down.iter().map(|(_, most)| most));
        if let Some(health) = &self.health {
            all.extend(&health.local);
            all.extend([&health.retries, &health.interval, &health.timeout].into_iter().flatten());
        }
        all
    }
}

/// Reads the keys at the top of a playbook.
pub(super) fn read(root: &Table<'_>) -> Result<Rollout, InputError> {
    let scalar = |key: &str| root.get(key).map(|item| item.string_or_scalar()).transpose();
    let mut max_down = Vec::new();
    if let Some(item) = root.get("max_down") {
        for item in item.table()?.items() {
            let set = Field { text: item.name.to_owned(), span: item.key_span.clone(), key: item.path() };
            max_down.push((set, item.string_or_scalar()?));
        }
    }
    Ok(Rollout {
        batch: root.get("batch").map(|item| item.scalars()).transpose()?,
        max_failures: scalar("max_failures")?,
        max_unreachable: scalar("max_unreachable")?,
        max_down,
        health: root.get("health").map(|item| health(&item.table()?)).transpose()?,
    })
}

fn health(table: &Table<'_>) -> Result<Health, InputError> {
    table.deny_unknown(&["local", "run", "retries", "interval", "timeout"], "`health`")?;
    let scalar = |key: &str| table.get(key).map(|item| item.string_or_scalar()).transpose();
    let run = table.get("run").map(|item| item.string().map(|field| (item, field))).transpose()?;
    if let Some((item, field)) = &run
        && (field.text.trim().is_empty() || field.text.contains('\0'))
    {
        return Err(item.error("`health.run` is not a script"));
    }
    let local = table.get("local").map_or(Ok(Vec::new()), |item| item.strings())?;
    if local.first().map_or(run.is_none(), |program| program.text.trim().is_empty()) {
        return Err(table
            .error("`health` has nothing to check")
            .suggest("write local = [\"program\", \"argument\"] or run = \"script\""));
    }
    Ok(Health {
        local,
        run: run.map(|(_, field)| field),
        retries: scalar("retries")?,
        interval: scalar("interval")?,
        timeout: scalar("timeout")?,
    })
}
