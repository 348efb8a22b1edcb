//! What goes over the privileged shell's streams.
//!
//! To the host, one line each: first `TOKEN DRIVER` (for the bootstrap), then `RUN LIBRARY`, then requests. After
//! the first, fields are separated by tabs:
//!
//! ```text
//! NONCE  SECONDS  LEDGER-ENTRY|-  ARGUMENTS  .SOURCE  .ARGUMENT…  INPUT…
//! ```
//!
//! Fields are escaped for the `%b` of printf(1). A dot leads those that may be empty, because shells collapse
//! separators. Input is cut into pieces, since printf is not everywhere a builtin and one argument of a program is
//! limited to 128 KiB. From the host, on standard output and on standard error, after whatever the fragment wrote:
//!
//! ```text
//! NEWLINE  NONCE SPACE STATUS SPACE HOW  NEWLINE
//! ```
//!
//! HOW is `ran`, `late` (the deadline ended it), or why it was not started: `ledger`, `setsid`.

use std::fmt::Write as _;
use std::time::Duration;

use pipedown_model::RunId;

/// Linux' limit for one argument of a program (MAX_ARG_STRLEN), the final NUL included.
const LONGEST_ARGUMENT: usize = 128 * 1024;
/// What all arguments of a call may hold together; more belongs into its input. Some systems give a program 256 KiB
/// for everything.
const ALL_ARGUMENTS: usize = 64 * 1024;
/// Where input is cut: a piece may become five times as long when it is escaped.
const PIECE: usize = 24 * 1024;

/// Appends bytes so that printf's `%b` gives them back and that no separator is among them.
pub(crate) fn escape(bytes: &[u8], line: &mut String) {
    let mut left = bytes;
    line.reserve(bytes.len());
    // Nearly all of it is plain, and several ten thousand bytes go to every host: they are copied in one go.
    while let Some(end) = left.iter().position(|byte| !is_plain(*byte)) {
        let (plain, rest) = left.split_at(end);
        push_plain(plain, line);
        let Some((special, rest)) = rest.split_first() else { return };
        match special {
            b'\\' => line.push_str("\\\\"),
            b'\n' => line.push_str("\\n"),
            b'\t' => line.push_str("\\t"),
            // Shells differ in what they do to bytes above ASCII that they read.
            other => {
                // Writing to a String does not fail.
                let _ = write!(line, "\\0{other:03o}");
            }
        }
        left = rest;
    }
    push_plain(left, line);
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'\\'
}

/// Appends printable ASCII.
fn push_plain(bytes: &[u8], line: &mut String) {
    line.push_str(&String::from_utf8_lossy(bytes));
}

/// The text that the bootstrap evaluates, with the word that it waits for.
pub(crate) fn driver_line(token: &str, driver: &str) -> String {
    command_line(token, &without_comments(driver))
}

/// The same for a text of which every byte counts: its words may hold line breaks.
pub(crate) fn command_line(token: &str, command: &str) -> String {
    let mut line = format!("{token} ");
    escape(command.as_bytes(), &mut line);
    line.push('\n');
    line
}

/// The line that names the run and brings what every fragment begins with.
pub(crate) fn library_line(run: Option<&RunId>, library: &str) -> String {
    let mut line = format!("{}\t.", run.map_or("-", RunId::as_str));
    escape(library.as_bytes(), &mut line);
    line.push('\n');
    line
}

/// Drops whole-line comments and indentation: a shell reads a line byte by byte, with one system call each.
pub(crate) fn without_comments(script: &str) -> String {
    let mut text = String::with_capacity(script.len());
    for line in script.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// A request before it is a line.
pub(crate) struct Request<'a> {
    pub(crate) nonce: &'a str,
    pub(crate) deadline: Duration,
    pub(crate) ledger: Option<&'a str>,
    pub(crate) library: &'a str,
    pub(crate) source: &'a str,
    pub(crate) args: &'a [String],
    pub(crate) input: &'a [u8],
}

