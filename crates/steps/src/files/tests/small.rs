//! Small files, which go together.

use super::*;

/// More files than go into one command, some empty, some with the same content, with modes and names of their own.
fn many(host: &Host) -> Vec<FileWanted> {
    let folder = FileWanted { path: "app".to_owned(), what: FileKind::Folder { mode: 0o755 } };
    let files = (0..300_usize).map(|n| {
        let mut file = host.wanted(&format!("app/it's\n{n}"), &vec![b'x'; (n % 40) * 90]);
        if let FileKind::File { mode, .. } = &mut file.what {
            *mode = if n % 3 == 0 { 0o755 } else { 0o604 };
        }
        file
    });
    std::iter::once(folder).chain(files).collect()
}

fn is_there(folder: &Path, wanted: &[FileWanted]) -> bool {
    let files = wanted.iter().filter(|file| matches!(file.what, FileKind::File { .. }));
    files.into_iter().all(|file| {
        let FileKind::File { size, sha256, mode: wanted, .. } = &file.what else { return false };
        let place = folder.join(&file.path);
        hash_file(&place).is_ok_and(|there| there == (*size, *sha256)) && mode(&place) == *wanted
    })
}

#[tokio::test]
async fn many_small_files_take_few_commands() {
    for host in Host::all() {
        let wanted = many(&host);
        let done = host.copy(&wanted).await.unwrap();
        assert_eq!(done.diff.len(), wanted.len());
        assert!(is_there(&host.home(), &wanted) && tidy(&host.home().join("app")));
        assert_eq!(host.sent(), host.bytes.0.load(Ordering::Relaxed));
        // Two looks, one for the folder, two for 500 KiB.
        assert_eq!(host.commands(), 5);
        let into = host.dir.path().join("here/tree");
        let paths = vec!["app".to_owned()];
        let step = FetchStep { paths, into: into.clone(), recursive: true, root: false };
        fetch(&host, &step, &into, true).await.unwrap();
        assert!(is_there(&into, &wanted) && tidy(&into.join("app")));
        assert_eq!(host.commands(), 3);
    }
}

/// Not every host has `tar`.
#[tokio::test]
async fn what_cannot_go_together_goes_alone() {
    for mut host in Host::all() {
        host.shadow("tar", "/bin/false");
        let wanted = &many(&host)[..20];
        host.copy(wanted).await.unwrap();
        assert!(is_there(&host.home(), wanted) && tidy(&host.home().join("app")));
        assert_eq!(host.commands(), 3 + 19);
    }
}

#[tokio::test]
async fn one_small_file_that_has_changed_here_does_not_keep_the_others() {
    for host in Host::all() {
        let mut wanted = vec![host.wanted("first", b"first"), host.wanted("second", b"second")];
        let FileKind::File { source, .. } = &wanted[1].what else { panic!() };
        write(source, b"another");
        let error = host.copy(&wanted).await.unwrap_err();
        assert!(error.to_string().contains("it has changed on this machine"), "{error}");
        wanted.pop();
        assert!(is_there(&host.home(), &wanted) && tidy(&host.home()));
        assert_eq!(fs::read_dir(host.home()).unwrap().count(), 1);
    }
}

#[tokio::test]
async fn of_small_files_whose_link_is_cut_nothing_is_left() {
    for host in Host::all() {
        write(&host.home().join("second"), b"before");
        let mut tar = tar::Builder::new(Vec::new());
        for (name, content) in [("first", b"one and ".as_slice()), ("second", b"two")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o640);
            tar.append_data(&mut header, name, content).unwrap();
        }
        let tar = tar.into_inner().unwrap();
        let (size, whole) = (tar.len().to_string(), TextId::of(b"one and two").hex());
        for (sent, sum) in [(1024, &whole), (tar.len(), &TextId::of(b"something else").hex())] {
            let args = ["6", &size, sum, "-", "", "first", "second"].map(str::to_owned);
            let mut exec = host.start(words(fragment::files_bundle(), args)).await.unwrap();
            exec.stdin.write_all(&tar[..sent]).await.unwrap();
            exec.stdin.eof();
            let said = Said::read("the copy", &mut exec.output, STALL).await.unwrap();
            assert!(said.failed().is_some(), "{said:?}");
            assert_eq!(fs::read(host.home().join("second")).unwrap(), b"before");
            assert_eq!(fs::read_dir(host.home()).unwrap().count(), 1);
        }
    }
}

/// What a host that lost its power in the middle of it has left.
#[tokio::test]
async fn what_dead_bundles_have_left_is_removed() {
    for host in Host::all() {
        let node = std::process::Command::new("uname").arg("-n").output().unwrap().stdout;
        let node = String::from_utf8(node).unwrap();
        let mut dead = std::process::Command::new("true").spawn().unwrap();
        dead.wait().unwrap();
        let stage = |pid: u32| host.home().join(format!(".pipedown-bundle-{}-{pid}", node.trim()));
        for pid in [dead.id(), std::process::id()] {
            fs::create_dir(stage(pid)).unwrap();
            write(&stage(pid).join("first"), b"fir");
        }
        host.copy(&[host.wanted("first", b"first"), host.wanted("second", b"second")]).await.unwrap();
        assert!(!stage(dead.id()).exists() && stage(std::process::id()).exists());
    }
}

#[tokio::test]
async fn small_files_that_change_while_they_are_fetched_are_fetched_again_or_named() {
    // A log grows, and is fetched as it was; one that has become shorter is an error, and the others are there.
    for (now, fits) in [(b"log, and more".as_slice(), true), (b"l", false)] {
        for host in Host::all() {
            for name in ["a", "log", "z"] {
                write(&host.home().join(name), name.as_bytes());
            }
            let into = host.dir.path().join("here/logs");
            let paths = ["a", "log", "z"].map(str::to_owned).to_vec();
            let step = FetchStep { paths, into: into.clone(), recursive: false, root: false };
            let changing = Changing { host, calls: AtomicU64::new(0), now: now.to_vec() };
            let done = fetch(&changing, &step, &into, true).await;
            assert_eq!(done.is_ok(), fits, "{done:?}");
            assert_eq!(fs::read(into.join("a")).unwrap(), b"a");
            assert_eq!(fs::read(into.join("log")).ok(), fits.then(|| b"log".to_vec()));
            assert!(tidy(&into));
        }
    }
}
