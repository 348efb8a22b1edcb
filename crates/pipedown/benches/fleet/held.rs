//! What a connection costs that is held.

use crate::contest::{Contest, Goals};
use crate::crowd::{Crowd, HOLD};
use crate::realm::Realm;
use crate::rows::Table;
use crate::{Failure, peers};

const HOSTS: usize = 2000;
const BARE_FEW: &str = "bare russh loop, 16 at once";
const BARE_ALL: &str = "bare russh loop, all held";

/// Memory with all connections open, less that with 16.
///
/// # Errors
/// When the hosts do not start, or pipedown fails.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub fn measure(times: usize) -> Result<(), Failure> {
    const FEW: usize = 16;
    let crowd = Crowd::start(HOSTS, &[])?;
    let realm = Realm::of_crowd(&crowd)?;
    let mut programs = vec![
        ("pipedown exec, all held", realm.exec(HOSTS, HOLD)),
        ("pipedown exec, 16 at once", realm.exec(FEW, "true")),
    ];
    if let (Some(all), Some(few)) = (peers::bare(&realm, HOSTS, HOLD), peers::bare(&realm, FEW, "true")) {
        programs.extend([(BARE_ALL, all), (BARE_FEW, few)]);
    }
    let contest = Contest::hold(programs, times)?;
    let memory = |name| contest.taken(name).map(|usage| usage.memory as f64);
    let each = |all, few| Some((memory(all)? - memory(few)?) / (HOSTS - FEW) as f64);
    let mut table = Table::new(&["what", "16 at once", "2,000 held", "a connection"]);
    let pairs = [
        ("pipedown exec", "pipedown exec, all held", "pipedown exec, 16 at once"),
        ("bare russh loop", BARE_ALL, BARE_FEW),
    ];
    for (name, all, few) in pairs {
        let (Some(high), Some(low), Some(each)) = (memory(all), memory(few), each(all, few)) else {
            continue;
        };
        table.row([
            name.into(),
            format!("{:.1} MiB", low / 1024.0).into(),
            format!("{:.1} MiB", high / 1024.0).into(),
            format!("{each:.1} KiB").into(),
        ]);
    }
    table.print("Peak memory with connections held");
    let mut goals = Goals::new();
    goals.most(
        "KiB for a held connection",
        80.0,
        each("pipedown exec, all held", "pipedown exec, 16 at once"),
    );
    goals.print();
    Ok(())
}
