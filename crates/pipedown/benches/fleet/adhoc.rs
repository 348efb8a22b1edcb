//! `true` on many hosts.

use crate::contest::{Contest, Goals, quotient};
use crate::crowd::Crowd;
use crate::realm::Realm;
use crate::rows::{Table, talk};
use crate::sshds::Sshds;
use crate::{Failure, peers};

const OURS: &str = "pipedown exec";

/// On real sshds.
///
/// # Errors
/// When sshd does not start, or pipedown fails.
pub fn real(times: usize) -> Result<(), Failure> {
    const HOSTS: usize = 100;
    const AT_ONCE: usize = 16;
    let sshds = Sshds::start(HOSTS)?;
    let realm = Realm::of_sshds(&sshds)?;
    let mut programs = vec![(OURS, realm.exec(AT_ONCE, "true"))];
    programs.extend(peers::installed(peers::ALL, &realm, AT_ONCE));
    let contest = Contest::hold(programs, times)?;
    contest.print(&format!("`true` on {HOSTS} hosts (OpenSSH's sshd), {AT_ONCE} at once"), HOSTS);
    let ours = contest.ours();
    let cpu = |name| contest.taken(name).map(|theirs| quotient(ours.processor, theirs.processor));
    let mut goals = Goals::new();
    goals.most("CPU, of clush's", 1.0 / 30.0, cpu("clush"));
    goals.most("CPU, of parallel-ssh's", 0.5, cpu("parallel-ssh"));
    goals.most("CPU, of bssh's", 0.5, cpu("bssh"));
    goals.most(
        "wall, of the fastest peer's",
        1.1,
        contest.fastest_peer().map(|wall| quotient(ours.wall, wall)),
    );
    goals.print();
    Ok(())
}

/// On a thousand embedded hosts.
///
/// # Errors
/// When they do not start, or pipedown fails.
pub fn thousand(times: usize) -> Result<(), Failure> {
    const HOSTS: usize = 1000;
    const AT_ONCE: usize = 64;
    let crowd = Crowd::start(HOSTS, &[])?;
    let realm = Realm::of_crowd(&crowd)?;
    let mut programs = vec![(OURS, realm.exec(AT_ONCE, "true"))];
    programs.extend(peers::installed(peers::LEAN, &realm, AT_ONCE));
    let contest = Contest::hold(programs, times)?;
    contest.print(&format!("`true` on {HOSTS} embedded hosts, {AT_ONCE} at once"), HOSTS);
    let ours = contest.ours();
    let (bssh, bare) = (contest.taken("bssh"), contest.taken(peers::BARE));
    let mut goals = Goals::new();
    goals.most("wall, of bssh's", 1.0 / 8.0, bssh.map(|b| quotient(ours.wall, b.wall)));
    goals.most("CPU, of bssh's", 0.5, bssh.map(|b| quotient(ours.processor, b.processor)));
    goals.most("wall, of a bare russh loop's", 1.5, bare.map(|b| quotient(ours.wall, b.wall)));
    goals.most("CPU, of a bare russh loop's", 1.5, bare.map(|b| quotient(ours.processor, b.processor)));
    goals.print();
    Ok(())
}

/// On ten thousand, beside a thousand.
///
/// # Errors
/// When they do not start, or pipedown fails.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub fn ten_thousand(times: usize) -> Result<(), Failure> {
    const FEW: usize = 1000;
    const MANY: usize = 10_000;
    const AT_ONCE: usize = 64;
    let few = Crowd::start(FEW, &[])?;
    let many = Crowd::start(MANY, &[])?;
    let (few, many) = ((Realm::of_crowd(&few)?, few), (Realm::of_crowd(&many)?, many));
    let programs =
        vec![("10,000 hosts", many.0.exec(AT_ONCE, "true")), ("1,000 hosts", few.0.exec(AT_ONCE, "true"))];
    let contest = Contest::hold(programs, times)?;
    let (ours, reference) = (contest.ours(), contest.taken("1,000 hosts").unwrap_or_default());
    let mut table = Table::new(&["hosts", "wall", "hosts a second", "CPU a host", "peak memory"]);
    for (hosts, usage) in [(FEW, &reference), (MANY, &ours)] {
        let (wall, cpu) = (usage.wall.as_secs_f64(), usage.processor.as_secs_f64());
        table.row([
            hosts.into(),
            format!("{wall:.2} s").into(),
            format!("{:.0}", hosts as f64 / wall).into(),
            format!("{:.2} ms", cpu * 1e3 / hosts as f64).into(),
            format!("{:.1} MiB", usage.memory as f64 / 1024.0).into(),
        ]);
    }
    table.print(&format!("`true` on embedded hosts, {AT_ONCE} at once"));
    let mut goals = Goals::new();
    let ratio = (MANY / FEW) as f64;
    goals.most("time a host, of that with 1,000", 1.25, Some(quotient(ours.wall, reference.wall) / ratio));
    goals.most(
        "CPU a host, of that with 1,000",
        1.25,
        Some(quotient(ours.processor, reference.processor) / ratio),
    );
    let allowed = 64.0 + 96.0 * AT_ONCE as f64 / 1024.0;
    goals.most("peak memory in MiB", allowed, Some(ours.memory as f64 / 1024.0));
    goals.print();
    talk("rates: 1.25 times as long is a rate of 80 %");
    Ok(())
}
