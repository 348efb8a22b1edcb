//! Works host sets out, whoever knows the hosts.

use std::collections::HashMap;
use std::ops::Range;

use pipedown_model::HostName;

use super::parse::{Atom, HostSet, Op, Term, VarIs};
use super::pattern::Pattern;
use crate::diagnostic::{InputError, Source};

/// Who knows which hosts there are: an inventory, or nobody ([`Open`]). Hosts are numbers, in the order in
/// which results are told; a host may come twice in an answer.
pub(crate) trait World {
    /// All hosts.
    fn all(&mut self, source: &Source) -> Result<Vec<usize>, InputError>;

    /// The members of groups.
    fn groups(&mut self, source: &Source, pattern: &Pattern) -> Result<Vec<usize>, InputError>;

    /// Hosts by name.
    fn hosts(&mut self, source: &Source, pattern: &Pattern) -> Result<Vec<usize>, InputError>;

    /// Hosts whose names fit a pattern with wildcards.
    fn like(&mut self, source: &Source, pattern: &Pattern, need: Need) -> Result<Vec<usize>, InputError>;

    /// Hosts by the value of a variable.
    fn var(&mut self, source: &Source, var: &VarIs, need: Need) -> Result<Vec<usize>, InputError>;

    /// Hosts by their full names, and where these were asked for.
    fn recorded(
        &mut self,
        source: &Source,
        hosts: &[HostName],
        span: &Range<usize>,
    ) -> Result<Vec<usize>, InputError>;
}

/// Whether a pattern that nothing fits is a slip of the finger: it is where hosts are added, and none where what may
/// be there is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Some,
    None,
}

/// Which hosts of a world are in the set, in the world's order.
pub(crate) fn evaluate(set: &HostSet, world: &mut impl World) -> Result<Vec<usize>, InputError> {
    let mut chosen: Vec<bool> = Vec::new();
    for term in set.terms() {
        let right = members(set.source(), term, world)?;
        apply(&mut chosen, term.op, right);
    }
    Ok(chosen.iter().enumerate().filter(|(_, chosen)| **chosen).map(|(index, _)| index).collect())
}

fn members(source: &Source, term: &Term, world: &mut impl World) -> Result<Vec<usize>, InputError> {
    let need = if term.op == Op::Union { Need::Some } else { Need::None };
    match &term.atom {
        Atom::All => world.all(source),
        Atom::Groups(pattern) => world.groups(source, pattern),
        Atom::Hosts(pattern) => world.hosts(source, pattern),
        Atom::Like(pattern) => world.like(source, pattern, need),
        Atom::Var(var) => world.var(source, var, need),
        Atom::Set(set) => evaluate(set, world),
        Atom::Recorded(hosts, span) => world.recorded(source, hosts, span),
    }
}

/// Takes as long as the right side is, except for `&`: a hundred thousand names joined by `,` are common.
fn apply(chosen: &mut Vec<bool>, op: Op, mut right: Vec<usize>) {
    if let Some(most) = right.iter().max().filter(|most| **most >= chosen.len()) {
        chosen.resize(most + 1, false);
    }
    let was = |index: &usize| chosen.get(*index).is_some_and(|chosen| *chosen);
    let (indexes, value) = match op {
        Op::Union => (right, true),
        Op::Without => (right, false),
        Op::Both => {
            right.retain(was);
            chosen.fill(false);
            (right, true)
        }
        Op::OneOnly => {
            let both: Vec<usize> = right.iter().copied().filter(was).collect();
            put(chosen, &right, true);
            (both, false)
        }
    };
    put(chosen, &indexes, value);
}

fn put(chosen: &mut [bool], indexes: &[usize], value: bool) {
    for index in indexes {
        if let Some(slot) = chosen.get_mut(*index) {
            *slot = value;
        }
    }
}

impl HostSet {
    /// Whether only an inventory can say which hosts these are: for groups, wildcards and variables.
    pub fn needs_inventory(&self) -> bool {
        self.terms().iter().any(|term| match &term.atom {
            Atom::Hosts(_) | Atom::Recorded(..) => false,
            Atom::Set(set) => set.needs_inventory(),
            Atom::All | Atom::Groups(_) | Atom::Like(_) | Atom::Var(_) => true,
        })
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
    fn all(&mut self, source: &Source) -> Result<Vec<usize>, InputError> {
        Err(needs(source, 0..source.text().len(), "all hosts are those of an inventory"))
    }

    fn groups(&mut self, source: &Source, pattern: &Pattern) -> Result<Vec<usize>, InputError> {
        Err(needs(source, pattern.span.clone(), "groups are in the inventory"))
    }

    fn hosts(&mut self, source: &Source, pattern: &Pattern) -> Result<Vec<usize>, InputError> {
        Ok(names(source, pattern)?.into_iter().map(|name| self.number(name)).collect())
    }

    fn like(&mut self, source: &Source, pattern: &Pattern, _: Need) -> Result<Vec<usize>, InputError> {
        Err(needs(source, pattern.span.clone(), "wildcards choose among the hosts of an inventory"))
    }

    fn var(&mut self, source: &Source, var: &VarIs, _: Need) -> Result<Vec<usize>, InputError> {
        Err(needs(source, var.span.clone(), "variables are in the inventory"))
    }

    fn recorded(
        &mut self,
        _: &Source,
        hosts: &[HostName],
        _: &Range<usize>,
    ) -> Result<Vec<usize>, InputError> {
        Ok(hosts.iter().map(|name| self.number(name.clone())).collect())
    }
}

fn needs(source: &Source, span: Range<usize>, what: &str) -> InputError {
    source
        .error(span, format!("{what}, and there is none"))
        .suggest("name hosts, or the inventory with -i FILE")
}

/// The names of a pattern, each fit for a host.
pub(crate) fn names(source: &Source, pattern: &Pattern) -> Result<Vec<HostName>, InputError> {
    let checked = match pattern.single() {
        Some(name) => HostName::new(name).map(|name| vec![name]),
        None => pattern.names().iter().map(|name| HostName::new(name)).collect(),
    };
    checked.map_err(|error| source.error(pattern.span.clone(), format!("cannot {error}")))
}
