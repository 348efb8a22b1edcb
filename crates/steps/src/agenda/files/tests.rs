use pipedown_model::TextId;
use proptest::prelude::*;

use super::*;
use crate::host_tests::{Draft, owner};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_456_800 + seconds, 0).unwrap()
}

#[test]
fn an_agenda_is_a_file_that_people_can_read() {
    let files = Draft::new()
        .motd(at(-3600), "Soon.\n")
        .broadcast(at(-3600), "An hour left.\n")
        .broadcast(at(-60), "A minute left.\n")
        .nologin(at(-300), "Closed.\n")
        .shutdown(at(0), chrono::TimeDelta::seconds(300))
        .files("run-a");
    insta::assert_snapshot!(files.files()["agenda"]);
    insta::assert_snapshot!(files.files()["owner"]);
    assert_eq!(files.fires(), Some(at(0)));
    assert_eq!(files.not_after(), Some(at(300)));
}

#[test]
fn what_is_parsed_back_is_what_was_rendered() {
    let files =
        Draft::new().nologin(at(-300), "Closed.").shutdown(at(0), chrono::TimeDelta::zero()).files("r");
    let read: Vec<Entry> = files.files()["agenda"].lines().map(|line| Entry::parse(line).unwrap()).collect();
    assert_eq!(read, files.entries());
    assert_eq!(files.text(read[0].action.text().unwrap()), Some("Closed.\n"));
}

#[test]
fn a_state_that_is_put_there_to_stay_has_no_end() {
    let stays = Draft::new().nologin(at(0), "Closed.").ends_at(at(0)).files("r");
    assert!(stays.entries().iter().all(|entry| entry.action != Action::End));
    let ends = Draft::new().nologin(at(-60), "Closed.").ends_at(at(0)).files("r");
    assert_eq!(ends.entries().last().unwrap().action, Action::End);
    assert_eq!(ends.fires(), Some(at(0)));
}

#[test]
fn a_plan_without_times_arms_nothing() {
    let plan = Draft::new().plan("root");
    assert!(render(&plan, &plan.hosts[0], &owner("r")).is_none());
}

proptest! {
    #[test]
    fn owners_cannot_break_out_of_their_line(reason in "\\PC*|[\\x00-\\xff]*") {
        let mut owner = owner("r");
        owner.reason = reason;
        prop_assert_eq!(owner.file().lines().count(), 4);
    }

    #[test]
    fn every_file_arrives_as_it_was_sent(text in "[^\\x00]*") {
        let files = Draft::new().broadcast(at(0), &text).files("r");
        let archive = String::from_utf8(files.archive()).unwrap();
        let mut lines = archive.split('\n');
        let mut found = BTreeMap::new();
        while let Some(["file", name, count]) =
            lines.next().map(|line| line.split(' ').collect::<Vec<_>>()).as_deref()
        {
            let content: Vec<&str> = lines.by_ref().take(count.parse().unwrap()).collect();
            found.insert((*name).to_owned(), content.join("\n") + "\n");
        }
        let sums = found.remove("sums").unwrap();
        prop_assert_eq!(TextId::of(sums.as_bytes()), files.sums_hash());
        prop_assert_eq!(&found, files.files());
    }
}
