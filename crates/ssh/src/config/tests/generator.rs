//! Configurations to compare: made up from a seed, and written by hand.

use std::fmt::Write as _;

/// Makes up configurations; the same seed makes the same.
pub(super) struct Generator(u64);

const HOSTS: [&str; 12] = [
    "web1",
    "Web1",
    "web2.example.org",
    "db.example.org",
    "192.0.2.7",
    "2001:db8::0007",
    "gate",
    "a-b",
    "x",
    "WEB2.EXAMPLE.ORG",
    "web10",
    "10.0.0.1",
];

const PATTERNS: [&str; 18] = [
    "*",
    "web?",
    "web*",
    "!web1",
    "*.example.org",
    "!*.example.org",
    "web1",
    "db*",
    "192.0.2.*",
    "*:*",
    "gate",
    "Web1",
    "x",
    "\"web1\"",
    "*1",
    "!x",
    "we*.org",
    "10.*",
];

const LISTS: [&str; 10] = [
    "*",
    "web*,db*",
    "!web1,*",
    "*.EXAMPLE.org",
    "web1,!web1",
    "!x",
    "192.0.2.?",
    "real-*",
    "gate",
    "10.0.0.1,x",
];

const VALUES: [(&str, &[&str]); 38] = [
    ("HostName", &["%h.example.org", "real-%h", "192.0.2.99", "2001:DB8::0:1", "Real", "%%h", "\"gate\""]),
    ("User", &["ops", "root", "\"two words\"", "x@y", "Ops", "deploy # why"]),
    ("Port", &["22", "2222", "65535", "0", "x", "022"]),
    ("IdentityFile", &["~/.ssh/a", "~/.ssh/b_%h", "/k/%r", "none", "\"/with blank\"", "/k/%r"]),
    ("CertificateFile", &["~/c", "/c/%n"]),
    ("IdentitiesOnly", &["yes", "no", "YES", "maybe"]),
    ("IdentityAgent", &["~/agent.%p", "/run/agent-%h", "/a/${SITE}", "/%u/%i/%L/%l/%d"]),
    ("PreferredAuthentications", &["publickey", "password,publickey"]),
    ("PubkeyAuthentication", &["yes", "no", "unbound", "host-bound"]),
    ("PasswordAuthentication", &["yes", "no", "true", "FALSE"]),
    ("KbdInteractiveAuthentication", &["yes", "no"]),
    ("ChallengeResponseAuthentication", &["no"]),
    ("NumberOfPasswordPrompts", &["1", "0", "-1", "9x"]),
    ("BatchMode", &["yes", "no"]),
    ("UserKnownHostsFile", &["~/kh", "/a /b", "/kh/%h:%p", "none", "\"/a b\" /${SITE}", "/%k", "none x"]),
    ("GlobalKnownHostsFile", &["/g", "/g /h", "none"]),
    ("HostKeyAlias", &["alias", "Alias"]),
    ("StrictHostKeyChecking", &["yes", "no", "ask", "accept-new", "off", "true", "perhaps"]),
    ("VerifyHostKeyDNS", &["yes", "no", "ask"]),
    ("RevokedHostKeys", &["/revoked", "none"]),
    ("KnownHostsCommand", &["/bin/keys %H %h", "none"]),
    ("UpdateHostKeys", &["yes", "no", "ask"]),
    ("HashKnownHosts", &["yes", "no"]),
    (
        "KexAlgorithms",
        &["curve25519-sha256", "+diffie-hellman-group14-sha1", "-diffie-*", "^ecdh-sha2-nistp521"],
    ),
    ("HostKeyAlgorithms", &["ssh-ed25519", "rsa-sha2-512,ssh-ed25519"]),
    (
        "Ciphers",
        &["aes256-ctr", "+aes128-cbc", "-*ctr", "^aes128-gcm@openssh.com,aes256-ctr", "-aes128-ctr,*gcm*"],
    ),
    ("MACs", &["hmac-sha2-256", "+hmac-md5", "-umac*", "^hmac-sha2-512"]),
    ("PubkeyAcceptedAlgorithms", &["ssh-ed25519", "+ssh-rsa", "-ecdsa*", "^rsa-sha2-256"]),
    ("RequiredRSASize", &["2048", "4096"]),
    ("ConnectTimeout", &["5", "1m", "none", "1h30m", "soon"]),
    ("ServerAliveInterval", &["30", "2m", "0"]),
    ("ServerAliveCountMax", &["5", "0"]),
    ("AddressFamily", &["inet", "inet6", "any", "ANY", "ipv4"]),
    ("BindAddress", &["127.0.0.1", "::1"]),
    (
        "ProxyJump",
        &["gate", "u@gate:2222", "a,b@c:3", "none", "[2001:db8::9]:22", "ssh://u@h:24", "a:0", "%h.jump"],
    ),
    ("ProxyCommand", &["nc %h %p", "none", "sh -c 'exec nc %h %p' # x", "\"quoted\" a"]),
    ("AddKeysToAgent", &["no"]),
    ("CanonicalizeHostname", &["no"]),
];

