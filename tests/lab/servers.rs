//! Our client against OpenSSH of three generations, as somebody who is not root.

use std::fs::File;
use std::os::fd::AsFd as _;

use pipedown_ssh::{Agent, LoginOptions, Target, TrustOptions};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::runtime::Builder;

use crate::exercise::Exercise;
use crate::harness::Lab;
use crate::sshd_hosts::reload;

const HOSTS: [&str; 3] = ["bullseye31", "bookworm31", "trixie31"];
/// New keys in every transfer, and questions whether we are there.
const CONFIG: &str = "RekeyLimit 8M\\nClientAliveInterval 1\\nClientAliveCountMax 20\\n";

/// Everything that `tests/interop` tries works with all of them.
pub fn three_generations(lab: &Lab) {
    let inventory = lab.inventory();
    let value = |after: &str| {
        let rest = inventory.split(after).nth(1).unwrap_or_else(|| panic!("{after} in {inventory}"));
        rest.split('"').next().unwrap().to_owned()
    };
    let mut tables = Vec::new();
    for host in HOSTS {
        lab.sh(
            host,
            &format!(
                "printf '{CONFIG}' >/etc/ssh/sshd_config.d/peers.conf; \
                 yes 0123456789abcde | head -c 300000 >/tmp/file; chmod 644 /tmp/file"
            ),
        );
        reload(lab, host);
        let target = Target {
            login: LoginOptions {
                identities: vec![value("identity_file = \"").into()],
                agent: Agent::None,
                ..LoginOptions::default()
            },
            trust: TrustOptions {
                user_files: Some(vec![value("known_hosts = \"").into()]),
                alias: Some(host.to_owned()),
                ..TrustOptions::default()
            },
            ..Target::new(host, value(&format!("[hosts.{host}]\naddress = \"")), 22, "alice")
        };
        let exercise = Exercise {
            busy: target.clone(),
            target,
            mebibytes: 64,
            file: ("/tmp/file".to_owned(), b"0123456789abcde\n".repeat(300_000 / 16)),
        };
        let version = lab.sh(host, "ssh -V 2>&1").split(',').next().unwrap_or_default().to_owned();
        tables.push((version, in_lab(lab, exercise)));
    }
    for (version, table) in tables {
        println!("{version}\n{table}");
        let works = table.lines().filter(|line| line.ends_with(" yes")).count();
        assert_eq!((works, table.lines().count()), (11, 11), "{version}:\n{table}");
    }
}

/// Runs it in the lab's network: the thread that enters it, and those that come from it, do nothing else.
fn in_lab(lab: &Lab, exercise: Exercise) -> String {
    let network = File::open(lab.network()).unwrap();
    let running = std::thread::spawn(move || {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(exercise.run())
    });
    running.join().unwrap()
}
