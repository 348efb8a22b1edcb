//! Something breaks at each point of the procedure: afterwards the host serves what stood or what was confirmed, and
//! what was said of it is true.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use rustix::process::Signal;

use crate::feed::Watched;
use crate::harness::{Controller, Lab, Ran, secs};
use crate::sshd_hosts::{effective, keepalives, lets_in};

/// A point of the procedure at which a host is held.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Point {
    /// The lock is taken, copies are being made.
    Locked,
    /// The dead-man is armed, nothing has moved.
    Armed,
    /// The files have moved, the listener knows nothing of it.
    Moved,
    /// The listener has taken over.
    Reloaded,
    /// The controller counts what comes over the wire.
    Proof,
    /// Everything is proven, nothing claimed.
    Confirm,
    /// The confirm has won.
    Claimed,
}

use Point::{Armed, Claimed, Confirm, Locked, Moved, Proof, Reloaded};

const EARLY: &[Point] = &[Locked, Armed, Moved, Reloaded];
const LATE: &[Point] = &[Proof, Confirm, Claimed];

impl Point {
    fn name(self) -> &'static str {
        match self {
            Self::Locked => "after the lock",
            Self::Armed => "after armed",
            Self::Moved => "after the move",
            Self::Reloaded => "after the reload",
            Self::Proof => "during the proof",
            Self::Confirm => "before the claim",
            Self::Claimed => "after the claim",
        }
    }

    /// The program that is held, what its arguments look like, and whether it does its work before that.
    fn hook(self) -> Option<(&'static str, &'static str, bool)> {
        Some(match self {
            Self::Locked => ("cp", "*.after", false),
            Self::Armed => ("mv", "*/trial/unmoved*", false),
            Self::Moved => ("mv", "*.after*/00-pipedown.conf", true),
            Self::Reloaded => ("mv", "*/trial/proven", false),
            Self::Proof => return None,
            Self::Confirm => ("mv", "*/claimed.confirm", false),
            Self::Claimed => ("mv", "*/claimed.confirm", true),
        })
    }
}

/// What breaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Killed,
    Cut,
    Power,
    Reboot,
    Full,
    NoSshd,
}

impl Fault {
    /// Whether every process of the host ends with it.
    fn is_the_end(self) -> bool {
        matches!(self, Self::Power | Self::Reboot)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Killed => "SIGKILL of the controller",
            Self::Cut => "link cut",
            Self::Power => "power cut",
            Self::Reboot => "reboot",
            Self::Full => "/var/lib/pipedown full",
            Self::NoSshd => "sshd killed",
        }
    }
}

/// Each host has its turns one after the other, all hosts at the same time.
const TURNS: [(&str, Fault, &[Point]); 12] = [
    ("bookworm43", Fault::Killed, EARLY),
    ("sysv43", Fault::Killed, LATE),
    ("trixie43", Fault::Cut, EARLY),
    ("bullseye43", Fault::Cut, LATE),
    ("bookworm44", Fault::Power, EARLY),
    ("sysv44", Fault::Power, LATE),
    ("trixie44", Fault::Reboot, EARLY),
    ("bullseye44", Fault::Reboot, LATE),
    ("sysv47", Fault::Full, EARLY),
    ("trixie47", Fault::Full, LATE),
    ("bullseye47", Fault::NoSshd, EARLY),
    ("bookworm47", Fault::NoSshd, LATE),
];

/// Short, but not for a host on a busy machine.
const PLAYBOOK: &str = r#"
name = "short-trial"
description = "keepalives, with less than a minute to confirm"
window = "none"

[[steps]]
kind = "sshd_config"
set = { ClientAliveInterval = 1, ClientAliveCountMax = 2 }
confirm_within = "50s"
"#;

