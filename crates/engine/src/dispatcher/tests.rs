use std::sync::mpsc as blocking;

use pipedown_model::{HostName, Mode, Operator, RolledBackBy, StepId, TextId};

use super::*;

/// A journal that does as the test says, one answer for each group.
struct Told {
    groups: blocking::Sender<Vec<u64>>,
    answers: blocking::Receiver<bool>,
}

impl Journal for Told {
    fn append(&mut self, lines: &[(u64, String)]) -> Result<(), EngineError> {
        self.groups.send(lines.iter().map(|(seq, _)| *seq).collect()).unwrap();
        if self.answers.recv().unwrap() {
            return Ok(());
        }
        let source = std::io::ErrorKind::StorageFull.into();
        Err(EngineError::File { act: "write", path: "journal".into(), source })
    }
}

struct Scene {
    proposer: Proposer,
    dispatching: tokio::task::JoinHandle<Ended>,
    groups: blocking::Receiver<Vec<u64>>,
    answers: blocking::Sender<bool>,
    shown: mpsc::UnboundedReceiver<Arc<Event>>,
}

fn scene() -> Scene {
    let (group, groups) = blocking::channel();
    let (answers, answer) = blocking::channel();
    let (consumer, shown) = mpsc::unbounded_channel();
    let journal = Box::new(Told { groups: group, answers: answer });
    let clock: Clock = Arc::new(|| DateTime::UNIX_EPOCH);
    let run = RunId::new("r1").unwrap();
    let (dispatcher, proposer) = Dispatcher::new(run, clock, journal, None, consumer).unwrap();
    Scene { proposer, dispatching: tokio::spawn(dispatcher.work()), groups, answers, shown }
}

fn host() -> HostName {
    HostName::new("a").unwrap()
}

fn first() -> EventKind {
    EventKind::PlanCompiled {
        plan: TextId::of(b"plan"),
        mode: Mode::Apply,
        playbook: "p".into(),
        reason: String::new(),
        by: Operator::new("alice", "admin"),
        window: None,
        supersedes: None,
        hosts: vec![host()],
    }
}

fn connected() -> EventKind {
    let key = pipedown_model::HostKeySeen { algorithm: "ssh-ed25519".into(), fingerprint: "SHA256:x".into() };
    EventKind::HostConnected { host: host(), key }
}

fn intent() -> EventKind {
    EventKind::StepStarted { host: host(), step: StepId::arm(), attempt: 1 }
}

fn undo() -> EventKind {
    EventKind::UndoStarted { host: host(), by: RolledBackBy::Operator }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_is_answered_and_shown_only_when_it_is_durable() {
    let mut scene = scene();
    scene.proposer.tell(first()).await;
    scene.proposer.tell(connected()).await;
    let proposer = scene.proposer.clone();
    let intending = tokio::spawn(async move { proposer.intend(intent()).await });
    // The journal holds the first group back: nothing is shown, and everything else queues up into the second.
    let mut written = scene.groups.recv().unwrap();
    let state = scene.proposer.state().await.unwrap();
    assert!(scene.shown.try_recv().is_err() && !intending.is_finished(), "{state:?}");
    while written.last() != Some(&3) {
        scene.answers.send(true).unwrap();
        written.extend(scene.groups.recv().unwrap());
        assert!(!intending.is_finished());
    }
    assert_eq!(written, [1, 2, 3]);
    scene.answers.send(true).unwrap();
    intending.await.unwrap().unwrap();
    for seq in 1..=3 {
        assert_eq!(scene.shown.recv().await.unwrap().seq, seq);
    }
    drop(scene.proposer);
    assert!(scene.dispatching.await.unwrap().recorded);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_full_disk_undo_goes_ahead_and_nothing_else_does() {
    let Scene { proposer, dispatching, groups, answers, mut shown } = scene();
    // Five groups fail, then the disk is back.
    let disk = std::thread::spawn(move || {
        let mut seen = Vec::new();
        for answer in [true, true, false, false, false, true] {
            seen.push(groups.recv().unwrap());
            answers.send(answer).unwrap();
        }
        seen
    });
    proposer.tell(first()).await;
    proposer.settle().await.unwrap();
    proposer.tell(connected()).await;
    proposer.settle().await.unwrap();
    let refused = proposer.intend(intent()).await.unwrap_err();
    assert!(matches!(refused, EngineError::NotDurable(_)), "{refused}");
    assert!(refused.to_string().starts_with("record the intent: write journal: "), "{refused}");
    assert!(proposer.settle().await.is_err(), "nothing is on its way, and the last events are not written");
    proposer.intend(undo()).await.unwrap();
    let restored = Vec::new();
    proposer.tell(EventKind::UndoFinished { host: host(), restored }).await;
    assert!(proposer.settle().await.is_err());
    // What happened is shown although it is not recorded.
    for seq in 1..=5 {
        assert_eq!(shown.recv().await.unwrap().seq, seq);
    }
    proposer.conclude().await;
    proposer.settle().await.unwrap();
    // The lines that could not be written come again with the next ones, in order and once.
    assert_eq!(
        disk.join().unwrap(),
        [vec![1], vec![2], vec![3], vec![3, 4], vec![3, 4, 5], vec![3, 4, 5, 6]]
    );
    drop(proposer);
    let ended = dispatching.await.unwrap();
    assert!(ended.recorded && ended.defect.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_follow_is_a_defect_and_is_not_written() {
    let Scene { proposer, dispatching, groups, answers, .. } = scene();
    answers.send(true).unwrap();
    proposer.tell(first()).await;
    let refused = proposer.intend(intent()).await.unwrap_err();
    assert!(matches!(refused, EngineError::Corrupt { .. }), "{refused}");
    drop(proposer);
    let ended = dispatching.await.unwrap();
    assert_eq!(groups.iter().collect::<Vec<_>>(), [vec![1]]);
    assert!(ended.defect.is_some_and(|defect| defect.contains("step_started")));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_more_consumer_sees_what_is_told_until_it_leaves() {
    let Scene { proposer, dispatching, answers, groups: _groups, .. } = scene();
    (0..9).for_each(|_| answers.send(true).unwrap());
    proposer.tell(first()).await;
    proposer.settle().await.unwrap();
    let (consumer, mut seen) = mpsc::unbounded_channel();
    proposer.attach(consumer).await;
    proposer.tell(connected()).await;
    proposer.detach().await;
    proposer.settle().await.unwrap();
    proposer.tell(undo()).await;
    assert_eq!(seen.recv().await.unwrap().seq, 2);
    assert!(seen.recv().await.is_none());
    drop(proposer);
    assert!(dispatching.await.unwrap().recorded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_died_refuses_changes_and_lets_undo_go_ahead() {
    let Scene { proposer, dispatching, groups, answers, .. } = scene();
    // Its thread panics at the first group.
    drop((groups, answers));
    proposer.tell(first()).await;
    assert!(proposer.settle().await.is_err());
    proposer.tell(connected()).await;
    assert!(matches!(proposer.intend(intent()).await, Err(EngineError::NotDurable(_))));
    proposer.intend(undo()).await.unwrap();
    drop(proposer);
    assert!(!dispatching.await.unwrap().recorded);
}
