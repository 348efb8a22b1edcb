use std::collections::BTreeMap;
use std::sync::mpsc;

use chrono::{DateTime, Utc};
use pipedown_model::{EventKind, Limits, Mode, Operator, PlaybookSource, TextId, TimeSource};

use super::*;

fn run() -> RunId {
    RunId::new("r1").unwrap()
}

fn plan() -> Plan {
    Plan {
        v: Plan::FORMAT,
        compiled: DateTime::UNIX_EPOCH,
        playbook: PlaybookSource {
            name: "p".into(),
            origin: "built in".into(),
            text: "text\n".into(),
            vars: BTreeMap::new(),
        },
        reason: "why".into(),
        window: None,
        time: TimeSource { given: String::new(), zone: "Etc/UTC".into(), explicit: true },
        local: Vec::new(),
        batches: Vec::new(),
        max_failures: None,
        limits: Limits::default(),
        texts: BTreeMap::new(),
        hosts: Vec::new(),
    }
}

fn line(seq: u64) -> (u64, String) {
    let at: DateTime<Utc> = DateTime::UNIX_EPOCH;
    let by = Operator::new("alice", "admin");
    let kind = if seq == 1 {
        EventKind::PlanCompiled {
            plan: TextId::of(b"plan"),
            mode: Mode::Apply,
            playbook: "p".into(),
            reason: String::new(),
            by,
            window: None,
            supersedes: None,
            hosts: Vec::new(),
        }
    } else {
        EventKind::CancelRequested { by, reason: seq.to_string(), hosts: Vec::new() }
    };
    (seq, serde_json::to_string(&Event { v: 1, run: run(), seq, at, kind }).unwrap())
}

fn created(state: &StateDir) -> SqliteJournal {
    SqliteJournal::create(state, &run(), &plan(), &serde_json::json!({"parallel": 3})).unwrap()
}

#[test]
fn rollback_mode_is_used_where_wal_is_unsafe() {
    let dir = tempfile::tempdir().unwrap();
    for (kind, mode) in [(StorageKind::Local, "wal"), (StorageKind::Network, "delete")] {
        let path = dir.path().join(mode);
        let mut journal = SqliteJournal::open_as(&path, kind).unwrap();
        journal.connection.execute_batch(SCHEMA).unwrap();
        journal.append(&[line(1)]).unwrap();
        let query = |name: &str| format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}");
        let pragma = |name: &str| -> String {
            journal.connection.query_row(&query(name), [], |row| row.get(0)).unwrap()
        };
        assert_eq!((pragma("journal_mode").as_str(), pragma("synchronous").as_str()), (mode, "2"));
        // Without shared memory other machines can read along.
        let side = |end: &str| path.with_file_name(format!("{mode}-{end}")).exists();
        assert_eq!((side("wal"), side("shm")), (mode == "wal", mode == "wal"));
    }
}

#[test]
fn a_run_is_read_while_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let mut journal = created(&state);
    let (told, seen) = mpsc::channel();
    let writing = std::thread::spawn(move || {
        for seq in 1..=200 {
            journal.append(&[line(seq)]).unwrap();
            told.send(seq).unwrap();
        }
    });
    for durable in seen.iter().step_by(20) {
        let recorded = SqliteJournal::read(&state, &run()).unwrap();
        let read = recorded.state.map_or(0, |s| s.seq);
        assert!(read >= durable, "{durable} was durable, and {read} were read");
        assert_eq!((recorded.lines.len() as u64, recorded.events.len() as u64), (read, read));
    }
    writing.join().unwrap();
    let recorded = SqliteJournal::read(&state, &run()).unwrap();
    assert_eq!((recorded.plan, recorded.options), (plan(), serde_json::json!({"parallel": 3})));
    assert_eq!(recorded.lines[199], line(200).1);
}

#[test]
fn a_group_is_kept_as_a_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let mut journal = created(&state);
    journal.append(&[line(1), line(2)]).unwrap();
    // A number that is there already fails after the first line of the group was put.
    let error = journal.append(&[line(3), line(2)]).unwrap_err();
    assert!(error.to_string().starts_with("write the journal "), "{error}");
    assert_eq!(SqliteJournal::read(&state, &run()).unwrap().lines.len(), 2);
}

#[test]
fn the_plan_is_readable_without_the_wal_file() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let mut journal = created(&state);
    journal.append(&[line(1)]).unwrap();
    let copy = StateDir::new(dir.path().join("copy"));
    copy.create_run_dir(&run()).unwrap();
    std::fs::copy(state.journal(&run()), copy.journal(&run())).unwrap();
    let recorded = SqliteJournal::read(&copy, &run()).unwrap();
    assert_eq!((recorded.plan, recorded.state), (plan(), None));
}

#[test]
fn damage_is_named_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let mut journal = created(&state);
    journal.append(&[line(1), (2, "{".to_owned())]).unwrap();
    let error = SqliteJournal::read(&state, &run()).unwrap_err().to_string();
    assert!(error.starts_with("read event 2 of run r1: "), "{error}");
    let missing = SqliteJournal::read(&state, &RunId::new("r2").unwrap()).unwrap_err();
    assert!(matches!(missing, EngineError::NoSuchRun(..)), "{missing}");
}

#[test]
fn what_a_later_version_wrote_keeps_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let mut journal = created(&state);
    let later = r#"{"v":1,"run":"r1","seq":2,"at":"2026-12-01T17:00:00Z","kind":"host_sang","song":[1]}"#;
    journal.append(&[line(1), (2, later.to_owned())]).unwrap();
    let recorded = SqliteJournal::read(&state, &run()).unwrap();
    assert_eq!((recorded.lines[1].as_str(), &recorded.events[1].kind), (later, &EventKind::Unknown));
    assert_eq!(recorded.state.unwrap().seq, 2);
}
