//! Text that others wrote, made safe for a terminal.

/// Replaces what could steer a terminal or disguise a text: control characters (white space among them
/// becomes a blank) and marks that change the direction of writing (Unicode UAX #9).
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' | '\n' | '\r' => ' ',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                char::REPLACEMENT_CHARACTER
            }
            c => c,
        })
        .collect()
}

/// The lines of a text that may have several, each printable; never none.
pub(crate) fn printable_lines(text: &str) -> Vec<String> {
    let lines: Vec<String> = text.lines().map(|l| printable(l.trim_end())).collect();
    if lines.is_empty() { vec![String::new()] } else { lines }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_says_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\tc\nd"), "a\u{fffd}[2Jb c d");
        assert_eq!(printable("evil\u{202e}txt.exe"), "evil\u{fffd}txt.exe");
        assert_eq!(printable("grüße 东京"), "grüße 东京");
    }
}
