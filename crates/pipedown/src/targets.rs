//! How hosts are reached: what the inventory says, then ssh_config, then defaults.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::{Gid, Group, Uid, User};
use pipedown_model::{HostName, HostPlan};
use pipedown_plan::{Host, HostSet, Inventory, Outside};
use pipedown_ssh::{
    ConfigError, ConfigSource, EffectiveSetting, Local, Request, Settings, SshConfig, Target, Warning,
};

use crate::stop::Stop;
use crate::surroundings::Surroundings;

/// Answers how hosts are reached.
pub struct Targets(SshConfig);

impl Targets {
    /// Reads the configuration that the command line asks for.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn read(around: &Surroundings) -> Result<Self, Stop> {
        let source = match &around.global.ssh_config {
            None => ConfigSource::Usual,
            Some(file) if file == Path::new("none") => ConfigSource::None,
            Some(file) => ConfigSource::File(file.clone()),
        };
        Ok(Self(SshConfig::read(&source, local(around))?))
    }

    /// What was left out of the configuration.
    pub fn warnings(&self) -> &[Warning] {
        self.0.warnings()
    }

    /// How a host is reached. May run the user's commands (`Match exec`).
    ///
    /// # Errors
    /// When the configuration cannot be used for it.
    pub fn of(&self, request: &Request) -> Result<Target, ConfigError> {
        self.0.target(request)
    }

    /// The same in words, with where each value comes from.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn settings(
        &self,
        request: &Request,
        usual: &Settings,
    ) -> Result<Vec<EffectiveSetting>, ConfigError> {
        self.0.settings(request, usual)
    }

    /// What a plan says of how a host is reached of which no inventory knows.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn bare(&self, request: &Request) -> Result<pipedown_model::Target, ConfigError> {
        let Target { address, port, user, .. } = self.of(request)?;
        Ok(pipedown_model::Target {
            address,
            port,
            user,
            logins: Vec::new(),
            identity_files: Vec::new(),
            known_hosts: Vec::new(),
            r#become: pipedown_model::Become::None,
        })
    }

    /// What a plan says of how a host of the inventory is reached.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn plain(&self, host: &Host<'_>) -> Result<pipedown_model::Target, ConfigError> {
        let Target { address, port, user, .. } = self.of(&request_of_host(host))?;
        let mut target = pipedown_model::Target { address, port, user, ..host.target() };
        // Whoever logs in anyway is no further account.
        target.logins.retain(|login| *login != target.user);
        Ok(target)
    }
}

/// Asks for a host of the inventory: what is named there wins.
pub fn request_of_host(host: &Host<'_>) -> Request {
    let named = host.named();
    Request {
        address: named.address.map(str::to_owned),
        port: named.port,
        user: named.user.map(str::to_owned),
        identities: named.identity_files.map(<[PathBuf]>::to_vec),
        known_hosts: named.known_hosts.map(<[PathBuf]>::to_vec),
        default_user: host.default_user().map(str::to_owned),
        ..Request::new(host.name().as_str())
    }
}

/// Asks for a host of a plan: who logs in where stands in it, the rest is up to the configuration of now.
pub fn request_of_plan(host: &HostPlan) -> Request {
    let to = &host.target;
    let files = |files: &Vec<PathBuf>| Some(files.clone()).filter(|files| !files.is_empty());
    Request {
        address: Some(to.address.clone()),
        port: Some(to.port),
        user: Some(to.user.clone()),
        identities: files(&to.identity_files),
        known_hosts: files(&to.known_hosts),
        ..Request::new(host.host.as_str())
    }
}

/// Asks for any host: by the inventory if it is in there under its full name, else by ssh_config alone; then the
/// local user logs in when nobody says who, as with ssh.
pub fn request_for(inventory: Option<&Inventory>, name: &str) -> Request {
    let known = HostName::new(name).ok().and_then(|name| inventory?.host(&name));
    known.map_or_else(|| Request::new(name), |host| request_of_host(&host))
}

