//! `pipedown demo`: the whole story on embedded hosts.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use pipedown_engine::{Options, UnknownSteps, WireProof};
use pipedown_model::{ExitCode, HostName, Limits, Plan};
use pipedown_plan::{HostSet, Inputs, Inventory, Origin, Playbook, Source, WindowTime, ZoneChoice, compile};
use pipedown_report::{Folding, StatusRow};
use pipedown_ssh::{Chunk, Connection, Connector, Settings, Target};
use sshd_embed::{Confine, Fleet, FleetOptions, HostOptions, RunningHost};

use super::run::{Begin, begin, host_set};
use crate::cli::ReachArgs;
use crate::reach::SshOpener;
use crate::stop::Stop;
use crate::surroundings::Surroundings;
use crate::terminal;

/// Starts embedded hosts on loopback, logs a user in, announces a window, keeps new logins out, calls one host off and
/// lets the others go down: the whole story in about half a minute. Nothing outside a temporary folder is touched.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct DemoArgs {
    /// How many hosts
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(2..=99))]
    hosts: u16,
    /// How long the window is ahead
    #[arg(long = "in", value_name = "DURATION", default_value = "20s", value_parser = crate::cli::duration)]
    ahead: Duration,
}

const HELP: &str = "\
Embedded hosts on loopback, with a user logged in; a window is announced, new
logins are kept out, one host is called off and the others go down. Nothing
outside a temporary folder is touched, and no privileges are needed. It
prints an `ssh` line, so that you can join in.";

const PLAYBOOK: &str = include_str!("demo.toml");

pub async fn run(around: &Surroundings, args: &DemoArgs) -> Result<ExitCode, Stop> {
    let failed = |what: &'static str| move |e: sshd_embed::Error| Stop::failed(format!("{what}: {e}"));
    let program = std::env::current_exe().map_err(|e| Stop::failed(format!("find this program: {e}")))?;
    let confine = Confine { program, args: vec!["confine".into()] };
    let host = HostOptions::default().user("alice").user("bob").confine(confine);
    let options = FleetOptions::default().host(host);
    let fleet = Fleet::start(args.hosts.into(), options).await.map_err(failed("start the hosts"))?;
    let story = Story { around: &around.within(fleet.dir()), fleet: &fleet, args };
    let told = story.tell().await;
    fleet.stop().await;
    told
}

struct Story<'a> {
    around: &'a Surroundings,
    fleet: &'a Fleet,
    args: &'a DemoArgs,
}

