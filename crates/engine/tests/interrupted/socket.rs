//! The control socket: a question, event lines, the end.

use pipedown_engine::{ControlSocket, Request, ask_controller};
use pipedown_model::{Event, EventKind, Operator};
use tokio::sync::mpsc;

use crate::host::{now, run_id};

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_sees_every_event_until_the_work_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let request =
        Request::Cancel { hosts: Vec::new(), by: Operator::new("bob", "desk"), reason: "moved".into() };
    assert!(ask_controller(&path, &request).await.unwrap().is_none(), "nobody listens");
    // What a process that was killed has left behind is in nobody's way.
    std::fs::File::create(&path).unwrap();
    let (asked, mut asks) = mpsc::channel(4);
    let socket = ControlSocket::bind(&path, asked).unwrap();
    let mut events = ask_controller(&path, &request).await.unwrap().unwrap();
    let ask = asks.recv().await.unwrap();
    assert_eq!(ask.request, request);
    for seq in 1..=3 {
        let kind = EventKind::Unknown;
        let event = Event { v: 1, run: run_id(), seq, at: now(), kind };
        ask.answer.send(event.into()).unwrap();
        assert_eq!(events.recv().await.unwrap().seq, seq);
    }
    drop(ask);
    assert!(events.recv().await.is_none());
    // A request that nobody takes ends without a word, and whoever asked sees that.
    drop(asks);
    let mut events = ask_controller(&path, &request).await.unwrap().unwrap();
    assert!(events.recv().await.is_none());
    drop(socket);
    assert!(!path.exists());
}
