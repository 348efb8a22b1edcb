//! Works host sets out, whoever knows the hosts.

use std::collections::HashMap;

use pipedown_model::HostName;

use super::parse::{Atom, HostSet, Op};
use super::pattern::Pattern;
use crate::diagnostic::{InputError, Source};

/// Who knows which hosts there are: an inventory, or nobody ([`Open`]). Hosts are numbers, in the order in
/// which results are told.
pub(crate) trait World {
    /// The hosts that one atom stands for; a host may come twice.
    ///
    /// # Errors
    /// When the atom names what is not there.
    fn members(&mut self, source: &Source, op: Op, atom: &Atom) -> Result<Vec<usize>, InputError>;
}

/// Which hosts of a world are in the set, in the world's order.
pub(crate) fn evaluate(set: &HostSet, world: &mut impl World) -> Result<Vec<usize>, InputError> {
    let mut chosen: Vec<bool> = Vec::new();
    for term in set.terms() {
        let right = world.members(set.source(), term.op, &term.atom)?;
        apply(&mut chosen, term.op, right);
    }
    Ok(chosen.iter().enumerate().filter(|(_, chosen)| **chosen).map(|(index, _)| index).collect())
}

/// Takes as long as the right side is, except for `&`: a hundred thousand names joined by `,` are common.
fn apply(chosen: &mut Vec<bool>, op: Op, right: Vec<usize>) {
    if let Some(most) = right.iter().max().filter(|most| **most >= chosen.len()) {
        chosen.resize(most + 1, false);
    }
    let mut put = |indexes: &[usize], value: bool| {
        for index in indexes {
            if let Some(slot) = chosen.get_mut(*index) {
                *slot = value;
            }
        }
    };
    match op {
        Op::Union => put(&right, true),
        Op::Without => put(&right, false),
        Op::Both => {
            let both: Vec<usize> =
                right.into_iter().filter(|index| chosen.get(*index).is_some_and(|chosen| *chosen)).collect();
            chosen.fill(false);
            for index in both {
                if let Some(slot) = chosen.get_mut(index) {
                    *slot = true;
                }
            }
        }
    }
}

impl HostSet {
    /// Whether only an inventory can say which hosts these are: for `@group`, `@all` and `*`.
    pub fn needs_inventory(&self) -> bool {
        self.terms().iter().any(|term| !matches!(term.atom, Atom::Hosts(_)))
    }

    /// The hosts without any inventory, in the order in which they are named first. May be empty.
    ///
    /// # Errors
    /// When the set [needs an inventory](Self::needs_inventory), or a name cannot be a host's.
    pub fn names(&self) -> Result<Vec<HostName>, InputError> {
        let mut open = Open::default();
        let chosen = evaluate(self, &mut open)?;
        Ok(chosen.into_iter().filter_map(|index| open.names.get(index).cloned()).collect())
    }
}

/// Without an inventory every name is a host.
#[derive(Default)]
struct Open {
    names: Vec<HostName>,
    index: HashMap<HostName, usize>,
}

impl Open {
    fn number(&mut self, name: HostName) -> usize {
        let next = self.names.len();
        let index = *self.index.entry(name.clone()).or_insert(next);
        if index == next {
            self.names.push(name);
        }
        index
    }
}

impl World for Open {
    fn members(&mut self, source: &Source, _: Op, atom: &Atom) -> Result<Vec<usize>, InputError> {
        match atom {
            Atom::Hosts(pattern) => {
                names(source, pattern)?.into_iter().map(|name| Ok(self.number(name))).collect()
            }
            Atom::Groups(pattern) => Err(needs(source, pattern)),
            Atom::All => Err(source
                .error(0..source.text().len(), "all hosts are those of an inventory, and there is none")
                .suggest("name hosts, or the inventory with -i FILE")),
        }
    }
}

fn needs(source: &Source, pattern: &Pattern) -> InputError {
    source
        .error(pattern.span.clone(), "groups are in the inventory, and there is none")
        .suggest("name hosts, or the inventory with -i FILE")
}

/// The names of a pattern, each fit for a host.
pub(crate) fn names(source: &Source, pattern: &Pattern) -> Result<Vec<HostName>, InputError> {
    let named = pattern.names();
    let checked = named.iter().map(|name| HostName::new(name));
    let checked: Result<_, _> = checked.collect();
    checked.map_err(|error| source.error(pattern.span.clone(), format!("cannot {error}")))
}
