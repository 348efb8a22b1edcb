//! Lists of algorithms: as they stand, or relative to our own.

use super::pattern::matches;

/// What a list means: `+` appends to our own list, `-` takes away, `^` puts in front; wildcards mean what we offer, and
/// what else we have.
pub(super) fn assemble(list: &str, ours: &[&str], others: &[&str]) -> Vec<String> {
    if let Some(patterns) = list.strip_prefix('-') {
        let gone = |name: &str| patterns.split(',').any(|pattern| matches(name, pattern));
        return ours.iter().filter(|name| !gone(name)).map(|name| (*name).to_owned()).collect();
    }
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let named = |patterns: &str| {
        let mut names: Vec<String> = Vec::new();
        for pattern in patterns.split(',').filter(|pattern| !pattern.is_empty()) {
            let wild = pattern.contains(['*', '?']);
            let found = ours.iter().chain(others).copied().filter(|name| matches(name, pattern));
            let found: Vec<&str> = if wild { found.collect() } else { vec![pattern] };
            add(&mut names, owned(&found));
        }
        names
    };
    match list.split_at_checked(1) {
        Some(("+", more)) => {
            let mut names = owned(ours);
            add(&mut names, named(more));
            names
        }
        Some(("^", first)) => {
            let mut names = named(first);
            add(&mut names, owned(ours));
            names
        }
        _ => named(list),
    }
}

fn add(names: &mut Vec<String>, more: Vec<String>) {
    for name in more {
        if !names.contains(&name) {
            names.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_relative_to_ours() {
        let (ours, others) = (["a1", "a2", "b1"], ["a3", "x1"]);
        for (list, wanted) in [
            ("c,a1", "c a1"),
            ("a1,a1", "a1"),
            ("+c,a1", "a1 a2 b1 c"),
            ("-a*", "b1"),
            ("-a1,c", "a2 b1"),
            ("^b1,c", "b1 c a1 a2"),
            ("a*", "a1 a2 a3"),
            ("+x*", "a1 a2 b1 x1"),
            ("-*", ""),
        ] {
            assert_eq!(assemble(list, &ours, &others).join(" "), wanted, "{list}");
        }
    }
}
