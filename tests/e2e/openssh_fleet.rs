//! The fleet of real sshds that other tests stand on: it starts in seconds, and each host is a host of its own.

use std::time::Instant;

use crate::support::OpenSsh;

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_sshds_are_two_hundred_hosts() {
    let began = Instant::now();
    let Some(fleet) = OpenSsh::start(200, |_, _| {}) else { return };
    println!("200 sshd started in {:.1} s", began.elapsed().as_secs_f64());
    for number in [1, 100, 200] {
        let host = fleet.host(number);
        for user in ["root", "deploy"] {
            let said = fleet.ssh(number, user, "hostname; id -un; ls -d /etc/ssh/own");
            assert!(!said.0 && said.1.starts_with(&format!("{}\n{user}\n", host.name)), "{said:?}");
        }
        host.sh("touch /etc/ssh/own");
        assert!(fleet.ssh(number, "root", "test -e /etc/ssh/own").0);
    }
    let host = fleet.host(1);
    let (before, files) = (host.sockets(), host.files());
    assert!(!before.is_empty());
    assert_eq!((host.sockets(), host.files()), (before.clone(), files.clone()));
    host.sh("kill -HUP $(cat /run/sshd.pid)");
    crate::support::until("the listener opens new sockets", || {
        !host.sockets().is_empty() && host.sockets() != before
    })
    .await;
    host.sh("touch /etc/ssh/sshd_config");
    assert_ne!(host.files(), files);
    let ended = Instant::now();
    drop(fleet);
    println!("and ended in {:.1} s", ended.elapsed().as_secs_f64());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_a_host_of_a_run() {
    let Some(fleet) = OpenSsh::start(3, |_, _| {}) else { return };
    let ctl = fleet.controller("");
    ctl.run("run nologin-on --all --yes").await.code(0).says("3 done");
    for host in fleet.hosts() {
        assert!(host.folder().join("run/nologin").exists());
    }
    let refused = fleet.ssh_with(1, "alice", &[], "true");
    assert!(!refused.0 && refused.1.contains("closed"), "{refused:?}");
    ctl.run("run nologin-off --all --yes").await.code(0);
    assert_eq!(fleet.ssh(1, "alice", "id -un"), (true, "alice\n".to_owned()));
}