const CONDITIONS: [&str; 12] = [
    "final",
    "!final",
    "canonical",
    "exec \"true\"",
    "exec \"false\"",
    "!exec \"test %h = web1\"",
    "exec \"test %n-%p = web1-22\"",
    "user ops,root",
    "!user \"r*\"",
    "localuser *",
    "!localuser nobody-*",
    "user *",
];

impl Generator {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xd134_2543_de82_ef95) ^ 0x2545_f491_4f6c_dd1d)
    }

    /// The next number below `n` (splitmix64).
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n as u64).unwrap()
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A configuration and a host.
    pub(super) fn case(mut self) -> (String, String) {
        let mut text = String::new();
        for _ in 0..1 + self.below(5) {
            self.header(&mut text);
            for _ in 0..self.below(7) {
                self.setting(&mut text);
            }
        }
        let host = self.pick(&HOSTS);
        (text, host.to_owned())
    }

    fn header(&mut self, text: &mut String) {
        match self.below(8) {
            0 => text.push_str("# a comment\n\n"),
            1 => text.push_str("Match all\n"),
            2..=4 => {
                text.push_str("Match");
                for _ in 0..1 + self.below(2) {
                    let condition = match self.below(3) {
                        0 => format!("{}host {}", self.pick(&["", "!"]), self.pick(&LISTS)),
                        1 => format!("{}originalhost {}", self.pick(&["", "!"]), self.pick(&LISTS)),
                        _ => self.pick(&CONDITIONS).to_owned(),
                    };
                    write!(text, " {condition}").unwrap();
                }
                text.push('\n');
            }
            _ => {
                text.push_str(self.pick(&["Host", "host", "HOST"]));
                for _ in 0..1 + self.below(3) {
                    write!(text, " {}", self.pick(&PATTERNS)).unwrap();
                }
                text.push('\n');
            }
        }
    }

    fn setting(&mut self, text: &mut String) {
        let (keyword, values) = self.pick(&VALUES);
        // What is wrong stands at the end of a list, and is rare: it hides everything else.
        let value = self.pick(values);
        let wrong = ["0", "x", "maybe", "-1", "9x", "perhaps", "soon", "ipv4", "a:0", "none x"];
        let number = keyword == "ServerAliveInterval" || keyword == "ServerAliveCountMax";
        let value = if wrong.contains(&value) && !number && self.below(12) > 0 { values[0] } else { value };
        let keyword = match self.below(4) {
            0 => keyword.to_ascii_lowercase(),
            1 => keyword.to_ascii_uppercase(),
            _ => keyword.to_owned(),
        };
        let indent = self.pick(&["", "  ", "\t"]);
        let gap = self.pick(&[" ", " ", "  ", "\t", "=", " = "]);
        let end = self.pick(&["\n", "\n", "\n", " \n", "\r\n", "\t\r\n"]);
        write!(text, "{indent}{keyword}{gap}{value}{end}").unwrap();
    }
}

