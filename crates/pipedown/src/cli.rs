//! The command line: what the user types.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgMatches, Args, FromArgMatches, Parser, Subcommand, ValueEnum};
use pipedown_engine::WireProof;
use pipedown_model::{BatchSize, FailureBudget, InvalidBatch};

use crate::arguments::{self, Flagged};
use crate::commands;
use crate::settings::SettingArgs;

/// Takes fleets through maintenance windows over SSH: tells users, keeps new logins out, lets sessions end, and shuts
/// hosts down or reboots them on time. What must happen at a time is armed on the hosts and survives this machine.
#[derive(Debug, Parser)]
#[command(name = "pipedown", version, arg_required_else_help = true, after_help = AFTER_HELP, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
A maintenance window, from the first look to the last host down:
  pipedown plan graceful-shutdown -l @login --at 18:00             # offline
  pipedown run graceful-shutdown -l @login --at 18:00 --dry-run    # looks only
  pipedown run graceful-shutdown -l @login --at 18:00              # arms, ends
  pipedown status                                                  # asks hosts
  pipedown cancel                                                  # calls it off

Exit codes; when several apply, the last of this list wins:
   0  done                            3  some host failed
   2  would change (only with         5  refused by a gate, or stopped
      --detailed-exitcode)           64  the command line is wrong
   6  cancelled                      65  the inventory or the playbook is wrong
   4  some host unreachable          70  pipedown itself failed

`pipedown COMMAND --help` says more about each command, with examples.
No hosts at hand? `pipedown demo` starts some on this machine.";

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Inventory file [default: $PIPEDOWN_INVENTORY, ./inventory.toml, then the XDG config folder]
    #[arg(short, long, global = true, value_name = "FILE")]
    pub inventory: Option<PathBuf>,
    /// ssh_config file that says how hosts are reached, or `none` [default: ~/.ssh/config, then /etc/ssh/ssh_config]
    #[arg(short = 'F', long, global = true, value_name = "FILE")]
    pub ssh_config: Option<PathBuf>,
    /// Print data as JSON lines: a run's events, or a list's rows
    #[arg(long, global = true)]
    pub json: bool,
    /// Say only what went wrong, and the end
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more: steps and findings
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// When to use colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub color: ColorChoice,
    /// Where runs are recorded [default: $XDG_STATE_HOME/pipedown]
    #[arg(long, global = true, value_name = "DIR", env = "PIPEDOWN_STATE_DIR", hide_env_values = true)]
    pub state_dir: Option<PathBuf>,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    // No doc comments: they would become paragraphs in the help of every command.
    Auto,
    Always,
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start hosts on this machine and take them through a window, in half a minute
    Demo(commands::demo::DemoArgs),
    /// Run a command on many hosts at once
    Exec(commands::exec::ExecArgs),
    /// Show, offline, what would happen on every host and when, with the exact texts
    Plan(commands::plan::PlanArgs),
    /// Arm a window on hosts (or do what a playbook without a window says)
    Run(commands::run::RunArgs),
    /// Ask the hosts what is armed, by whom, and who is logged in
    Status(commands::status::StatusArgs),
    /// Call a window off and restore what was there before
    Cancel(commands::cancel::CancelArgs),
    /// Move an armed window to another time
    Postpone(commands::postpone::PostponeArgs),
    /// Finish a run that was interrupted
    Resume(commands::resume::ResumeArgs),
    /// List the runs recorded on this machine
    Runs(commands::runs::RunsArgs),
    /// Show a recorded run again
    Show(commands::show::ShowArgs),
    /// Show the hosts of the inventory, or of a set
    Hosts(commands::hosts::HostsArgs),
    /// Copy files to many hosts: what is there already is left alone
    Copy(commands::copy::CopyArgs),
    /// Fetch files from many hosts, each into a folder of its own
    Fetch(commands::fetch::FetchArgs),
    /// Tell what hosts are: system, kernel, sshd, boot, who is logged in, how far clocks are off
    Facts(commands::facts::FactsArgs),
    /// Show, find and keep the keys by which hosts prove who they are
    Hostkeys(commands::hostkeys::HostkeysArgs),
    /// List the playbooks, or print one
    Playbooks(commands::playbooks::PlaybooksArgs),
    /// Find out why a host cannot be reached, layer by layer, and what to change
    Doctor(commands::doctor::DoctorArgs),
    /// Show what the hosts' sshd serve, go back to what they served, fetch their logs; or serve SSH for a look at clients
    Sshd(commands::sshd::SshdArgs),
    /// Print a completion script for a shell
    Completions(commands::completions::CompletionsArgs),
    /// Confine a command to the folder of an embedded host (used by `demo` itself)
    #[command(hide = true, disable_help_flag = true)]
    Confine {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<std::ffi::OsString>,
    },
}

