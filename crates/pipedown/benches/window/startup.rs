//! How long the command takes to say something.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::rows::{self, Table, goal, median, ms};
use crate::{Failure, PIPEDOWN};

const TIMES: usize = 50;

/// What may be waited for without noticing.
const GOAL: Duration = Duration::from_millis(15);

/// What a command took.
struct Taken {
    fastest: Duration,
    median: Duration,
    slowest: Duration,
}

/// Measures `--help` and its like, against the smallest program there is and against ssh.
pub fn measure() -> Result<(), Failure> {
    let mut table = Table::new(&["command", "fastest", "median", "slowest", "goal"]);
    let mut row = |command: &str, taken: &Taken, goal: &str| {
        let Taken { fastest, median, slowest } = taken;
        table.row([
            command.into(),
            ms(*fastest).into(),
            ms(*median).into(),
            ms(*slowest).into(),
            goal.into(),
        ]);
    };
    for args in [["--help"].as_slice(), &["--version"]] {
        let taken = timed(PIPEDOWN, args)?;
        let met = format!("15 ms: {}", goal(taken.median.as_secs_f64(), GOAL.as_secs_f64()));
        row(&format!("pipedown {}", args.join(" ")), &taken, &met);
    }
    for (program, shown, args) in [
        (PIPEDOWN, "pipedown run --help", ["run", "--help"].as_slice()),
        (PIPEDOWN, "pipedown playbooks", &["playbooks"]),
        ("true", "true", &[]),
        ("ssh", "ssh -V", &["-V"]),
    ] {
        match timed(program, args) {
            Ok(taken) => row(shown, &taken, ""),
            Err(error) => rows::talk(&format!("{shown}: not measured: {error}")),
        }
    }
    table.print(&format!("Start-up ({TIMES} times)"));
    Ok(())
}

fn timed(program: &str, args: &[&str]) -> Result<Taken, Failure> {
    let mut took = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let begun = Instant::now();
        let mut command = Command::new(program);
        let status = command.args(args).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        took.push(begun.elapsed());
        if !status.success() {
            return Err(format!("{program} {} fails", args.join(" ")).into());
        }
    }
    took.sort();
    let at = |end: Option<&Duration>| end.copied().unwrap_or_default();
    Ok(Taken {
        fastest: at(took.first()),
        slowest: at(took.last()),
        median: median(took).unwrap_or_default(),
    })
}
