//! A window is called off, in good time and at the last moment: afterwards the hosts are as they were before.

use std::time::Duration;

use crate::feed::Watched;
use crate::harness::{Controller, Lab, Snapshot, secs, sleep_until, until};
use crate::promise::Promise;

const SET: &str = "bullseye03,bookworm03,trixie03,sysv03";

/// Hosts with alice on a terminal, and how they looked then.
struct Scene<'a> {
    lab: &'a Lab,
    hosts: Vec<(&'static str, Watched, Snapshot)>,
}

pub fn early_and_late(lab: &Lab) {
    let people = SET.split(',').map(|host| (host, lab.log_in(&format!("alice@{host}"))));
    let hosts = people.collect::<Vec<_>>().into_iter().map(|(host, alice)| (host, alice, lab.snapshot(host)));
    let scene = Scene { lab, hosts: hosts.collect() };
    scene.early();
    scene.elsewhere();
    scene.on_the_host();
    scene.late();
}

impl Scene<'_> {
    fn early(&self) {
        let controller = self.lab.controller();
        let (run, promises) = self.arm(&controller, &["--in", "30m"]);
        controller.run(&["status"]).expect(0).says("4 armed").says(&run);
        for (host, alice, before) in &self.hosts {
            let armed = before.differs(&self.lab.snapshot(host));
            assert!(armed.iter().any(|l| l.contains("/var/lib/pipedown/window/armed")), "{host}: {armed:#?}");
            alice.out.wait_for(&promises[0].messages[0].1, secs(60));
        }
        controller.run(&["cancel", "--reason", "supply is late"]).expect(0).says("4 cancelled");
        self.is_over(&promises, &run);
        for (host, ..) in &self.hosts {
            let log = self.lab.log_lines(host);
            assert!(
                log.iter().any(|l| l.contains("window removed") && l.contains("supply is late")),
                "{log:#?}"
            );
        }
        // What was cancelled is not armed again.
        controller.run(&["resume", &run]);
        controller.run(&["status", "-l", SET]).expect(0).says("4 none");
        self.is_over(&promises, &run);
    }

    /// Another controller has no record of the run, but the inventory.
    fn elsewhere(&self) {
        let controller = self.lab.controller();
        let (run, promises) = self.arm(&controller, &["--in", "35m"]);
        self.lab.controller().run(&["cancel", "-l", SET]).expect(0).says("4 cancelled");
        self.is_over(&promises, &run);
        // The first one finds out that it is over.
        controller.run(&["cancel", &run]).expect(0);
        self.is_over(&promises, &run);
    }

    /// Root on a host needs no controller.
    fn on_the_host(&self) {
        let controller = self.lab.controller();
        let (run, promises) = self.arm(&controller, &["--in", "40m"]);
        for (host, ..) in &self.hosts {
            let said = self.lab.ask(&["ssh", host, "sh /var/lib/pipedown/window/cancel"]);
            assert!(said.contains("result cancelled"), "{host}: {said}");
        }
        self.is_over(&promises, &run);
        controller.run(&["resume", &run]);
        self.is_over(&promises, &run);
    }

    /// After nologin, seconds before T.
    fn late(&self) {
        let controller = self.lab.controller();
        let (run, promises) = self.arm(&controller, &["--in", "240s", "-e", "nologin_at=T-150s"]);
        for (host, ..) in &self.hosts {
            self.lab.wait_until(host, "test -e /run/nologin", secs(120));
            self.lab.refuses(host, &promises[0].nologin.1);
        }
        let window = promises[0].window;
        sleep_until(window - 45.0);
        controller.run(&["cancel"]).expect(0).says("4 cancelled");
        assert!(until(window) > Duration::ZERO, "called off after T");
        self.is_over(&promises, &run);
        sleep_until(window + 4.0);
        for (host, ..) in &self.hosts {
            self.lab.ask(&["ssh", &format!("alice@{host}"), "true"]);
            assert_eq!(self.lab.boots(host), 1);
        }
        self.is_over(&promises, &run);
    }

    fn arm(&self, controller: &Controller<'_>, time: &[&str]) -> (String, Vec<Promise>) {
        let args: Vec<&str> = ["graceful-shutdown", "-l", SET].iter().chain(time).copied().collect();
        let plan = Promise::compile(controller, "w.plan", &args);
        let ran = controller.run(&["run", "w.plan", "--yes", "--json"]).expect(0);
        assert_eq!(ran.out.matches("\"kind\":\"armed\"").count(), self.hosts.len());
        (ran.run_id(), self.hosts.iter().map(|(host, ..)| Promise::of(&plan, host)).collect())
    }

    /// People were told once, and nothing is left but the note that the run has ended.
    fn is_over(&self, promises: &[Promise], run: &str) {
        for ((host, alice, before), promise) in self.hosts.iter().zip(promises) {
            alice.out.wait_for(&promise.cancelled, secs(60));
            assert_eq!(alice.out.count(&promise.cancelled), 1, "{host}:\n{}", alice.out.text());
            let differs = self.lab.wait_for_snapshot(host, before, secs(60));
            assert!(differs.is_empty(), "{host}: {differs:#?}");
            self.lab.sh(host, &format!("test -s /var/lib/pipedown/ended/{run}"));
        }
    }
}

/// Cancel and shutdown meet at T: exactly one of them happens, and the answer says which.
pub fn photo_finish(lab: &Lab) {
    let hosts = [("bullseye07", 0.9), ("bookworm07", 0.45), ("trixie07", 0.2), ("sysv07", -0.1)];
    let before = hosts.map(|(host, _)| lab.snapshot(host));
    let controller = lab.controller();
    let args = ["graceful-shutdown", "-l", "bullseye07,bookworm07,trixie07,sysv07", "--in", "90s"];
    let plan = Promise::compile(&controller, "w.plan", &args);
    controller.run(&["run", "w.plan", "--yes"]).expect(0);
    let window = Promise::of(&plan, hosts[0].0).window;
    std::thread::scope(|scope| {
        for ((host, early), before) in hosts.into_iter().zip(before) {
            scope.spawn(move || {
                sleep_until(window - early);
                let answer = lab.call(&["exec", host, "sh", "/var/lib/pipedown/window/cancel"]);
                let said = String::from_utf8_lossy(&answer.stdout);
                if said.contains("result cancelled") {
                    sleep_until(window + 4.0);
                    assert_eq!(lab.boots(host), 1, "{host} went down after all: {said}");
                } else {
                    assert_ne!(answer.status.code(), Some(0), "{host}: {said}");
                    lab.wait_down(host, secs(60));
                    lab.ask(&["boot", host]);
                }
                let differs = lab.wait_for_snapshot(host, &before, secs(60));
                assert!(differs.is_empty(), "{host}: {differs:#?}");
            });
        }
    });
}
