//! The documentation of the type table.

use sluice_contracts::documents::TargetType;

use super::{Declared, Encoding, TYPES, declared};
use crate::documentation::{Becomes, Example, TypeRow};

const SOURCE: &str = "sqlite";
/// Decimals with digits, and a value of each.
const DECIMALS: &[(&str, [&str; 2])] = &[
    ("DECIMAL(12, 2)", ["19.99", "19.99"]),
    ("DECIMAL(38, 10)", ["'0.1234567890'", "0.1234567890"]),
    ("DECIMAL(60, 5)", ["'0.12345'", ""]),
];
/// Declared types that say nothing about their values.
const UNTYPED: &[&str] = &["", "ANY", "NUM"];

/// Every declared type that is known, and those that the plan refuses.
pub(in crate::sqlite) fn type_documentation() -> Vec<TypeRow> {
    let mut rows = Vec::new();
    for row in TYPES {
        rows.extend(row.names.iter().map(|name| named(name, row.family, row.example)));
        if row.encoding == Encoding::Decimal {
            rows.extend(DECIMALS.iter().map(|(name, example)| named(name, row.family, *example)));
        }
    }
    rows.extend(UNTYPED.iter().map(|name| named(name, "no type", ["1", ""])));
    rows
}

fn named(name: &'static str, family: &'static str, [source, target]: [&'static str; 2]) -> TypeRow {
    let Declared { encoding, target: default, .. } = declared(name);
    let becomes = |target_type| Becomes {
        target_type,
        repeated: false,
        invalid: encoding.misfits(target_type, false),
    };
    let others = encoding.targets().iter().copied().filter(|target| Some(*target) != default);
    let targets: Vec<TargetType> = default.into_iter().chain(others).collect();
    let refused = match (default, encoding) {
        (Some(_), _) => None,
        (None, Encoding::Decimal) => Some("no type of the target has so many digits"),
        (None, _) => Some("it says nothing of its values"),
    };
    TypeRow {
        source: SOURCE,
        family,
        name,
        becomes: targets.into_iter().map(becomes).collect(),
        refused,
        example: Example { source, target },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declared_type_is_documented_once() {
        let rows = type_documentation();
        for name in TYPES.iter().flat_map(|row| row.names) {
            assert_eq!(rows.iter().filter(|row| row.name == *name).count(), 1, "{name}");
        }
        for row in &rows {
            assert_eq!(row.refused.is_some(), row.example.target.is_empty(), "{}", row.name);
            assert_eq!(row.refused.is_none(), declared(row.name).target.is_some(), "{}", row.name);
        }
    }
}