impl Story<'_> {
    fn say(&self, text: &str) {
        self.around.note(text);
    }

    async fn tell(&self) -> Result<ExitCode, Stop> {
        let names: Vec<&str> = self.fleet.hosts().iter().map(RunningHost::name).collect();
        let (Some(first), Some(last)) = (self.fleet.hosts().first(), self.fleet.hosts().last()) else {
            return Err(Stop::failed("start the hosts: there are none"));
        };
        self.say(&format!("# {} embedded hosts are up: {}", names.len(), names.join(" ")));
        self.say("# join in from another terminal, and see what a user sees:");
        self.say(&format!("  {}", self.ssh_line(first, "bob")));
        let alice = self.log_in(first, "alice").await?;
        let watching =
            tokio::spawn(watch(alice.1, format!("   {} alice │ ", first.name()), self.around.global.quiet));
        self.say(&format!(
            "# alice is logged in on {}; her terminal is shown as  {} alice │",
            first.name(),
            first.name()
        ));

        let inventory = self.inventory()?;
        let plan = self.plan(&inventory)?;
        self.say(&format!(
            "\n# pipedown run demo --all --in {}",
            humantime::format_duration(self.args.ahead)
        ));
        let opener = || SshOpener::new(self.around, &ReachArgs::usual());
        let how = Begin::Apply { supersedes: None };
        let (code, state) = begin(self.around, plan.clone(), Self::options(&plan), opener()?, how).await?;
        let Some(state) = state.filter(|_| code == ExitCode::Done) else { return Ok(code) };

        self.say("\n# pipedown status");
        self.status(&plan, opener()?).await?;
        self.say(&format!("\n# pipedown cancel -l {}", last.name()));
        super::cancel::some_hosts(self.around, &state.run, vec![host_name(last)?], opener()?).await?;
        self.say(&format!(
            "\n# bob tries to log in on {} from {} on:",
            first.name(),
            clock_of_nologin(&plan, self.around)
        ));
        self.refused(first).await?;
        self.say("\n# the others go down by themselves; nobody has to stay connected. We watch:");
        let code = super::resume::go_on(
            self.around,
            state.run,
            opener()?,
            || Ok(None),
            |options| options.follow = true,
        )
        .await?;
        drop(alice.0);
        // The host is down: alice's terminal has ended.
        let _ = watching.await;
        self.say(&format!(
            "\n# {} was called off and is still up. That is all; the hosts are gone now.",
            last.name()
        ));
        // One host was called off, as the story wants it.
        Ok(if code == ExitCode::Cancelled { ExitCode::Done } else { code })
    }

    fn ssh_line(&self, host: &RunningHost, user: &str) -> String {
        let addr = host.addrs().first().map(ToString::to_string).unwrap_or_default();
        let (address, port) = addr.rsplit_once(':').unwrap_or((&addr, "22"));
        format!(
            "ssh -p {port} -i {} -o UserKnownHostsFile={} -o IdentitiesOnly=yes {user}@{address}",
            self.fleet.identity().display(),
            self.fleet.known_hosts().display(),
        )
    }

    async fn connect(&self, host: &RunningHost, user: &str) -> Result<Connection, Stop> {
        let addr = host.addrs().first().ok_or_else(|| Stop::failed("find the host's address"))?;
        let mut target = Target::new(host.name(), addr.ip().to_string(), addr.port(), user);
        target.login.identities = vec![self.fleet.identity()];
        target.trust.user_files = Some(vec![self.fleet.known_hosts()]);
        let connector = Connector::new(Settings::default(), None);
        connector.connect(&target).await.map_err(|e| Stop::failed(e.to_string()))
    }

    async fn log_in(&self, host: &RunningHost, user: &str) -> Result<(Connection, pipedown_ssh::Exec), Stop> {
        let connection = self.connect(host, user).await?;
        let shell = connection.terminal("xterm", 80, 24).await.map_err(|e| Stop::failed(e.to_string()))?;
        Ok((connection, shell))
    }

    fn inventory(&self) -> Result<Inventory, Stop> {
        let mut text = String::new();
        for host in self.fleet.hosts() {
            let Some(addr) = host.addrs().first() else { continue };
            text.push_str(&format!(
                "[hosts.{}]\naddress = \"{}\"\nport = {}\n",
                host.name(),
                addr.ip(),
                addr.port()
            ));
        }
        let names: Vec<String> = self.fleet.hosts().iter().map(|h| format!("{:?}", h.name())).collect();
        let text = format!(
            "[defaults]\nuser = \"root\"\nidentity_file = {:?}\nknown_hosts = {:?}\n[groups.demo]\nhosts = [{}]\n{text}",
            self.fleet.identity().display().to_string(),
            self.fleet.known_hosts().display().to_string(),
            names.join(", "),
        );
        let path = self.fleet.dir().join("inventory.toml");
        terminal::write_file(&path, text.as_bytes())
            .map_err(|e| Stop::failed(format!("write {}: {e}", path.display())))?;
        Ok(Inventory::parse(Source::new(&path.display().to_string(), &text), self.fleet.dir(), None)?)
    }

    fn plan(&self, inventory: &Inventory) -> Result<Plan, Stop> {
        let playbook = Playbook::parse(Source::new("demo.toml", PLAYBOOK), Origin::BuiltIn)?;
        let now = Surroundings::now();
        let ahead = humantime::format_duration(self.args.ahead).to_string();
        let time = WindowTime::parse_in(&ahead, ZoneChoice::Controller(self.around.zone), now)?;
        let operator = Surroundings::operator();
        Ok(compile(&Inputs {
            inventory,
            hosts: &inventory.select(&HostSet::all())?,
            playbook: &playbook,
            vars: &std::collections::BTreeMap::new(),
            reason: "power works in the machine room",
            operator: &operator,
            now,
            time: Some(&time),
            zone: self.around.zone,
        })?)
    }

    fn options(plan: &Plan) -> Options {
        Options {
            parallel: 64,
            host_timeout: Duration::from_secs(60),
            require_all: false,
            replace: false,
            allow_skew: false,
            accept_lockout: false,
            include_controller: true,
            follow: false,
            settle_timeout: Duration::from_secs(60),
            unknown: UnknownSteps::Ask,
            host_set: host_set(plan),
            narrows_access: false,
            wire_proof: WireProof::default(),
            batches: Vec::new(),
            max_failures: None,
            limits: Limits::default(),
        }
    }

    async fn status(&self, plan: &Plan, opener: SshOpener) -> Result<(), Stop> {
        let clock = Arc::new(Surroundings::now);
        let answers = pipedown_engine::ask(Arc::new(opener), None, plan.hosts.clone(), 64, clock).await;
        let rows: Vec<StatusRow> =
            answers.into_iter().map(|(h, a)| StatusRow::new(h.host, a, None)).collect();
        let table = pipedown_report::status(&rows, Folding::PerHost, &self.around.style());
        self.say(table.trim_end());
        Ok(())
    }

    /// Tries until the host keeps new logins out, and shows what it says then.
    async fn refused(&self, host: &RunningHost) -> Result<(), Stop> {
        let patience = tokio::time::Instant::now() + self.args.ahead;
        let nologin = host.dir().join("run/nologin");
        while !nologin.exists() && tokio::time::Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let (connection, mut shell) = self.log_in(host, "bob").await?;
        let mut said = Vec::new();
        while let Some(chunk) = shell.output.next().await {
            if let Chunk::Stdout(bytes) | Chunk::Stderr(bytes) = chunk {
                said.extend(bytes);
            }
        }
        connection.close().await;
        for line in String::from_utf8_lossy(&said).lines().filter(|l| !l.trim().is_empty()) {
            self.say(&format!("   {} bob   │ {}", host.name(), pipedown_report::printable(line.trim_end())));
        }
        Ok(())
    }
}

