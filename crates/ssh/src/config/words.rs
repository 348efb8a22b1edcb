//! How a line falls into words.

/// What ssh takes for white space between words.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// A line that says something.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The keyword, in lower case.
    pub(super) keyword: String,
    /// Everything after it, as it stands.
    pub(super) rest: String,
}

/// Takes the keyword off a line; nothing where the line is empty or a comment.
pub(super) fn keyword(line: &str) -> Option<Line> {
    // C's strings end here.
    let line = line.split('\0').next().unwrap_or_default();
    let line = line.trim_end_matches([' ', '\t', '\r', '\n', '\u{c}']);
    let mut rest = line;
    let mut word = delimited(&mut rest)?;
    if word.is_empty() {
        word = delimited(&mut rest)?;
    }
    if word.is_empty() || word.starts_with('#') {
        return None;
    }
    Some(Line { keyword: word.to_ascii_lowercase(), rest: rest.trim_start_matches(BLANKS).to_owned() })
}

/// Takes one word off the front; words end at white space, at one `=`, or at a quote's end. Nothing when the text
/// is used up, or a quote has no end.
pub(super) fn delimited(rest: &mut &str) -> Option<String> {
    let text = *rest;
    if text.is_empty() {
        return None;
    }
    let Some(at) = text.find(|c| BLANKS.contains(&c) || c == '"' || c == '=') else {
        *rest = "";
        return Some(text.to_owned());
    };
    let (before, after) = text.split_at(at);
    if let Some(quoted) = after.strip_prefix('"') {
        let (inside, after) = quoted.split_once('"')?;
        *rest = after.trim_start_matches(BLANKS);
        return Some(format!("{before}{inside}"));
    }
    let equals = after.starts_with('=');
    let mut left = after.get(1..).unwrap_or_default().trim_start_matches(BLANKS);
    // Only one sign is skipped.
    if !equals && let Some(more) = left.strip_prefix('=') {
        left = more.trim_start_matches(BLANKS);
    }
    *rest = left;
    Some(before.to_owned())
}

/// Splits arguments: blanks between them, both kinds of quotes, a few escapes; a word that begins with `#` ends
/// the line. Nothing if a quote has no end.
pub(super) fn arguments(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        match chars.peek() {
            None | Some('#') => return Some(words),
            Some(_) => words.push(argument(&mut chars)?),
        }
    }
}

fn argument(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let mut word = String::new();
    let mut quote = None;
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', _) => {
                let escaped =
                    chars.next_if(|c| matches!(c, '\'' | '"' | '\\') || (quote.is_none() && *c == ' '));
                word.push(escaped.unwrap_or('\\'));
            }
            (' ' | '\t', None) => return Some(word),
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, _) => word.push(c),
        }
    }
    quote.is_none().then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Option<(String, Vec<String>)> {
        let line = keyword(line)?;
        let words = arguments(&line.rest)?;
        Some((line.keyword, words))
    }

    #[test]
    fn lines_fall_into_words() {
        let shown: Vec<String> = [
            "Host a b",
            "  Host\ta  b ",
            "Host=a",
            "Host = a",
            "Host == a",
            "HOST a # b",
            "Host a#b",
            "Host \"a b\" 'c d'",
            "Host a\\ b \\x \\\"",
            "Host \"a \\\" b\"",
            "User \"\"",
            "\"Host\" a",
            "Host a\r\n",
            "# Host a",
            "",
            "   ",
            "Host \"a",
            "Host",
            "Host a\0b",
            "User a\u{c}",
        ]
        .iter()
        .map(|line| format!("{line:?} => {:?}", split(line)))
        .collect();
        insta::assert_snapshot!(shown.join("\n"));
    }
}
