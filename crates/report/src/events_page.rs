//! Holds `docs/EVENTS.md` to the code.

use std::collections::{BTreeMap, BTreeSet};

use pipedown_model::{Event, ExitCode};

use crate::describe::describe;
use crate::fixture::{every_kind, kind_name, mixed, style};

const PAGE: &str = include_str!("../../../docs/EVENTS.md");
const MODEL: &str = include_str!("../../model/src/event.rs");
const EXEC: &str = include_str!("../../model/src/exec.rs");
const FAILURE: &str = include_str!("../../model/src/failure.rs");

fn kinds() -> BTreeMap<String, Vec<String>> {
    variants(MODEL, "EventKind")
}

/// The variants of an enum with their fields, read from its source: no list here can fall behind it.
fn variants(source: &str, name: &str) -> BTreeMap<String, Vec<String>> {
    let (_, from) = source.split_once(&format!("pub enum {name} {{")).unwrap();
    let (body, _) = from.split_once("\n}\n").unwrap();
    let mut kinds = BTreeMap::new();
    let mut kind = String::new();
    for line in body.lines() {
        let indent = line.len() - line.trim_start().len();
        let word: String =
            line.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if indent == 4 && word.starts_with(char::is_uppercase) {
            kind = snake_case(&word);
            kinds.insert(kind.clone(), Vec::new());
        } else if indent == 8 && !word.is_empty() {
            kinds.get_mut(&kind).unwrap().push(word);
        }
    }
    kinds
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

fn section(kind: &str) -> &'static str {
    let heading = format!("\n### `{kind}`\n");
    let (_, section) = PAGE.split_once(&heading).unwrap_or_else(|| panic!("{kind} is not in docs/EVENTS.md"));
    section.split("\n## ").next().unwrap().split("\n### ").next().unwrap()
}

#[test]
fn the_page_has_every_kind_with_its_fields_and_an_example() {
    let kinds = kinds();
    assert!(kinds.len() > 20 && kinds["armed"].contains(&"cancel_script".to_owned()), "{kinds:?}");
    for (kind, fields) in &kinds {
        let section = section(kind);
        for field in fields {
            assert!(section.contains(&format!("`{field}`")), "{kind} lacks {field} in docs/EVENTS.md");
        }
        if kind != "unknown" {
            let example = section.lines().find(|l| l.starts_with('{')).unwrap();
            let event: Event = serde_json::from_str(example).unwrap();
            assert_eq!(&kind_name(&event), kind);
            assert_eq!(serde_json::to_string(&event).unwrap(), example);
        }
    }
    let named = PAGE.lines().filter(|l| l.starts_with("### `")).count();
    assert_eq!(named, kinds.len(), "docs/EVENTS.md names a kind that is not there");
}

/// What `exec`, `copy`, `fetch` and `run` say of a step's end.
#[test]
fn the_page_has_every_outcome_and_every_class() {
    let preface = PAGE.split("\n## ").next().unwrap();
    let enums = [
        (MODEL, "Outcome", "ran"),
        (MODEL, "SkipReason", "guard"),
        (MODEL, "Effect", "unknown"),
        (EXEC, "CommandEnd", "deadline"),
        (FAILURE, "FailureClass", "host_key_changed"),
    ];
    for (source, name, one) in enums {
        let variants = variants(source, name);
        assert!(variants.contains_key(one), "{name}: {variants:?}");
        for (variant, fields) in variants {
            for word in fields.iter().chain([&variant]) {
                assert!(preface.contains(&format!("`{word}`")), "{name} lacks {word} in docs/EVENTS.md");
            }
        }
    }
}

#[test]
fn every_kind_has_words_of_its_own() {
    let story = mixed();
    let events = every_kind();
    let told: BTreeSet<String> = events.iter().map(kind_name).collect();
    assert_eq!(told, kinds().into_keys().collect());
    for event in &events {
        let line = describe(event, story.state(), &style());
        let unknown = line.text == "an event that a later version wrote";
        assert_eq!(unknown, kind_name(event) == "unknown", "{event:?}");
    }
}

#[test]
fn the_page_has_the_exit_codes_in_their_order() {
    let mut codes = [
        ExitCode::Done,
        ExitCode::WouldChange,
        ExitCode::Cancelled,
        ExitCode::Unreachable,
        ExitCode::Failed,
        ExitCode::Stopped,
        ExitCode::Usage,
        ExitCode::BadInput,
        ExitCode::Internal,
    ];
    codes.sort();
    let cells = PAGE.lines().filter_map(|l| l.strip_prefix("| ")?.split(" | ").next());
    let listed: Vec<u8> = cells.filter_map(|c| c.parse().ok()).collect();
    assert_eq!(listed, codes.map(ExitCode::code));
}
