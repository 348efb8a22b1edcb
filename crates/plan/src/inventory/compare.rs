//! What one inventory says and another does not.

use std::collections::{BTreeMap, HashMap};

use pipedown_model::HostName;
use serde_json::Value;

use super::connection::key_of;
use super::{Format, Host, Inventory, Notice, SectionKind};
use crate::hostset::fold;

/// What is lost from one inventory to another.
pub(super) fn differences(from: &Inventory, to: &Inventory) -> Vec<Notice> {
    let mut found = Found { lost: BTreeMap::new() };
    // What ssh_config says is told by its writer alone; nothing else of it is read here.
    let hosts_only = to.format == Format::SshConfig;
    for host in from.hosts() {
        match to.host(host.name()) {
            None => found.lose("the host", &host),
            Some(other) => found.host(&host, &other, hosts_only),
        }
    }
    let mut notices = found.notices();
    groups(from, to, &mut notices);
    let order = |inventory: &Inventory| inventory.hosts().map(|host| host.name().clone()).collect::<Vec<_>>();
    if from.len() == to.len() && order(from) != order(to) {
        notices.push(Notice("the order of the hosts is another".to_owned()));
    }
    if from.default_user() != to.default_user() && !hosts_only {
        let silent: Vec<HostName> =
            from.hosts().filter(|host| host.named().user.is_none()).map(|host| host.name().clone()).collect();
        if !silent.is_empty() {
            let who = |user: Option<&str>| user.unwrap_or("the local user").to_owned();
            let text = format!(
                "no account is named for {}: it was {}, and is {} now, unless ssh_config says who",
                fold(&silent),
                who(from.default_user()),
                who(to.default_user()),
            );
            notices.push(Notice(text));
        }
    }
    notices
}

struct Found {
    /// What is lost, and of which hosts.
    lost: BTreeMap<String, Vec<HostName>>,
}

impl Found {
    fn lose(&mut self, what: &str, host: &Host<'_>) {
        match self.lost.get_mut(what) {
            Some(hosts) => hosts.push(host.name().clone()),
            None => {
                self.lost.insert(what.to_owned(), vec![host.name().clone()]);
            }
        }
    }

    fn host(&mut self, from: &Host<'_>, to: &Host<'_>, hosts_only: bool) {
        if !hosts_only {
            let (a, b) = (from.named(), to.named());
            let mut check = |same: bool, what: &str| {
                if !same {
                    self.lose(what, from);
                }
            };
            check(a.address == b.address, "the address");
            check(a.port == b.port, "the port");
            check(a.user == b.user, "the user");
            check(a.identity_files == b.identity_files, "the key files");
        }
        if from.named().known_hosts != to.named().known_hosts {
            self.lose("known_hosts", from);
        }
        if from.logins() != to.logins() {
            self.lose("logins", from);
        }
        if from.target().r#become != to.target().r#become {
            self.lose("how to become root", from);
        }
        if from.zone() != to.zone() {
            self.lose("the time zone", from);
        }
        let (mine, theirs) = (from.vars(), to.vars());
        for (name, value) in &mine {
            if key_of(name).is_none()
                && theirs.get(name) != Some(value)
                && !same_numbers(value, theirs.get(name))
            {
                self.lose(&format!("the variable {name}"), from);
            }
        }
    }

    fn notices(self) -> Vec<Notice> {
        let tell = |(what, hosts): (String, Vec<HostName>)| {
            Notice(format!("not carried over: {what} of {}", fold(&hosts)))
        };
        self.lost.into_iter().map(tell).collect()
    }
}

/// Whole numbers that are kept apart by how they are stored only.
fn same_numbers(a: &Value, b: Option<&Value>) -> bool {
    match (a, b) {
        (Value::Number(a), Some(Value::Number(b))) => a.to_string() == b.to_string(),
        _ => false,
    }
}

fn groups(from: &Inventory, to: &Inventory, notices: &mut Vec<Notice>) {
    let members = |inventory: &Inventory| -> HashMap<String, Vec<HostName>> {
        let named = |section: &super::Section| match &section.kind {
            SectionKind::Group(name) => {
                let mut members: Vec<HostName> = section
                    .members
                    .iter()
                    .filter_map(|number| Some(inventory.hosts.get(*number)?.name.clone()))
                    .collect();
                members.sort();
                Some((name.clone(), members))
            }
            _ => None,
        };
        inventory.sections.iter().filter_map(named).collect()
    };
    let theirs = members(to);
    let mine = members(from);
    let lost = |(name, hosts): &(&String, &Vec<HostName>)| {
        let empty = hosts.is_empty() && !theirs.contains_key(*name);
        // Who is in no group is in this one wherever there is such a group.
        *name != "ungrouped" && !empty && theirs.get(*name) != Some(hosts)
    };
    let mut names: Vec<&str> = mine.iter().filter(lost).map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if !names.is_empty() {
        notices.push(Notice(format!("not carried over: groups {}", names.join(", "))));
    }
}
