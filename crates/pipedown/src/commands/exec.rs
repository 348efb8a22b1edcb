//! `pipedown exec -l SET -- COMMAND`.

pub mod input;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use pipedown_engine::{Options, UnknownSteps, WireProof};
use pipedown_model::{Become, ExecCommand, ExecStep, ExitCode, Limits, Plan, StepSpec, TextId};

use crate::adhoc::{self, Work};
use crate::cli::{BatchArgs, ReachArgs, TargetArgs, byte_size, duration};
use crate::output::{Look, Output};
use crate::reach::SshOpener;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::{rollout, terminal};

/// Runs a command on many hosts at once, each over a connection of its own, and shows what they print.
#[derive(Debug, Args)]
#[command(after_help = HELP, mut_arg("host_timeout", |arg| arg.hide(true)))]
pub struct ExecArgs {
    /// One word: a line for the host's sh. Several: a program with exactly these arguments, without a shell
    #[arg(
        value_name = "COMMAND",
        required_unless_present = "script",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<String>,
    #[command(flatten)]
    targets: TargetArgs,
    /// Run as root, with sudo (or as the inventory's `become` says)
    #[arg(long)]
    sudo: bool,
    /// Seconds until the host kills the command and all that it has started in its process group; `none` for no limit
    #[arg(long, value_name = "DURATION|none", default_value = "5m", value_parser = limit)]
    timeout: Limit,
    /// Run a script, by what its first line names or by sh; what stands behind `--` are its arguments. `-`: read it here
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Give each host what stands on standard input here (read to its end first; not recorded)
    #[arg(long)]
    stdin: bool,
    #[command(flatten)]
    batches: BatchArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Say who would be asked what, and connect to nobody
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    reach: ReachArgs,
}

/// How output is shown and kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
struct OutputArgs {
    #[command(flatten)]
    look: LookArgs,
    /// How much a command may print on each stream before it is ended
    #[arg(long, value_name = "BYTES", default_value = "16M", value_parser = byte_size)]
    output_limit: u64,
}

/// How output is shown, and where it is written.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct LookArgs {
    /// At the end, each output once, with the set of hosts that printed it
    #[arg(short = 'b', long)]
    fold: bool,
    /// At the end, what most hosts printed, and how the others differ from it
    #[arg(long, conflicts_with = "fold")]
    diff: bool,
    /// Lines without their host in front
    #[arg(long, conflicts_with_all = ["fold", "diff"])]
    no_prefix: bool,
    /// Also write DIR/HOST.out and DIR/HOST.err
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
}

impl LookArgs {
    /// What becomes of output.
    pub fn output(&self) -> Output {
        let look = match self {
            Self { fold: true, .. } => Look::Fold,
            Self { diff: true, .. } => Look::Diff,
            Self { no_prefix: true, .. } => Look::Bare,
            _ => Look::Lines,
        };
        Output { look, folder: self.output_dir.clone() }
    }
}

/// How long a command may run.
#[derive(Debug, Clone, Copy)]
struct Limit(Option<u32>);

const HELP: &str = "\
What hosts print is shown as it comes, stdout on stdout and stderr on stderr.
The host itself ends a command whose time is up, also when the link is lost.

  pipedown exec -l 'web[01-40]' -- uptime
  pipedown exec -l @web -- 'df -h / | tail -1'         one word: a line for sh
  pipedown exec -l @web -b -- rpm -q openssl           each answer once
  pipedown exec -l @web --diff -- cat /etc/resolv.conf
  pipedown exec -l @db --sudo --batch 1,10%,rest --fail-fast -- systemctl restart pg
  pipedown exec -l @web --script check.sh -- --deep    its arguments behind --
  pipedown exec -l @web --stdin -- 'cat >motd' <motd
  pipedown exec --all --output-dir out/ -- lshw -json

What was printed is kept: `pipedown show RUN` shows it again, with -b folded.
Ctrl-C once: no new host is begun. Twice: stop now; running commands are killed.

