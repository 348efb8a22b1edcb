//! Configurations that would lock people out, on every version of sshd: nobody is, and the report is true.

use crate::harness::{Lab, Ran};
use crate::sshd_hosts::{effective, files, inventory, lets_in, reload};

const HOSTS: [&str; 4] = ["bullseye42", "bookworm42", "trixie42", "sysv42"];

/// What comes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Refused before any host was asked.
    Offline,
    /// Refused by the host's own sshd, by a gate or by the canary: nothing was moved.
    Refused,
    /// Tried, and put back.
    RolledBack,
    /// It locks nobody out, and stands.
    Confirmed,
}

use Verdict::{Confirmed, Offline, Refused, RolledBack};

/// What is asked for, what is done to the host before and after it, and what comes of it on OpenSSH 8.4, 9.2, 10.0 and on
/// 9.2 without systemd.
struct Attempt {
    name: &'static str,
    args: &'static [&'static str],
    before: &'static str,
    after: &'static str,
    verdicts: [Verdict; 4],
}

impl Attempt {
    /// On a busy host a login takes longer than a second: then it is as right that the canary refuses, or that the old
    /// value is put back.
    fn is_too_short(&self, verdict: Verdict) -> bool {
        self.name == "LoginGraceTime 1" && matches!(verdict, Refused | RolledBack)
    }
}

