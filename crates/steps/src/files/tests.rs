//! The real fragments under the shells and tools that hosts have, against a folder of this machine.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};

use pipedown_model::{CopyStep, FailureClass, FetchStep, FileKind, FileWanted, TextId};
use pipedown_ssh::Exec;
use tempfile::TempDir;

use super::channel::{Channels, STALL, Said, Starting, words};
use super::local::BLOCK;
use super::{Copied, copy, fetch, hash_file, part_name};
use crate::StepError;
use crate::fragment;

mod small;

/// A machine of shells: its tools, and where a login begins.
struct Host {
    dir: TempDir,
    shell: Vec<PathBuf>,
    path: String,
    /// Bytes that are to go over the wire, and that went.
    bytes: (AtomicU64, AtomicU64),
    /// Commands that were run on it.
    commands: AtomicU64,
}

impl Channels for Host {
    fn start(&self, words: Vec<String>) -> Starting<'_> {
        self.commands.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let (program, before) = self.shell.split_first().unwrap();
            let mut command = tokio::process::Command::new(program);
            command.args(before).args(words.iter().skip(1)).env_clear().env("PATH", &self.path);
            command.current_dir(self.home()).stdin(Stdio::piped()).stdout(Stdio::piped());
            let child = command.stderr(Stdio::piped()).spawn().unwrap();
            Ok(Exec::from_child(child, 4 << 20).unwrap())
        })
    }

    fn expect(&self, bytes: u64) {
        self.bytes.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn moved(&self, bytes: u64) {
        self.bytes.1.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Host {
    fn new(dir: TempDir, shell: Vec<PathBuf>, path: String) -> Self {
        Self { dir, shell, path, bytes: Default::default(), commands: Default::default() }
    }

    /// One with GNU tools and dash, and one with nothing but busybox.
    fn all() -> Vec<Self> {
        let dir = || TempDir::new().unwrap();
        let find = |name: &str| {
            let folders = std::env::var_os("PATH").unwrap();
            let found = std::env::split_paths(&folders).map(|f| f.join(name)).find(|p| p.exists());
            if found.is_none() {
                println!("skipped, not installed: {name}");
            }
            found
        };
        let mut hosts = Vec::new();
        if let Some(dash) = find("dash") {
            let path = std::env::var("PATH").unwrap();
            hosts.push(Self::new(dir(), vec![dash], path));
        }
        if let Some(busybox) = find("busybox") {
            let host = dir();
            let bin = host.path().join("bin");
            fs::create_dir(&bin).unwrap();
            let list = std::process::Command::new(&busybox).arg("--list").output().unwrap();
            for applet in String::from_utf8(list.stdout).unwrap().lines() {
                symlink(&busybox, bin.join(applet)).unwrap();
            }
            let path = bin.display().to_string();
            hosts.push(Self::new(host, vec![bin.join("sh")], path));
        }
        for host in &hosts {
            for folder in ["home", "here"] {
                fs::create_dir(host.dir.path().join(folder)).unwrap();
            }
        }
        hosts
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Puts another program in a tool's place.
    fn shadow(&mut self, tool: &str, program: &str) {
        let before = self.dir.path().join("before");
        fs::create_dir(&before).unwrap();
        symlink(program, before.join(tool)).unwrap();
        self.path = format!("{}:{}", before.display(), self.path);
    }

    /// A file of the controller, and what a manifest says of it.
    fn wanted(&self, path: &str, content: &[u8]) -> FileWanted {
        let source = self.dir.path().join("here").join(TextId::of(content).hex());
        write(&source, content);
        let (size, sha256) = hash_file(&source).unwrap();
        FileWanted { path: path.to_owned(), what: FileKind::File { source, size, sha256, mode: 0o640 } }
    }

    async fn copy(&self, wanted: &[FileWanted]) -> Result<Copied, StepError> {
        copy(self, &step(), wanted, true).await
    }

    fn sent(&self) -> u64 {
        self.bytes.1.swap(0, Ordering::Relaxed)
    }

    fn commands(&self) -> u64 {
        self.commands.swap(0, Ordering::Relaxed)
    }
}

fn step() -> CopyStep {
    CopyStep { manifest: TextId::of(b""), mode: None, owner: None, parents: false, root: false }
}

fn write(path: &Path, content: &[u8]) {
    std::io::Write::write_all(&mut fs::File::create(path).unwrap(), content).unwrap();
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

/// No part is left anywhere.
fn tidy(folder: &Path) -> bool {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    !names.into_iter().any(|name| name.to_string_lossy().contains(".pipedown-"))
}

/// More than a block, and of an odd size.
fn large() -> Vec<u8> {
    (0..BLOCK * 3 + 7).map(|n| (n % 251) as u8).collect()
}

#[tokio::test]
async fn what_is_there_already_is_left_alone() {
    for host in Host::all() {
        for (name, content) in [("motd", b"all hands\n".to_vec()), ("empty", Vec::new()), ("large", large())]
        {
            let wanted = [host.wanted(name, &content)];
            let (place, size) = (host.home().join(name), content.len() as u64);
            let would = copy(&host, &step(), &wanted, false).await.unwrap();
            assert!(would.diff[0].contains("new") && !place.exists(), "{would:?}");
            let done = host.copy(&wanted).await.unwrap();
            assert_eq!(done, would);
            assert_eq!((fs::read(&place).unwrap(), mode(&place), host.sent()), (content, 0o640, size));
            let inode = place.metadata().unwrap().ino();
            assert_eq!(host.copy(&wanted).await.unwrap(), Copied::default());
            assert_eq!((place.metadata().unwrap().ino(), host.sent()), (inode, 0));
            assert!(tidy(&host.home()));
        }
    }
}

#[tokio::test]
async fn names_are_taken_as_they_are() {
    let names = [
        "with blanks",
        "quote's \"all\"",
        "two\nlines",
        "-rf",
        "-",
        "$(touch pwned)",
        "`id`",
        "ends\n",
        "\n# comment\n  x",
        "tab\tand*star?",
        "Grüße",
        "back\\slash",
    ];
    for host in Host::all() {
        let wanted: Vec<FileWanted> = names.iter().map(|name| host.wanted(name, name.as_bytes())).collect();
        host.copy(&wanted).await.unwrap();
        assert_eq!(host.commands(), 3, "a look, a bundle, and `-`");
        for name in names {
            assert_eq!(fs::read_to_string(host.home().join(name)).unwrap(), name);
        }
        assert_eq!(fs::read_dir(host.home()).unwrap().count(), names.len());
        assert_eq!(host.copy(&wanted).await.unwrap(), Copied::default());
        let into = host.dir.path().join("here/fetched");
        let paths = names.map(str::to_owned).to_vec();
        let step = FetchStep { paths, into: into.clone(), recursive: false, root: false };
        fetch(&host, &step, &into, true).await.unwrap();
        for name in names {
            assert_eq!(fs::read_to_string(into.join(name)).unwrap(), name);
        }
        assert_eq!(fetch(&host, &step, &into, true).await.unwrap().diff, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_part_is_gone_on_with_when_its_sum_is_right() {
    for host in Host::all() {
        let content = large();
        let wanted = [host.wanted("large", &content)];
        let part = host.home().join(part_name("large", &TextId::of(&content)));
        write(&part, &content[..BLOCK]);
        let done = host.copy(&wanted).await.unwrap();
        assert_eq!(done.diff.last().unwrap(), "large: went on from 256.0 KiB of an earlier attempt");
        assert_eq!(fs::read(host.home().join("large")).unwrap(), content);
        assert!(tidy(&host.home()));
        // Another content of the same length, and one that is too long, begin anew.
        for begun in [vec![7; BLOCK], [content.as_slice(), b"more"].concat()] {
            fs::remove_file(host.home().join("large")).unwrap();
            write(&part, &begun);
            assert_eq!(host.copy(&wanted).await.unwrap().diff, ["large: new, 768.0 KiB, 0640"]);
            assert_eq!(fs::read(host.home().join("large")).unwrap(), content);
        }
    }
}

/// What a process of this machine calls the part of a content that it writes to.
fn owned_part(host: &Host, content: &[u8], pid: u32) -> PathBuf {
    let name = std::process::Command::new("uname").arg("-n").output().unwrap().stdout;
    let tag = &TextId::of(content).hex()[..12];
    host.home().join(format!(".pipedown-{tag}-{}-{pid}", String::from_utf8(name).unwrap().trim()))
}

/// Starts to send a file and stops after a block, as a controller does whose link has gone.
async fn begin(host: &Host, name: &str, content: &[u8]) -> Exec {
    let sum = TextId::of(content);
    let args = [name, &part_name(name, &sum), "0", &content.len().to_string(), &sum.hex(), "640", "-"];
    let mut exec = host.start(words(fragment::files_put(), args.map(str::to_owned))).await.unwrap();
    exec.stdin.write_all(&content[..BLOCK]).await.unwrap();
    let arrived = || {
        let entries = fs::read_dir(host.home()).unwrap().map(|entry| entry.unwrap().path());
        let mut parts = entries.filter(|path| path.to_string_lossy().contains(".pipedown-"));
        parts.any(|path| path.metadata().is_ok_and(|meta| meta.len() == BLOCK as u64))
    };
    while !arrived() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    exec
}

#[tokio::test]
async fn two_that_send_the_same_never_write_to_one_part() {
    let both = [true, false]
        .into_iter()
        .flat_map(|goes_on| Host::all().into_iter().map(move |host| (host, goes_on)));
    for (host, goes_on) in both {
        let content = large();
        let place = host.home().join("large");
        let mut first = begin(&host, "large", &content).await;
        let done = host.copy(&[host.wanted("large", &content)]).await.unwrap();
        assert_eq!(done.diff.last().unwrap(), "large: went on from 256.0 KiB of an earlier attempt");
        assert_eq!(fs::read(&place).unwrap(), content);
        // The first goes on, or learns of its end.
        if goes_on {
            first.stdin.write_all(&content[BLOCK..]).await.unwrap();
        }
        first.stdin.eof();
        let said = Said::read("the copy", &mut first.output, STALL).await.unwrap();
        assert_eq!(said.failed(), (!goes_on).then(|| format!("short {BLOCK}")));
        assert_eq!(fs::read(&place).unwrap(), content);
        assert!(tidy(&host.home()));
    }
}

/// What a first attempt that was killed still had on its way is written after the second has looked.
#[tokio::test]
async fn a_part_that_has_grown_since_it_was_looked_at_is_gone_on_with() {
    for host in Host::all() {
        let (content, sum) = (large(), TextId::of(&large()));
        write(&host.home().join(part_name("large", &sum)), &content[..BLOCK + 1000]);
        let (part, begun) = (part_name("large", &sum), BLOCK.to_string());
        let args = ["large", &part, &begun, &content.len().to_string(), &sum.hex(), "640", "-"];
        let words = words(fragment::files_put(), args.map(str::to_owned));
        let mut exec = host.start(words).await.unwrap();
        exec.stdin.write_all(&content[BLOCK..]).await.unwrap();
        exec.stdin.eof();
        let said = Said::read("the copy", &mut exec.output, STALL).await.unwrap();
        assert_eq!(said.lines("the copy", "put").unwrap(), [format!("put {} 640", content.len())]);
        assert_eq!((fs::read(host.home().join("large")).unwrap(), tidy(&host.home())), (content, true));
    }
}

#[tokio::test]
async fn what_dead_senders_have_left_is_taken_over_and_removed() {
    for host in Host::all() {
        let content = large();
        let dead = || {
            let mut child = std::process::Command::new("true").spawn().unwrap();
            child.wait().unwrap();
            child.id()
        };
        write(&owned_part(&host, &content, dead()), &content[..BLOCK]);
        write(&owned_part(&host, &content, dead()), &content[..BLOCK]);
        let alive = owned_part(&host, b"another content", std::process::id());
        write(&alive, b"another");
        let done = host.copy(&[host.wanted("large", &content)]).await.unwrap();
        assert_eq!(done.diff.last().unwrap(), "large: went on from 256.0 KiB of an earlier attempt");
        assert_eq!(fs::read(host.home().join("large")).unwrap(), content);
        assert_eq!(fs::read(&alive).unwrap(), b"another");
        fs::remove_file(&alive).unwrap();
        assert!(tidy(&host.home()));
    }
}

#[tokio::test]
async fn nobody_is_led_elsewhere_by_a_link_in_the_parts_place() {
    for host in Host::all() {
        let wanted = [host.wanted("motd", b"all hands\n")];
        let part = host.home().join(part_name("motd", &TextId::of(b"all hands\n")));
        write(&host.home().join("precious"), b"precious");
        symlink("precious", &part).unwrap();
        host.copy(&wanted).await.unwrap();
        assert_eq!(fs::read(host.home().join("precious")).unwrap(), b"precious");
        assert_eq!(fs::read(host.home().join("motd")).unwrap(), b"all hands\n");
        assert!(!host.home().join("motd").symlink_metadata().unwrap().is_symlink());
    }
}

#[tokio::test]
async fn modes_and_links_are_kept() {
    for host in Host::all() {
        let real = host.home().join("real");
        write(&real, b"before");
        fs::set_permissions(&real, fs::Permissions::from_mode(0o604)).unwrap();
        symlink("real", host.home().join("link")).unwrap();
        symlink("nowhere", host.home().join("dangling")).unwrap();
        let wanted = [host.wanted("link", b"behind")];
        let done = host.copy(&wanted).await.unwrap();
        assert_eq!(
            done.diff,
            ["link (a symbolic link, which is followed): 6 B -> 6 B of other content, 0604"]
        );
        assert_eq!((fs::read(&real).unwrap(), mode(&real)), (b"behind".to_vec(), 0o604));
        assert!(host.home().join("link").symlink_metadata().unwrap().is_symlink());
        let inode = real.metadata().unwrap().ino();
        let dressed = CopyStep { mode: Some(0o4711), ..step() };
        let done = copy(&host, &dressed, &wanted, true).await.unwrap();
        assert_eq!(done.diff, ["link (a symbolic link, which is followed): 0604 -> 4711"]);
        assert_eq!((mode(&real), real.metadata().unwrap().ino()), (0o4711, inode), "nothing was sent for it");
        let error = host.copy(&[host.wanted("dangling", b"x")]).await.unwrap_err();
        assert!(error.to_string().contains("leads nowhere"), "{error}");
    }
}

#[tokio::test]
async fn folders_are_made_with_what_is_in_them() {
    for host in Host::all() {
        let folder =
            |path: &str| FileWanted { path: path.to_owned(), what: FileKind::Folder { mode: 0o750 } };
        let link =
            FileWanted { path: "app/link".to_owned(), what: FileKind::Link { to: "sub/a b".to_owned() } };
        let wanted = [folder("app"), folder("app/sub"), host.wanted("app/sub/a b", b"x"), link];
        let missing = [host.wanted("not/there/x", b"x")];
        let error = host.copy(&missing).await.unwrap_err();
        assert_eq!(error.to_string(), "copy to not/there/x: the folder not/there is not there");
        assert_eq!(error.hint(), Some("--parents makes missing folders"));
        copy(&host, &CopyStep { parents: true, ..step() }, &missing, true).await.unwrap();
        assert_eq!(fs::read(host.home().join("not/there/x")).unwrap(), b"x");
        host.copy(&wanted).await.unwrap();
        assert_eq!(fs::read(host.home().join("app/link")).unwrap(), b"x");
        assert_eq!(mode(&host.home().join("app/sub")), 0o750);
        assert_eq!(host.copy(&wanted).await.unwrap(), Copied::default());
        let into = host.dir.path().join("here/tree");
        let fetched =
            FetchStep { paths: vec!["app".to_owned()], into: into.clone(), recursive: true, root: false };
        fetch(&host, &fetched, &into, true).await.unwrap();
        assert_eq!(fs::read_link(into.join("app/link")).unwrap(), Path::new("sub/a b"));
        assert_eq!(fs::read(into.join("app/sub/a b")).unwrap(), b"x");
        assert_eq!(fetch(&host, &fetched, &into, true).await.unwrap().diff, Vec::<String>::new());
        let shallow = FetchStep { recursive: false, ..fetched };
        assert!(
            fetch(&host, &shallow, &into, true).await.unwrap_err().to_string().contains("it is a folder")
        );
    }
}

#[tokio::test]
async fn a_source_that_has_changed_is_not_put_in_place() {
    for host in Host::all() {
        let wanted = [host.wanted("large", &large())];
        let FileKind::File { source, .. } = &wanted[0].what else { panic!() };
        for now in [b"short".to_vec(), vec![9; large().len()]] {
            write(source, &now);
            let error = host.copy(&wanted).await.unwrap_err();
            assert!(error.to_string().contains("it has changed on this machine"), "{error}");
            assert_eq!(error.class(), FailureClass::Step, "nothing is wrong with this machine");
            assert_eq!(error.hint(), Some("copy it again when nobody writes to it"));
            assert_eq!(fs::read_dir(host.home()).unwrap().count(), 0, "no part is left");
        }
        fs::remove_file(source).unwrap();
        let error = host.copy(&wanted).await.unwrap_err().to_string();
        assert!(error.starts_with("read ") && error.ends_with("no such file or directory"), "{error}");
    }
}

#[tokio::test]
async fn a_full_disk_keeps_what_was_there_and_no_part() {
    for host in Host::all() {
        let small = host.home().join("small");
        fs::create_dir(&small).unwrap();
        let mount = |args: &[&str]| {
            std::process::Command::new("mount").args(args).arg(&small).stderr(Stdio::null()).status()
        };
        if !mount(&["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).is_ok_and(|status| status.success()) {
            println!("skipped: file systems can be mounted by root only");
            return;
        }
        let unmount = || std::process::Command::new("umount").arg(&small).status().unwrap();
        write(&small.join("motd"), b"before");
        let error = host.copy(&[host.wanted("small/motd", &large())]).await.unwrap_err();
        // What the fragment cannot foresee: the space is there until others take it.
        write(&small.join(part_name("small/x", &TextId::of(&large()))), &large()[..200_000]);
        let late = host.copy(&[host.wanted("small/x", &large())]).await.unwrap_err();
        let left = fs::read_dir(&small).unwrap().count();
        let before = fs::read(small.join("motd")).unwrap();
        unmount();
        let said = error.to_string();
        assert!(said.starts_with("copy to small/motd: the disk has room for 25"), "{said}");
        assert_eq!(late.to_string(), "write small/x: no space left on device");
        assert!(late.hint().unwrap().contains("the part was removed"));
        assert_eq!((left, before), (1, b"before".to_vec()));
    }
}

#[tokio::test]
async fn a_fetch_goes_on_and_takes_no_more_than_was_listed() {
    for host in Host::all() {
        let content: Vec<u8> = large().into_iter().cycle().take(3 << 20).collect();
        write(&host.home().join("log"), &content);
        let into = host.dir.path().join("here/logs");
        fs::create_dir(&into).unwrap();
        let to = into.join("log");
        let part = into.join(part_name("log", &TextId::of(&content)));
        write(&part, &content[..(1 << 20) + 99]);
        let step =
            FetchStep { paths: vec!["log".to_owned()], into: into.clone(), recursive: false, root: false };
        let done = fetch(&host, &step, &into, true).await.unwrap();
        assert!(done.diff[1].ends_with("went on from 1.0 MiB of an earlier attempt"), "{done:?}");
        assert_eq!(fs::read(&to).unwrap(), content);
        // A part of another content is found out, and so is one that is too long.
        fs::remove_file(&to).unwrap();
        write(&part, &vec![1; 2 << 20]);
        fetch(&host, &step, &into, true).await.unwrap();
        assert!(fs::read(&to).unwrap() == content && tidy(&into));
        fs::remove_file(&to).unwrap();
        write(&part, &[content.as_slice(), b"more"].concat());
        fetch(&host, &step, &into, true).await.unwrap();
        assert!(fs::read(&to).unwrap() == content && tidy(&into));
        // Another fetch has it.
        fs::remove_file(&to).unwrap();
        write(&part, &content[..BLOCK]);
        let other = fs::File::open(&part).unwrap();
        other.lock().unwrap();
        let error = fetch(&host, &step, &into, true).await.unwrap_err();
        assert!(error.to_string().ends_with("on this machine: another fetch is writing it"), "{error}");
        assert_eq!((error.class(), error.hint()), (FailureClass::Step, Some("wait for it, and fetch again")));
        assert_eq!(fs::read(&part).unwrap(), content[..BLOCK]);
        drop(other);
        fetch(&host, &step, &into, true).await.unwrap();
        let absent = FetchStep { paths: vec!["nothing*".to_owned()], ..step };
        let error = fetch(&host, &absent, &into, true).await.unwrap_err();
        assert_eq!(error.to_string(), "fetch nothing*: there is no such file");
    }
}

/// A host whose log is another one as soon as it has been listed.
struct Changing {
    host: Host,
    calls: AtomicU64,
    now: Vec<u8>,
}

impl Channels for Changing {
    fn start(&self, words: Vec<String>) -> Starting<'_> {
        if self.calls.fetch_add(1, Ordering::Relaxed) == 1 {
            write(&self.host.home().join("log"), &self.now);
        }
        self.host.start(words)
    }
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_fetched_leaves_no_part() {
    for now in [b"short".to_vec(), vec![9; large().len()]] {
        for host in Host::all() {
            write(&host.home().join("log"), &large());
            let into = host.dir.path().join("here/logs");
            let paths = vec!["log".to_owned()];
            let step = FetchStep { paths, into: into.clone(), recursive: false, root: false };
            let changing = Changing { host, calls: AtomicU64::new(0), now: now.clone() };
            let error = fetch(&changing, &step, &into, true).await.unwrap_err();
            assert_eq!(error.hint(), Some("fetch it again"), "{error}");
            assert_eq!(fs::read_dir(&into).unwrap().count(), 0);
        }
    }
}

#[tokio::test]
async fn a_full_disk_here_keeps_no_part() {
    let Some(host) = Host::all().into_iter().next() else { return };
    let into = host.dir.path().join("here/small");
    fs::create_dir(&into).unwrap();
    let mut mount = std::process::Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&into).stderr(Stdio::null());
    if !mount.status().is_ok_and(|status| status.success()) {
        println!("skipped: file systems can be mounted by root only");
        return;
    }
    write(&host.home().join("log"), &large());
    let step = FetchStep { paths: vec!["log".to_owned()], into: into.clone(), recursive: false, root: false };
    let error = fetch(&host, &step, &into, true).await.unwrap_err();
    let left = fs::read_dir(&into).unwrap().count();
    std::process::Command::new("umount").arg(&into).status().unwrap();
    assert!(error.to_string().ends_with("no space left on device"), "{error}");
    assert_eq!(left, 0);
}

/// Some file systems give every file the same mode.
#[tokio::test]
async fn a_mode_that_was_not_taken_is_an_error() {
    for mut host in Host::all() {
        host.shadow("chmod", "/bin/true");
        let wanted = [host.wanted("motd", b"all hands\n")];
        let error = host.copy(&wanted).await.unwrap_err();
        assert_eq!(error.to_string(), "give motd the mode 0640: it has 0600");
    }
}
