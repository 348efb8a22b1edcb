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
struct Taken {
    near: Duration,
    far: Duration,
}

impl Taken {
    /// What is waited for the link alone: the host's own work takes as long without it.
    fn round_trips(&self) -> f64 {
        self.far.saturating_sub(self.near).as_secs_f64() / ROUND_TRIP.as_secs_f64()
    }
}

/// Measures an arm and a cancel of one host behind a slow link, against ssh's `true`.
pub fn measure(times: usize) -> Result<(), Failure> {
    let fleet = Fleet::start(1)?;
    let (here, far) = (Delay::new(Duration::ZERO)?, Delay::new(ROUND_TRIP)?);
    let near = Realm::new(&fleet, |port| here.before(port))?;
    let far_away = Realm::new(&fleet, |port| far.before(port))?;
    let name = near.names.first().ok_or("failed to find the host")?;
    let (mut arm, mut cancel) = (Vec::new(), Vec::new());
    let (mut far_arm, mut far_cancel) = (Vec::new(), Vec::new());
    for _ in 0..times {
        arm.push(usage::of(&near.arm())?.wall);
        cancel.push(usage::of(&near.cancel())?.wall);
        far_arm.push(usage::of(&far_away.arm())?.wall);
        far_cancel.push(usage::of(&far_away.cancel())?.wall);
    }
    let middle =
        |near, far| Taken { near: median(near).unwrap_or_default(), far: median(far).unwrap_or_default() };
    let (arm, cancel) = (middle(arm, far_arm), middle(cancel, far_cancel));
    let embedded = pair(times, || near.ssh(name, "true"), || far_away.ssh(name, "true"));
    let openssh = Sshd::start(&fleet).and_then(|sshd| {
        let (near, far) = (sshd.realm(&here)?, sshd.realm(&far)?);
        pair(times, || near.ssh(Sshd::NAME, "true"), || far.ssh(Sshd::NAME, "true"))
    });
    report(&arm, &cancel, embedded, openssh);
    Ok(())
}

fn pair(times: usize, near: impl Fn() -> Command, far: impl Fn() -> Command) -> Result<Taken, Failure> {
    let (mut close, mut distant) = (Vec::new(), Vec::new());
    for _ in 0..times {
        close.push(usage::of(&near())?.wall);
        distant.push(usage::of(&far())?.wall);
    }
    Ok(Taken { near: median(close).unwrap_or_default(), far: median(distant).unwrap_or_default() })
}

fn report(arm: &Taken, cancel: &Taken, embedded: Result<Taken, Failure>, openssh: Result<Taken, Failure>) {
    let reference = embedded.as_ref().map_or(0.0, Taken::round_trips);
    let mut table = Table::new(&[
        "one host, TCP's own round trip not counted",
        "0 ms",
        "100 ms",
        "round trips",
        "ratio",
        "goal",
    ]);
    let mut row = |what: &str, taken: &Taken, goal: &str| {
        table.row([
            what.into(),
            ms(taken.near).into(),
            ms(taken.far).into(),
            format!("{:.1}", taken.round_trips()).into(),
            ratio(taken.round_trips(), reference).into(),
            goal.into(),
        ]);
    };
    row(
        "pipedown run: look, arm, read back, goodbye",
        arm,
        &format!("12: {}", goal(arm.round_trips(), GOAL)),
    );
    row("pipedown cancel", cancel, "");
    for (what, taken) in
        [("ssh HOST true, the same embedded host", embedded), ("ssh HOST true, OpenSSH's sshd", openssh)]
    {
        match taken {
            Ok(taken) => row(what, &taken, ""),
            Err(error) => rows::talk(&format!("{what}: not measured: {error}")),
        }
    }
    table.print("Round trips over a link of 100 ms");
}
