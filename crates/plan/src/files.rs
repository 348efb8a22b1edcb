//! The files that a plan is made from: the only place of this crate that reads the disk.

mod vars;

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use chrono_tz::Tz;

use crate::diagnostic::Source;
use crate::inventory::{Beside, Format, Inventory, Notice};
use crate::{InputError, PlanError};

/// What the process knows of its surroundings; gathered by the caller.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `-i`.
    pub flag: Option<PathBuf>,
    /// `$PIPEDOWN_INVENTORY`.
    pub variable: Option<PathBuf>,
    /// The current folder, absolute.
    pub current: PathBuf,
    /// `$XDG_CONFIG_HOME`; `.config` below `home` if not set.
    pub config_home: Option<PathBuf>,
    /// `$HOME`.
    pub home: Option<PathBuf>,
    /// The user id of the process.
    pub uid: u32,
}

/// An inventory that was found, and what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Its path, absolute; always to be printed.
    pub path: PathBuf,
    /// What kind it is, if that was said.
    pub format: Option<Format>,
    /// Why others could change it, if they could.
    pub exposed: Option<String>,
    /// To be printed before it.
    pub notices: Vec<Notice>,
}

/// Finds the inventory: `-i`, `$PIPEDOWN_INVENTORY`, `./inventory.toml`, the user's configuration.
///
/// An `inventory.toml` that others can write (or in a folder that they can write) is skipped, with a
/// notice: it says whom to shut down. One that was named is taken, with a warning.
///
/// # Errors
/// When there is none.
pub fn locate(around: &Surroundings) -> Result<Located, PlanError> {
    for (named, by) in [(&around.flag, "-i"), (&around.variable, "$PIPEDOWN_INVENTORY")] {
        if let Some(path) = named.as_ref().filter(|path| !path.as_os_str().is_empty()) {
            let (format, path) = match path.to_str().map(Format::prefixed).transpose()? {
                Some((format, path)) => (format, around.current.join(path)),
                None => (None, around.current.join(path)),
            };
            let exposed = exposed(&path, around.uid);
            let warn =
                |why| Notice(format!("{} (given by {by}) can be changed by others: {why}", path.display()));
            let notices = exposed.iter().map(warn).collect();
            return Ok(Located { path, format, exposed, notices });
        }
    }
    let mut notices = Vec::new();
    let here = around.current.join("inventory.toml");
    let mut looked = vec!["-i".to_owned(), "$PIPEDOWN_INVENTORY".to_owned(), here.display().to_string()];
    if here.is_file() {
        match exposed(&here, around.uid) {
            None => return Ok(Located { path: here, format: Some(Format::Toml), exposed: None, notices }),
            Some(why) => {
                let text = format!("skipped {}, which can be changed by others: {why}", here.display());
                if let Some(last) = looked.last_mut() {
                    *last = format!("{} (skipped: {why})", here.display());
                }
                notices.push(Notice(text));
            }
        }
    }
    let config = around.config_home.clone().filter(|path| path.is_absolute());
    if let Some(config) = config.or_else(|| around.home.as_ref().map(|home| home.join(".config"))) {
        let path = config.join("pipedown/inventory.toml");
        if path.is_file() {
            return Ok(Located { path, format: Some(Format::Toml), exposed: None, notices });
        }
        looked.push(path.display().to_string());
    }
    Err(PlanError::NoInventory { looked })
}

/// Why others could change a file, if they could.
pub(crate) fn exposed(path: &Path, uid: u32) -> Option<String> {
    let file = fs::metadata(path).ok()?;
    // A link is as good as the folder of the file that it leads to.
    let real = fs::canonicalize(path).ok()?;
    let mut places = vec![(path.to_path_buf(), file)];
    for folder in [path.parent(), real.parent()].into_iter().flatten() {
        places.push((folder.to_path_buf(), fs::metadata(folder).ok()?));
    }
    places.into_iter().find_map(|(place, metadata)| {
        if metadata.permissions().mode() & 0o002 != 0 {
            return Some(format!("{} is writable by everybody", place.display()));
        }
        let owner = metadata.uid();
        (owner != 0 && owner != uid).then(|| format!("{} belongs to user {owner}", place.display()))
    })
}

/// The playbooks in the folder `playbooks`, by name.
pub(crate) fn playbooks(current: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(current.join("playbooks")) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    paths.sort();
    paths
}

/// Reads a text file.
///
/// # Errors
/// When it cannot be read, or is not UTF-8.
pub fn read(path: &Path) -> Result<Source, PlanError> {
    let text =
        fs::read_to_string(path).map_err(|source| PlanError::Read { path: path.to_path_buf(), source })?;
    Ok(Source::new(&path.display().to_string(), &text))
}

/// Whether an inventory is a program that prints it: executable, beginning as programs and scripts do, and not
/// named like a file of data.
pub fn is_program(located: &Located) -> bool {
    if !matches!(located.format, None | Some(Format::AnsibleJson)) {
        return false;
    }
    let ending = located.path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if ["toml", "ini", "yml", "yaml", "json", "cfg"].contains(&ending) {
        return false;
    }
    let executable = fs::metadata(&located.path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0);
    let mut head = [0_u8; 4];
    let read = fs::File::open(&located.path).and_then(|mut file| file.read(&mut head));
    executable
        && read
            .is_ok_and(|length| head.get(..length).is_some_and(|h| h.starts_with(b"#!") || h == b"\x7fELF"))
}

/// Reads and checks an inventory, and the variables beside one of Ansible's.
///
/// # Errors
/// When it cannot be read or is not valid.
pub fn load(located: &Located, home: Option<&Path>) -> Result<Inventory, PlanError> {
    let source = read(&located.path)?;
    let format = located.format.unwrap_or_else(|| Inventory::recognise(&source));
    understood(&source, format, located, home)
}

