//! Words of a line as a POSIX shell splits them: Python's `shlex.split`, which Ansible uses.

/// Splits a line; with `comments`, an unquoted `#` ends it, also within a word.
///
/// # Errors
/// When a quotation does not end.
pub(super) fn split(line: &str, comments: bool) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            '#' if comments => break,
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\\' => {
                let next = characters.next().ok_or("nothing follows the backslash")?;
                word.get_or_insert_default().push(next);
            }
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next().ok_or("a quotation is never closed")? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => quoted(&mut characters, word.get_or_insert_default())?,
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Double quotes: a backslash counts before a quote or another backslash only.
fn quoted(characters: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), &'static str> {
    let unclosed = "a quotation is never closed";
    loop {
        match characters.next().ok_or(unclosed)? {
            '"' => return Ok(()),
            '\\' => match characters.next().ok_or(unclosed)? {
                c @ ('"' | '\\') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_by_python() {
        let split = |line: &str| split(line, true).unwrap().join("|");
        assert_eq!(split("web1 a=1  b='x y'c"), "web1|a=1|b=x yc");
        assert_eq!(split(r#"w a="x \"y\" \n" b=c\ d"#), r#"w|a=x "y" \n|b=c d"#);
        assert_eq!(split("w a=x#y b=2"), "w|a=x");
        assert_eq!(split("w a='#' # more"), "w|a=#");
        assert_eq!(split("w ''"), "w|");
        assert!(super::split("w 'a", true).is_err() && super::split("w \"a\\", true).is_err());
    }
}
