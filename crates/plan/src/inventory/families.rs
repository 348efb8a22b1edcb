//! Ansible's groups and hosts, in the making: whose child who is, and what follows for each host.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use pipedown_model::HostName;
use serde_json::Value;

use super::connection::{Reader, Var};
use super::format::Format;
use super::{Inventory, Lineage, Section, SectionKind, templates};
use crate::diagnostic::{InputError, Source};

/// The group of all hosts.
pub(super) const ALL: usize = 0;
/// The group of hosts that are in no other.
pub(super) const UNGROUPED: usize = 1;

/// A file of `group_vars` or `host_vars`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VarFile {
    /// Whether it speaks of a host; of a group if not.
    pub of_host: bool,
    /// Whose it is.
    pub name: String,
    /// What is in it.
    pub source: Source,
}

/// Groups and hosts as they are read, one after the other.
pub(super) struct Families {
    inventory: Inventory,
    source: Source,
    groups: Vec<Group>,
    index: HashMap<String, usize>,
    /// What was said of hosts, in order: the later wins.
    said: Vec<(Vec<usize>, Vec<Var>)>,
}

struct Group {
    name: String,
    hosts: Vec<usize>,
    known: HashSet<usize>,
    children: Vec<usize>,
    parents: Vec<usize>,
    vars: Vec<Var>,
    priority: i64,
}

impl Families {
    pub fn new(source: &Source, format: Format) -> Self {
        let inventory = Inventory::new(source.clone(), format);
        let mut families = Self {
            inventory,
            source: source.clone(),
            groups: Vec::new(),
            index: HashMap::new(),
            said: Vec::new(),
        };
        families.group("all");
        families.group("ungrouped");
        families
    }

    /// The text they are read from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The number of a group, which is made when it is new.
    pub fn group(&mut self, name: &str) -> usize {
        if let Some(number) = self.index.get(name) {
            return *number;
        }
        let number = self.groups.len();
        self.index.insert(name.to_owned(), number);
        self.groups.push(Group {
            name: name.to_owned(),
            hosts: Vec::new(),
            known: HashSet::new(),
            children: Vec::new(),
            parents: Vec::new(),
            vars: Vec::new(),
            priority: 1,
        });
        number
    }

    /// Puts a host into a group; says whether it is new.
    ///
    /// # Errors
    /// When it cannot be a host's name.
    pub fn host(
        &mut self,
        name: &str,
        group: usize,
        span: &Range<usize>,
    ) -> Result<(usize, bool), InputError> {
        let name = HostName::new(name)
            .map_err(|error| self.source.error(span.clone(), format!("cannot {error}")))?;
        let before = self.inventory.len();
        let number = self.inventory.declare(name);
        if let Some(group) = self.groups.get_mut(group)
            && group.known.insert(number)
        {
            group.hosts.push(number);
        }
        Ok((number, number >= before))
    }

    /// The number of a host, if there is one of this name.
    pub fn number(&self, name: &str) -> Option<usize> {
        self.inventory.index.get(&HostName::new(name).ok()?).copied()
    }

    /// Says something of hosts.
    pub fn say(&mut self, hosts: Vec<usize>, vars: Vec<Var>) {
        if !vars.is_empty() {
            self.said.push((hosts, vars));
        }
    }

