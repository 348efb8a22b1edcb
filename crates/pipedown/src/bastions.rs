//! Which hosts of a run are on the way to others.

use std::collections::HashMap;

use pipedown_model::HostName;
use pipedown_ssh::{Route, Target};

/// Who is reached through whom. A bastion is known by its name, and by its address and port; what a ProxyCommand
/// connects to is its own affair.
#[derive(Debug, Default)]
pub struct Bastions {
    by_name: HashMap<String, Vec<HostName>>,
    by_address: HashMap<(String, u16), Vec<HostName>>,
    /// The addresses and ports of the hosts themselves.
    own: HashMap<HostName, (String, u16)>,
}

impl Bastions {
    /// Takes note of a host's way.
    pub fn note(&mut self, host: &HostName, target: &Target) {
        self.own.insert(host.clone(), (target.address.clone(), target.port));
        for hop in hops(target) {
            self.by_name.entry(hop.name.clone()).or_default().push(host.clone());
            self.by_address.entry((hop.address.clone(), hop.port)).or_default().push(host.clone());
        }
    }

    /// All hosts are noted: without a bastion there is nothing to remember.
    pub fn settle(&mut self) {
        if self.by_name.is_empty() {
            self.own = HashMap::new();
        }
    }

    /// The hosts that are reached through this one, in the order in which they were noted.
    pub fn behind(&self, host: &HostName) -> Vec<HostName> {
        let by_address = self.own.get(host).and_then(|own| self.by_address.get(own));
        let mut behind: Vec<HostName> = Vec::new();
        for other in self.by_name.get(host.as_str()).into_iter().chain(by_address).flatten() {
            if other != host && !behind.contains(other) {
                behind.push(other.clone());
            }
        }
        behind
    }
}

/// All hops on the way, also those on the way to a hop.
fn hops(target: &Target) -> Vec<&Target> {
    match &target.link.route {
        Route::Jump(jumps) => jumps.iter().flat_map(|hop| hops(hop).into_iter().chain([hop])).collect(),
        Route::Direct | Route::Command(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> HostName {
        HostName::new(name).unwrap()
    }

    #[test]
    fn a_bastion_is_known_by_name_and_by_address() {
        let hop = Target::new("gate", "192.0.2.1", 22, "ops");
        let mut inner = Target::new("inner", "10.0.0.1", 2222, "ops");
        inner.link.route = Route::Jump(vec![hop]);
        let mut web = Target::new("web1", "10.0.0.2", 22, "root");
        web.link.route = Route::Jump(vec![inner]);
        let mut bastions = Bastions::default();
        bastions.note(&name("web1"), &web);
        bastions.note(&name("web2"), &web);
        bastions.note(&name("edge"), &Target::new("edge", "192.0.2.1", 22, "root"));
        bastions.note(&name("gate"), &Target::new("gate", "gate.example", 22, "root"));
        bastions.note(&name("other"), &Target::new("other", "10.0.0.1", 22, "root"));
        let both = [name("web1"), name("web2")];
        assert_eq!(bastions.behind(&name("edge")), both, "by address and port");
        assert_eq!(bastions.behind(&name("gate")), both, "by name");
        assert_eq!(bastions.behind(&name("inner")), both, "the hop before the host");
        assert_eq!(bastions.behind(&name("other")), [], "another port is another host");
        assert_eq!(bastions.behind(&name("web1")), []);
    }
}