const fn set(name: &'static str, args: &'static [&'static str], verdicts: [Verdict; 4]) -> Attempt {
    Attempt { name, args, before: "", after: "", verdicts }
}

const ATTEMPTS: [Attempt; 17] = [
    set("AllowUsers nobody", &["--set", "AllowUsers=nobody", "--narrows-access"], [Refused; 4]),
    set("AllowUsers nobody, not meant", &["--set", "AllowUsers=nobody"], [Refused; 4]),
    set("PermitRootLogin no", &["--set", "PermitRootLogin=no", "--narrows-access"], [Refused; 4]),
    set("DenyGroups root", &["--set", "DenyGroups=root", "--narrows-access"], [Refused; 4]),
    set("ListenAddress elsewhere", &["--set", "ListenAddress=192.0.2.1"], [RolledBack; 4]),
    set("Port 2200", &["--set", "Port=2200"], [RolledBack; 4]),
    set("Ciphers 3des-cbc", &["--set", "Ciphers=3des-cbc"], [Refused; 4]),
    set("MaxAuthTries 0", &["--set", "MaxAuthTries=0"], [Refused; 4]),
    set("AuthorizedKeysFile none", &["--set", "AuthorizedKeysFile=none", "--narrows-access"], [Refused; 4]),
    set("ForceCommand /bin/false", &["--set", "ForceCommand=/bin/false", "--narrows-access"], [Refused; 4]),
    Attempt {
        name: "UsePAM no, locked account",
        args: &["--set", "UsePAM=no", "--narrows-access"],
        before: "passwd -q -l deploy",
        after: "passwd -q -u deploy",
        verdicts: [Refused; 4],
    },
    Attempt {
        name: "a broken drop-in",
        args: &["--set", "MaxAuthTries=5"],
        before: "echo 'Bogus yes' >/etc/ssh/sshd_config.d/10-broken.conf",
        after: "rm /etc/ssh/sshd_config.d/10-broken.conf",
        verdicts: [Refused; 4],
    },
    set("a broken snippet", &["--file", "broken.conf"], [Offline; 4]),
    set("Include of nothing", &["--set", "Include=/etc/ssh/nowhere.d/*.conf"], [Confirmed; 4]),
    set(
        "Subsystem twice",
        &["--set", "Subsystem=sftp internal-sftp"],
        [Refused, Refused, Confirmed, Refused],
    ),
    set("LoginGraceTime 1", &["--set", "LoginGraceTime=1"], [Confirmed; 4]),
    set(
        "ClientAliveCountMax 0",
        &["--set", "ClientAliveInterval=5", "--set", "ClientAliveCountMax=0"],
        [Offline; 4],
    ),
];

/// What is asked of sshd about each keyword above, to tell the old value from the new.
const KEYWORDS: [&str; 8] = [
    "permitrootlogin",
    "port",
    "ciphers",
    "maxauthtries",
    "authorizedkeysfile",
    "usepam",
    "logingracetime",
    "clientalivecountmax",
];

pub fn table(lab: &Lab) {
    let columns: Vec<Vec<Result<Verdict, String>>> = std::thread::scope(|scope| {
        let hosts =
            HOSTS.map(|host| scope.spawn(move || ATTEMPTS.iter().map(|a| attempt(lab, host, a)).collect()));
        hosts.into_iter().map(|host| host.join().unwrap()).collect()
    });
    let mut wrong = Vec::new();
    println!("{:<30} {}", "", HOSTS.map(|host| format!("{host:<11}")).concat());
    for (row, attempt) in ATTEMPTS.iter().enumerate() {
        let mut line = format!("{:<30} ", attempt.name);
        for (host, (column, expected)) in HOSTS.iter().zip(columns.iter().zip(attempt.verdicts)) {
            match &column[row] {
                Ok(verdict) => {
                    line += &format!("{:<11}", format!("{verdict:?}"));
                    if *verdict != expected && !attempt.is_too_short(*verdict) {
                        wrong.push(format!("{host}: {}: {verdict:?} instead of {expected:?}", attempt.name));
                    }
                }
                Err(what) => {
                    line += &format!("{:<11}", "WRONG");
                    wrong.push(format!("{host}: {}: {what}", attempt.name));
                }
            }
        }
        println!("{line}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn attempt(lab: &Lab, host: &str, attempt: &Attempt) -> Result<Verdict, String> {
    let controller = lab.controller_with(&inventory(lab, &[host], "\"deploy\""));
    controller.write("broken.conf", "PermitRootLogin sometimes\n");
    lab.sh(host, &format!("true; {}", attempt.before));
    let values = || KEYWORDS.map(|keyword| effective(lab, host, "root", keyword));
    let was = (attempt.name != "a broken drop-in").then(values);
    let before = files(lab, host);
    let ran =
        controller.run(&[&["run", "sshd-settings", "-l", host, "--yes", "--json"], attempt.args].concat());
    let verdict = verdict(&ran)?;
    let changed = files(lab, host) != before;
    lab.sh(host, &format!("true; {}", attempt.after));
    if changed != (verdict == Verdict::Confirmed) {
        return Err(format!("{verdict:?}, and the files are not as that says:\n{}\n{}", ran.out, ran.err));
    }
    if let Some(was) = was
        && !changed
        && values() != was
    {
        return Err(format!("{verdict:?}, and yet values changed"));
    }
    // The account that was locked is not what this is about any more. With a second for a login a slow machine would be
    // kept out for its many tries (PerSourcePenalties), not by what stands.
    let is_short = attempt.name == "LoginGraceTime 1" && changed;
    if !is_short {
        lets_in(lab, host).map_err(|what| format!("{verdict:?}, and {what}\n{}\n{}", ran.out, ran.err))?;
    }
    lab.call(&["exec", host, "sshd", "-t"])
        .status
        .success()
        .then_some(())
        .ok_or("sshd -t refuses what stands")?;
    if changed {
        lab.sh(host, "rm -rf /etc/ssh/sshd_config.d/00-pipedown.conf /var/lib/pipedown/sshd");
        reload(lab, host);
        if files(lab, host) != before {
            return Err("more than our own file was changed".to_owned());
        }
    }
    Ok(verdict)
}

fn verdict(ran: &Ran) -> Result<Verdict, String> {
    let says = |kind: &str| ran.out.contains(&format!("\"kind\":\"{kind}\""));
    match ran.code {
        Some(0) if says("confirmed") && !says("rolled_back") => Ok(Confirmed),
        Some(64 | 65) if !says("host_connected") => Ok(Offline),
        Some(5) if says("rolled_back") && !says("confirmed") => Ok(RolledBack),
        Some(3 | 5) if !says("trial_started") && !says("confirmed") => Ok(Refused),
        code => Err(format!("exit {code:?}:\n{}\n{}", ran.out, ran.err)),
    }
}
