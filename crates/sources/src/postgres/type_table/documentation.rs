//! The type table as the documentation shows it.

use sluice_contracts::documents::TargetType;

use super::{FAMILIES, Row};
use crate::documentation::{Becomes, Example, TypeRow};

/// The source's name in the documentation.
const SOURCE: &str = "postgres";

/// What an array cannot hold as REPEATED.
const ARRAY: &str = "NULL elements, more than one dimension, a lower bound other than 1, and what \
                     the element's type cannot hold";

/// The rows of the documentation: the types, then what any type can become.
pub(in crate::postgres) fn type_documentation() -> Vec<TypeRow> {
    let types = FAMILIES.iter().flat_map(|(family, rows)| rows.iter().map(|row| of(family, row)));
    types.chain(made()).collect()
}

fn of(family: &'static str, row: &Row) -> TypeRow {
    let targets = row.targets.iter().map(|target| Becomes {
        target_type: target.to,
        repeated: target.repeated,
        invalid: target.invalid,
    });
    let mut becomes: Vec<Becomes> = targets.collect();
    if row.target(TargetType::String).is_none() && row.refused.is_none() {
        becomes.push(Becomes { target_type: TargetType::String, repeated: false, invalid: None });
    }
    TypeRow {
        source: SOURCE,
        family,
        name: row.name,
        becomes,
        refused: row.refused,
        example: row.example,
    }
}

fn made() -> [TypeRow; 4] {
    let one = |target_type, repeated, invalid| Becomes { target_type, repeated, invalid };
    let text = || one(TargetType::String, false, None);
    let bounds = Some("lower bounds other than 1");
    let family = "of any type";
    let made = |name, becomes, source, target| TypeRow {
        source: SOURCE,
        family,
        name,
        becomes,
        refused: None,
        example: Example { source, target },
    };
    [
        made(
            "array",
            vec![
                one(TargetType::Int64, true, Some(ARRAY)),
                one(TargetType::Json, false, bounds),
                text(),
            ],
            "{1,2}",
            "[1, 2]",
        ),
        made(
            "array of more dimensions",
            vec![one(TargetType::Json, false, bounds), text()],
            "{{1,2},{3,NULL}}",
            "[[1,2],[3,null]]",
        ),
        made("domain", vec![one(TargetType::Int64, false, None), text()], "7", "7"),
        TypeRow {
            refused: Some("the type is not known"),
            ..made("any other type", Vec::new(), "", "")
        },
    ]
}
