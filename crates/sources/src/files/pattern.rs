//! Patterns of names: `*`, `?`, `[a-z]`, `{a,b}` and `**`.

use object_store::path::Path;
use percent_encoding::percent_decode_str;
use regex_lite::Regex;

use super::glob::expression;

/// Characters with a meaning in a pattern.
const SPECIAL: [char; 4] = ['*', '?', '[', '{'];

/// A path as it was typed: one file's name, or a pattern.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    /// The name, without escapes; of a pattern, as it was typed.
    pub(super) name: String,
    /// The pattern, if it is one.
    pub(super) pattern: Option<Pattern>,
}

/// Names of files below a folder.
///
/// Names that begin with `.` or `_` match only if a part of the pattern itself begins so: programs
/// write what is no data under such names (`_SUCCESS`, `_temporary/`, `.part-0.csv.crc`), and other
/// readers leave them out as well. A partition's folder, such as `_day=1`, is data.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    expression: Regex,
    /// The longest folder without a pattern in it.
    folder: Path,
    /// Folders that can lie between `folder` and a file; `None` for any number.
    depth: Option<usize>,
    takes_hidden: bool,
}

impl Typed {
    /// Reads a path without its first slash. `is_escaped` says that `%41` stands for `A`, and
    /// `%2A` for a `*` of a name. A path that ends in a slash stands for every file below it.
    ///
    /// The error says what is wrong without repeating any of the path.
    pub(super) fn parse(path: &str, is_escaped: bool) -> Result<Self, &'static str> {
        let path = if path.is_empty() || path.ends_with('/') { &format!("{path}**") } else { path };
        let decode = |text: &str| {
            if !is_escaped {
                return Ok(text.to_owned());
            }
            let decoded = percent_decode_str(text).decode_utf8();
            decoded.map(Into::into).map_err(|_| "its escapes are not UTF-8")
        };
        let Some(first) = path.find(SPECIAL) else {
            let name = decode(path)?;
            check(&name)?;
            return Ok(Self { name, pattern: None });
        };
        let (folder, pattern) = path.split_at(path[..first].rfind('/').map_or(0, |at| at + 1));
        let folder = decode(folder)?;
        let folder = match folder.strip_suffix('/') {
            Some(folder) => {
                check(folder)?;
                folder
            }
            None => "",
        };
        let pattern = if is_escaped { with_literals(pattern)? } else { pattern.to_owned() };
        check(&pattern)?;
        Ok(Self { name: path.to_owned(), pattern: Some(Pattern::new(folder, &pattern)?) })
    }
}

impl Pattern {
    fn new(folder: &str, pattern: &str) -> Result<Self, &'static str> {
        let parts = || pattern.split('/');
        if parts().any(|part| part.contains("**") && part != "**") {
            return Err("`**` stands for folders, and has a part of the path for itself");
        }
        let wrong = "its pattern cannot be read";
        let expression = expression(pattern).ok_or(wrong)?;
        let is_hidden = |part: &str| part.trim_start_matches('{').starts_with(['_', '.']);
        Ok(Self {
            expression: Regex::new(&expression).map_err(|_| wrong)?,
            folder: Path::parse(folder).map_err(|_| "a name in it cannot be used")?,
            depth: parts().all(|part| part != "**").then(|| parts().count() - 1),
            takes_hidden: parts().any(is_hidden),
        })
    }

    /// The longest folder without a pattern in it.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Folders that can lie between [`folder`](Self::folder) and a file; `None` for any number.
    pub(super) fn depth(&self) -> Option<usize> {
        self.depth
    }

    /// Whether files below a folder of this name can match, as far as its name alone says.
    pub(super) fn enters(&self, name: &str) -> bool {
        self.takes_hidden || !is_hidden(name)
    }

    /// Whether a file matches.
    pub(super) fn matches(&self, path: &str) -> bool {
        let below = match self.folder.as_ref() {
            "" => Some(path),
            folder => path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')),
        };
        below.is_some_and(|below| {
            self.expression.is_match(below) && below.split('/').all(|name| self.enters(name))
        })
    }
}

/// Whether a name is not one of data.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || (name.starts_with('_') && !name.contains('='))
}

/// Refuses a path with a name that no store can be asked for.
fn check(path: &str) -> Result<(), &'static str> {
    for name in path.split('/') {
        if name.is_empty() {
            return Err("a name in it is empty");
        }
        if name == "." || name == ".." {
            return Err("`.` and `..` are no names in it");
        }
        if name.chars().any(|character| character.is_ascii_control()) {
            return Err("a control character is in it");
        }
    }
    Ok(())
}

