//! What a window on many hosts costs the controller.

use crate::fleet::Fleet;
use crate::realm::Realm;
use crate::rows::{self, Table, goal, median, ratio};
use crate::usage::{self, Usage};
use crate::{Failure, tools};

/// Milliseconds of processor time for each host that is armed.
const GOAL: f64 = 5.0;

/// Measures arming and calling off, against `true` on every host with the tools that are installed.
pub fn measure(hosts: usize, times: usize) -> Result<(), Failure> {
    let fleet = Fleet::start(hosts)?;
    let realm = Realm::new(&fleet, Ok)?;
    let (mut arms, mut cancels) = (Vec::new(), Vec::new());
    for _ in 0..times {
        arms.push(usage::of(&realm.arm())?);
        cancels.push(usage::of(&realm.cancel())?);
    }
    let mut rows = vec![
        ("pipedown run: window armed on every host", middle(&arms)),
        ("pipedown cancel: called off on every host", middle(&cancels)),
    ];
    for tool in tools::ALL {
        match tool.command(&realm) {
            None => rows::talk(&format!("{}: not installed", tool.name)),
            Some(command) => {
                let taken = (0..times).map(|_| usage::of(&command)).collect::<Result<Vec<_>, _>>()?;
                rows.push((tool.shown, middle(&taken)));
            }
        }
    }
    report(hosts, &rows);
    Ok(())
}

/// The median of each figure.
fn middle(taken: &[Usage]) -> Usage {
    Usage {
        wall: median(taken.iter().map(|usage| usage.wall).collect()).unwrap_or_default(),
        processor: median(taken.iter().map(|usage| usage.processor).collect()).unwrap_or_default(),
        memory: median(taken.iter().map(|usage| usage.memory).collect()).unwrap_or_default(),
        ..Usage::default()
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn report(hosts: usize, rows: &[(&str, Usage)]) {
    let each = |usage: &Usage| usage.processor.as_secs_f64() * 1e3 / hosts as f64;
    let reference =
        rows.iter().find(|(what, _)| *what == tools::REFERENCE).map_or(0.0, |(_, usage)| each(usage));
    let mut table =
        Table::new(&["what", "wall", "processor time a host", "ratio", "peak memory of a process", "goal"]);
    for (at, (what, usage)) in rows.iter().enumerate() {
        let goal = if at == 0 { format!("5 ms: {}", goal(each(usage), GOAL)) } else { String::new() };
        table.row([
            (*what).into(),
            format!("{:.2} s", usage.wall.as_secs_f64()).into(),
            format!("{:.2} ms", each(usage)).into(),
            ratio(each(usage), reference).into(),
            format!("{:.1} MiB", usage.memory as f64 / 1024.0).into(),
            goal.into(),
        ]);
    }
    table.print(&format!("The controller's work on {hosts} hosts, {} at once", tools::AT_ONCE));
}
