//! How long the command takes to say something.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::rows::{self, Table, goal, median, ms};
use crate::{Failure, PIPEDOWN};

const TIMES: usize = 50;

/// What may be waited for without noticing.
const GOAL: Duration = Duration::from_millis(15);

/// Measures `--help` and its like, against the smallest program there is and against ssh.
pub fn measure() -> Result<(), Failure> {
    let mut table = Table::new(&["command", "median", "slowest", "goal"]);
    for (args, goals) in [
        (["--help"].as_slice(), true),
        (&["--version"], true),
        (&["run", "--help"], true),
        (&["playbooks"], true),
    ] {
        let (middle, worst) = timed(PIPEDOWN, args)?;
        let met = if goals { goal(middle.as_secs_f64(), GOAL.as_secs_f64()) } else { "" };
        let shown = format!("pipedown {}", args.join(" "));
        table.row([shown.into(), ms(middle).into(), ms(worst).into(), format!("15 ms: {met}").into()]);
    }
    for (program, args) in [("true", [].as_slice()), ("ssh", &["-V"])] {
        match timed(program, args) {
            Ok((middle, worst)) => {
                let shown = format!("{program} {}", args.join(" "));
                table.row([shown.into(), ms(middle).into(), ms(worst).into(), "".into()]);
            }
            Err(_) => rows::talk(&format!("{program}: not installed")),
        }
    }
    table.print(&format!("Start-up ({TIMES} times)"));
    Ok(())
}

fn timed(program: &str, args: &[&str]) -> Result<(Duration, Duration), Failure> {
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
    let worst = took.iter().max().copied().unwrap_or_default();
    Ok((median(took).unwrap_or_default(), worst))
}
