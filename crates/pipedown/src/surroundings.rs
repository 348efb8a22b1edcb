//! What the process finds around it: inventory, zone, state directory, operator, terminal.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use pipedown_engine::StateDir;
use pipedown_model::{HostName, Operator, RunId};
use pipedown_plan::files::{self, Located};
use pipedown_plan::{Format, HostSet, Inventory, Notice, PlanError};
use pipedown_report::{Colour, Stamp, Style, Verbosity};

use crate::cli::{ColorChoice, Global, TargetArgs};
use crate::inventory_program;
use crate::outside::Reader;
use crate::stop::Stop;
use crate::targets::Targets;
use crate::transfer::Transfer;

/// What every command may need; gathered once.
pub struct Surroundings {
    /// The options of every command.
    pub global: Global,
    /// This machine's zone.
    pub zone: Tz,
    /// Where runs are recorded.
    pub state: StateDir,
    home: Option<PathBuf>,
    targets: OnceLock<Arc<Targets>>,
    inventory: Mutex<Option<Arc<Inventory>>>,
    /// Set once standard input was read.
    stdin: OnceLock<()>,
    /// Bytes of files, on their way.
    pub transfer: Arc<Transfer>,
}

/// An environment variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Surroundings {
    /// Gathers.
    ///
    /// # Errors
    /// When `$TZ` names no zone, or there is no place for the state directory.
    pub fn gather(global: Global) -> Result<Self, Stop> {
        let home = variable("HOME").map(PathBuf::from);
        let (zone, notice) = files::controller_zone(variable("TZ").as_deref())?;
        let state = match (&global.state_dir, variable("XDG_STATE_HOME"), &home) {
            (Some(path), ..) => path.clone(),
            (None, Some(xdg), _) if xdg.starts_with('/') => PathBuf::from(xdg).join("pipedown"),
            (None, _, Some(home)) => home.join(".local/state/pipedown"),
            (None, _, None) => {
                return Err(
                    Stop::failed("find the state directory: HOME is not set").hint("give --state-dir")
                );
            }
        };
        let state = std::path::absolute(&state).unwrap_or(state);
        let around = Self {
            global,
            zone,
            state: StateDir::new(state),
            home,
            targets: OnceLock::new(),
            inventory: Mutex::default(),
            stdin: OnceLock::new(),
            transfer: Arc::default(),
        };
        if let Some(Notice(text)) = notice {
            around.note(&text);
        }
        Ok(around)
    }

    /// The same, with everything that is read or recorded below one folder.
    pub fn within(&self, folder: &Path) -> Self {
        let global = Global {
            inventory: Some(folder.join("inventory.toml")),
            ssh_config: Some("none".into()),
            ..self.global.clone()
        };
        Self {
            global,
            zone: self.zone,
            state: StateDir::new(folder.join("state")),
            home: Some(folder.to_owned()),
            targets: OnceLock::new(),
            inventory: Mutex::default(),
            stdin: OnceLock::new(),
            transfer: Arc::default(),
        }
    }

    /// The home directory.
    pub fn home(&self) -> Option<&PathBuf> {
        self.home.as_ref()
    }

    /// Says something on standard error, unless `-q`.
    pub fn note(&self, text: &str) {
        if !self.global.quiet {
            crate::terminal::say(text);
        }
    }

    /// The system clock.
    #[expect(clippy::disallowed_methods, reason = "the roof reads the clock that everything else is given")]
    pub fn now() -> DateTime<Utc> {
        Utc::now()
    }

    /// Who acts: `user@controller`.
    pub fn operator() -> Operator {
        let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(variable);
        let user = user.unwrap_or_else(|| format!("uid{}", rustix::process::getuid().as_raw()));
        let name = rustix::system::uname();
        Operator::new(&user, &name.nodename().to_string_lossy())
    }

    /// This machine's id (machine-id(5)), to recognise it among the hosts.
    pub fn machine() -> Option<String> {
        let id = std::fs::read_to_string("/etc/machine-id").ok()?;
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    }

    /// A new run id: the date, then six random letters and digits.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new_run(&self, now: DateTime<Utc>) -> Result<RunId, Stop> {
        let mut random = [0_u8; 4];
        getrandom::fill(&mut random).map_err(|e| Stop::failed(format!("draw a run id: {e}")))?;
        let letters = data_encoding::BASE32_NOPAD.encode(&random).to_lowercase();
        let date = now.with_timezone(&self.zone).format("%Y%m%d");
        let short: String = letters.chars().take(6).collect();
        RunId::new(&format!("{date}-{short}")).map_err(|e| Stop::failed(e.to_string()))
    }

    /// How hosts are reached, by ssh_config and inventory. The files are read once, and what is odd in them said once.
    ///
    /// # Errors
    /// When a configuration cannot be used.
    pub fn targets(&self) -> Result<Arc<Targets>, Stop> {
        if let Some(targets) = self.targets.get() {
            return Ok(Arc::clone(targets));
        }
        let targets = Targets::read(self)?;
        for warning in targets.warnings() {
            self.note(&format!("note: {}", pipedown_report::printable(&warning.to_string())));
        }
        Ok(Arc::clone(self.targets.get_or_init(|| Arc::new(targets))))
    }

    /// Finds and reads the inventory, once; its path is always printed.
    ///
    /// # Errors
    /// When there is none or it is wrong.
    pub fn inventory(&self) -> Result<Arc<Inventory>, Stop> {
        Ok(self.found_inventory()??)
    }

    /// The same where none is needed: `None` when there is none.
    ///
    /// # Errors
    /// When the one that there is, or was asked for, is wrong.
    pub fn inventory_if_any(&self) -> Result<Option<Arc<Inventory>>, Stop> {
        match self.found_inventory()? {
            Ok(inventory) => Ok(Some(inventory)),
            Err(PlanError::NoInventory { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn found_inventory(&self) -> Result<Result<Arc<Inventory>, PlanError>, Stop> {
        let mut kept = self.inventory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inventory) = kept.as_ref() {
            return Ok(Ok(Arc::clone(inventory)));
        }
        let read = self.inventory_of(self.global.inventory.clone())?;
        Ok(read.map(|inventory| Arc::clone(kept.insert(Arc::new(inventory)))))
    }

    /// Lets go of the inventory: what a run has to know of it is in its plan, and hosts may be many.
    pub fn forget_inventory(&self) {
        self.inventory.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Finds and reads an inventory as `-i` would name it.
    ///
    /// # Errors
    /// When a program that prints it fails. Inside, when there is none or it is wrong.
    pub fn inventory_of(&self, flag: Option<PathBuf>) -> Result<Result<Inventory, PlanError>, Stop> {
        let around = files::Surroundings {
            flag,
            variable: variable("PIPEDOWN_INVENTORY").map(PathBuf::from),
            current: std::env::current_dir()
                .map_err(|e| Stop::failed(format!("find the current folder: {e}")))?,
            config_home: variable("XDG_CONFIG_HOME").map(PathBuf::from),
            home: self.home.clone(),
            uid: rustix::process::getuid().as_raw(),
        };
        let located: Located = match files::locate(&around) {
            Ok(located) => located,
            Err(error) => return Ok(Err(error)),
        };
        for Notice(text) in &located.notices {
            self.note(&format!("note: {text}"));
        }
        self.note(&format!("inventory: {}", located.path.display()));
        let inventory = if files::is_program(&located) {
            let output = inventory_program::output(&located)?;
            files::load_output(&located, &output, self.home.as_deref())
        } else {
            files::load(&located, self.home.as_deref())
        };
        if let Ok(inventory) = &inventory {
            self.tell(inventory, &located.path);
        }
        Ok(inventory)
    }

    /// Says what there is to say of an inventory.
    fn tell(&self, inventory: &Inventory, path: &Path) {
        for Notice(text) in inventory.notices() {
            self.note(&format!("note: {}", pipedown_report::printable(text)));
        }
        let usual = self.home.as_ref().map(|home| home.join(".ssh/config"));
        let read = self.global.ssh_config.as_ref().or(usual.as_ref());
        if inventory.format() == Format::SshConfig && read.is_none_or(|read| read != path) {
            let path = path.display();
            self.note(&format!(
                "note: only hosts are taken from {path}; `-F {path}` takes how they are reached as well"
            ));
        }
    }

    /// Takes standard input for one purpose.
    ///
    /// # Errors
    /// When it was read for another one.
    pub fn take_stdin(&self, purpose: &str) -> Result<(), Stop> {
        let taken = |()| {
            Stop::usage(format!("{purpose}: standard input was read already"))
                .hint("one of --script -, --stdin and `-` in a host set; put the others into files (^FILE for a set)")
        };
        self.stdin.set(()).map_err(taken)
    }

    /// Reads what host sets ask for beyond the inventory.
    pub fn outside(&self) -> Reader<'_> {
        Reader::new(&self.state, self.home(), &self.stdin)
    }

    /// Reads a host set, and the files, standard input and runs that it names.
    ///
    /// # Errors
    /// When it is wrong, or something of it cannot be read.
    pub fn host_set(&self, text: &str) -> Result<HostSet, Stop> {
        Ok(HostSet::read(text, &mut self.outside())?)
    }

    /// Reads a host set that is an argument of its own.
    ///
    /// # Errors
    /// As [`host_set`](Self::host_set).
    pub fn host_set_argument(&self, text: &str) -> Result<HostSet, Stop> {
        Ok(HostSet::read_as("SET", text, &mut self.outside())?)
    }

    /// The hosts that were asked for.
    ///
    /// # Errors
    /// When none were, or the set is wrong or empty.
    pub fn hosts(&self, inventory: &Inventory, targets: &TargetArgs) -> Result<Vec<HostName>, Stop> {
        let set = match (&targets.limit, targets.all) {
            (Some(text), _) => self.host_set(text)?,
            (None, true) => HostSet::all(),
            (None, false) => {
                return Err(Stop::usage("which hosts?").hint("-l SET (login[01-40], @group, …) or --all"));
            }
        };
        let hosts = inventory.select(&set)?;
        if hosts.is_empty() {
            return Err(Stop::usage("the host set is empty").hint("`pipedown hosts` shows the inventory"));
        }
        Ok(hosts)
    }

    /// How reports look.
    pub fn style(&self) -> Style {
        let mut style = Style::new(self.zone, pipedown_plan::fold);
        style.verbosity = match (self.global.quiet, self.global.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        style.colour = if self.colours(&std::io::stderr()) { Colour::On } else { Colour::Off };
        style.stamp = Stamp::Off;
        style
    }

    /// Whether a stream gets colours (NO_COLOR: no-color.org).
    pub fn colours(&self, stream: &impl IsTerminal) -> bool {
        match self.global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                stream.is_terminal()
                    && variable("NO_COLOR").is_none()
                    && variable("TERM").is_none_or(|t| t != "dumb")
            }
        }
    }
}
