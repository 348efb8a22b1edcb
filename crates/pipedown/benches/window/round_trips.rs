//! How often a host is asked until it is armed and read back.

use std::process::Command;
use std::time::Duration;

use crate::delay::Delay;
use crate::fleet::Fleet;
use crate::openssh::Sshd;
use crate::realm::Realm;
use crate::rows::{self, Table, goal, median, ms, ratio};
use crate::{Failure, usage};

const ROUND_TRIP: Duration = Duration::from_millis(100);

/// After TCP's, read-back included.
const GOAL: f64 = 12.0;

/// What a command took over a link without delay, and over one with it.
#[derive(Default)]
struct Taken {
    near: Vec<Duration>,
    far: Vec<Duration>,
    /// Bytes to the host and back, the last time.
    carried: (usize, usize),
}

impl Taken {
    fn near(&self) -> Duration {
        median(self.near.clone()).unwrap_or_default()
    }

    fn far(&self) -> Duration {
        median(self.far.clone()).unwrap_or_default()
    }

    /// What is waited for the link alone: the host's own work takes as long without it.
    fn round_trips(&self) -> f64 {
        self.far().saturating_sub(self.near()).as_secs_f64() / ROUND_TRIP.as_secs_f64()
    }
}

/// Two links of different length.
struct Links {
    near: Delay,
    far: Delay,
}

impl Links {
    fn over_near(taken: &mut Taken, command: &Command) -> Result<(), Failure> {
        taken.near.push(usage::of(command)?.wall);
        Ok(())
    }

    fn over_far(&self, taken: &mut Taken, command: &Command) -> Result<(), Failure> {
        // What went before is not this command's.
        let _ = self.far.carried();
        taken.far.push(usage::of(command)?.wall);
        taken.carried = self.far.carried();
        Ok(())
    }
}

/// Measures an arm and a cancel of one host behind a slow link, against ssh's `true`.
pub fn measure(times: usize) -> Result<(), Failure> {
    let fleet = Fleet::start(1)?;
    let links = Links { near: Delay::new(Duration::ZERO)?, far: Delay::new(ROUND_TRIP)? };
    let near = Realm::new(&fleet, |port| links.near.before(port))?;
    let far = Realm::new(&fleet, |port| links.far.before(port))?;
    let name = near.names.first().ok_or("failed to find the host")?;
    let (mut arm, mut cancel, mut ssh) = (Taken::default(), Taken::default(), Taken::default());
    for _ in 0..times {
        // One host has one window at a time.
        Links::over_near(&mut arm, &near.arm())?;
        Links::over_near(&mut cancel, &near.cancel())?;
        links.over_far(&mut arm, &far.arm())?;
        links.over_far(&mut cancel, &far.cancel())?;
        Links::over_near(&mut ssh, &near.ssh(name, "true"))?;
        links.over_far(&mut ssh, &far.ssh(name, "true"))?;
    }
    let openssh = openssh(&fleet, &links, times);
    if let Err(error) = &openssh {
        rows::talk(&format!("OpenSSH's sshd: not measured: {error}"));
    }
    report(&arm, &cancel, &ssh, openssh.ok().as_ref());
    Ok(())
}

fn openssh(fleet: &Fleet, links: &Links, times: usize) -> Result<Taken, Failure> {
    let sshd = Sshd::start(fleet)?;
    let (near, far) = (sshd.realm(&links.near)?, sshd.realm(&links.far)?);
    let mut taken = Taken::default();
    for _ in 0..times {
        Links::over_near(&mut taken, &near.ssh(Sshd::NAME, "true"))?;
        links.over_far(&mut taken, &far.ssh(Sshd::NAME, "true"))?;
    }
    Ok(taken)
}

fn report(arm: &Taken, cancel: &Taken, ssh: &Taken, openssh: Option<&Taken>) {
    let mut table = Table::new(&[
        "one host, after TCP's own round trip",
        "0 ms",
        "100 ms",
        "round trips",
        "ratio",
        "sent",
        "received",
        "goal",
    ]);
    let within = format!("12: {}", goal(arm.round_trips(), GOAL));
    for (what, taken, goal) in [
        ("pipedown run: connect, look, arm, read back, goodbye", Some(arm), within.as_str()),
        ("pipedown cancel: connect, cancel, read back, goodbye", Some(cancel), ""),
        ("ssh HOST true, the same embedded host", Some(ssh), ""),
        ("ssh HOST true, OpenSSH's sshd", openssh, ""),
    ] {
        let Some(taken) = taken else { continue };
        table.row([
            what.into(),
            ms(taken.near()).into(),
            ms(taken.far()).into(),
            format!("{:.1}", taken.round_trips()).into(),
            ratio(taken.round_trips(), ssh.round_trips()).into(),
            kib(taken.carried.0).into(),
            kib(taken.carried.1).into(),
            goal.into(),
        ]);
    }
    table.print("Round trips over a link of 100 ms");
}

fn kib(bytes: usize) -> String {
    format!("{} KiB", bytes.div_ceil(1024))
}
