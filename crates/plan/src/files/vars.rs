//! The folders `group_vars` and `host_vars` beside an inventory of Ansible's.

use std::fs;
use std::path::{Path, PathBuf};

use crate::inventory::VarFile;
use crate::{PlanError, files};

/// What a file of variables may end in, in the order in which Ansible looks.
const ENDINGS: [&str; 4] = ["", "yml", "yaml", "json"];

/// Folders in folders, deeper than anybody has.
const DEEPEST: usize = 8;

/// Reads all files of both folders.
///
/// # Errors
/// When one cannot be read.
pub(super) fn beside(folder: &Path) -> Result<Vec<VarFile>, PlanError> {
    let mut found = Vec::new();
    for (name, of_host) in [("group_vars", false), ("host_vars", true)] {
        let root = folder.join(name);
        let mut names: Vec<String> = entries(&root).iter().filter_map(|path| owner(path)).collect();
        names.sort();
        names.dedup();
        for name in names {
            for path in of(&root, &name) {
                found.push(VarFile { of_host, name: name.clone(), source: files::read(&path)? });
            }
        }
    }
    Ok(found)
}

/// Whose variables a file or folder holds: its name, without a known ending.
fn owner(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    if hidden(name) {
        return None;
    }
    let bare = ENDINGS.iter().filter(|e| !e.is_empty()).find_map(|e| name.strip_suffix(&format!(".{e}")));
    Some(bare.unwrap_or(name).to_owned())
}

/// The files of one name: the first ending that is there, and of a folder without ending all that is in it.
fn of(root: &Path, name: &str) -> Vec<PathBuf> {
    for ending in ENDINGS {
        let path = if ending.is_empty() { root.join(name) } else { root.join(format!("{name}.{ending}")) };
        if path.is_file() {
            return vec![path];
        }
        if path.is_dir() && ending.is_empty() {
            let mut files = Vec::new();
            walk(&path, DEEPEST, &mut files);
            return files;
        }
    }
    Vec::new()
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    for path in entries(folder) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if hidden(name) {
            continue;
        }
        if path.is_dir() && depth > 0 {
            walk(&path, depth - 1, files);
        } else if path.is_file() && ENDINGS.contains(&ending) {
            files.push(path);
        }
    }
}

fn hidden(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~')
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}
