//! Asserts the edges between the rooms, the size of files, and who may use russh.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what surprises a test is to end it")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Package name to the names of its dependencies that are not for tests only.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let names = package["dependencies"].as_array().unwrap().iter();
            let names = names.filter(|d| d["kind"].is_null()).map(|d| d["name"].as_str().unwrap().to_owned());
            (package["name"].as_str().unwrap().to_owned(), names.collect())
        })
        .collect()
}

#[test]
fn dependencies_point_down_only() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("pipedown-model", [].as_slice()),
        ("pipedown-ssh", &[]),
        ("sshd-embed", &[]),
        ("pipedown-plan", &["pipedown-model"]),
        ("pipedown-report", &["pipedown-model"]),
        ("pipedown-steps", &["pipedown-model", "pipedown-ssh"]),
        ("pipedown-engine", &["pipedown-model", "pipedown-steps"]),
        (
            "pipedown",
            &[
                "pipedown-engine",
                "pipedown-model",
                "pipedown-plan",
                "pipedown-report",
                "pipedown-ssh",
                "pipedown-steps",
                "sshd-embed",
            ],
        ),
    ]);
    let found = dependencies();
    assert_eq!(
        found.keys().map(String::as_str).collect::<Vec<_>>(),
        allowed.keys().copied().collect::<Vec<_>>()
    );
    for (package, names) in &found {
        let ours: Vec<&str> = names.iter().map(String::as_str).filter(|n| found.contains_key(*n)).collect();
        assert_eq!(ours, allowed[package.as_str()], "edges of {package}");
    }
}

#[test]
fn only_floor_one_speaks_ssh_and_the_ground_does_nothing() {
    for (package, names) in dependencies() {
        let floor_one = matches!(package.as_str(), "pipedown-ssh" | "sshd-embed");
        assert_eq!(names.contains("russh"), floor_one, "russh in {package}");
        if package == "pipedown-model" || package == "pipedown-plan" {
            for forbidden in ["tokio", "rusqlite", "rustix"] {
                assert!(!names.contains(forbidden), "{forbidden} in {package}");
            }
        }
    }
}

#[test]
fn no_aws_lc_comes_back() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    assert!(!lock.contains("name = \"aws-lc"), "russh is built with ring: something turned aws-lc on");
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs" || e == "sh") {
            found.push(path);
        }
    }
}

#[test]
fn files_are_small_and_named_for_their_subject() {
    let mut found = Vec::new();
    for folder in ["crates", "sshd-embed"] {
        sources(&root().join(folder), &mut found);
    }
    assert!(found.len() > 30, "the walk found only {} files", found.len());
    for path in found {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            !["util", "utils", "common", "helpers", "manager", "misc"].contains(&stem),
            "{}",
            path.display()
        );
        let is_test = path.components().any(|c| c.as_os_str() == "tests") || stem == "tests";
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(is_test || lines <= 600, "{} has {lines} lines: split it by subject", path.display());
    }
}
