//! Patterns as regular expressions.
//!
//! Crates for patterns match bytes, so that their `?` does not stand for an `ü`.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

/// The regular expression of a pattern whose `**` have a part of the path for themselves. `None`
/// for a bracket or brace that is not closed, and for a range without a character in it.
///
/// Nothing but `**` matches a `/`.
pub(super) fn expression(pattern: &str) -> Option<String> {
    let mut expression = String::from("^");
    let mut braces = 0_usize;
    let mut rest = pattern;
    loop {
        if let Some(after) = rest.strip_prefix("**/") {
            expression.push_str("(?:[^/]+/)*");
            rest = after;
            continue;
        }
        if rest == "**" {
            expression.push_str("(?s:.+)");
            break;
        }
        let mut characters = rest.chars().peekable();
        let Some(character) = characters.next() else { break };
        match character {
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            '[' => class(&mut expression, &mut characters)?,
            '{' => {
                braces += 1;
                expression.push_str("(?:");
            }
            ',' if braces > 0 => expression.push('|'),
            '}' => {
                braces = braces.checked_sub(1)?;
                expression.push(')');
            }
            other => literal(&mut expression, other),
        }
        let left: usize = characters.map(char::len_utf8).sum();
        rest = &rest[rest.len() - left..];
    }
    expression.push('$');
    (braces == 0).then_some(expression)
}

/// `[a-z_]` or `[!a-z_]`, after its first bracket. A `]` that comes first is one of the characters.
fn class(expression: &mut String, characters: &mut Peekable<Chars<'_>>) -> Option<()> {
    let is_negated = characters.next_if(|&first| first == '!' || first == '^').is_some();
    expression.push('[');
    if is_negated {
        expression.push_str("^/");
    }
    let mut is_first = true;
    loop {
        let from = characters.next()?;
        if from == ']' && !is_first {
            break;
        }
        is_first = false;
        let mut ahead = characters.clone();
        let is_range = ahead.next() == Some('-') && ahead.next().is_some_and(|end| end != ']');
        if !is_range {
            // No name contains `/`.
            if from != '/' {
                literal(expression, from);
            } else if !is_negated {
                return None;
            }
            continue;
        }
        characters.next();
        let to = characters.next()?;
        if from > to {
            return None;
        }
        if (from..=to).contains(&'/') && !is_negated {
            if from < '/' {
                range(expression, from, '.');
            }
            if to > '/' {
                range(expression, '0', to);
            }
        } else {
            range(expression, from, to);
        }
    }
    expression.push(']');
    Some(())
}

fn range(expression: &mut String, from: char, to: char) {
    literal(expression, from);
    expression.push('-');
    literal(expression, to);
}

fn literal(expression: &mut String, character: char) {
    if character.is_alphanumeric() {
        expression.push(character);
    } else {
        // Writing to a string cannot fail.
        let _ = write!(expression, "\\u{{{:x}}}", u32::from(character));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_an_expression_of_whole_names() {
        for (pattern, expected) in [
            ("a*?", Some("^a[^/]*[^/]$")),
            ("**/a/**", Some("^(?:[^/]+/)*a\\u{2f}(?s:.+)$")),
            ("a[!b-d]", Some("^a[^/b-d]$")),
            ("{a,b}", Some("^(?:a|b)$")),
            ("a,b", Some("^a\\u{2c}b$")),
            ("[", None),
            ("[]", None),
            ("[/]", None),
            ("[b-a]", None),
            ("{a", None),
            ("a}", None),
        ] {
            assert_eq!(expression(pattern).as_deref(), expected, "{pattern}");
        }
    }
}
