//! What a reviewed plan promises to the users of a host: the scenarios compare it with what happens.

use std::path::Path;

use pipedown_model::{Plan, StepSpec, TextId};

use crate::harness::Controller;

/// A host's timeline; times in seconds since 1970.
pub struct Promise {
    /// T.
    pub window: f64,
    /// Each message and its time.
    pub messages: Vec<(f64, String)>,
    /// The text of nologin and when it appears.
    pub nologin: (f64, String),
    /// The message of the day.
    pub motd: String,
    /// What users are told when the window is called off.
    pub cancelled: String,
}

impl Promise {
    /// Compiles a plan on the controller into a file that `run` takes, and reads what it says of a host.
    pub fn compile(controller: &Controller<'_>, file: &str, args: &[&str]) -> Plan {
        let args: Vec<&str> = ["plan"].iter().chain(args).copied().chain(["--out", file]).collect();
        controller.run(&args).expect(0);
        Self::read(&controller.home().join(file))
    }

    fn read(path: &Path) -> Plan {
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    /// What a plan says of a host.
    pub fn of(plan: &Plan, host: &str) -> Self {
        let host = plan.hosts.iter().find(|h| h.host.as_str() == host).unwrap();
        let seconds = |at: chrono::DateTime<chrono::Utc>| at.timestamp_millis() as f64 / 1000.0;
        let text = |id: &TextId| plan.texts[id].trim_end().to_owned();
        let mut promise = Self {
            window: seconds(host.window.unwrap()),
            messages: Vec::new(),
            nologin: (0.0, String::new()),
            motd: String::new(),
            cancelled: String::new(),
        };
        for step in &host.steps {
            match &step.spec {
                StepSpec::Broadcast { messages } => {
                    promise.messages.extend(messages.iter().map(|m| (seconds(m.at.unwrap()), text(&m.text))));
                }
                StepSpec::Nologin { at, text: id, .. } => {
                    promise.nologin = (seconds(at.unwrap()), text(id));
                }
                StepSpec::Motd { text: id, .. } => promise.motd = text(id),
                StepSpec::Shutdown { cancelled, .. } => promise.cancelled = text(cancelled),
                StepSpec::Drain { .. }
                | StepSpec::Run(_)
                | StepSpec::SshdConfig(_)
                | StepSpec::Exec(_)
                | StepSpec::Copy(_)
                | StepSpec::Fetch(_)
                | StepSpec::Reboot(_) => {}
            }
        }
        promise
    }
}