pub fn table(lab: &Lab) {
    let mut rows: Vec<Result<String, String>> = std::thread::scope(|scope| {
        let hosts: Vec<_> = TURNS
            .into_iter()
            .map(|(host, fault, points)| {
                scope.spawn(move || {
                    let turn = |point: &Point| {
                        let row = format!("{:<18} {:<26} {host:<11}", point.name(), fault.name());
                        // A table that is torn off shows nothing of the rows below.
                        let turn = AssertUnwindSafe(|| take_turn(lab, host, fault, *point));
                        let outcome =
                            catch_unwind(turn).unwrap_or_else(|_| Err("see the panic above".to_owned()));
                        clean(lab, host, fault);
                        match outcome {
                            Ok(outcome) => Ok(format!("{row} {outcome}")),
                            Err(what) => Err(format!("{row} WRONG: {what}")),
                        }
                    };
                    points.iter().map(turn).collect::<Vec<_>>()
                })
            })
            .collect();
        hosts.into_iter().flat_map(|host| host.join().unwrap()).collect()
    });
    rows.sort_by_key(Result::is_err);
    for row in &rows {
        println!("{}", row.as_ref().unwrap_or_else(|wrong| wrong));
    }
    assert_eq!(rows.len(), 42);
    assert!(rows.iter().all(Result::is_ok), "see above");
}

fn take_turn(lab: &Lab, host: &str, fault: Fault, point: Point) -> Result<String, String> {
    let controller = lab.controller();
    controller.write("short-trial.toml", PLAYBOOK);
    if fault == Fault::Full {
        lab.sh(host, "mkdir -p /var/lib/pipedown && mount -t tmpfs -o size=512k none /var/lib/pipedown");
    }
    hold(lab, host, point);
    let mut run = controller.start(&["run", "./short-trial.toml", "-l", host, "--yes", "--json"]);
    match point {
        Point::Proof => drop(run.out.wait_for("\"kind\":\"trial_started\"", secs(60))),
        _ => lab.wait_until(host, "test -e /root/held", secs(60)),
    }
    strike(lab, host, fault, &run);
    // On a host that is up the procedure goes on, if there is one.
    lab.sh(host, "touch /root/go");
    // What was cut off before it was armed stays as it is until the next run; nothing has moved.
    let unarmed = point == Point::Locked && fault.is_the_end();
    let places = if unarmed { "trial" } else { "trial /var/lib/pipedown/sshd/*/trial.new" };
    lab.wait_until(
        host,
        &format!("test -z \"$(ls -d /var/lib/pipedown/sshd/*/{places} 2>/dev/null)\""),
        secs(150),
    );
    mend(lab, host, fault);
    let said = ended(&mut run, &controller, fault)?;
    let outcome = judge(lab, host, &said)?;
    let left = lab.sh(
        host,
        "ls -d /etc/systemd/system/pipedown-sshd* /etc/init.d/pipedown-sshd* /etc/ssh/.pipedown* \
         /etc/ssh/sshd_config.d/.pipedown* 2>/dev/null || true",
    );
    if unarmed || left.is_empty() { Ok(outcome) } else { Err(format!("{outcome}, and left {left}")) }
}

/// Holds the program of a point, once.
fn hold(lab: &Lab, host: &str, point: Point) {
    let Some((program, pattern, works_first)) = point.hook() else { return };
    let first = if works_first { format!("/bin/{program} \"$@\"; code=$?; ") } else { String::new() };
    let last = if works_first { "exit \"$code\"" } else { ":" };
    let script = format!(
        "#!/bin/sh\ncase $* in\n{pattern})\n    if [ ! -e /root/held ]; then\n        {first}: >/root/held\n        \
         n=0; until [ -e /root/go ] || [ $((n += 1)) = 900 ]; do sleep 0.1; done\n        {last}\n    fi ;;\nesac\n\
         exec /bin/{program} \"$@\"\n"
    );
    lab.sh(
        host,
        &format!("cat >/usr/local/bin/{program} <<'END'\n{script}END\nchmod 755 /usr/local/bin/{program}"),
    );
}

fn strike(lab: &Lab, host: &str, fault: Fault, run: &Watched) {
    match fault {
        Fault::Killed => run.signal(Signal::KILL),
        Fault::Cut => {
            let rules = "add table inet cut; add chain inet cut input { type filter hook input priority 0; policy drop; }";
            assert!(nft(lab, host, rules));
        }
        Fault::Power => {
            lab.ask(&["kill", host]);
            lab.ask(&["boot", host]);
        }
        Fault::Reboot => {
            let boots = lab.boots(host);
            lab.sh(host, "systemctl reboot");
            lab.wait_up(host, secs(90), boots + 1);
        }
        Fault::Full => {
            drop(lab.sh(host, "dd if=/dev/zero of=/var/lib/pipedown/fill bs=512 2>/dev/null || true"))
        }
        Fault::NoSshd => drop(lab.sh(host, "kill -9 $(cat /run/sshd.pid)")),
    }
}

