//! What it costs to stay with hosts on which nothing happens yet.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::fleet::Fleet;
use crate::realm::Realm;
use crate::rows::Table;
use crate::usage;
use crate::{Failure, rows};

/// Follows hosts for a while.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub fn measure(hosts: usize, long: Duration) -> Result<(), Failure> {
    let fleet = Fleet::start(hosts)?;
    let realm = Realm::new(&fleet, Ok)?;
    let mut command = realm.arm();
    command.args(["--follow", "--json"]).stdout(Stdio::piped()).stderr(Stdio::null()).stdin(Stdio::null());
    let mut process = command.spawn()?;
    let events = process.stdout.take().ok_or("failed to read events")?;
    let mut events = BufReader::new(events).lines().map_while(Result::ok);
    let armed = events.by_ref().filter(|line| line.contains("\"kind\":\"armed\"")).take(hosts).count();
    // The rest of the stream must not fill the pipe.
    let rest = std::thread::spawn(move || events.count());
    let before = so_far(process.id());
    // It is time itself that is waited for.
    std::thread::sleep(long);
    let after = so_far(process.id());
    if let Some(process) = i32::try_from(process.id()).ok().and_then(Pid::from_raw) {
        kill_process(process, Signal::INT)?;
    }
    process.wait()?;
    let _ = rest.join();
    usage::of(&realm.cancel())?;
    if armed < hosts {
        return Err(format!("only {armed} of {hosts} hosts were armed").into());
    }
    let used = after?.saturating_sub(before?);
    let mut table = Table::new(&["hosts", "for", "processor time", "of one core", "a host and minute"]);
    let seconds = long.as_secs_f64();
    table.row([
        hosts.into(),
        format!("{seconds:.0} s").into(),
        rows::ms(used).into(),
        format!("{:.2} %", 100.0 * used.as_secs_f64() / seconds).into(),
        format!("{:.2} ms", used.as_secs_f64() * 1e3 * 60.0 / seconds / hosts as f64).into(),
    ]);
    table.print("Following hosts on which nothing happens");
    Ok(())
}

/// The processor time that a process has used so far (proc_pid_stat(5), in hundredths of a second).
///
/// # Errors
/// When there is no such process.
fn so_far(process: u32) -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name may hold anything, also blanks and brackets.
    let (_, fields) = stat.rsplit_once(')').ok_or("failed to read the process's state")?;
    let ticks = |at: usize| fields.split_whitespace().nth(at).and_then(|field| field.parse::<u64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).ok_or("failed to read the process's times")?;
    Ok(Duration::from_millis((user + system) * 10))
}
