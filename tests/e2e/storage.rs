//! The controller's disk is full: nothing new begins, and what is armed can be called off. One run, one process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pipedown_model::EventKind;
use tempfile::TempDir;

use crate::support::{Place, release, until};

/// A small file system of its own; none where it cannot be mounted.
struct Disk {
    dir: TempDir,
}

impl Disk {
    fn mount() -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "pipedown-e2e"])
            .arg(dir.path())
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self { dir });
        }
        println!("skipped: only root can mount a file system to fill");
        None
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes until nothing more fits.
    fn fill(&self) -> PathBuf {
        use std::io::Write;
        let path = self.path().join("ballast");
        let mut file = std::fs::File::create(&path).unwrap();
        for size in [4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_a_run_is_refused_before_any_change() {
    let Some(disk) = Disk::mount() else { return };
    let place = Place::new(1).await;
    disk.fill();
    let line = format!("run nologin-on --all --yes --state-dir {}", disk.path().display());
    let said = place.controller.run(&line).await.code(70);
    assert!(said.err.contains("nothing was changed"), "{}", said.err);
    assert!(!place.host(1).dir().join("run/nologin").exists());
    // A dry run needs no record.
    let line = format!("run nologin-on --all --dry-run --state-dir {}", disk.path().display());
    place.controller.run(&line).await.code(0).says("not recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_in_the_middle() {
    let Some(disk) = Disk::mount() else { return };
    let place = Place::new(2).await;
    let ctl = &place.controller;
    ctl.write("slow.toml", include_str!("slow.toml"));
    let state = format!("--state-dir {}", disk.path().display());
    let mut run = ctl.start(&format!("run ./slow.toml --all --in 30m --yes --json --parallel 1 {state}"));
    release(place.host(1));
    run.event(|e| matches!(e.kind, EventKind::Armed { .. })).await;
    let ledger = place.host(2).dir().join("var/lib/pipedown/ledger");
    until("the second host is at work", || ledger.exists()).await;
    let ballast = disk.fill();
    release(place.host(2));
    let said = run.end().await.code(70);
    assert!(place.is_armed(1) && !place.is_armed(2));
    assert!(said.err.contains("not recorded"), "{}", said.err);
    assert!(said.out.contains("\"kind\":\"run_finished\""), "what is true is shown: {}", said.out);
    // Nothing can be written here; the hosts know what is armed.
    let said = ctl.run(&format!("cancel --once {state}")).await.code(0);
    assert!(said.err.contains("not recorded"), "{}", said.err);
    assert!(!place.is_armed(1));
    std::fs::remove_file(ballast).unwrap();
    ctl.run(&format!("runs {state}")).await.code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_on_a_full_disk_is_read_and_called_off() {
    let Some(disk) = Disk::mount() else { return };
    let place = Place::new(1).await;
    let ctl = &place.controller;
    ctl.write("slow.toml", include_str!("slow.toml"));
    let state = format!("--state-dir {}", disk.path().display());
    let mut child = ctl.command(&format!("run ./slow.toml --all --in 30m --yes {state}")).spawn().unwrap();
    let ledger = place.host(1).dir().join("var/lib/pipedown/ledger");
    until("the host is at work", || ledger.exists()).await;
    child.kill().await.unwrap();
    release(place.host(1));
    let runs = std::fs::read_dir(disk.path().join("runs")).unwrap();
    let folder = runs.map(|run| run.unwrap().path()).next().unwrap();
    // SQLite would have to make its index anew, and there is no room for it.
    std::fs::remove_file(folder.join("journal.db-shm")).unwrap();
    disk.fill();
    let run = folder.file_name().unwrap().to_str().unwrap();
    let said = ctl.run(&format!("show {run} {state}")).await.code(0);
    assert!(said.out.contains("login01"), "{}", said.out);
    ctl.run(&format!("cancel {run} --once {state}")).await.code(0).says("not recorded");
    let tombstone = place.host(1).dir().join("var/lib/pipedown/ended").join(run);
    assert!(tombstone.exists() && !place.is_armed(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_run_and_two_controllers() {
    let place = Place::new(2).await;
    let ctl = &place.controller;
    ctl.write("slow.toml", include_str!("slow.toml"));
    let mut run = ctl.start("run ./slow.toml --all --in 30m --yes --json --parallel 1");
    release(place.host(1));
    run.event(|e| matches!(e.kind, EventKind::Armed { .. })).await;
    let id = ctl.only_run();
    ctl.run(&format!("resume {id}")).await.code(5).says(&format!("take run {id}: process "));
    // Another machine knows nothing of the run but the inventory.
    let other = place.another_controller();
    other.run("cancel --all --once").await.code(0);
    assert!(!place.is_armed(1));
    run.interrupt();
    run.until("interrupted").await;
    release(place.host(2));
    run.end().await.code(5);
    // The first host was called off meanwhile, and is not armed again.
    let said = ctl.run(&format!("resume {id}")).await.code(5);
    assert!(said.err.contains("has ended here: cancelled"), "{}", said.err);
    assert!(!place.is_armed(1));
}
