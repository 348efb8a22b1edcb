use super::*;

#[test]
fn patterns_match_as_glob_does() {
    let matches = |pattern: &str, path: &str| glob(pattern.as_bytes(), path.as_bytes());
    assert!(matches("/etc/ssh/sshd_config.d/*.conf", "/etc/ssh/sshd_config.d/00-pipedown.conf"));
    assert!(matches("/etc/ssh/*/0?-[a-q]*.conf", "/etc/ssh/sshd_config.d/00-pipedown.conf"));
    assert!(matches("/a/[!b-d]", "/a/e"));
    assert!(!matches("/a/[!b-d]", "/a/c"));
    assert!(!matches("/etc/ssh/*", "/etc/ssh/a/b"), "a star goes over no slash");
    assert!(!matches("/etc/ssh/*", "/etc/ssh/.pipedown.x.before"), "nor over the dot of a hidden file");
    assert!(!matches("/etc/ssh/[.]a", "/etc/ssh/.a"));
    assert!(!matches("/etc/ssh/a", "/etc/ssh/ab"));
}

#[test]
fn include_lines_are_read_as_sshd_reads_them() {
    let of = |line: &str| include_patterns(line);
    assert_eq!(
        of("  include a.conf /b/*.conf # c"),
        Some(vec!["/etc/ssh/a.conf".into(), "/b/*.conf".into()])
    );
    assert_eq!(of("Include=\"/a b/*\" c\r\n"), Some(vec!["/a b/*".into(), "/etc/ssh/c".into()]));
    assert_eq!(of("# Include /a"), None);
    assert_eq!(of("IncludeX /a"), None);
    assert_eq!(of("Includé"), None);
}
