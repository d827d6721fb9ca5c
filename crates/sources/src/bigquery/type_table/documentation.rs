//! The documentation of the type table.

use sluice_contracts::documents::TargetType;

use super::{Row, TYPES};
use crate::documentation::{Becomes, Example, TypeRow};

const SOURCE: &str = "bigquery";

/// Every type, arrays and structs as one row each.
pub(in crate::bigquery) fn type_documentation() -> Vec<TypeRow> {
    let nested = [
        nested("STRUCT<...>", TargetType::Struct, false, ["STRUCT(1 AS a)", "STRUCT(1 AS a)"]),
        nested("ARRAY<...>", TargetType::String, true, ["['a', 'b']", "['a', 'b']"]),
    ];
    TYPES.iter().map(documented).chain(nested).collect()
}

fn documented(row: &Row) -> TypeRow {
    let [source, target] = row.example;
    let becomes = |target_type| Becomes { target_type, repeated: false, invalid: None };
    TypeRow {
        source: SOURCE,
        family: row.family,
        name: row.kind.name(),
        becomes: row.targets().map(becomes).collect(),
        refused: None,
        example: Example { source, target },
    }
}

fn nested(
    name: &'static str,
    target_type: TargetType,
    repeated: bool,
    [source, target]: [&'static str; 2],
) -> TypeRow {
    TypeRow {
        source: SOURCE,
        family: "nested",
        name,
        becomes: vec![Becomes { target_type, repeated, invalid: None }],
        refused: None,
        example: Example { source, target },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_the_target_is_one_of_the_source() {
        for kind in TargetType::ALL {
            assert!(Row::find(kind.name()).is_some_and(|row| row.kind == kind), "{kind}");
        }
    }
}