/// Edges, each with a host; `FOLDER` is where the parts lie.
pub(super) const CASES: &[(&str, &str)] = &[
    ("", "web1"),
    ("\n\n# only comments\n   # and blanks\n", "Web1"),
    ("User a\nUser b\n", "x"),
    ("user=a\n", "x"),
    ("User = a\n", "x"),
    ("User == a\n", "x"),
    ("User\ta\n", "x"),
    ("User \"a b\"\n", "x"),
    ("User 'a b'\n", "x"),
    ("User a\\ b\n", "x"),
    ("User \"a\\\"b\"\n", "x"),
    ("User a\"b c\"d\n", "x"),
    ("User a#b\n", "x"),
    ("User a # b\n", "x"),
    ("User \"\"\n", "x"),
    ("User \"a\n", "x"),
    ("User a b\n", "x"),
    ("User\n", "x"),
    ("User #a\n", "x"),
    ("\"User\" a\n", "x"),
    ("User a\r\nPort 23\r\n", "x"),
    ("User a", "x"),
    ("User a\u{c}\n", "x"),
    ("Host\n", "x"),
    ("Host \"\"\nUser a\n", "x"),
    ("Host x !x\nUser a\n", "x"),
    ("Host !x\nUser a\n", "y"),
    ("Host !x *\nUser a\n", "y"),
    ("Host X\nUser a\n", "x"),
    ("Host x\nUser a\n", "X"),
    ("Host x # y\nUser a\n", "y"),
    ("Host \"x y\"\nUser a\n", "x"),
    ("Host ?\nUser a\nHost ??\nUser b\n", "xy"),
    ("Host *.*\nUser a\n", "x.y"),
    ("Host **y\nUser a\n", "xyzy"),
    ("Match all\nUser a\n", "x"),
    ("Match !all\nUser a\n", "x"),
    ("Match all host x\nUser a\n", "x"),
    ("Match host x all\nUser a\n", "x"),
    ("Match host y all\nUser a\n", "x"),
    ("Match host x user * all\nUser a\n", "x"),
    ("Match final all\nUser a\n", "x"),
    ("Match canonical all\nUser a\n", "x"),
    ("Match\nUser a\n", "x"),
    ("Match foo\nUser a\n", "x"),
    ("Match host\nUser a\n", "x"),
    ("Match host x # y\nUser a\n", "x"),
    ("Match host=x\nUser a\n", "x"),
    ("Match host \"x,y\"\nUser a\n", "y"),
    ("Match HOST X\nUser a\n", "x"),
    ("Match host !x\nUser a\n", "y"),
    ("Match !host x\nUser a\n", "y"),
    ("Match host !x,*\nUser a\n", "x"),
    ("Match originalhost x\nUser a\n", "X"),
    ("HostName real\nMatch host real\nUser a\n", "x"),
    ("Match host real\nUser a\nMatch all\nHostName real\n", "x"),
    ("Match final host real\nUser a\nMatch all\nHostName real\n", "x"),
    ("Match all\nHostName Real\nMatch final host real\nUser a\nHost real\nPort 77\n", "X"),
    ("Match final\nUser a\nHost real\nUser b\nMatch all\nHostName real\nUser c\n", "x"),
    (
        "Host x\nHostName %h.y\nMatch final\nHost *.y\nPort 99\nIdentityFile /second\nMatch all\nIdentityFile /first\n",
        "x",
    ),
    ("IdentityFile /a\nIdentityFile /b\nIdentityFile /a\nMatch final\nIdentityFile /c\n", "x"),
    ("User a\nMatch user a\nPort 1\nMatch user b\nPort 2\n", "x"),
    ("Match user b\nPort 2\nMatch all\nUser b\n", "x"),
    ("Match localuser nobody-at-all\nUser a\nMatch localuser *\nUser b\n", "x"),
    ("Match exec true\nUser a\n", "x"),
    ("Match exec \"exit 3\"\nUser a\nMatch !exec \"exit 3\"\nUser b\n", "x"),
    ("Match exec \"test %h = x.y -a %n = x -a %p = 2222\"\nUser a\n", "x"),
    ("HostName %h.y\nPort 2222\nMatch exec \"test %h = x.y -a %n = x -a %p = 2222\"\nUser a\n", "x"),
    ("User u\nHostKeyAlias k\nMatch exec \"test %r-%k-%% = u-k-%%\"\nPort 3\n", "x"),
    ("Match exec \"test %z\"\nUser a\n", "x"),
    ("Match host y exec \"exit %z\"\nUser a\n", "y"),
    ("Match exec \"test -n '%C%L%l%d%u%i'\"\nUser a\n", "x"),
    ("HostName %h.%h\n", "x"),
    ("HostName %n\n", "x"),
    ("HostName 100%%\n", "x"),
    ("HostName 192.0.2.1\n", "x"),
    ("HostName 2001:DB8:0::1\n", "x"),
    ("HostName Real.Example.ORG\n", "x"),
    ("", "2001:db8:0:0::1"),
    ("", "::ffff:192.0.2.1"),
    ("Host 2001:db8::*\nUser a\n", "2001:db8::1"),
    ("Port 22\nPort 23\n", "x"),
    ("Port 65536\n", "x"),
    ("Host y\nPort 0\n", "x"),
    ("ProxyJump a\nProxyCommand b\n", "x"),
    ("ProxyCommand b\nProxyJump a\n", "x"),
    ("ProxyJump none\nProxyCommand b\n", "x"),
    ("ProxyCommand none\nProxyJump a\n", "x"),
    ("ProxyJump NONE\n", "x"),
    ("ProxyJump a,b,c\n", "x"),
    ("ProxyJump u@a:1,v@[::1]:2\n", "x"),
    ("ProxyJump ssh://u@a:1\n", "x"),
    ("ProxyJump ssh://a/b\n", "x"),
    ("ProxyJump a # b\n", "x"),
    ("ProxyJump = a\n", "x"),
    ("ProxyJump @a\n", "x"),
    ("ProxyJump a,\n", "x"),
    ("ProxyJump x\n", "x"),
    ("ProxyJump x:2222\nMatch host x user *\nPort 22\n", "y"),
    ("ProxyCommand sh -c 'a \"b\"' # c\n", "x"),
    ("ProxyCommand sh -c 'a\n", "x"),
    ("ProxyCommand=a b\n", "x"),
    ("ProxyCommand = a = b\n", "x"),
    ("Host y\nProxyJump a:0\n", "x"),
    ("UserKnownHostsFile a b\nUserKnownHostsFile c\n", "x"),
    ("UserKnownHostsFile none\n", "x"),
    ("UserKnownHostsFile a none\n", "x"),
    ("UserKnownHostsFile ~ ~/ ~/a//b\n", "x"),
    ("UserKnownHostsFile /%%/%h/%n/%p/%r/%u/%i/%d/%l/%L/%C\nHostName real\nUser u\n", "x"),
    ("UserKnownHostsFile /%k\nHostKeyAlias k\n", "x"),
    ("UserKnownHostsFile /%k\nHostName real\n", "x"),
    ("UserKnownHostsFile /${SITE}/%h\n", "x"),
    ("UserKnownHostsFile /${NOT_SET_ANYWHERE}\n", "x"),
    ("UserKnownHostsFile /${SITE\n", "x"),
    ("UserKnownHostsFile /$SITE\n", "x"),
    ("UserKnownHostsFile /%z\n", "x"),
    ("UserKnownHostsFile /a%\n", "x"),
    ("UserKnownHostsFile ~nobody-has-this-name/a\n", "x"),
    ("IdentityAgent ~/a-%h\nHostName real\n", "x"),
    ("IdentityAgent none\n", "x"),
    ("IdentityAgent SSH_AUTH_SOCK\n", "x"),
    ("Ciphers +aes128-cbc\nCiphers aes256-ctr\n", "x"),
    ("Ciphers -aes*\n", "x"),
    ("Ciphers ^aes256-ctr,aes128-ctr\n", "x"),
    ("MACs -hmac-*,umac-64@openssh.com\n", "x"),
    ("KexAlgorithms curve25519-sha256,ecdh-sha2-nistp256\n", "x"),
    ("Ciphers aes256-ctr,,aes128-ctr\n", "x"),
    ("PubkeyAcceptedKeyTypes +ssh-rsa\n", "x"),
    ("ConnectTimeout 1h30m10s\n", "x"),
    ("ConnectTimeout 1H5\n", "x"),
    ("ConnectTimeout -1\n", "x"),
    ("ConnectTimeout 1x\n", "x"),
    ("ConnectTimeout none\n", "x"),
    ("ConnectTimeout 99999999999\n", "x"),
    ("ServerAliveCountMax 99999999999\n", "x"),
    ("ServerAliveCountMax +3\n", "x"),
    ("Compression yes\nForwardAgent yes\nSendEnv A B\nLocalForward 80 a:80\nUser a\n", "x"),
    ("Protocol 2\nUseRoaming no\nRSAAuthentication yes\nUser a\n", "x"),
    ("IgnoreUnknown Foo*\nFooBar x\nUser a\n", "x"),
    ("IgnoreUnknown foo,b?r\nBar x\nBER x\nUser a\n", "x"),
    ("Include FOLDER/parts/10\n", "b1"),
    ("Include FOLDER/parts/[12]0\n", "b1"),
    ("Include FOLDER/parts/*0\nUser late\n", "a1"),
    ("Include FOLDER/parts/20 FOLDER/parts/10\n", "b1"),
    ("Include FOLDER/parts/nothing*\nUser a\n", "x"),
    ("Host a*\nInclude FOLDER/parts/10\nHost *\nPort 5\n", "b1"),
    ("Host b*\nInclude FOLDER/parts/10\nPort 5\nHostKeyAlias outer\n", "bc"),
    ("Host b*\nInclude FOLDER/parts/10\nPort 5\n", "bc"),
    ("Match host y\nInclude FOLDER/parts/exec\nMatch all\nPort 6\n", "x"),
    ("Include FOLDER/parts/exec\nPort 6\n", "x"),
    ("Include \"FOLDER/parts/10\"\n", "x"),
    ("Include \"\"\n", "x"),
    ("BatchMode yes\nStrictHostKeyChecking OFF\n", "x"),
    ("UpdateHostKeys ask\nVerifyHostKeyDNS ask\nHashKnownHosts yes\n", "x"),
    ("GlobalKnownHostsFile ~/a /b\n", "x"),
    ("RevokedHostKeys none\n", "x"),
    ("KnownHostsCommand none\n", "x"),
    ("BindAddress \"\"\n", "x"),
    ("Host x\nUser a\nHost *\nUser b\nPort 24\nHost y\nUser c\n", "x"),
];
