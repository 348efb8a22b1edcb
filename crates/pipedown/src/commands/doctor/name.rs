//! A target for a name: the inventory's host if there is one, else what the name itself says.

use pipedown_model::HostName;
use pipedown_plan::Inventory;
use pipedown_ssh::Target;

use crate::surroundings::Surroundings;

/// The target, and where its values come from.
pub fn target(around: &Surroundings, inventory: Option<&Inventory>, name: &str) -> (Target, Vec<String>) {
    let host = HostName::new(name).ok();
    let host = inventory.and_then(|inventory| inventory.host(host.as_ref()?));
    let Some(host) = host else {
        let user = around.user();
        let from = vec![format!("{name}: not in the inventory"), format!("user {user}: this machine's")];
        return (Target::new(name, name, 22, user), from);
    };
    let to = host.target();
    let mut target = Target::new(name, &to.address, to.port, &to.user);
    target.login.identities.clone_from(&to.identity_files);
    target.trust.user_files = Some(to.known_hosts.clone()).filter(|files| !files.is_empty());
    let files = |files: &[std::path::PathBuf]| {
        files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
    };
    let mut from = vec![format!("{name}: the inventory's")];
    if !to.identity_files.is_empty() {
        from.push(format!("identities: {}", files(&to.identity_files)));
    }
    if !to.known_hosts.is_empty() {
        from.push(format!("known hosts: {}", files(&to.known_hosts)));
    }
    (target, from)
}
