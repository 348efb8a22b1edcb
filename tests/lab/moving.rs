//! A window is moved, and two windows want the same hosts.

use crate::feed::Watched;
use crate::harness::{Lab, Snapshot, run_id, secs, sleep_until};
use crate::promise::Promise;

const SET: &str = "bullseye04,bookworm04,trixie04,sysv04";

pub fn postponed_and_contested(lab: &Lab) {
    let hosts: Vec<&'static str> = SET.split(',').collect();
    let people: Vec<Watched> = hosts.iter().map(|host| lab.log_in(&format!("alice@{host}"))).collect();
    let before: Vec<Snapshot> = hosts.iter().map(|host| lab.snapshot(host)).collect();
    let controller = lab.controller();

    // nologin stands already when the window is moved.
    let args = ["graceful-shutdown", "-l", SET, "--in", "280s", "-e", "nologin_at=T-270s"];
    let plan = Promise::compile(&controller, "w.plan", &args);
    let first = controller.run(&["run", "w.plan", "--yes", "--json"]).expect(0).run_id();
    let promise = Promise::of(&plan, hosts[0]);
    for host in &hosts {
        lab.wait_until(host, "test -e /run/nologin", secs(60));
        lab.refuses(host, &promise.nologin.1);
    }
    let moved = controller.run(&["postpone", &first, "--to", "now+45m", "--yes", "--json"]).expect(0);
    let second = moved.run_id();
    for (host, alice) in hosts.iter().zip(&people) {
        alice.out.wait_for("in 45 minutes", secs(60));
        lab.wait_until(host, "! test -e /run/nologin", secs(60));
        lab.ask(&["ssh", &format!("alice@{host}"), "true"]);
    }
    controller.run(&["status"]).expect(0).says("4 armed").says(&second);

    // Somebody else wants the same hosts: refused, with the owner's name, and nothing has changed.
    let other = lab.controller();
    let rival = ["run", "graceful-reboot", "-l", SET, "--in", "20m", "--yes", "--json"];
    let refused = other.run(&rival).expect(5);
    assert_eq!(refused.out.matches("\"kind\":\"refused\"").count(), hosts.len());
    assert!(refused.out.contains(&second) && refused.out.contains("admin@"), "{}", refused.out);
    controller.run(&["status"]).expect(0).says("4 armed").says(&second);

    sleep_until(promise.window + 4.0);
    for host in &hosts {
        assert_eq!(lab.boots(host), 1, "{host} went down at the old time");
    }

    let third = other.run(&[&rival[..], &["--replace"]].concat()).expect(0).run_id();
    other.run(&["status"]).expect(0).says("4 armed").says(&third);
    // Whose window was superseded cancels nothing that is not theirs.
    controller.run(&["cancel", &second]);
    other.run(&["status"]).expect(0).says("4 armed").says(&third);
    other.run(&["cancel"]).expect(0).says("4 cancelled");
    for ((host, alice), before) in hosts.iter().zip(&people).zip(&before) {
        alice.out.wait_for("is called off", secs(60));
        assert_eq!(alice.out.count("is called off"), 1, "{host}:\n{}", alice.out.text());
        assert_eq!(alice.out.count("Broadcast from admin@"), 4, "{host}:\n{}", alice.out.text());
        let differs = lab.wait_for_snapshot(host, before, secs(60));
        assert!(differs.is_empty(), "{host}: {differs:#?}");
        for (run, how) in [(&first, "superseded"), (&second, "superseded"), (&third, "cancelled")] {
            lab.sh(host, &format!("grep -q ^{how} /var/lib/pipedown/ended/{run}"));
        }
    }
    at_the_same_time(lab, &hosts);
    for (host, before) in hosts.iter().zip(&before) {
        let differs = lab.wait_for_snapshot(host, before, secs(60));
        assert!(differs.is_empty(), "{host}: {differs:#?}");
    }
}

/// Two controllers arm the same hosts at the same moment: each host has one owner, and the other one is told.
fn at_the_same_time(lab: &Lab, hosts: &[&str]) {
    let controllers = [lab.controller(), lab.controller()];
    let args = ["run", "graceful-reboot", "-l", SET, "--in", "20m", "--yes", "--json"];
    let mut runs = controllers.each_ref().map(|controller| controller.start(&args));
    for run in &mut runs {
        run.wait(secs(60));
    }
    let armed = runs.each_ref().map(|run| run.out.count("\"kind\":\"armed\""));
    let refused = runs.each_ref().map(|run| run.out.count("\"class\":\"refused\""));
    assert_eq!(armed.iter().sum::<usize>(), hosts.len(), "armed {armed:?}, refused {refused:?}");
    assert_eq!(refused.iter().sum::<usize>(), hosts.len(), "armed {armed:?}, refused {refused:?}");
    for (controller, run) in controllers.iter().zip(&runs) {
        controller.run(&["cancel", &run_id(&run.out.text())]);
    }
    controllers[0].run(&["status", "-l", SET]).expect(0).says("4 none");
}
