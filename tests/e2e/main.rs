//! End-to-end tests: one file per scenario, the built `pipedown` against embedded hosts. Unprivileged, side by side.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "what surprises a test is to end it, and what is skipped says so"
)]

#[path = "../support/mod.rs"]
mod support;

mod bastion;
mod calling_off;
mod confirm;
mod copy;
mod demo;
mod doctor;
mod dry_run;
mod exec;
mod exec_ends;
mod exec_rollout;
mod exec_sudo;
mod exit_codes;
mod facts;
mod host_sets;
mod hostkeys;
mod hostkeys_dns;
mod hostkeys_rotate;
mod hostkeys_scan;
mod hostkeys_trust;
mod interrupt;
mod inventories;
mod many;
mod offline;
mod once;
mod openssh_fleet;
mod output;
mod ownership;
mod require_all;
mod rolling;
mod shipped;
mod sigkill;
mod ssh_config;
mod sshd_batches;
mod sshd_debug;
mod sshd_killed;
mod sshd_plans;
mod sshd_rollout;
mod sshd_status;
mod steps;
mod storage;
mod storm;
mod trace;
mod trust;
mod window;