Exit codes; when several apply, the last of this list wins:
   0  it succeeded everywhere         5  stopped by --fail-fast, --max-failures
   4  some host unreachable              or Ctrl-C
   3  failed on some host            64  the command line is wrong";

fn limit(text: &str) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    let limit = duration(text).map_err(|error| format!("{error}; or `none`"))?;
    let seconds = limit.as_secs() + u64::from(limit.subsec_nanos() > 0);
    match u32::try_from(seconds) {
        Ok(seconds) if seconds > 0 => Ok(Limit(Some(seconds))),
        _ => Err("no limit is called `none`".to_owned()),
    }
}

pub async fn run(around: &Surroundings, args: ExecArgs) -> Result<ExitCode, Stop> {
    let called = adhoc::hosts(around, &args.batches.targets(&args.targets))?;
    let mut texts = Vec::new();
    let step = ExecStep {
        command: command(around, &args, &mut texts)?,
        root: args.sudo,
        input: args.stdin,
        timeout_s: args.timeout.0,
        output_limit: args.output.output_limit,
    };
    let mut plan = adhoc::plan(around, called, "exec", &shown(&args))?;
    plan.texts = texts.into_iter().map(|text| (TextId::of(text.as_bytes()), text)).collect();
    adhoc::each_does(&mut plan, "exec", StepSpec::Exec(step));
    if args.sudo {
        for host in plan.hosts.iter_mut().filter(|host| host.target.user != "root") {
            if host.target.r#become == Become::None {
                host.target.r#become = Become::Sudo;
            }
        }
    }
    adhoc::sendable(&plan)?;
    if args.dry_run {
        terminal::data(&pipedown_plan::timeline(&plan))
            .map_err(|e| Stop::failed(format!("write to standard output: {e}")))?;
        return Ok(ExitCode::Done);
    }
    let input = input::read(around, args.stdin)?;
    let limits = rollout::limits(around, &args.batches, &plan)?;
    let options = options(&args, &plan, limits);
    let opener = SshOpener::new(around, &args.reach)?;
    let output = args.output.look.output();
    output.prepare()?;
    adhoc::begin(around, opener, Work { plan, options, input, output }).await
}

/// What is run, and the texts that it needs.
fn command(around: &Surroundings, args: &ExecArgs, texts: &mut Vec<String>) -> Result<ExecCommand, Stop> {
    if let Some(file) = &args.script {
        let (name, text) = input::script(around, file)?;
        let script = TextId::of(text.as_bytes());
        texts.push(text);
        return Ok(ExecCommand::Script { script, name, args: args.command.clone() });
    }
    Ok(match args.command.as_slice() {
        [line] if line.trim().is_empty() => {
            return Err(
                Stop::usage("the command is empty").hint("is a variable empty that it was to come from?")
            );
        }
        [line] => {
            texts.push(line.clone());
            ExecCommand::Line(TextId::of(line.as_bytes()))
        }
        words => ExecCommand::Argv(words.to_vec()),
    })
}

/// The command as it was typed, for the lists of runs.
fn shown(args: &ExecArgs) -> String {
    let words = args.command.join(" ");
    match &args.script {
        Some(file) => format!("{} {words}", file.display()).trim_end().to_owned(),
        None => words,
    }
}

fn options(args: &ExecArgs, plan: &Plan, limits: Limits) -> Options {
    Options {
        parallel: args.reach.parallel,
        host_timeout: args.reach.host_timeout,
        require_all: false,
        replace: false,
        allow_skew: false,
        accept_lockout: false,
        include_controller: true,
        follow: false,
        settle_timeout: Duration::ZERO,
        unknown: UnknownSteps::Ask,
        host_set: super::run::host_set(plan),
        narrows_access: false,
        wire_proof: WireProof::Off,
        batches: args.batches.batch.clone(),
        max_failures: args.batches.failures(),
        limits,
    }
}
