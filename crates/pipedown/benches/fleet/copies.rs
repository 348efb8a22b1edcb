//! A large file to many hosts.

use std::fs::File;
use std::io::Write as _;
use std::process::Command;

use crate::Failure;
use crate::contest::{Contest, Goals, quotient};
use crate::realm::Realm;
use crate::sshds::Sshds;

/// Copies 64 MiB to 20 addresses of this machine, ten at once. They all write the same name: each file is put in place
/// by a rename, or written over, with the same bytes.
///
/// # Errors
/// When sshd does not start, or pipedown fails.
pub fn measure(times: usize) -> Result<(), Failure> {
    const HOSTS: usize = 20;
    const AT_ONCE: &str = "20";
    let sshds = Sshds::start(HOSTS)?;
    let realm = Realm::of_sshds(&sshds)?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("large");
    let mut noise = vec![0; 64 << 20];
    getrandom::fill(&mut noise).map_err(|error| error.to_string())?;
    File::create(&file)?.write_all(&noise)?;
    drop(noise);
    let to = dir.path().join("arrived");
    std::fs::create_dir(&to)?;
    let mut ours = realm.pipedown(&["copy", "--parallel", AT_ONCE]);
    ours.arg(&file).arg(format!("*:{}/ours", to.display()));
    let mut scp = Command::new("xargs");
    scp.env_remove("SSH_AUTH_SOCK").arg("-a").arg(realm.path("addresses"));
    scp.args(["-P", AT_ONCE, "-I", "HOST", "scp", "-q", "-F"]).arg(realm.path("ssh_config")).arg(&file);
    scp.arg(format!("HOST:{}/theirs", to.display()));
    let contest = Contest::hold(vec![("pipedown copy", ours), ("xargs scp", scp)], times)?;
    contest.print("64 MiB to 20 hosts (OpenSSH's sshd), 20 at once", HOSTS);
    let ours = contest.ours();
    let scp = contest.taken("xargs scp");
    let mut goals = Goals::new();
    goals.most("wall, of scp's", 1.0, scp.map(|scp| quotient(ours.wall, scp.wall)));
    goals.print();
    Ok(())
}