    /// Sets a variable of a group.
    ///
    /// # Errors
    /// When it is `ansible_group_priority` and no number.
    pub fn set(&mut self, group: usize, var: Var) -> Result<(), InputError> {
        let Some(group) = self.groups.get_mut(group) else { return Ok(()) };
        if var.name != "ansible_group_priority" {
            group.vars.push(var);
            return Ok(());
        }
        let number = match &var.value {
            Some(Value::Number(number)) => number.as_i64(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            _ => None,
        };
        group.priority = number.ok_or_else(|| {
            self.source.error(var.span(&self.source), "`ansible_group_priority` must be a whole number")
        })?;
        Ok(())
    }

    /// Makes a group the child of another.
    ///
    /// # Errors
    /// When it is its own ancestor then.
    pub fn child(&mut self, parent: usize, child: usize, span: &Range<usize>) -> Result<(), InputError> {
        if parent == child || self.descends(parent, child) {
            let name = |number: usize| self.groups.get(number).map_or("", |group| group.name.as_str());
            let message =
                format!("group `{}` would be its own ancestor by way of `{}`", name(child), name(parent));
            return Err(self.source.error(span.clone(), message));
        }
        // Asked of the child: it has few parents, and a parent may have thousands of children.
        if let Some(group) = self.groups.get_mut(child)
            && !group.parents.contains(&parent)
        {
            group.parents.push(parent);
            if let Some(group) = self.groups.get_mut(parent) {
                group.children.push(child);
            }
        }
        Ok(())
    }

    /// Whether a group is below another.
    fn descends(&self, group: usize, ancestor: usize) -> bool {
        let mut seen = HashSet::new();
        let mut open = vec![group];
        while let Some(number) = open.pop() {
            if number == ancestor {
                return true;
            }
            if seen.insert(number) {
                open.extend(self.groups.get(number).into_iter().flat_map(|group| &group.parents));
            }
        }
        false
    }

    /// Makes the inventory: groups in the order in which their variables count, the least first.
    ///
    /// # Errors
    /// When a variable by which hosts are reached cannot be used.
    pub fn finish(mut self, reader: &mut Reader<'_>, beside: &[VarFile]) -> Result<Inventory, InputError> {
        self.tidy_ungrouped();
        let depths = self.depths();
        let mut order: Vec<usize> = (UNGROUPED..self.groups.len()).collect();
        order.sort_by_key(|number| {
            let group = self.groups.get(*number);
            let depth = depths.get(*number).copied().unwrap_or_default();
            (depth, group.map_or(1, |g| g.priority), group.map(|g| g.name.clone()))
        });
        let source = self.source.clone();
        let all = self.groups.get_mut(ALL).map(|group| std::mem::take(&mut group.vars)).unwrap_or_default();
        self.inventory.push(SectionKind::Defaults, reader.settings(all, &source, true)?);
        for file in beside.iter().filter(|file| !file.of_host && file.name == "all") {
            let settings =
                reader.settings(super::ansible_yaml::variables(&file.source)?, &file.source, false)?;
            self.inventory.push(SectionKind::Defaults, settings);
        }
        let members: HashMap<usize, Vec<usize>> =
            order.iter().map(|number| (*number, self.members(*number))).collect();
        for number in &order {
            self.section(*number, members.get(number).cloned().unwrap_or_default(), reader)?;
        }
        for number in &order {
            let Some(group) = self.groups.get(*number) else { continue };
            for file in beside.iter().filter(|file| !file.of_host && file.name == group.name) {
                let vars = super::ansible_yaml::variables(&file.source)?;
                let settings = reader.settings(vars, &file.source, false)?;
                let members = members.get(number).cloned().unwrap_or_default();
                self.inventory.add(SectionKind::GroupFile(group.name.clone()), settings, members);
            }
        }
        for (hosts, vars) in std::mem::take(&mut self.said) {
            let settings = reader.settings(vars, &source, true)?;
            self.inventory.add(SectionKind::Hosts, settings, hosts);
        }
        for file in beside.iter().filter(|file| file.of_host) {
            let known =
                HostName::new(&file.name).ok().and_then(|name| self.inventory.index.get(&name).copied());
            if let Some(host) = known {
                let vars = super::ansible_yaml::variables(&file.source)?;
                let settings = reader.settings(vars, &file.source, false)?;
                self.inventory.add(SectionKind::HostFile, settings, vec![host]);
            }
        }
        self.inventory.attach();
        templates::fill_in(&mut self.inventory, reader)?;
        Ok(self.inventory)
    }

    /// A host that is in some other group is not in `ungrouped`; one that is in none is.
    fn tidy_ungrouped(&mut self) {
        let mut grouped = vec![false; self.inventory.len()];
        for host in self.groups.iter().skip(UNGROUPED + 1).flat_map(|group| &group.hosts) {
            if let Some(slot) = grouped.get_mut(*host) {
                *slot = true;
            }
        }
        let hosts =
            grouped.iter().enumerate().filter(|(_, grouped)| !**grouped).map(|(host, _)| host).collect();
        if let Some(group) = self.groups.get_mut(UNGROUPED) {
            group.hosts = hosts;
        }
    }

    /// How far each group is below `all`, by the longest way.
    fn depths(&self) -> Vec<usize> {
        let mut depths: Vec<usize> =
            (0..self.groups.len()).map(|number| usize::from(number != ALL)).collect();
        let mut waiting: Vec<usize> = self.groups.iter().map(|group| group.parents.len()).collect();
        let mut open: Vec<usize> = (0..self.groups.len()).filter(|n| waiting.get(*n) == Some(&0)).collect();
        while let Some(number) = open.pop() {
            let below = depths.get(number).copied().unwrap_or_default() + 1;
            for child in self.groups.get(number).into_iter().flat_map(|group| &group.children) {
                if let (Some(depth), Some(left)) = (depths.get_mut(*child), waiting.get_mut(*child)) {
                    *depth = below.max(*depth);
                    *left -= 1;
                    if *left == 0 {
                        open.push(*child);
                    }
                }
            }
        }
        depths
    }

    /// The hosts of a group and of all groups below it, in the inventory's order.
    fn members(&self, number: usize) -> Vec<usize> {
        let mut seen = HashSet::from([number]);
        let mut open = vec![number];
        let mut members = Vec::new();
        while let Some(number) = open.pop() {
            let Some(group) = self.groups.get(number) else { continue };
            members.extend_from_slice(&group.hosts);
            open.extend(group.children.iter().copied().filter(|child| seen.insert(*child)));
        }
        members.sort_unstable();
        members.dedup();
        members
    }

    fn section(
        &mut self,
        number: usize,
        members: Vec<usize>,
        reader: &mut Reader<'_>,
    ) -> Result<(), InputError> {
        let Some(group) = self.groups.get_mut(number) else { return Ok(()) };
        let vars = std::mem::take(&mut group.vars);
        let children = std::mem::take(&mut group.children);
        let own = (!children.is_empty()).then(|| std::mem::take(&mut group.hosts));
        let (name, priority) = (group.name.clone(), group.priority);
        if number == UNGROUPED && members.is_empty() && vars.is_empty() {
            return Ok(());
        }
        let settings = reader.settings(vars, &self.source.clone(), true)?;
        let named = |child: &usize| self.groups.get(*child).map(|group| group.name.clone());
        let children = children.iter().filter_map(named).collect();
        let lineage = Lineage { own, children, priority };
        self.inventory.add_section(Section { kind: SectionKind::Group(name), settings, members, lineage });
        Ok(())
    }
}
