//! Files to many hosts: a large one, and many small ones.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::Failure;
use crate::contest::{Contest, Goals, quotient};
use crate::machines::Machines;
use crate::realm::Realm;

const HOSTS: u8 = 20;
const AT_ONCE: &str = "20";
const SIZE: usize = 64 << 20;
const FILES: usize = 200;
const SMALL: usize = 2048;

/// Copies 64 MiB, then a folder of 200 files, to 20 real sshds with files of their own, all at once. Nobody finds in a round
/// what an earlier one left.
///
/// # Errors
/// When the hosts do not start, which needs root, when pipedown fails, or a file does not arrive.
pub fn measure(times: usize) -> Result<(), Failure> {
    let machines = Machines::start(HOSTS)?;
    let realm = Realm::of_machines(&machines)?;
    let dir = tempfile::tempdir()?;
    large(&machines, &realm, &dir.path().join("large"), times)?;
    small(&machines, &realm, &dir.path().join("small"), times)
}

fn large(machines: &Machines, realm: &Realm, file: &Path, times: usize) -> Result<(), Failure> {
    write_noise(file, SIZE)?;
    let mut ours = realm.pipedown(&["copy", "--parallel", AT_ONCE]);
    ours.arg(file).arg("*:/root/arrived");
    let mut scp = each_host(realm, &["scp", "-q", "-F"]);
    scp.arg(realm.path("ssh_config")).arg(file).arg("HOST:/root/arrived");
    let programs = vec![("pipedown copy", ours), ("xargs scp", scp)];
    let contest = Contest::hold_and_settle(programs, times, || {
        arrived(machines, |place| Ok(fs::metadata(place)?.len() == u64::try_from(SIZE)?))
    })?;
    contest.print("64 MiB to 20 hosts (OpenSSH's sshd), 20 at once", HOSTS.into());
    judge(&contest, &["xargs scp"]);
    Ok(())
}

fn small(machines: &Machines, realm: &Realm, folder: &Path, times: usize) -> Result<(), Failure> {
    fs::create_dir(folder)?;
    for number in 0..FILES {
        write_noise(&folder.join(number.to_string()), SMALL)?;
    }
    let mut ours = realm.pipedown(&["copy", "-r", "--parallel", AT_ONCE]);
    ours.arg(folder).arg("*:/root/arrived");
    let mut scp = each_host(realm, &["scp", "-q", "-r", "-F"]);
    scp.arg(realm.path("ssh_config")).arg(folder).arg("HOST:/root/arrived");
    // The names are those of the benchmark: none needs a quote.
    let pipe = format!(
        "tar -C {} -cf - . | ssh -F {} HOST 'mkdir /root/arrived && tar -C /root/arrived -xf -'",
        folder.display(),
        realm.path("ssh_config").display()
    );
    let tar = {
        let mut tar = each_host(realm, &["sh", "-c"]);
        tar.arg(pipe);
        tar
    };
    let programs = vec![("pipedown copy -r", ours), ("xargs scp -r", scp), ("xargs tar | ssh", tar)];
    let contest = Contest::hold_and_settle(programs, times, || {
        arrived(machines, |place| Ok(fs::read_dir(place)?.count() == FILES))
    })?;
    contest.print("200 files of 2 KiB to 20 hosts (OpenSSH's sshd), 20 at once", HOSTS.into());
    judge(&contest, &["xargs scp -r", "xargs tar | ssh"]);
    Ok(())
}

fn write_noise(file: &Path, size: usize) -> Result<(), Failure> {
    let mut noise = vec![0; size];
    getrandom::fill(&mut noise).map_err(|error| error.to_string())?;
    Ok(File::create(file)?.write_all(&noise)?)
}

/// A command for every host; HOST in what follows is its address.
fn each_host(realm: &Realm, command: &[&str]) -> Command {
    let mut xargs = Command::new("xargs");
    xargs.env_remove("SSH_AUTH_SOCK").arg("-a").arg(realm.path("addresses"));
    xargs.args(["-P", AT_ONCE, "-I", "HOST"]).args(command);
    xargs
}

fn judge(contest: &Contest, peers: &[&str]) {
    let mut goals = Goals::new();
    for peer in peers {
        let wall = contest.taken(peer).map(|peer| quotient(contest.ours().wall, peer.wall));
        goals.most(&format!("wall, of {peer}'s"), 1.0, wall);
    }
    goals.print();
}

/// Insists that every host has all of it, and takes it away.
fn arrived(machines: &Machines, is_whole: impl Fn(&Path) -> Result<bool, Failure>) -> Result<(), Failure> {
    for (name, _) in &machines.hosts {
        let place = machines.dir.path().join(name).join("root/arrived");
        if !is_whole(&place)? {
            return Err(format!("{name}: not everything has arrived").into());
        }
        if place.is_dir() {
            fs::remove_dir_all(place)?;
        } else {
            fs::remove_file(place)?;
        }
    }
    Ok(())
}
