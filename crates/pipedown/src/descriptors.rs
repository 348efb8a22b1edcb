//! How many files this process may have open, and so how many hosts it may have at once.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::surroundings::Surroundings;

/// Enough for every fleet; some programs (of `local` steps) go through all that they may have, one by one.
const ENOUGH: u64 = 65_536;

/// For the journal, the terminal, the runtime, files that are read, and what the C library opens.
const OWN: u64 = 64;

/// A host at work: its connection, and its resolver or the agent that signs for it.
const PER_HOST: u64 = 2;

/// Raises the soft limit towards the hard one: the usual 1,024 are for programs that call select(2).
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    if limit.current.is_some_and(|current| current < wanted) {
        // Where that is forbidden, fewer hosts at once have to do.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    }
}

/// What follows of `--parallel` for this many hosts; `held` of them stay connected. Says so if not as many fit.
pub fn at_once(around: &Surroundings, parallel: u16, hosts: usize, held: usize) -> u16 {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return parallel };
    let fit = fitting(limit, parallel, held);
    if usize::from(fit) < hosts.min(parallel.into()) {
        let held = if held > 0 { format!(" and {held} hosts stay connected") } else { String::new() };
        around.note(&format!(
            "note: --parallel {fit} instead of {parallel}: this process may open {limit} files (ulimit -n){held}"
        ));
    }
    fit
}

/// How many connections may be waited for beside this many hosts at work.
pub fn spare(parallel: u16) -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(ENOUGH).min(ENOUGH);
    usize::try_from(room(limit, parallel)).unwrap_or(0)
}

fn room(limit: u64, parallel: u16) -> u64 {
    limit.saturating_sub(OWN).saturating_sub(PER_HOST * u64::from(parallel)) / PER_HOST
}

fn fitting(limit: u64, parallel: u16, held: usize) -> u16 {
    let held = u64::try_from(held).unwrap_or(u64::MAX);
    let places = limit.saturating_sub(OWN).saturating_sub(held) / PER_HOST;
    u16::try_from(places).unwrap_or(u16::MAX).clamp(1, parallel.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_hosts_as_there_are_descriptors_for() {
        assert_eq!(fitting(1024, 64, 0), 64);
        assert_eq!(fitting(128, 64, 0), 32);
        assert_eq!(fitting(1024, 64, 900), 30);
        assert_eq!(fitting(1024, 64, 5000), 1, "somebody has to have a turn");
        assert_eq!(fitting(16, 64, 0), 1);
        assert_eq!(fitting(u64::MAX, u16::MAX, 0), u16::MAX);
    }

    #[test]
    fn what_is_left_is_for_hosts_that_do_not_answer() {
        assert_eq!(room(1024, 64), 416);
        assert_eq!(room(192, 64), 0);
        assert_eq!(room(16, 64), 0);
    }

    #[test]
    fn the_soft_limit_goes_up_to_the_hard_one() {
        raise();
        let limit = getrlimit(Resource::Nofile);
        let most = limit.maximum.unwrap_or(ENOUGH).min(ENOUGH);
        assert!(limit.current.is_none_or(|current| current >= most), "{limit:?}");
    }
}