/// Reads and checks what a program printed for an inventory.
///
/// # Errors
/// When it is not valid.
pub fn load_output(located: &Located, output: &str, home: Option<&Path>) -> Result<Inventory, PlanError> {
    let source = Source::new(&format!("{} --list", located.path.display()), output);
    understood(&source, Format::AnsibleJson, located, home)
}

fn understood(
    source: &Source,
    format: Format,
    located: &Located,
    home: Option<&Path>,
) -> Result<Inventory, PlanError> {
    let folder = located.path.parent().unwrap_or(Path::new("/"));
    let vars = match format {
        Format::AnsibleIni | Format::AnsibleYaml | Format::AnsibleJson => vars::beside(folder)?,
        _ => Vec::new(),
    };
    Ok(Inventory::read(source, format, &Beside { folder, home, vars: &vars })?)
}

/// The controller's time zone: `$TZ` if it names one, else the system's, else UTC with a notice.
///
/// # Errors
/// When `$TZ` is set to something that is not an IANA zone.
pub fn controller_zone(variable: Option<&str>) -> Result<(Tz, Option<Notice>), InputError> {
    if let Some(text) = variable.filter(|text| !text.is_empty()) {
        let name = text.strip_prefix(':').unwrap_or(text);
        let source = Source::new("$TZ", name);
        return Ok((crate::time::zone_named(&source, 0..name.len(), name)?, None));
    }
    let system = iana_time_zone::get_timezone().ok().and_then(|name| name.parse().ok());
    Ok(system.map_or_else(
        || (Tz::UTC, Some(Notice("the time zone of this machine is not known: taking UTC".to_owned()))),
        |zone| (zone, None),
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A home with a configuration and a current folder with an inventory.
    fn around() -> (tempfile::TempDir, Surroundings) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in ["home/.config/pipedown", "here", "xdg/pipedown"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        for path in ["home/.config/pipedown", "here", "xdg/pipedown"] {
            let mut file = fs::File::create(root.join(path).join("inventory.toml")).unwrap();
            file.write_all(b"[hosts.a]\nidentity_file = \"key\"\n").unwrap();
        }
        let uid = fs::metadata(root).unwrap().uid();
        let around = Surroundings {
            current: root.join("here"),
            home: Some(root.join("home")),
            uid,
            ..Surroundings::default()
        };
        (folder, around)
    }

    fn open_to_all(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_first_place_wins() {
        let (folder, mut around) = around();
        let at = |around: &Surroundings| {
            let located = locate(around).unwrap();
            assert!(located.notices.is_empty(), "{:?}", located.notices);
            located.path.strip_prefix(folder.path()).unwrap().display().to_string()
        };
        assert_eq!(at(&around), "here/inventory.toml");
        around.variable = Some("../xdg/pipedown/inventory.toml".into());
        assert_eq!(at(&around), "here/../xdg/pipedown/inventory.toml");
        around.flag = Some("inventory.toml".into());
        assert_eq!(at(&around), "here/inventory.toml");
        (around.flag, around.variable) = (None, Some(PathBuf::new()));
        around.current = folder.path().join("home");
        assert_eq!(at(&around), "home/.config/pipedown/inventory.toml");
        around.config_home = Some(folder.path().join("xdg"));
        assert_eq!(at(&around), "xdg/pipedown/inventory.toml");
        let inventory = load(&locate(&around).unwrap(), None).unwrap();
        let key = inventory.hosts().next().unwrap().target().identity_files.remove(0);
        assert_eq!(key, folder.path().join("xdg/pipedown/key"));
    }

    #[test]
    fn what_others_can_write_is_skipped_or_warned_of() {
        for open in ["here", "here/inventory.toml"] {
            let (folder, mut around) = around();
            open_to_all(&folder.path().join(open), 0o777);
            let located = locate(&around).unwrap();
            assert!(located.path.starts_with(folder.path().join("home")));
            assert!(located.notices[0].0.starts_with("skipped "), "{:?}", located.notices);
            around.flag = Some("inventory.toml".into());
            let located = locate(&around).unwrap();
            assert!(located.path.starts_with(folder.path().join("here")));
            assert!(located.notices[0].0.contains("given by -i"), "{:?}", located.notices);
        }
    }

    #[test]
    fn the_folder_that_a_link_leads_to_counts() {
        let (folder, around) = around();
        let here = folder.path().join("here/inventory.toml");
        fs::remove_file(&here).unwrap();
        std::os::unix::fs::symlink("../xdg/pipedown/inventory.toml", &here).unwrap();
        assert_eq!(locate(&around).unwrap().path, here);
        open_to_all(&folder.path().join("xdg/pipedown"), 0o777);
        assert!(locate(&around).unwrap().notices[0].0.contains("writable by everybody"));
    }

    #[test]
    fn without_any_the_places_are_named() {
        let (folder, mut around) = around();
        open_to_all(&around.current, 0o777);
        around.config_home = Some(folder.path().join("none"));
        let text = locate(&around).unwrap_err().render(false);
        assert!(text.contains("-i, $PIPEDOWN_INVENTORY"), "{text}");
        assert!(text.contains("(skipped: ") && text.contains("none/pipedown/inventory.toml"), "{text}");
    }

    #[test]
    fn the_zone_of_the_controller_is_what_tz_says() {
        assert_eq!(controller_zone(Some(":Europe/Paris")).unwrap().0, Tz::Europe__Paris);
        assert!(controller_zone(Some("Europe/Pari")).is_err());
        assert!(controller_zone(None).is_ok());
    }
}
