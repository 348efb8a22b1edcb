use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    Become, HostName, HostPlan, HostStep, Limits, OnFailure, Plan, PlaybookSource, RunStep, StepId, StepList,
    StepSpec, Target, TextId, TimeSource,
};

fn steps(scripts: &[u8]) -> StepList {
    let run = |script: &u8| RunStep {
        at: None,
        script: TextId::of(&[*script]),
        args: vec!["a".to_owned()],
        unless: None,
        creates: None,
        on_failure: OnFailure::Abort,
        timeout_s: 60,
    };
    let step = |(number, script)| HostStep {
        id: StepId::new(&format!("s{number}")).unwrap(),
        spec: StepSpec::Run(run(script)),
    };
    scripts.iter().enumerate().map(step).collect()
}

fn plan(hosts: impl IntoIterator<Item = StepList>) -> Plan {
    let host = |(number, steps)| HostPlan {
        host: HostName::new(&format!("n{number}")).unwrap(),
        target: Target {
            address: "192.0.2.1".to_owned(),
            port: 22,
            user: "root".to_owned(),
            logins: Vec::new(),
            identity_files: Vec::new(),
            known_hosts: Vec::new(),
            r#become: Become::None,
        },
        zone: "Etc/UTC".to_owned(),
        window: None,
        steps,
    };
    Plan {
        v: Plan::FORMAT,
        compiled: chrono::DateTime::UNIX_EPOCH,
        playbook: PlaybookSource {
            name: "p".to_owned(),
            origin: "p.toml".to_owned(),
            text: String::new(),
            vars: [].into(),
        },
        reason: String::new(),
        window: None,
        time: TimeSource { given: String::new(), zone: "Etc/UTC".to_owned(), explicit: false },
        local: Vec::new(),
        batches: Vec::new(),
        max_failures: None,
        limits: Limits::default(),
        texts: [].into(),
        hosts: hosts.into_iter().enumerate().map(host).collect(),
    }
}

/// A plan as format 1 has it: every host with its own steps.
fn format_1(plan: &Plan) -> Value {
    let mut value = serde_json::to_value(plan).unwrap();
    value["v"] = json!(1);
    value.as_object_mut().unwrap().remove("step_lists");
    for (host, value) in plan.hosts.iter().zip(value["hosts"].as_array_mut().unwrap()) {
        value["steps"] = serde_json::to_value(&host.steps[..]).unwrap();
    }
    value
}

/// How many lists the hosts hold in memory.
fn held(plan: &Plan) -> usize {
    let lists: std::collections::HashSet<_> = plan.hosts.iter().map(|host| host.steps.as_ptr()).collect();
    lists.len()
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_with_every_list_once(
        hosts in proptest::collection::vec(proptest::collection::vec(0u8..3, 1..3), 0..12)
    ) {
        let plan = plan(hosts.iter().map(|scripts| steps(scripts)));
        let different: std::collections::HashSet<_> = hosts.iter().collect();
        let text = serde_json::to_string(&plan).unwrap();
        let back: Plan = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&back, &plan);
        prop_assert_eq!(held(&back), different.len());
        let value: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(value["step_lists"].as_array().unwrap().len(), different.len());
        prop_assert_eq!(back.hash().unwrap(), TextId::of(text.as_bytes()));
    }

    #[test]
    fn a_plan_of_format_1_is_read_as_one_of_today(
        hosts in proptest::collection::vec(proptest::collection::vec(0u8..3, 0..3), 0..12)
    ) {
        let plan = plan(hosts.iter().map(|scripts| steps(scripts)));
        let back: Plan = serde_json::from_str(&format_1(&plan).to_string()).unwrap();
        prop_assert_eq!(&back, &plan);
    }
}

#[test]
fn ten_thousand_hosts_that_do_the_same_write_their_steps_once() {
    let list = steps(&[1, 2, 3, 4, 5]);
    let plan = plan(std::iter::repeat_n(list, 10_000));
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(text.matches("\"kind\":\"run\"").count(), 5);
    assert_eq!(held(&serde_json::from_str(&text).unwrap()), 1);
}

#[test]
fn a_step_list_that_is_not_there_is_no_plan() {
    let mut value = serde_json::to_value(plan([steps(&[1])])).unwrap();
    value["hosts"][0]["steps"] = json!(7);
    let error = serde_json::from_value::<Plan>(value.clone()).unwrap_err().to_string();
    assert_eq!(error, "host n0 has step list 7 of 1");
    value["hosts"][0]["steps"] = json!("all");
    let error = serde_json::from_value::<Plan>(value).unwrap_err().to_string();
    assert_eq!(error, "invalid type: string \"all\", expected the number of a step list");
}
