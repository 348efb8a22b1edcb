//! Ansible's host patterns: `www[01:50].example.com:2222`, `db-[a:f]`, `[2001:db8::1]:22`.

use std::net::Ipv6Addr;

/// More hosts than this in one pattern are a slip of the finger.
const MOST: usize = 1_000_000;

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// The hosts of a pattern, and the port behind it.
///
/// # Errors
/// When it is none; the text fits behind the pattern.
pub(super) fn expand(pattern: &str) -> Result<(Vec<String>, Option<u16>), String> {
    let (address, port) = split_port(pattern)?;
    if address.ends_with(':') && !address.ends_with("::") {
        return Err("a port is missing behind the `:`".to_owned());
    }
    if address.contains(':') && !address.contains('[') && address.parse::<Ipv6Addr>().is_err() {
        return Err("behind `:` stands no port".to_owned());
    }
    Ok((ranges(address)?, port))
}

/// A port follows the only colon outside brackets.
fn split_port(pattern: &str) -> Result<(&str, Option<u16>), String> {
    let Some((address, digits)) = pattern.rsplit_once(':') else { return Ok((pattern, None)) };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok((pattern, None));
    }
    let mut depth = 0_i32;
    let outside = address.chars().any(|c| {
        depth += match c {
            '[' => 1,
            ']' => -1,
            _ => 0,
        };
        c == ':' && depth == 0
    });
    if depth != 0 || outside {
        return Ok((pattern, None));
    }
    let port = digits.parse().ok().filter(|port| *port > 0).ok_or("the port must be from 1 to 65535")?;
    let inside = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    // `[2001:db8::1]:22`; `[1:3]:22` could be a range, and Ansible takes the brackets off all the same.
    Ok((inside.filter(|inside| inside.parse::<Ipv6Addr>().is_ok()).unwrap_or(address), Some(port)))
}

fn ranges(text: &str) -> Result<Vec<String>, String> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    // How many names there are is known before any of them is made.
    let mut count = 1_usize;
    while let Some((head, behind)) = rest.split_once('[') {
        let (range, tail) = behind.split_once(']').ok_or("a bracket is never closed")?;
        let parts = parts(range)?;
        count = count.saturating_mul(parts.len());
        if count > MOST {
            return Err(format!("this names more than {MOST} hosts"));
        }
        pieces.push((head, parts));
        rest = tail;
    }
    let mut names = vec![String::new()];
    for (head, parts) in pieces {
        let with = |name: &String| parts.iter().map(|part| format!("{name}{head}{part}")).collect::<Vec<_>>();
        names = names.iter().flat_map(with).collect();
    }
    names.iter_mut().for_each(|name| name.push_str(rest));
    Ok(names)
}

/// What `begin:end` or `begin:end:step` runs through.
fn parts(range: &str) -> Result<Vec<String>, String> {
    let bounds: Vec<&str> = range.split(':').collect();
    let (first, last, step) = match bounds.as_slice() {
        [first, last] => (*first, *last, "1"),
        [first, last, step] => (*first, *last, *step),
        _ => return Err(format!("[{range}] is no range: write [begin:end] or [begin:end:step]")),
    };
    let first = if first.is_empty() { "0" } else { first };
    let step: usize = match step.parse() {
        Ok(0) | Err(_) => return Err(format!("the step of [{range}] must be a number above 0")),
        Ok(step) => step,
    };
    let letter = |text: &str| if text.len() == 1 { LETTERS.find(text) } else { None };
    if let (Some(first), Some(last)) = (letter(first), letter(last)) {
        if first > last {
            return Err(format!("[{range}] runs backwards"));
        }
        let letters = LETTERS.get(first..=last).unwrap_or_default();
        return Ok(letters.chars().step_by(step).map(String::from).collect());
    }
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = if digits { text.parse::<u64>().ok() } else { None };
        number.ok_or_else(|| format!("[{range}] is no range of numbers or letters"))
    };
    let padded = first.len() > 1 && first.starts_with('0');
    if padded && first.len() != last.len() {
        return Err(format!(
            "the ends of [{range}] must have the same length, as the first has leading zeros"
        ));
    }
    let width = if padded { first.len() } else { 0 };
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(format!("[{range}] runs backwards"));
    }
    let most = u64::try_from(MOST.saturating_mul(step)).unwrap_or(u64::MAX);
    if last - first >= most {
        return Err(format!("this names more than {MOST} hosts"));
    }
    Ok((first..=last).step_by(step).map(|number| format!("{number:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_ansibles() {
        let names = |pattern: &str| {
            let (names, port) = expand(pattern).unwrap();
            format!("{} {port:?}", names.join(","))
        };
        assert_eq!(
            names("www[08:11].example.com"),
            "www08.example.com,www09.example.com,www10.example.com,www11.example.com None"
        );
        assert_eq!(names("n[0:8:4]"), "n0,n4,n8 None");
        assert_eq!(names("n[:2]"), "n0,n1,n2 None");
        assert_eq!(names("db-[a:c]:2222"), "db-a,db-b,db-c Some(2222)");
        assert_eq!(names("r[1:2]n[01:02]"), "r1n01,r1n02,r2n01,r2n02 None");
        assert_eq!(names("192.0.2.[1:2]:22"), "192.0.2.1,192.0.2.2 Some(22)");
        assert_eq!(names("[2001:db8::1]:22"), "2001:db8::1 Some(22)");
        assert_eq!(names("2001:db8::1"), "2001:db8::1 None");
        for wrong in [
            "a:",
            "a:b",
            "a:0",
            "a:70000",
            "n[1",
            "n[1:]",
            "n[2:1]",
            "n[1-3]",
            "n[01:100]",
            "n[1:9:0]",
            "n[0:99999999]",
            "n[1:99][1:99][1:99][1:99]",
        ] {
            assert!(expand(wrong).is_err(), "{wrong}");
        }
    }
}
