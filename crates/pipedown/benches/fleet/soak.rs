//! One long run over many hosts of which some are broken: what grows meanwhile is not given back.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::crowd::{Crowd, SLOW, SLOW_TAKES};
use crate::realm::Realm;
use crate::rows::{Table, talk};

const AT_ONCE: u64 = 64;

/// Lines of the series.
const LINES: u32 = 20;

const FAULTS: [&str; 8] = [
    "refuse=0.2%",
    "drop-syn=0.2%",
    "stall-banner=0.2%",
    "stall-kex=0.2%",
    "deny-auth=0.2%",
    "hang=0.2%",
    "flood=0.2%",
    "die=0.2%",
];

/// What a process had at a moment.
#[derive(Debug, Clone, Copy)]
struct Moment {
    after: Duration,
    /// Resident KiB.
    resident: u64,
    descriptors: usize,
    threads: usize,
}

/// Runs about as long as is asked for, and prints what the process had meanwhile.
///
/// # Errors
/// When the hosts do not start, or more memory or descriptors are held in the end than after a quarter of the time.
pub fn measure(long: Duration) -> Result<(), Failure> {
    let hosts = usize::try_from(long.as_secs() * AT_ONCE / SLOW_TAKES.as_secs())?.max(200);
    talk(&format!("{hosts} hosts, {AT_ONCE} at once, {} s each", SLOW_TAKES.as_secs()));
    let crowd = Crowd::start(hosts, &FAULTS)?;
    let realm = Realm::of_crowd(&crowd)?;
    let mut command = realm.pipedown(&["exec", "--all", "--parallel", &AT_ONCE.to_string()]);
    command.args(["--timeout", "5s", "--connect-timeout", "5s", "--output-limit", "64K", "--", SLOW]);
    let begun = Instant::now();
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut series = Vec::new();
    while process.try_wait()?.is_none() {
        // It is time itself that is waited for.
        std::thread::sleep(long / LINES);
        series.extend(look(&process, begun));
    }
    let status = process.wait()?;
    print(&series);
    talk(&format!("exit status {:?} (4: some host unreachable)", status.code()));
    let Some((early, last)) = series.get(series.len() / 4).zip(series.iter().rev().nth(1)) else {
        return Err("the run was over before it could be looked at".into());
    };
    if last.descriptors > early.descriptors + usize::try_from(AT_ONCE)? {
        return Err(format!("descriptors grow: from {} to {}", early.descriptors, last.descriptors).into());
    }
    // What is known of each host that has ended stays in memory: hundreds of bytes.
    let known = u64::try_from(hosts)?;
    if last.resident > early.resident + early.resident / 10 + known {
        return Err(format!("memory grows: from {} to {} KiB", early.resident, last.resident).into());
    }
    Ok(())
}

/// What a process has now; none when it has ended (proc_pid_status(5)).
fn look(process: &Child, begun: Instant) -> Option<Moment> {
    let folder = format!("/proc/{}", process.id());
    let status = fs::read_to_string(format!("{folder}/status")).ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let count = |name: &str| fs::read_dir(format!("{folder}/{name}")).ok().map(Iterator::count);
    Some(Moment {
        after: begun.elapsed(),
        resident: resident.split_whitespace().next()?.parse().ok()?,
        descriptors: count("fd")?,
        threads: count("task")?,
    })
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn print(series: &[Moment]) {
    let mut table = Table::new(&["after", "resident", "descriptors", "threads"]);
    for moment in series {
        table.row([
            format!("{:.0} s", moment.after.as_secs_f64()).into(),
            format!("{:.1} MiB", moment.resident as f64 / 1024.0).into(),
            moment.descriptors.into(),
            moment.threads.into(),
        ]);
    }
    table.print("One long run, some hosts broken");
}
