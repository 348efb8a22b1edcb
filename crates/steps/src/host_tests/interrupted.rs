//! Arms that are killed, boots in between, file systems that are full.

use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

use chrono::TimeDelta;

use super::place::{Draft, arm_source, from_now, signal, until, until_clock, usual};
use super::{Place, places};
use crate::{CancelResult, ReplaceMode};

/// Only what never comes takes so long.
const SOON: Duration = Duration::from_secs(120);

#[tokio::test]
async fn an_arm_that_is_killed_anywhere_is_seen_and_repaired() {
    for place in places().await {
        let before = place.listing();
        for millis in [0, 5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 130, 170] {
            let run = format!("run-{millis}");
            let files = usual(&run, from_now(600));
            let mut child = place.spawn(arm_source(), &[&run, "fresh", "run"]);
            let mut stdin = child.stdin.take().unwrap();
            let archive = files.archive();
            let writer = std::thread::spawn(move || stdin.write_all(&archive));
            tokio::time::sleep(Duration::from_millis(millis)).await;
            signal("KILL", &format!("-{}", child.id()));
            child.wait().unwrap();
            let _ = writer.join().unwrap();
            let seen = place.look().await;
            if let Some(window) = &seen.facts.window {
                assert_eq!(window.run.as_str(), run, "after {millis} ms");
            }
            if millis % 20 == 0 {
                // The same run arms again, as a resume does.
                place.arm(&files, &ReplaceMode::Fresh).await.unwrap();
                assert!(place.look().await.facts.window.unwrap().alive);
            }
            let result = place.cancel_run(&run).await.result;
            assert!(matches!(result, CancelResult::Cancelled | CancelResult::Nothing), "{result:?}");
            let mut after = place.listing();
            after.retain(|path, _| !path.starts_with("var/lib/pipedown/ended/"));
            after.remove("var/lib/pipedown/");
            assert_eq!(after, before, "after {millis} ms under {}", place.shell);
        }
    }
}

#[tokio::test]
async fn an_exchange_that_is_killed_anywhere_leaves_one_window_that_can_be_called_off() {
    for place in places().await {
        for millis in [20, 40, 60, 80, 100, 130, 170, 220, 280] {
            let (old, new) = (format!("run-{millis}-a"), format!("run-{millis}-b"));
            place.arm(&usual(&old, from_now(600)), &ReplaceMode::Fresh).await.unwrap();
            let mut child = place.spawn(arm_source(), &[&new, "any", "run"]);
            let mut stdin = child.stdin.take().unwrap();
            let archive = usual(&new, from_now(900)).archive();
            let writer = std::thread::spawn(move || stdin.write_all(&archive));
            tokio::time::sleep(Duration::from_millis(millis)).await;
            signal("KILL", &format!("-{}", child.id()));
            child.wait().unwrap();
            let _ = writer.join().unwrap();
            let window = place.look().await.facts.window.expect("one of the two");
            assert!([old.as_str(), &new].contains(&window.run.as_str()));
            assert_eq!(place.cancel_run(window.run.as_str()).await.result, CancelResult::Cancelled);
            assert!(place.look().await.facts.window.is_none());
            assert_eq!(place.read("etc/motd"), "welcome to testhost\n", "after {millis} ms");
        }
    }
}

#[tokio::test]
async fn after_a_reboot_the_window_is_lost_and_can_still_be_called_off() {
    for place in places().await {
        place.arm(&usual("run-a", from_now(600)), &ReplaceMode::Fresh).await.unwrap();
        place.cut_power();
        place.boot('2');
        let window = place.look().await.facts.window.unwrap();
        assert_eq!((window.alive, window.lost), (false, true));
        assert_eq!(place.cancel_run("run-a").await.result, CancelResult::Cancelled);
        assert_eq!(place.read("etc/motd"), "welcome to testhost\n");
    }
}

#[tokio::test]
async fn an_agenda_that_comes_back_goes_on_without_repeating_itself() {
    for place in places().await {
        place.arm(&usual("run-a", from_now(40)), &ReplaceMode::Fresh).await.unwrap();
        until("the message is out", SOON, || !place.read("var/lib/pipedown/window/delivered").is_empty())
            .await;
        place.cut_power();
        let delivered = place.read("var/lib/pipedown/window/delivered");
        std::fs::remove_file(place.root().join("run/nologin")).unwrap();
        place.boot('2');
        let mut agenda = place.come_back();
        until("nologin is back", SOON, || place.read("run/nologin") == "No logins: maintenance.\n").await;
        assert_eq!(place.read("var/lib/pipedown/window/delivered"), delivered);
        let window = place.look().await.facts.window.unwrap();
        assert_eq!((window.alive, window.lost), (true, false));
        assert_eq!(place.cancel_run("run-a").await.result, CancelResult::Cancelled);
        agenda.wait().unwrap();
        assert!(!place.root().join("run/nologin").exists());
    }
}

#[tokio::test]
async fn a_shutdown_whose_time_passed_while_the_host_was_off_does_not_happen() {
    for place in places().await {
        let build = |run: &str, at| {
            Draft::new().nologin(from_now(0), "No.\n").shutdown(at, TimeDelta::seconds(300)).files(run)
        };
        let (run, at) = place.arm_ahead(build).await;
        place.cut_power();
        place.boot('2');
        until_clock(at + TimeDelta::seconds(1)).await;
        place.come_back().wait().unwrap();
        assert_eq!(place.grave(&run), "missed");
        assert_eq!(place.read("var/log/down"), "");
        assert!(!place.root().join("run/nologin").exists());
    }
}

/// A small file system at a folder of a place, while it lives.
struct Small<'a> {
    place: &'a Place,
    path: &'static str,
}

impl<'a> Small<'a> {
    /// None, with a line about it, where nothing can be mounted.
    fn mount(place: &'a Place, path: &'static str, size: &str) -> Option<Self> {
        let options = format!("size={size},mode=755");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(place.root().join(path));
        if mount.output().is_ok_and(|output| output.status.success()) {
            Some(Self { place, path })
        } else {
            println!("skipped: nothing can be mounted here");
            None
        }
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.place.root().join(self.path).join("ballast")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        self.place.cut_power();
        let path = self.place.root().join(self.path);
        let _ = Command::new("umount").arg(path).output();
    }
}

#[tokio::test]
async fn with_var_full_an_arm_fails_and_leaves_nothing() {
    for place in places().await {
        let Some(small) = Small::mount(&place, "var/lib", "256k") else { return };
        small.fill();
        let error = place.arm(&usual("run-a", from_now(600)), &ReplaceMode::Fresh).await.unwrap_err();
        assert!(error.to_string().contains("file system full"), "{error}");
        let seen = place.look().await;
        assert!(seen.facts.window.is_none() && seen.leftovers.is_empty());
        assert!(seen.facts.unwritable.iter().any(|line| line.contains("full")), "{seen:?}");
        assert_eq!(place.read("etc/motd"), "welcome to testhost\n");
    }
}

#[tokio::test]
async fn with_var_full_a_window_can_still_be_called_off() {
    for place in places().await {
        let Some(small) = Small::mount(&place, "var/lib", "512k") else { return };
        place.arm(&usual("run-a", from_now(600)), &ReplaceMode::Fresh).await.unwrap();
        small.fill();
        assert_eq!(place.cancel_run("run-a").await.result, CancelResult::Cancelled);
        assert_eq!(place.read("etc/motd"), "welcome to testhost\n");
        assert_eq!(place.grave("run-a"), "cancelled");
    }
}
