//! What is to be on the hosts: the files of this machine, with their sums.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use pipedown_model::{FileKind, FileWanted};
use pipedown_steps::files::hash_file;

use super::place::Place;
use crate::stop::Stop;

/// Lists what is to be copied. One file to a path that does not end with a slash gets that name; anything else goes into
/// the path, under the names that it has here.
///
/// # Errors
/// When a file cannot be read, cannot be copied, or two would get the same name.
pub fn manifest(files: &[PathBuf], place: &Place, recursive: bool) -> Result<Vec<FileWanted>, Stop> {
    let into = place.into || files.len() > 1;
    let mut wanted = Vec::new();
    for file in files {
        let to = if into { place.below(&name(file)?) } else { place.path.clone() };
        // What was typed is followed; what lies in a folder is copied as it is.
        let meta = file.metadata().map_err(|e| unread(file, &e))?;
        if meta.is_dir() && !recursive {
            return Err(Stop::usage(format!("{} is a folder", file.display()))
                .hint("-r copies folders with all that is in them"));
        }
        let source = std::path::absolute(file).map_err(|e| unread(file, &e))?;
        add(&source, to, &meta, &mut wanted)?;
    }
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    for file in &wanted {
        *taken.entry(&file.path).or_default() += 1;
    }
    match taken.iter().find(|(_, count)| **count > 1) {
        Some((path, _)) => Err(Stop::usage(format!("two of the files would be {path}"))
            .hint("copy them one after the other, to different places")),
        None => Ok(wanted),
    }
}

fn unread(path: &Path, error: &std::io::Error) -> Stop {
    Stop::bad_input(format!("failed to read {}: {error}", path.display()))
}

/// The name that a file has.
fn name(file: &Path) -> Result<String, Stop> {
    let named = match file.file_name() {
        Some(name) => Some(name.to_owned()),
        // `.` and `..` are called something.
        None => file.canonicalize().map_err(|e| unread(file, &e))?.file_name().map(ToOwned::to_owned),
    };
    let named = named.ok_or_else(|| Stop::usage(format!("{} has no name", file.display())))?;
    named.into_string().map_err(|name| {
        Stop::bad_input(format!("the name {} is not UTF-8", name.display())).hint("rename the file")
    })
}

fn add(
    source: &Path,
    to: String,
    meta: &std::fs::Metadata,
    wanted: &mut Vec<FileWanted>,
) -> Result<(), Stop> {
    let mode = meta.permissions().mode() & 0o777;
    let kind = meta.file_type();
    if kind.is_file() {
        if source.to_str().is_none() {
            return Err(
                Stop::bad_input(format!("the name {} is not UTF-8", source.display())).hint("rename it")
            );
        }
        let (size, sha256) = hash_file(source).map_err(|e| unread(source, &e))?;
        let what = FileKind::File { source: source.to_owned(), size, sha256, mode };
        wanted.push(FileWanted { path: to, what });
    } else if kind.is_symlink() {
        let target = std::fs::read_link(source).map_err(|e| unread(source, &e))?;
        let target = target.into_os_string().into_string().map_err(|name| {
            Stop::bad_input(format!("{} leads to {}, which is not UTF-8", source.display(), name.display()))
        })?;
        wanted.push(FileWanted { path: to, what: FileKind::Link { to: target } });
    } else if kind.is_dir() {
        let entries = std::fs::read_dir(source).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries = entries.map_err(|e| unread(source, &e))?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        let place = Place { set: String::new(), path: to.clone(), into: true };
        wanted.push(FileWanted { path: to, what: FileKind::Folder { mode } });
        for entry in entries {
            let path = entry.path();
            let meta = path.symlink_metadata().map_err(|e| unread(&path, &e))?;
            add(&path, place.below(&name(&path)?), &meta, wanted)?;
        }
    } else {
        return Err(Stop::bad_input(format!("{} is neither a file nor a folder", source.display())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn paths(files: &[PathBuf], to: &str, recursive: bool) -> Result<Vec<String>, String> {
        let wanted = manifest(files, &Place::parse(to).unwrap(), recursive);
        wanted.map(|files| files.into_iter().map(|f| f.path).collect()).map_err(|stop| stop.render(false))
    }

    #[test]
    fn a_slash_at_the_end_says_into() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("app/sub")).unwrap();
        for name in ["motd", "app/b", "app/sub/a"] {
            std::fs::File::create(at(name)).unwrap();
        }
        symlink("b", at("app/link")).unwrap();
        let one = |to: &str| paths(&[at("motd")], to, false).unwrap();
        assert_eq!(one("w:/etc/issue"), ["/etc/issue"]);
        assert_eq!(one("w:/etc/"), ["/etc/motd"]);
        assert_eq!(one("w:"), ["motd"]);
        assert_eq!(paths(&[at("motd"), at("app/b")], "w:/x", false).unwrap(), ["/x/motd", "/x/b"]);
        let tree = ["/srv/app", "/srv/app/b", "/srv/app/link", "/srv/app/sub", "/srv/app/sub/a"];
        assert_eq!(paths(&[at("app")], "w:/srv/", true).unwrap(), tree);
        assert_eq!(paths(&[at("app")], "w:/srv/app", true).unwrap(), tree);
        assert!(paths(&[at("app")], "w:/srv/", false).unwrap_err().contains("-r copies folders"));
        assert!(
            paths(&[at("motd"), at("motd")], "w:/srv/", false).unwrap_err().contains("would be /srv/motd")
        );
        assert!(paths(&[at("nothing")], "w:/srv/", false).unwrap_err().contains("No such file"));
        // What is typed is followed.
        let wanted = manifest(&[at("app/link")], &Place::parse("w:/x").unwrap(), false).unwrap();
        assert!(matches!(wanted[0].what, FileKind::File { .. }));
    }
}
