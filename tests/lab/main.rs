//! What real hosts do, one file per scenario; docs/LAB.md says what the lab is. Needs root and `PIPEDOWN_LAB=1`.
//!
//! The scenarios bring their hosts up and run all at once, each on hosts of its own. libtest would run as many as there
//! are processors, and has no moment at which a lab could be taken down: hence a `main` of our own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "what surprises a test is to end it, and a skipped one says so"
)]

mod announced;
mod broken_hosts;
mod calling_off;
mod dry_run;
#[path = "../interop/exercise.rs"]
mod exercise;
mod feed;
mod foreign;
mod gates;
mod harness;
mod moving;
mod power_cut;
mod promise;
mod reboot;
mod rolling;
mod servers;
#[path = "../interop/sftp.rs"]
mod sftp;
mod sshd_ban;
mod sshd_ci;
mod sshd_faults;
mod sshd_hosts;
mod sshd_lockout;
mod sshd_loglevel;
mod sshd_rollout;
mod window;

use std::process::ExitCode;

use harness::Scenario;

/// Those that take long come first.
const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "window::seven_minutes",
        hosts: &["bullseye02", "bookworm02", "trixie02", "sysv02"],
        run: window::seven_minutes,
    },
    Scenario {
        name: "sshd_faults::table",
        hosts: &[
            "bullseye43",
            "bullseye44",
            "bullseye47",
            "bookworm43",
            "bookworm44",
            "bookworm47",
            "trixie43",
            "trixie44",
            "trixie47",
            "sysv43",
            "sysv44",
            "sysv47",
        ],
        run: sshd_faults::table,
    },
    Scenario {
        name: "moving::postponed_and_contested",
        hosts: &["bullseye04", "bookworm04", "trixie04", "sysv04"],
        run: moving::postponed_and_contested,
    },
    Scenario {
        name: "announced::in_logind",
        hosts: &["bullseye06", "bookworm06", "trixie06"],
        run: announced::in_logind,
    },
    Scenario {
        name: "power_cut::comes_back",
        hosts: &["bullseye05", "bookworm05", "trixie05"],
        run: power_cut::comes_back,
    },
    Scenario {
        name: "rolling::stops_and_goes_on",
        hosts: &["bullseye10", "bookworm10", "trixie10", "sysv10"],
        run: rolling::stops_and_goes_on,
    },
    Scenario {
        name: "sshd_loglevel::reverts",
        hosts: &["bookworm45", "trixie45", "sysv45"],
        run: sshd_loglevel::reverts,
    },
    Scenario {
        name: "sshd_lockout::table",
        hosts: &["bullseye42", "bookworm42", "trixie42", "sysv42"],
        run: sshd_lockout::table,
    },
    Scenario {
        name: "calling_off::early_and_late",
        hosts: &["bullseye03", "bookworm03", "trixie03", "sysv03"],
        run: calling_off::early_and_late,
    },
    Scenario {
        name: "broken_hosts::one_report",
        hosts: &[
            "bookworm25",
            "bookworm26",
            "bookworm27",
            "bookworm28",
            "bookworm29",
            "bookworm30",
            "trixie25",
            "trixie26",
            "sysv25",
        ],
        run: broken_hosts::one_report,
    },
    Scenario {
        name: "reboot::followed",
        hosts: &["bullseye22", "bookworm22", "trixie22", "sysv22"],
        run: reboot::followed,
    },
    Scenario {
        name: "rolling::one_after_the_other",
        hosts: &["bullseye09", "bookworm09", "trixie09", "sysv09"],
        run: rolling::one_after_the_other,
    },
    Scenario {
        name: "servers::three_generations",
        hosts: &["bullseye31", "bookworm31", "trixie31"],
        run: servers::three_generations,
    },
    Scenario {
        name: "foreign::comes_back",
        hosts: &["bullseye21", "bookworm21", "trixie21", "sysv21"],
        run: foreign::comes_back,
    },
    Scenario {
        name: "sshd_rollout::four_kinds",
        hosts: &["bullseye41", "bookworm41", "trixie41", "sysv41"],
        run: sshd_rollout::four_kinds,
    },
    Scenario { name: "power_cut::is_lost", hosts: &["sysv05"], run: power_cut::is_lost },
    Scenario {
        name: "calling_off::photo_finish",
        hosts: &["bullseye07", "bookworm07", "trixie07", "sysv07"],
        run: calling_off::photo_finish,
    },
    Scenario { name: "power_cut::overslept", hosts: &["bookworm08"], run: power_cut::overslept },
    Scenario { name: "sshd_ban::ten_logins", hosts: &["guarded41"], run: sshd_ban::ten_logins },
    Scenario {
        name: "sshd_ci::as_documented",
        hosts: &["bookworm48", "trixie48"],
        run: sshd_ci::as_documented,
    },
    Scenario {
        name: "dry_run::changes_nothing",
        hosts: &["bullseye20", "bookworm20", "trixie20", "sysv20"],
        run: dry_run::changes_nothing,
    },
    Scenario {
        name: "reboot::cancelled_by_those_shut_out",
        hosts: &["bookworm23", "trixie23"],
        run: reboot::cancelled_by_those_shut_out,
    },
    Scenario { name: "gates::lockout", hosts: &["bookworm24"], run: gates::lockout },
    Scenario { name: "gates::zone", hosts: &["trixie24=Asia/Tokyo"], run: gates::zone },
];

fn main() -> ExitCode {
    harness::main(SCENARIOS)
}
