//! Two hundred real sshds in batches, one of which loses its logins under the new configuration: the run stops there.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use pipedown_model::EventKind;

use crate::support::{Controller, OpenSsh};

const HOSTS: usize = 200;
/// In the second batch: 1, then 20, then the rest.
const BAD: usize = 7;
/// Two hundred sshds run on this machine, too.
const PATIENCE: Duration = Duration::from_secs(400);

/// Lets nobody in as long as a file of ours stands: neither sshd's own check nor the canary can know.
fn break_logins(folder: &Path) {
    let pam = fs::read_to_string("/etc/pam.d/sshd").unwrap();
    let line =
        "account required pam_exec.so quiet /usr/bin/test ! -e /etc/ssh/sshd_config.d/00-pipedown.conf\n";
    fs::create_dir_all(folder.join("etc/pam.d")).unwrap();
    fs::File::create(folder.join("etc/pam.d/sshd"))
        .unwrap()
        .write_all(format!("{line}{pam}").as_bytes())
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_rollback_stops_the_run() {
    let prepare = |number: usize, folder: &Path| {
        if number == BAD {
            break_logins(folder);
        }
    };
    let Some(fleet) = OpenSsh::start(HOSTS, prepare) else { return };
    assert_eq!(fleet.ssh(BAD, "root", "true"), (true, String::new()));
    let ctl = fleet.controller("");
    let before: Vec<_> = fleet.hosts().iter().map(|h| (h.sockets(), h.files())).collect();
    let line =
        "run keepalive-rollout --interval 60 --count 3 --batch 1,10%,rest --all --yes --json --parallel 8";
    let said = ctl.run_within(PATIENCE, line).await.code(5);
    let events = said.events();
    let opened: Vec<(u32, u32, usize, String)> = events
        .iter()
        .filter_map(|e| match &e.kind {
            EventKind::BatchOpened { batch, of, hosts, budget } => {
                Some((*batch, *of, hosts.len(), budget.clone()))
            }
            _ => None,
        })
        .collect();
    println!("{opened:#?}");
    let sizes: Vec<(u32, u32, usize)> =
        opened.iter().map(|(batch, of, hosts, _)| (*batch, *of, *hosts)).collect();
    assert_eq!(sizes, [(1, 3, 1), (2, 3, 20)]);
    let confirmed: Vec<String> = events
        .iter()
        .filter_map(|e| match &e.kind {
            EventKind::Confirmed { host, .. } => Some(host.to_string()),
            _ => None,
        })
        .collect();
    let rolled_back: Vec<(String, Vec<String>)> = events
        .iter()
        .filter_map(|e| match &e.kind {
            EventKind::RolledBack { host, serves, .. } => Some((host.to_string(), serves.clone())),
            _ => None,
        })
        .collect();
    println!("confirmed: {confirmed:?}\nrolled back: {rolled_back:?}");
    assert_eq!(rolled_back.len(), 1);
    assert_eq!(rolled_back[0].0, fleet.host(BAD).name);
    assert!(!rolled_back[0].1.is_empty(), "what it serves now is said");
    assert!(confirmed.contains(&"web001".to_owned()));
    is_told(&ctl).await;
    for (number, (host, before)) in (1..).zip(fleet.hosts().iter().zip(before)) {
        let stands = host.folder().join("ssh/sshd_config.d/00-pipedown.conf").exists();
        assert_eq!(stands, confirmed.contains(&host.name), "{}", host.name);
        if number > 21 {
            assert_eq!((host.sockets(), host.files()), before, "{} was not to be touched", host.name);
        }
    }
    for number in [1, BAD, HOSTS] {
        assert_eq!(fleet.ssh(number, "root", "true"), (true, String::new()), "{number}");
    }
}

/// The report names the host, what became of it, and the arithmetic.
async fn is_told(ctl: &Controller) {
    let shown = ctl.run(&format!("show {}", ctl.only_run())).await;
    println!("{}{}", shown.out, shown.err);
    let report = format!("{}{}", shown.out, shown.err);
    for text in ["web007", "rolled back", "batch", "1 of 3", "2 of 3"] {
        assert!(report.contains(text), "{text:?} is not in\n{report}");
    }
}
