//! Host sets: syntax, errors at the character, algebra, folding.

use std::collections::BTreeSet;
use std::path::Path;

use pipedown_model::HostName;
use proptest::prelude::*;

use super::{HostSet, Outcome, Outside, Unavailable, fold};
use crate::{InputError, Inventory, Source};

/// The hosts of a set that needs no inventory.
fn hosts(text: &str) -> Vec<HostName> {
    let names = HostSet::parse(text).and_then(|set| set.names());
    names.unwrap_or_else(|error| panic!("{}", error.render(false)))
}

fn names(text: &str) -> Vec<String> {
    hosts(text).iter().map(ToString::to_string).collect()
}

fn set_of(text: &str) -> BTreeSet<HostName> {
    hosts(text).into_iter().collect()
}

/// What ClusterShell does, from its own tests and from running it.
fn cases() -> toml::Table {
    include_str!("testdata/clustershell.toml").parse().unwrap()
}

fn text<'a>(case: &'a toml::Value, key: &str) -> &'a str {
    case.get(key).unwrap().as_str().unwrap()
}

fn list(case: &toml::Value) -> Vec<&str> {
    case.get("in").unwrap().as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// The groups that the cases speak of.
fn montana() -> Inventory {
    let mut text = String::new();
    for n in 1..=12 {
        text.push_str(&format!("[groups.chassis{n}]\nhosts = \"montana[{}-{}]\"\n", 30 + 2 * n, 31 + 2 * n));
    }
    text.push_str("[groups.gpuchassis]\nhosts = \"@chassis[4-5]\"\n");
    Inventory::parse(Source::new("inventory.toml", &text), Path::new("/"), None).unwrap()
}

#[test]
fn ranges_pad_step_and_list() {
    assert_eq!(
        names("login[08-11].example.org").join(" "),
        "login08.example.org login09.example.org login10.example.org login11.example.org"
    );
    assert_eq!(names("n[0-8/4,10,2]").join(" "), "n0 n4 n8 n10 n2");
    assert_eq!(names("n[0010]").join(" "), "n0010");
    assert_eq!(names("r[1-2]n[01-02]").join(" "), "r1n01 r1n02 r2n01 r2n02");
    assert_eq!(names("fe80::5054:ff:feff:6944%eth0").len(), 1);
    assert_eq!(names("foo[0-200],bar ,baz").len(), 203);
}

#[test]
fn clustershell_folds_so() {
    let cases = cases();
    for case in cases["fold"].as_array().unwrap() {
        let given = list(case).join(",");
        let folded = fold(&hosts(&given));
        assert_eq!(folded, text(case, "out"), "{given}");
        assert!(set_of(&folded) == set_of(&given), "{given}: {folded}");
        if let Some(count) = case.get("count") {
            assert_eq!(count.as_integer(), i64::try_from(hosts(&given).len()).ok(), "{given}");
        }
    }
}

#[test]
fn clustershell_calculates_so() {
    let montana = montana();
    let cases = cases();
    for case in cases["op"].as_array().unwrap() {
        let given = text(case, "expr");
        let set = HostSet::parse(given).unwrap();
        let found = if set.needs_inventory() { montana.select(&set) } else { set.names() }.unwrap();
        assert_eq!(fold(&found), text(case, "out"), "{given}");
        if let Some(count) = case.get("count") {
            assert_eq!(count.as_integer(), i64::try_from(found.len()).ok(), "{given}");
        }
    }
    let gpus = montana.select(&HostSet::parse("@gpuchassis").unwrap()).unwrap();
    assert_eq!(fold(&gpus), "montana[38-41]");
}

#[test]
fn what_clustershell_refuses_is_refused() {
    let cases = cases();
    let mut refused = 0;
    for case in cases["error"].as_array().unwrap() {
        for given in list(case) {
            assert!(HostSet::parse(given).is_err(), "{given}");
            refused += 1;
        }
    }
    assert_eq!(refused, 10);
}

#[test]
fn folding_is_short_in_every_dimension() {
    let cases = [
        ("login[1-3].dc2.example.org", "login[1-3].dc2.example.org"),
        ("db.dc[1-2].example.org,a", "a,db.dc[1-2].example.org"),
        ("n[8-11]", "n[8-11]"),
        ("n[08-11],n100", "n[08-11,100]"),
        ("n[1-12],n[01-12]", "n[1-9,01-12]"),
        ("n[9-11],n[009-011]", "n[9-11,009-011]"),
        ("n[0-1],n00", "n[0-1,00]"),
        ("one7", "one7"),
        ("rack[1-20]n[01-40]", "rack[1-20]n[01-40]"),
        ("rack[1-20]n[01-40]!rack3n07", "rack[1-2,4-20]n[01-40],rack3n[01-06,08-40]"),
        ("10.0.[0-3].[0-255]", "10.0.[0-3].[0-255]"),
        ("a[1-3]b[1-3]c[1-3]!a2b2c2", "a[1,3]b[1-3]c[1-3],a2b[1,3]c[1-3],a2b2c[1,3]"),
        ("x12345678901234567890y1", "x12345678901234567890y1"),
        ("n2[8-11,5]", "n[25,28-211]"),
        ("n2[8-11,4-12/4]", "n[24,28-212]"),
        ("n[1-2]5[8-11]", "n[158-159,258-259,1510-1511,2510-2511]"),
    ];
    for (text, folded) in cases {
        assert_eq!(fold(&hosts(text)), folded, "{text}");
    }
    assert_eq!(fold(&[]), "");
}

#[test]
fn operators_run_from_left_to_right_and_parentheses_come_first() {
    let cases = [
        ("a[1-4]!a2,a2", "a[1-4]"),
        ("a[1-4]!(a2,a3)", "a[1,4]"),
        ("a[1-4]!a2,a3", "a[1,3-4]"),
        ("a1,a[2-4]&a[3-9]", "a[3-4]"),
        ("a1,(a[2-4]&a[3-9])", "a[1,3-4]"),
        ("(a[1-2]^a[2-3])^a3", "a1"),
        ("((a1))", "a1"),
        (" ( a1 , a2 ) ! a2 ", "a1"),
        ("a1!a1", ""),
        ("[5-8](x)", "error"),
    ];
    for (text, folded) in cases {
        let found = HostSet::parse(text).and_then(|set| set.names());
        assert_eq!(found.map_or("error".to_owned(), |hosts| fold(&hosts)), folded, "{text}");
    }
}

#[test]
fn errors_point_at_the_character() {
    let deep = format!("{}a", "(".repeat(65));
    let cases = [
        "",
        " ",
        "foo,,bar",
        "nova6,",
        "!foo",
        "nova[]",
        "nova[3/2]",
        "nova[004-002]",
        "nova[1-",
        "nova[a-b]",
        "[::1]",
        "n[1-3/0]",
        "n[1,,2]",
        "n[1-2]0[3-4]",
        "0[7-10]",
        "prod-0[10-345]",
        "prod-0[01-06/2]0",
        "n[9-011]",
        "a b",
        "@",
        "-x",
        "x@y",
        "n[1-99999999]",
        "n[1234567890123456789]",
        "n]1",
        "(a,b",
        "a,b)",
        "()",
        "(a,)",
        "(,a)",
        "a(b)",
        "(a)b",
        "a,^",
        "a,^hosts.txt",
        "-",
        "@failed:last",
        "@failed:",
        "@faild:last",
        "@var:role",
        "@var:",
        deep.as_str(),
    ];
    let shown: Vec<String> =
        cases.iter().map(|text| HostSet::parse(text).unwrap_err().render(false)).collect();
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[test]
fn what_only_an_inventory_knows_needs_one() {
    let shown: Vec<String> = ["a,@b", "*", "(web*)", "@var:role=db"]
        .iter()
        .map(|text| {
            let set = HostSet::parse(text).unwrap();
            assert!(set.needs_inventory(), "{text}");
            set.names().unwrap_err().render(false)
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n\n"));
    assert!(!HostSet::parse("(a[1-3]!a2)^b").unwrap().needs_inventory());
}

/// A world of one file, one text on standard input and one run.
struct World;

impl Outside for World {
    fn file(&mut self, path: &str) -> Result<Source, Unavailable> {
        match path {
            "hosts.txt" => Ok(Source::new(path, "# drained\na1 a2\r\n  a[4-5]!a4 # later\n\n")),
            "wrong.txt" => Ok(Source::new(path, "a1\na2 a[3\n")),
            "more.txt" => Ok(Source::new(path, "a1\n^hosts.txt\n")),
            _ => Err(Unavailable { why: format!("failed to read {path}: no such file"), hint: None }),
        }
    }

    fn stdin(&mut self) -> Result<Source, Unavailable> {
        Ok(Source::new("standard input", "a1\na7\n"))
    }

    fn recorded(&mut self, outcome: Outcome, run: &str) -> Result<Vec<HostName>, Unavailable> {
        match (outcome, run) {
            (Outcome::Failed, "last") => Ok(vec![HostName::new("a2").unwrap()]),
            (Outcome::Done, "7f3kq2") => Ok(vec![HostName::new("a1").unwrap()]),
            (_, "last") => Ok(Vec::new()),
            _ => Err(Unavailable { why: format!("there is no run {run}"), hint: Some("look".to_owned()) }),
        }
    }
}

fn asked(text: &str) -> Result<String, InputError> {
    Ok(fold(&HostSet::read(text, &mut World)?.names()?))
}

#[test]
fn files_standard_input_and_runs_are_asked_for() {
    let cases = [
        ("^hosts.txt", "a[1-2,5]"),
        ("a[1-9]!^hosts.txt", "a[3-4,6-9]"),
        // Where a term is expected it is a file, elsewhere the operator.
        ("a[1-3]^^hosts.txt", "a[3,5]"),
        ("-", "a[1,7]"),
        ("a[1-3]&-", "a1"),
        ("(^hosts.txt)!-", "a[2,5]"),
        ("a[1-3]!@failed:last", "a[1,3]"),
        ("@failed:last,@done:7f3kq2,@unreachable:last", "a[1-2]"),
    ];
    for (text, folded) in cases {
        assert_eq!(asked(text).unwrap(), folded, "{text}");
    }
    let wrong = ["b,^nowhere.txt", "^wrong.txt", "^more.txt", "b!@failed:x"];
    let shown: Vec<String> = wrong.iter().map(|text| asked(text).unwrap_err().render(false)).collect();
    insta::assert_snapshot!(shown.join("\n\n"));
}

fn some_name() -> impl Strategy<Value = String> {
    "[a-c]{0,2}[0-9]{0,3}(-[a-b][0-9]{1,2})?(\\.[a-b]{1,2}[0-9]{0,20})?"
        .prop_filter("a host has a name, and it begins with no sign", |name| HostName::new(name).is_ok())
}

/// A host set and, worked out with plain sets, its hosts.
fn some_set() -> impl Strategy<Value = (String, BTreeSet<String>)> {
    let range = |from: u32, to: u32, step: usize| -> BTreeSet<u32> { (from..=to).step_by(step).collect() };
    let leaf =
        (0_u32..12, 0_u32..6, 1_usize..4, 0_u32..4, 0_u32..3).prop_map(move |(a, more, step, b, c)| {
            let hosts = range(a, a + more, step)
                .into_iter()
                .flat_map(|x| range(b, b + c, 1).into_iter().map(move |y| format!("n{x}c{y:02}")));
            (format!("n[{a}-{}/{step}]c[{b:02}-{:02}]", a + more, b + c), hosts.collect::<BTreeSet<String>>())
        });
    leaf.prop_recursive(4, 24, 2, |inner| {
        (inner.clone(), "[,!&^]", inner).prop_map(|((left, a), op, (right, b)): (_, String, _)| {
            let hosts: BTreeSet<String> = match op.as_str() {
                "," => a.union(&b).cloned().collect(),
                "!" => a.difference(&b).cloned().collect(),
                "&" => a.intersection(&b).cloned().collect(),
                _ => a.symmetric_difference(&b).cloned().collect(),
            };
            // The left side needs no parentheses: it comes first anyway.
            (format!("{left}{op}({right})"), hosts)
        })
    })
}

proptest! {
    #[test]
    fn what_is_folded_parses_to_the_same_hosts(given in prop::collection::btree_set(some_name(), 1..60)) {
        let list: Vec<HostName> = given.iter().map(|name| HostName::new(name).unwrap()).collect();
        let folded = fold(&list);
        let mut back = names(&folded);
        back.sort();
        prop_assert_eq!(back, given.into_iter().collect::<Vec<_>>(), "{}", folded);
    }

    #[test]
    fn folding_again_changes_nothing((text, _) in some_set()) {
        let folded = fold(&hosts(&text));
        if !folded.is_empty() {
            prop_assert_eq!(fold(&hosts(&folded)), folded);
        }
    }

    #[test]
    fn sets_are_calculated_as_sets_are((text, expected) in some_set()) {
        let mut found = names(&text);
        found.sort();
        prop_assert_eq!(&found, &expected.into_iter().collect::<Vec<_>>(), "{}", text);
        let folded = fold(&hosts(&text));
        prop_assert_eq!(folded.is_empty(), found.is_empty());
        if !folded.is_empty() {
            let mut back = names(&folded);
            back.sort();
            prop_assert_eq!(back, found, "{}", folded);
        }
    }

    #[test]
    fn the_laws_of_sets_hold((a, _) in some_set(), (b, _) in some_set(), (c, _) in some_set()) {
        let same = |left: String, right: String| prop_assert_eq_sets(&left, &right);
        same(format!("{a},({b})"), format!("{b},({a})"))?;
        same(format!("{a}&({b})"), format!("{b}&({a})"))?;
        same(format!("{a}^({b})"), format!("({a}!({b})),({b}!({a}))"))?;
        same(format!("{a}!({b},({c}))"), format!("{a}!({b})!({c})"))?;
        same(format!("{a}&({b},({c}))"), format!("({a}&({b})),({a}&({c}))"))?;
        same(format!("{a}^({b})^({b})"), format!("({a})"))?;
    }

    #[test]
    fn no_text_is_too_strange(text in "\\PC{0,30}|[-a-c0-9\\[\\],!&^()@*?:= /]{0,20}") {
        match HostSet::read(&text, &mut World) {
            Err(error) => prop_assert!(!error.render(false).is_empty()),
            Ok(set) => if let Err(error) = set.names() {
                prop_assert!(!error.render(false).is_empty());
            }
        }
    }
}

fn prop_assert_eq_sets(left: &str, right: &str) -> Result<(), TestCaseError> {
    prop_assert_eq!(set_of(left), set_of(right), "{} and {}", left, right);
    Ok(())
}
