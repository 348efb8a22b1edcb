//! `pipedown hosts SET --count` and the like: host sets as a tool for pipes.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use clap::Args;
use pipedown_model::HostName;
use pipedown_plan::{HostSet, Inventory, fold};
use serde::Serialize;

use crate::commands::json_lines;
use crate::stop::Stop;
use crate::surroundings::Surroundings;

/// What to print instead of the table.
#[derive(Debug, Args)]
#[command(next_help_heading = "What to print")]
pub struct FormArgs {
    /// Print only how many
    #[arg(long, conflicts_with_all = ["fold", "expand"])]
    count: bool,
    /// Print them folded: login[01-40]
    #[arg(long, conflicts_with = "expand")]
    fold: bool,
    /// Print a name per line
    #[arg(long)]
    expand: bool,
    /// Print N folded sets of nearly equal size, one per line
    #[arg(long, value_name = "N", conflicts_with = "group_by")]
    split: Option<NonZeroUsize>,
    /// Take N of them, at random
    #[arg(long, value_name = "N")]
    pick: Option<usize>,
    /// Print a folded set for each value of a variable of the inventory, or for each `group`
    #[arg(long, value_name = "VAR")]
    group_by: Option<String>,
}

/// How hosts are told.
#[derive(Clone, Copy)]
enum Form {
    Count,
    Folded,
    Names,
}

impl FormArgs {
    /// Whether there is anything of these options.
    pub fn is_asked_for(&self) -> bool {
        let Self { count, fold, expand, split, pick, group_by } = self;
        *count || *fold || *expand || split.is_some() || pick.is_some() || group_by.is_some()
    }

    fn form(&self, otherwise: Form) -> Form {
        match self {
            Self { count: true, .. } => Form::Count,
            Self { fold: true, .. } => Form::Folded,
            Self { expand: true, .. } => Form::Names,
            _ => otherwise,
        }
    }
}

/// One line: some hosts, and what they have in common.
#[derive(Serialize)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// Hosts that the variable says nothing of.
    #[serde(skip)]
    has_none: bool,
    count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<Vec<HostName>>,
}

impl Line {
    fn new(hosts: Vec<HostName>, form: Form) -> Self {
        let mut line =
            Self { part: None, group: None, has_none: false, count: hosts.len(), hosts: None, names: None };
        match form {
            Form::Count => {}
            Form::Folded => line.hosts = Some(fold(&hosts)),
            Form::Names => line.names = Some(hosts),
        }
        line
    }

    fn text(&self, between: &str) -> String {
        let hosts = match (&self.hosts, &self.names) {
            (Some(folded), _) => folded.clone(),
            (None, Some(names)) => names.iter().map(HostName::as_str).collect::<Vec<_>>().join(between),
            (None, None) => self.count.to_string(),
        };
        match &self.group {
            Some(group) => format!("{group}: {hosts}"),
            None if self.has_none => format!("-: {hosts}"),
            None => hosts,
        }
    }
}

/// What to print.
///
/// # Errors
/// When an inventory is needed and there is none, or a host of the set is not in it.
pub fn run(around: &Surroundings, set: &HostSet, args: &FormArgs) -> Result<String, Stop> {
    let needed = set.needs_inventory() || args.group_by.is_some() || around.global.inventory.is_some();
    let inventory = if needed { Some(around.inventory()?) } else { None };
    let mut hosts = match &inventory {
        Some(inventory) => inventory.evaluate(set)?,
        None => set.names()?,
    };
    if let Some(most) = args.pick {
        hosts = picked(hosts, most)?;
    }
    let lines = match (&inventory, &args.group_by, args.split) {
        (Some(inventory), Some(by), _) => grouped(inventory, hosts, by, args.form(Form::Folded)),
        (_, _, Some(parts)) => split(&hosts, parts, args.form(Form::Folded)),
        _ => return plain(around, hosts, args.form(Form::Names)),
    };
    if around.global.json {
        return json_lines(&lines);
    }
    Ok(lines.iter().map(|line| line.text(" ") + "\n").collect())
}

/// All hosts in one.
fn plain(around: &Surroundings, hosts: Vec<HostName>, form: Form) -> Result<String, Stop> {
    if !around.global.json {
        let text = Line::new(hosts, form).text("\n");
        // No host, no line; but a count or a set is always one.
        return Ok(if matches!(form, Form::Names) && text.is_empty() { text } else { text + "\n" });
    }
    match form {
        Form::Names => {
            json_lines(&hosts.into_iter().map(|host| BTreeMap::from([("host", host)])).collect::<Vec<_>>())
        }
        form => json_lines(&[Line::new(hosts, form)]),
    }
}

/// Some of the hosts, each as likely as the others, in the order that they had.
fn picked(hosts: Vec<HostName>, most: usize) -> Result<Vec<HostName>, Stop> {
    let mut drawn: Vec<(u64, usize)> = Vec::with_capacity(hosts.len());
    let mut random = vec![0_u8; hosts.len() * size_of::<u64>()];
    getrandom::fill(&mut random).map_err(|e| Stop::failed(format!("pick hosts: {e}")))?;
    for (index, bytes) in random.chunks_exact(size_of::<u64>()).enumerate() {
        drawn.push((bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)), index));
    }
    // Whoever draws the smallest numbers is taken.
    drawn.sort_unstable();
    let mut taken: Vec<usize> = drawn.into_iter().take(most).map(|(_, index)| index).collect();
    taken.sort_unstable();
    Ok(taken.into_iter().filter_map(|index| hosts.get(index).cloned()).collect())
}

/// Parts that differ by one host at most; fewer parts when there are fewer hosts.
fn split(hosts: &[HostName], parts: NonZeroUsize, form: Form) -> Vec<Line> {
    let (size, longer) = (hosts.len() / parts, hosts.len() % parts);
    let mut rest = hosts;
    let mut lines = Vec::new();
    for part in 0..parts.get() {
        let (mine, others) = rest.split_at(rest.len().min(size + usize::from(part < longer)));
        if mine.is_empty() {
            break;
        }
        lines.push(Line { part: Some(part + 1), ..Line::new(mine.to_vec(), form) });
        rest = others;
    }
    lines
}

/// Hosts by what the inventory says of them, those of which it says nothing last. A host in two groups comes twice.
fn grouped(inventory: &Inventory, hosts: Vec<HostName>, by: &str, form: Form) -> Vec<Line> {
    let mut groups: BTreeMap<(bool, String), Vec<HostName>> = BTreeMap::new();
    for host in hosts {
        let values: Vec<String> = match (by, inventory.host(&host)) {
            ("group", Some(known)) => known.groups().map(str::to_owned).collect(),
            _ => inventory.var_texts(&host, by),
        };
        if values.is_empty() {
            groups.entry((true, String::new())).or_default().push(host.clone());
        }
        for value in values {
            groups.entry((false, value)).or_default().push(host.clone());
        }
    }
    let line = |((has_none, group), hosts): ((bool, String), _)| Line {
        group: Some(group).filter(|_| !has_none),
        has_none,
        ..Line::new(hosts, form)
    };
    groups.into_iter().map(line).collect()
}
