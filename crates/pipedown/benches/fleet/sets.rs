//! Host sets and inventories: nobody is connected to.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::contest::{Contest, Goals, quotient};
use crate::{Failure, PIPEDOWN, peers};

/// Folding names that a program printed.
///
/// # Errors
/// When pipedown fails.
pub fn fold(times: usize) -> Result<(), Failure> {
    const NAMES: usize = 100_000;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("names");
    let mut names = std::io::BufWriter::new(File::create(&file)?);
    for number in 0..NAMES {
        // Not in order, and not all in one range.
        let number = number * 7919 % NAMES;
        writeln!(names, "rack{:02}n{:05}", number % 20, number / 20 * 2)?;
    }
    names.into_inner()?.sync_all()?;
    let mut programs = vec![("pipedown hosts - --fold", fed(PIPEDOWN, &["hosts", "-", "--fold"], &file))];
    if peers::is_installed("nodeset") {
        programs.push(("nodeset -f", fed("nodeset", &["-f"], &file)));
    }
    let contest = Contest::hold(programs, times)?;
    contest.print("Folding 100,000 names", NAMES);
    let ours = contest.ours();
    let theirs = contest.taken("nodeset -f");
    let mut goals = Goals::new();
    goals.most("wall, of nodeset's", 0.1, theirs.map(|theirs| quotient(ours.wall, theirs.wall)));
    goals.most("CPU, of nodeset's", 0.1, theirs.map(|theirs| quotient(ours.processor, theirs.processor)));
    goals.print();
    Ok(())
}

/// Counting a large inventory.
///
/// # Errors
/// When pipedown fails.
pub fn count(times: usize) -> Result<(), Failure> {
    const HOSTS: usize = 50_000;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("inventory.toml");
    let mut text = std::io::BufWriter::new(File::create(&file)?);
    writeln!(text, "[defaults]\nuser = \"root\"")?;
    for number in 0..HOSTS {
        let (a, b, c) = (number >> 16, number >> 8 & 0xff, number & 0xff);
        writeln!(text, "[hosts.node{number:05}]\naddress = \"10.{a}.{b}.{c}\"")?;
    }
    text.into_inner()?.sync_all()?;
    let mut command = Command::new(PIPEDOWN);
    command.args(["-F", "none", "hosts", "node*", "--count"]).env("PIPEDOWN_INVENTORY", &file);
    let contest = Contest::hold(vec![("pipedown hosts --count", command)], times)?;
    contest.print("Counting an inventory of 50,000 hosts", HOSTS);
    let mut goals = Goals::new();
    goals.most("wall in seconds", 0.2, Some(contest.ours().wall.as_secs_f64()));
    goals.most("CPU in seconds", 0.2, Some(contest.ours().processor.as_secs_f64()));
    goals.print();
    Ok(())
}

/// A program whose standard input is a file.
fn fed(program: &str, args: &[&str], file: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "file=$1; shift; exec \"$@\" <\"$file\" >/dev/null", "sh"]).arg(file);
    command.arg(program).args(args);
    command
}