fn mend(lab: &Lab, host: &str, fault: Fault) {
    match fault {
        Fault::Cut => assert!(nft(lab, host, "delete table inet cut")),
        Fault::Full => drop(lab.sh(host, "rm /var/lib/pipedown/fill")),
        _ => {}
    }
}

/// In the host's own network.
fn nft(lab: &Lab, host: &str, rules: &str) -> bool {
    let network = format!("{}-{host}", lab.ask(&["ns"]).trim());
    let mut nft = Command::new("ip");
    nft.args(["netns", "exec", &network, "nft", rules])
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap()
        .success()
}

/// What the controller, or its successor, says in the end.
fn ended(run: &mut Watched, controller: &Controller<'_>, fault: Fault) -> Result<Ran, String> {
    let status = run.wait(secs(150));
    if fault != Fault::Killed {
        return Ok(Ran { code: status.code(), out: run.out.text(), err: run.err.text() });
    }
    let id = crate::harness::run_id(&run.out.text());
    let mut said = controller.run(&["resume", &id, "--json"]);
    // Whatever was said before is on record.
    said.out = run.out.text() + &said.out;
    Ok(said)
}

/// Whether what is served is the old or the confirmed new, and what was said of it is true.
fn judge(lab: &Lab, host: &str, said: &Ran) -> Result<String, String> {
    lets_in(lab, host)?;
    lab.call(&["exec", host, "sshd", "-t"])
        .status
        .success()
        .then_some(())
        .ok_or("sshd -t refuses what stands")?;
    let interval = effective(lab, host, "root", "clientaliveinterval");
    let is_new = match &*interval {
        "0" => false,
        "1" => true,
        other => return Err(format!("ClientAliveInterval is {other}")),
    };
    if (keepalives(lab, host) >= 2) != is_new {
        return Err(format!("the files say ClientAliveInterval {interval}, the daemon does something else"));
    }
    // A trial that was put back may have been begun anew: what was said last counts.
    let last = |kind: &str| said.out.rfind(&format!("\"kind\":\"{kind}\""));
    let (confirmed, rolled_back) = (last("confirmed"), last("rolled_back"));
    let words = if confirmed > rolled_back {
        "confirmed"
    } else if rolled_back.is_some() {
        "rolled back"
    } else {
        "neither"
    };
    let story = format!("{}; exit {:?}, said {words}", if is_new { "new" } else { "old" }, said.code);
    if (words == "confirmed") != is_new || (said.code == Some(0)) != is_new {
        return Err(format!("{story}, and that is not true:\n{}\n{}", said.out, said.err));
    }
    if is_new
        && !lab.call(&["exec", host, "sh", "-c", "ls -d /var/lib/pipedown/sshd/*/confirmed"]).status.success()
    {
        return Err("the new configuration stands, and was never confirmed".to_owned());
    }
    Ok(story)
}

/// Makes a host what it was.
fn clean(lab: &Lab, host: &str, fault: Fault) {
    if fault == Fault::Cut {
        let _ = nft(lab, host, "delete table inet cut");
    }
    lab.sh(
        host,
        "rm -f /usr/local/bin/mv /usr/local/bin/cp /root/held /root/go /etc/ssh/sshd_config.d/00-pipedown.conf \
         /etc/ssh/.pipedown* /etc/ssh/sshd_config.d/.pipedown*; \
         ! mountpoint -q /var/lib/pipedown || umount -l /var/lib/pipedown; rm -rf /var/lib/pipedown",
    );
    let restart = "if [ -d /run/systemd/system ]; then systemctl reset-failed ssh; systemctl restart ssh; \
                   else /etc/init.d/ssh restart >/dev/null; fi";
    lab.sh(host, restart);
    lab.wait_until(host, "test -s /run/sshd.pid && test -d /proc/$(cat /run/sshd.pid)", secs(60));
}