/// Which hosts.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which hosts")]
pub struct TargetArgs {
    /// Host set: login[01-40], @group, web*, ^FILE; `,` adds, `!` takes away, `&` keeps what both have, left to right (all of
    /// it: `pipedown hosts --help`)
    #[arg(short, long, value_name = "SET", conflicts_with = "all", allow_hyphen_values = true)]
    pub limit: Option<String>,
    /// Every host of the inventory
    #[arg(long)]
    pub all: bool,
}

/// When.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "When")]
pub struct TimeArgs {
    /// T, the time of the window: 18:00, 2026-12-01T18:00, or 2026-12-01T18:00+01:00
    #[arg(long, value_name = "TIME", conflicts_with = "in_")]
    pub at: Option<String>,
    /// T counted from now: 45m, 2h30m
    #[arg(long = "in", id = "in_", value_name = "DURATION")]
    pub in_: Option<String>,
    /// Time zone of --at: an IANA name, or `host` for each host's own
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
}

/// What.
#[derive(Debug, Clone, Args)]
pub struct PlaybookArgs {
    /// A playbook (see `pipedown playbooks`), a playbook's file, or a plan written by `plan --out`
    #[arg(value_name = "PLAYBOOK|FILE.plan")]
    pub playbook: String,
    /// Set a variable of the playbook; `--NAME VALUE` does the same, and `PLAYBOOK --help` lists them
    #[arg(short = 'e', long = "var", value_name = "NAME=VALUE")]
    pub vars: Vec<String>,
    /// Why: shown to users and written to every host's system log
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    #[command(flatten)]
    pub flags: VariableFlags,
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// Variables of the playbook that were given as options of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VariableFlags(pub Vec<Flagged>);

impl FromArgMatches for VariableFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(arguments::flagged(matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for VariableFlags {
    /// Which there are depends on the playbook: see [`arguments::prepare`].
    fn augment_args(command: clap::Command) -> clap::Command {
        command
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        command
    }
}

/// How to reach hosts.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Reaching hosts")]
pub struct ReachArgs {
    /// How many hosts at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub parallel: u16,
    /// Limit for TCP's connect, and again for the SSH banner
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub connect_timeout: Duration,
    /// Limit for everything on one host, from the connect to the read-back
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    pub host_timeout: Duration,
    /// Ask for the login password once, for all hosts (without it: once per host that wants one)
    #[arg(short = 'k', long)]
    pub ask_password: bool,
    /// Command whose first output line is the login password of all hosts (run once, without a shell)
    #[arg(long, value_name = "COMMAND", conflicts_with = "ask_password")]
    pub password_command: Option<String>,
    /// Ask for the sudo password once, for all hosts
    #[arg(short = 'K', long)]
    pub ask_become_password: bool,
    /// Command whose first output line is the sudo password (run once, without a shell)
    #[arg(long, value_name = "COMMAND", conflicts_with = "ask_become_password")]
    pub become_password_command: Option<String>,
}

impl ReachArgs {
    /// What the options are when none is given.
    pub fn usual() -> Self {
        Self {
            parallel: 64,
            connect_timeout: Duration::from_secs(10),
            host_timeout: Duration::from_secs(120),
            ask_password: false,
            password_command: None,
            ask_become_password: false,
            become_password_command: None,
        }
    }
}

/// Which gates are opened by hand.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Gates")]
pub struct GateArgs {
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub yes: bool,
    /// Arm every host or none
    #[arg(long)]
    pub require_all: bool,
    /// Supersede another run's window, a foreign schedule or nologin file (kept, and restored by cancel)
    #[arg(long)]
    pub replace: bool,
    /// Accept hosts whose clock is more than 60 s off
    #[arg(long)]
    pub allow_skew: bool,
    /// Accept that nologin shuts our own login out of the host
    #[arg(long)]
    pub accept_lockout: bool,
    /// Include this machine itself, or a host that others are reached through
    #[arg(long)]
    pub include_controller: bool,
}

/// In which batches, and how many failures are accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Rolling out")]
pub struct BatchArgs {
    /// Hosts in batches instead of the playbook's: 1,10%,rest; the last is repeated until none is left
    #[arg(long, value_name = "SIZES", value_delimiter = ',', value_parser = wanted::<BatchSize>)]
    pub batch: Vec<BatchSize>,
    /// How many hosts may fail, 0 or 5%, before no further one is begun, instead of the playbook's limit
    #[arg(long, value_name = "N|N%", value_parser = wanted::<FailureBudget>)]
    pub max_failures: Option<FailureBudget>,
    /// How many hosts may be unreachable, 3 or 5%, before no further one is begun [default: any number]
    #[arg(long, value_name = "N|N%", value_parser = wanted::<FailureBudget>)]
    pub max_unreachable: Option<FailureBudget>,
    /// Begin no further host after the first failure: --max-failures 0
    #[arg(long, conflicts_with = "max_failures")]
    pub fail_fast: bool,
    /// Never more hosts of a set in their turn, or not proven back, than this: @db=1, web[01-20]=10%; repeatable
    #[arg(long, value_name = "SET=N|N%", value_parser = slots, allow_hyphen_values = true)]
    pub max_down: Vec<(String, FailureBudget)>,
    /// Only hosts that did not end well in a recorded run: failed, refused or unreachable; `last` is the newest
    #[arg(long, value_name = "RUN")]
    pub only_failed: Option<String>,
}

impl BatchArgs {
    /// The hosts: those that were asked for, or of them those that did not end well before.
    pub fn targets(&self, targets: &TargetArgs) -> TargetArgs {
        let Some(run) = &self.only_failed else { return targets.clone() };
        let failed = format!("@failed:{run},@unreachable:{run}");
        let limit = match &targets.limit {
            Some(set) => format!("({failed})&({set})"),
            None => failed,
        };
        TargetArgs { limit: Some(limit), all: false }
    }

    /// How many failures are accepted, in place of the playbook's.
    pub fn failures(&self) -> Option<FailureBudget> {
        if self.fail_fast { Some(FailureBudget::Count(0)) } else { self.max_failures }
    }
}

/// Reads `@db=1`.
fn slots(text: &str) -> Result<(String, FailureBudget), &'static str> {
    const WANTED: &str = "write a host set and how many of it, as in @db=1 or web[01-20]=10%";
    let (set, most) = text.rsplit_once('=').ok_or(WANTED)?;
    let most = most.parse().map_err(|_| WANTED)?;
    let none = matches!(most, FailureBudget::Count(0) | FailureBudget::Percent(0));
    if set.trim().is_empty() || none { Err(WANTED) } else { Ok((set.trim().to_owned(), most)) }
}

/// How a change of sshd's configuration goes from host to host.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Rolling out")]
pub struct RolloutArgs {
    #[command(flatten)]
    pub batches: BatchArgs,
    /// Accept that accounts which logged in lately lose access
    #[arg(long)]
    pub narrows_access: bool,
    /// Do not wait for keepalives on the wire; they are reported "unproven"
    #[arg(long, conflicts_with = "wire_proof_limit")]
    pub no_wire_proof: bool,
    /// Wait for keepalives on the wire where that takes no longer than this
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = duration)]
    pub wire_proof_limit: Duration,
}

impl RolloutArgs {
    /// Whether keepalives are waited for, and for how long.
    pub fn wire_proof(&self) -> WireProof {
        if self.no_wire_proof { WireProof::Off } else { WireProof::Within(self.wire_proof_limit) }
    }
}

/// Reads a batch or a budget, or says what would be one.
fn wanted<T: FromStr<Err = InvalidBatch>>(text: &str) -> Result<T, &'static str> {
    text.parse().map_err(|error: InvalidBatch| error.wanted)
}

/// Reads `4096`, `64K`, `16M`, `1G`: powers of 1,024.
pub fn byte_size(text: &str) -> Result<u64, String> {
    let wanted = || format!("`{text}` is no size; write 65536, 64K, 16M or 1G");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text.strip_prefix(digits).unwrap_or_default() {
        "" => 0,
        "k" | "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        _ => return Err(wanted()),
    };
    let number: u64 = digits.parse().map_err(|_| wanted())?;
    number.checked_mul(1 << shift).ok_or_else(wanted)
}

/// Reads `90s`, `5m`, `1h30m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|e| format!("{e}; write 90s, 5m or 1h30m"))
}