/// The pattern in which every escape stands for its character alone.
fn with_literals(pattern: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(pattern.len());
    let mut rest = pattern.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let escaped = digits
            .filter(|two| first == b'%' && two.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        match escaped {
            Some(special) if b"*?[]{}".contains(&special) => {
                bytes.extend([b'[', special, b']']);
            }
            Some(other) => bytes.push(other),
            None => bytes.push(first),
        }
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).map_err(|_| "its escapes are not UTF-8")
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        Typed::parse(text, false).unwrap().pattern.unwrap()
    }

    #[test]
    fn a_pattern_matches_as_in_a_shell() {
        for (typed, matching, other) in [
            ("in/*.csv", "in/a.csv", "in/x/a.csv"),
            ("in/?.csv", "in/ü.csv", "in/ab.csv"),
            ("in/[0-9].csv", "in/7.csv", "in/x.csv"),
            ("in/[!0-9].csv", "in/x.csv", "in/7.csv"),
            ("in/[ä-ü].csv", "in/ö.csv", "in/o.csv"),
            ("in/[a!-]", "in/-", "in/b"),
            ("in/[]x]", "in/]", "in/y"),
            ("in/[ -~]", "in/a", "in//"),
            ("in/a[.-0]b", "in/a.b", "in/a/b"),
            ("in/*{a,{b,c?}}", "in/xcd", "in/xc"),
            ("in/{a/b,c}/*.x", "in/a/b/d.x", "in/a/c/d.x"),
            ("in/(a|b)+.*", "in/(a|b)+.x", "in/a.x"),
            ("*", "日本", "日/本"),
            ("in/a[!0-9]b", "in/axb", "in/a/b"),
            ("in/{a,b}.csv", "in/b.csv", "in/c.csv"),
            ("in/a.csv{,.gz}", "in/a.csv", "in/a.csv.zip"),
            ("in/a.csv{,.gz}", "in/a.csv.gz", "in/a.csv."),
            ("in/**/a.csv", "in/a.csv", "a.csv"),
            ("in/**/a.csv", "in/x/y/a.csv", "in/x/y/b.csv"),
            ("in/", "in/x/y", "inner/x"),
            ("**", "x/y", "_x/y"),
            ("*/day=*/*", "x/day=1/y", "x/day/y"),
            ("a b/100%/ü+=.*", "a b/100%/ü+=.csv", "a b/100/ü+=.csv"),
            ("in/[[]x].csv*", "in/[x].csv", "in/x.csv"),
            ("in/a\\*", "in/a\\b", "in/a*"),
        ] {
            let pattern = pattern(typed);
            assert!(pattern.matches(matching), "{typed} {matching}");
            assert!(!pattern.matches(other), "{typed} {other}");
        }
    }

    #[test]
    fn what_is_no_data_does_not_match_by_chance() {
        for (typed, matching, hidden) in [
            ("in/**", "in/a", "in/_SUCCESS"),
            ("in/**", "in/_day=1/a", "in/_temporary/0/a"),
            ("in/*", "in/a_b", "in/.a.crc"),
            ("_in/*", "_in/a", "_in/_a"),
        ] {
            let pattern = pattern(typed);
            assert!(pattern.matches(matching), "{typed} {matching}");
            assert!(!pattern.matches(hidden), "{typed} {hidden}");
        }
        for (typed, matching) in
            [("in/_*", "in/_a"), ("in/*/.*", "in/x/.a"), ("in/{_a,b}*", "in/_a1")]
        {
            assert!(pattern(typed).matches(matching), "{typed}");
        }
    }

    #[test]
    fn the_folder_of_a_pattern_is_as_deep_as_it_can_be() {
        for (typed, folder, depth) in [
            ("*.csv", "", Some(0)),
            ("in/*.csv", "in", Some(0)),
            ("in/x*/y/z", "in", Some(2)),
            ("in/x/a{b,c}", "in/x", Some(0)),
            ("in/x/", "in/x", None),
            ("in/**/y", "in", None),
            ("in [", "", None),
        ] {
            let Ok(Typed { pattern: Some(pattern), .. }) = Typed::parse(typed, false) else {
                assert_eq!(typed, "in [");
                continue;
            };
            assert_eq!((pattern.folder().as_ref(), pattern.depth()), (folder, depth), "{typed}");
        }
    }

    #[test]
    fn an_escape_stands_for_a_character_of_a_name() {
        let read = |text| Typed::parse(text, true).unwrap();
        assert_eq!(read("a%20b/%2A%25%C3%BC.csv").name, "a b/*%ü.csv");
        assert_eq!(read("100%").name, "100%");
        assert!(read("a%2A.csv").pattern.is_none());
        let typed = read("a%5B1%5D/%7Bx%7D%2A%25-*").pattern.unwrap();
        assert_eq!(typed.folder().as_ref(), "a[1]");
        assert!(typed.matches("a[1]/{x}*%-b"));
        assert!(!typed.matches("a[1]/{x}y%-b"));
        // Without escapes, each character is itself.
        assert_eq!(Typed::parse("a%20b", false).unwrap().name, "a%20b");
    }

    #[test]
    fn a_path_that_no_store_has_is_refused() {
        for path in
            ["a//b", "/a", "a/../b", "..", "a/./b", "a\nb", "a//*", "/*", "../*", "*/../b", "*//b"]
        {
            assert!(Typed::parse(path, false).is_err(), "{path:?}");
        }
        for path in ["a%2F..%2Fb", "a%00", "%2E%2E/*", "a%FF", "*%FF", "*%2F..", "a%0A*"] {
            assert!(Typed::parse(path, true).is_err(), "{path:?}");
        }
        for path in ["[", "{a", "a**", "**b/c", "a}*", "[z-a]"] {
            assert!(Typed::parse(path, false).is_err(), "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn reading_a_path_never_panics(path in ".*", is_escaped: bool) {
            let _ = Typed::parse(&path, is_escaped);
        }

        #[test]
        fn a_name_is_addressed_by_its_escapes(name in "[^/\0-\u{1f}\u{7f}]{1,8}") {
            prop_assume!(name != "." && name != "..");
            let escaped: String = percent_encode(name.as_bytes(), NON_ALPHANUMERIC).to_string();
            let one = Typed::parse(&escaped, true).unwrap();
            prop_assert!(one.pattern.is_none());
            prop_assert_eq!(&one.name, &name);
            let many = Typed::parse(&format!("_x/*/_{escaped}"), true).unwrap().pattern.unwrap();
            let path = format!("_x/y/_{name}");
            prop_assert!(many.matches(&path), "{}", path);
        }
    }
}