impl Request<'_> {
    /// The request as a line, or why it cannot be one.
    pub(crate) fn line(&self) -> Result<String, &'static str> {
        self.check()?;
        let seconds =
            self.deadline.as_secs().saturating_add(u64::from(self.deadline.subsec_nanos() > 0)).max(1);
        let mut line =
            format!("{}\t{seconds}\t{}\t{}\t.", self.nonce, self.ledger.unwrap_or("-"), self.args.len());
        escape(self.source.as_bytes(), &mut line);
        for arg in self.args {
            line.push_str("\t.");
            escape(arg.as_bytes(), &mut line);
        }
        for piece in self.input.chunks(PIECE) {
            line.push('\t');
            escape(piece, &mut line);
        }
        line.push('\n');
        Ok(line)
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.library.len().saturating_add(self.source.len()).saturating_add(2) > LONGEST_ARGUMENT {
            return Err("the fragment is longer than 128 KiB");
        }
        if self.args.iter().map(|arg| arg.len().saturating_add(1)).sum::<usize>() > ALL_ARGUMENTS {
            return Err("its arguments are longer than 64 KiB");
        }
        if self.source.contains('\0') || self.args.iter().any(|arg| arg.contains('\0')) {
            return Err("an argument holds a NUL");
        }
        match self.ledger {
            Some(name) if !is_entry_name(name) => {
                Err("its name in the ledger is not made of A-Z, a-z, 0-9 and -_.:")
            }
            _ => Ok(()),
        }
    }
}

fn is_entry_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    name != "-" && !name.is_empty() && name.len() <= 128 && name.bytes().all(plain)
}

/// How a request ended, by the driver's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Ran,
    Late,
    NoLedger,
    NoSetsid,
}

/// Reads what follows the nonce in an end marker.
pub(crate) fn parse_end(rest: &str) -> Option<(i32, How)> {
    let (status, how) = rest.split_once(' ')?;
    let how = match how {
        "ran" => How::Ran,
        "late" => How::Late,
        "ledger" => How::NoLedger,
        "setsid" => How::NoSetsid,
        _ => return None,
    };
    // A signal is 128 + n for most shells, 256 + n for ksh93 and 384 + n for yash.
    let status = match status.parse::<i32>().ok()? {
        status @ 0..256 => status,
        status @ 256..384 => status - 128,
        status @ 384..512 => status - 256,
        _ => return None,
    };
    Some((status, how))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request<'a>(args: &'a [String], input: &'a [u8]) -> Request<'a> {
        Request {
            nonce: "n0",
            deadline: Duration::from_millis(1500),
            ledger: Some("arm"),
            library: "",
            source: "echo 'a\tb'\n",
            args,
            input,
        }
    }

    /// What printf(1) makes of `%b`, as far as [`escape`] uses it.
    fn unescaped(mut line: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some((plain, rest)) = line.split_once('\\') {
            bytes.extend(plain.bytes());
            let (byte, taken) = match rest.as_bytes()[0] {
                b'n' => (b'\n', 1),
                b't' => (b'\t', 1),
                b'\\' => (b'\\', 1),
                b'0' => (u8::from_str_radix(&rest[1..4], 8).unwrap(), 4),
                other => panic!("\\{}", char::from(other)),
            };
            bytes.push(byte);
            line = &rest[taken..];
        }
        bytes.extend(line.bytes());
        bytes
    }

    proptest! {
        #[test]
        fn escaped_bytes_come_back_and_hold_no_separator(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), b' '..=b'~'], 0..400),
        ) {
            let mut line = "before".to_owned();
            escape(&bytes, &mut line);
            prop_assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line:?}");
            prop_assert_eq!(unescaped(line.strip_prefix("before").unwrap()), bytes);
        }
    }

    #[test]
    fn requests_as_they_go_over_the_wire() {
        let args = ["".to_owned(), "a b\\".to_owned(), "\u{fc}".to_owned()];
        let line = request(&args, b"x\0y\n").line().unwrap();
        insta::assert_snapshot!(line.escape_debug(), @r#"n0\t2\tarm\t3\t.echo \'a\\tb\'\\n\t.\t.a b\\\\\t.\\0303\\0274\tx\\0000y\\n\n"#);
    }

    #[test]
    fn input_is_cut_into_pieces_that_fit_into_an_argument() {
        let line = request(&[], &vec![0xff; 100_000]).line().unwrap();
        assert!(line.split('\t').all(|field| field.len() < LONGEST_ARGUMENT));
        assert_eq!(line.trim_end().split('\t').skip(5).map(|piece| piece.len() / 5).sum::<usize>(), 100_000);
    }

    #[test]
    fn ends_are_read_and_nothing_else() {
        assert_eq!(parse_end("0 ran"), Some((0, How::Ran)));
        assert_eq!(parse_end("137 late"), Some((137, How::Late)));
        assert_eq!(parse_end("265 late"), Some((137, How::Late)), "ksh93");
        assert_eq!(parse_end("393 ran"), Some((137, How::Ran)), "yash");
        for wrong in ["", "0", "0 ", "0 dead", "-1 ran", "x ran", "999 ran", "0 ran ran"] {
            assert_eq!(parse_end(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_driver_stays_small() {
        // A shell reads it byte by byte, on every host of every run.
        let line = driver_line("token", include_str!("../fragments/driver.sh"));
        assert!(line.len() < 3200, "{} bytes", line.len());
    }
}