fn host_name(host: &RunningHost) -> Result<HostName, Stop> {
    HostName::new(host.name()).map_err(|e| Stop::failed(e.to_string()))
}

/// When nologin comes, by the plan.
fn clock_of_nologin(plan: &Plan, around: &Surroundings) -> String {
    let at = plan.hosts.iter().flat_map(|h| &h.steps).find_map(|s| match &s.spec {
        pipedown_model::StepSpec::Nologin { at, .. } => *at,
        _ => None,
    });
    at.map_or_else(|| "now".to_owned(), |at| at.with_timezone(&around.zone).format("%H:%M:%S").to_string())
}

/// Shows what a user's terminal shows, line by line.
async fn watch(mut shell: pipedown_ssh::Exec, prefix: String, quiet: bool) {
    let mut line = Vec::new();
    while let Some(chunk) = shell.output.next().await {
        let Chunk::Stdout(bytes) = chunk else { continue };
        for byte in bytes {
            if byte != b'\n' {
                // The bell rings on a terminal; here it would be a blot.
                line.extend((byte != 0x07).then_some(byte));
                continue;
            }
            let text = String::from_utf8_lossy(&line).trim().to_owned();
            if !quiet && !text.is_empty() {
                terminal::say(&format!("{prefix}{}", pipedown_report::printable(&text)));
            }
            line.clear();
        }
    }
}