/// The hosts that an argument names: a host set of the inventory, or a name that it does not have.
///
/// # Errors
/// When it is a set that is wrong or empty.
pub fn chosen(
    inventory: Option<&Inventory>,
    argument: &str,
    outside: &mut dyn Outside,
) -> Result<Vec<Request>, Stop> {
    let names = names_of(inventory, argument, outside)?;
    Ok(names.iter().map(|name| request_for(inventory, name)).collect())
}

/// The hosts of a command that works without a playbook, and what the inventory knows of them, if there is one.
pub struct Called {
    inventory: Option<Arc<Inventory>>,
    names: Vec<HostName>,
}

impl Called {
    /// Their names: in the inventory's order, or without one in the order in which they were named.
    pub fn names(&self) -> &[HostName] {
        &self.names
    }

    /// What the inventory says of a host.
    pub fn host(&self, name: &HostName) -> Option<Host<'_>> {
        self.inventory.as_ref()?.host(name)
    }

    /// Asks how a host is reached; made when its turn has come.
    pub fn request(&self, name: &HostName) -> Request {
        request_for(self.inventory.as_deref(), name.as_str())
    }
}

/// The hosts that `-l SET` names, for a command without a playbook. With an inventory they must be in it; where there
/// is none, a set of plain names and ranges is taken as it is, and ssh_config and DNS lead to the hosts.
///
/// # Errors
/// When the set or the inventory is wrong, a host is not in the inventory, or no host is left.
pub fn hosts_of(around: &Surroundings, set: &str) -> Result<Called, Stop> {
    let set = around.host_set(set)?;
    let inventory = around.inventory_if_any()?;
    let names = match &inventory {
        Some(inventory) => inventory.select(&set)?,
        None => set.names()?,
    };
    if names.is_empty() {
        return Err(Stop::usage("no host is left in this host set"));
    }
    Ok(Called { inventory, names })
}

fn names_of(
    inventory: Option<&Inventory>,
    argument: &str,
    outside: &mut dyn Outside,
) -> Result<Vec<String>, Stop> {
    let set = HostSet::read_as("SET", argument, outside)?;
    let Some(inventory) = inventory else { return texts(&set.names()?) };
    // A name that the inventory does not have is a host all the same; a misspelt group is none.
    let plain = HostName::new(argument).is_ok() && !argument.contains(|c| "@[],!&^()*?".contains(c));
    match inventory.select(&set) {
        Ok(hosts) => texts(&hosts),
        Err(_) if plain => Ok(vec![argument.to_owned()]),
        Err(error) => Err(error.into()),
    }
}

fn texts(hosts: &[HostName]) -> Result<Vec<String>, Stop> {
    if hosts.is_empty() {
        return Err(Stop::usage("no host is left in this host set"));
    }
    Ok(hosts.iter().map(|host| host.as_str().to_owned()).collect())
}

/// This machine and its user, for the configuration.
fn local(around: &Surroundings) -> Local {
    let uid = rustix::process::getuid();
    let user = User::from_uid(Uid::from_raw(uid.as_raw())).ok().flatten();
    let variables: std::collections::BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let named = ["USER", "LOGNAME"].into_iter().find_map(|name| variables.get(name).cloned());
    let shell = variables.get("SHELL").filter(|shell| !shell.is_empty()).map_or("/bin/sh", String::as_str);
    Local {
        home: around.home().cloned(),
        user: user
            .as_ref()
            .map(|user| user.name.clone())
            .or(named)
            .unwrap_or_else(|| uid.as_raw().to_string()),
        uid: uid.as_raw(),
        own_group: user.as_ref().and_then(|user| own_group(user.gid, &user.name)),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        shell: PathBuf::from(shell),
        system: PathBuf::from("/etc/ssh"),
        home_of: |name| User::from_name(name).ok().flatten().map(|user| user.dir),
        variables,
    }
}

/// The user's own group, as many systems give one to everybody: named like the user, without anybody else in it.
fn own_group(gid: Gid, user: &str) -> Option<u32> {
    let group = Group::from_gid(gid).ok().flatten()?;
    let alone = group.name == user && group.mem.iter().all(|member| member == user);
    alone.then_some(gid.as_raw())
}
