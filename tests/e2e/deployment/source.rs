//! What the programs' source says, so that no second list has to be kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The variables that a program reads, each with whether it has to be set.
///
/// A setting is a field of a struct that `envy` fills: one whose name begins with `sluice_`, or
/// whose documentation begins with the variable's name. A program reads those of its own crate and
/// those of the modules of `crates/runtime` that it uses.
pub(super) fn variables(program: &str) -> BTreeMap<String, bool> {
    let mut found = BTreeMap::new();
    for text in code_of(program) {
        if text.contains("envy::") || text.contains("list::deserialize") {
            fields(&text, &mut found);
        }
        for read in ["var(\"", "var_os(\""] {
            for rest in text.split(read).skip(1) {
                let name = rest.split('"').next().unwrap_or_default();
                found.entry(name.to_owned()).or_insert(false);
            }
        }
    }
    found
}

fn fields(text: &str, found: &mut BTreeMap<String, bool>) {
    let (mut documented, mut has_default) = (String::new(), false);
    for line in text.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("/// ") {
            if documented.is_empty() {
                words.clone_into(&mut documented);
            }
        } else if line.starts_with("#[") {
            has_default |= line.contains("default");
        } else {
            if let Some((name, kind)) = field(line) {
                let variable = name.to_uppercase();
                if name.starts_with("sluice_") || documented.starts_with(&format!("`{variable}`")) {
                    let required = !has_default && !kind.starts_with("Option<");
                    *found.entry(variable).or_insert(false) |= required;
                }
            }
            documented.clear();
            has_default = false;
        }
    }
}

/// A field's name and type.
fn field(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
    let (name, kind) = line.strip_suffix(',')?.split_once(": ")?;
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    // What an expression gives to a field is no type.
    let is_type = kind.starts_with(char::is_uppercase) || ["u16", "u32", "bool"].contains(&kind);
    (name.chars().all(is_name) && is_type && !kind.contains(['(', '"', '.']))
        .then_some((name, kind))
}

/// The addresses that a program answers.
pub(super) fn routes(program: &str) -> BTreeSet<String> {
    let text = production(&root().join(program).join("src/http.rs"));
    let found: BTreeSet<String> = text
        .split(".route(\"")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
        .collect();
    assert!(found.len() > 2, "the {program}'s routes were not found");
    found
}

/// The code of a program: its own, and what it uses of the runtime.
pub(super) fn code_of(program: &str) -> Vec<String> {
    let own = folder(&root().join(program).join("src"));
    let mut wanted: Vec<String> =
        own.iter().flat_map(|text| named_after(text, "sluice_runtime::")).collect();
    let (mut seen, mut code) = (BTreeSet::new(), own);
    let runtime = root().join("crates/runtime/src");
    while let Some(module) = wanted.pop() {
        if !seen.insert(module.clone()) {
            continue;
        }
        let file = runtime.join(format!("{module}.rs"));
        let texts =
            if file.exists() { vec![production(&file)] } else { folder(&runtime.join(&module)) };
        for text in &texts {
            wanted.extend(named_after(text, "crate::"));
        }
        code.extend(texts);
    }
    assert!(code.len() > 10, "the {program}'s code was not found");
    code
}

/// The modules that stand after a path's beginning.
fn named_after(text: &str, path: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let word = |text: &str| {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        text[..end].to_owned()
    };
    let mut names = Vec::new();
    for line in code {
        for rest in line.split(path).skip(1) {
            match rest.strip_prefix('{') {
                Some(several) => {
                    let several = several.split('}').next().unwrap_or_default();
                    names.extend(several.split(',').map(|one| word(one.trim())));
                }
                None => names.push(word(rest)),
            }
        }
    }
    names
}

/// A constant of a file, which is a duration or a number of seconds.
pub(super) fn constant(file: &str, name: &str) -> Duration {
    let text = production(&root().join(file));
    let (_, rest) = text
        .split_once(&format!("const {name}: "))
        .unwrap_or_else(|| panic!("no `{name}` in {file}"));
    let (_, value) = rest.split_once(" = ").expect("a constant has a value");
    let value = value.split(';').next().unwrap_or_default();
    let product = |text: &str| -> u64 {
        text.split('*').map(|factor| factor.trim().parse::<u64>().expect("a number")).product()
    };
    let seconds = match value.strip_suffix(')').and_then(|call| call.split_once('(')) {
        Some(("Duration::from_secs", number)) => product(number),
        Some(("Duration::from_mins", number)) => 60 * product(number),
        Some(("Duration::from_hours", number)) => 3600 * product(number),
        _ => product(value),
    };
    Duration::from_secs(seconds)
}

/// The code of a folder's files, without their tests.
pub(super) fn folder(path: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("tests") {
            found.extend(folder(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !path.ends_with("tests.rs")
        {
            found.push(production(&path));
        }
    }
    found
}

/// A file's code, without its tests.
pub(super) fn production(path: &Path) -> String {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned()
}

/// A page of the repository.
pub(super) fn page(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(super) fn root() -> PathBuf {
    fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).expect("the tree is there")
}
