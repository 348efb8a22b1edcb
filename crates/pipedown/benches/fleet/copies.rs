//! A large file to many hosts.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::Command;

use crate::Failure;
use crate::contest::{Contest, Goals, quotient};
use crate::machines::Machines;
use crate::realm::Realm;

const HOSTS: u8 = 20;
const AT_ONCE: &str = "20";
const SIZE: usize = 64 << 20;

/// Copies 64 MiB to 20 real sshds with files of their own, all at once. Nobody finds in a round what an earlier one left.
///
/// # Errors
/// When the hosts do not start, which needs root, when pipedown fails, or a file does not arrive.
pub fn measure(times: usize) -> Result<(), Failure> {
    let machines = Machines::start(HOSTS)?;
    let realm = Realm::of_machines(&machines)?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("large");
    let mut noise = vec![0; SIZE];
    getrandom::fill(&mut noise).map_err(|error| error.to_string())?;
    File::create(&file)?.write_all(&noise)?;
    drop(noise);
    let mut ours = realm.pipedown(&["copy", "--parallel", AT_ONCE]);
    ours.arg(&file).arg("*:/root/arrived");
    let mut scp = Command::new("xargs");
    scp.env_remove("SSH_AUTH_SOCK").arg("-a").arg(realm.path("addresses"));
    scp.args(["-P", AT_ONCE, "-I", "HOST", "scp", "-q", "-F"]).arg(realm.path("ssh_config")).arg(&file);
    scp.arg("HOST:/root/arrived");
    let programs = vec![("pipedown copy", ours), ("xargs scp", scp)];
    let contest = Contest::hold_and_settle(programs, times, || arrived(&machines))?;
    contest.print("64 MiB to 20 hosts (OpenSSH's sshd), 20 at once", HOSTS.into());
    let ours = contest.ours();
    let scp = contest.taken("xargs scp");
    let mut goals = Goals::new();
    goals.most("wall, of scp's", 1.0, scp.map(|scp| quotient(ours.wall, scp.wall)));
    goals.print();
    Ok(())
}

/// Insists that every host has the whole file, and takes it away.
fn arrived(machines: &Machines) -> Result<(), Failure> {
    for (name, _) in &machines.hosts {
        let file = machines.dir.path().join(name).join("root/arrived");
        if fs::metadata(&file)?.len() != u64::try_from(SIZE)? {
            return Err(format!("{name}: the file has not arrived whole").into());
        }
        fs::remove_file(file)?;
    }
    Ok(())
}
