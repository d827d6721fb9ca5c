//! The documentation of each type of each source, made from the tables that plan and read them.

use sluice_contracts::documents::TargetType;

/// One type of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeRow {
    /// The source's kind: `postgres`, `sqlite` or `bigquery`.
    pub source: &'static str,
    /// The family of the type: `numbers`, `text`, `dates and times`, ...
    pub family: &'static str,
    /// The type as the source spells it.
    pub name: &'static str,
    /// What it becomes, the default first. Empty if the type is refused unless the job asks for
    /// STRING.
    pub becomes: Vec<Becomes>,
    /// Why the plan refuses the type unless the job asks for STRING.
    pub refused: Option<&'static str>,
    /// A value of the source, and the same value as the default target type.
    pub example: Example,
}

/// One target of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Becomes {
    /// The type in the target.
    pub target_type: TargetType,
    /// Whether the target column is an array of it.
    pub repeated: bool,
    /// Which values of the source's type it cannot hold, if any: `on_invalid` decides about those.
    pub invalid: Option<&'static str>,
}

/// A value before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// The value as the source spells it.
    pub source: &'static str,
    /// The same in the target, as its own literal without quotes; empty where the type is refused.
    pub target: &'static str,
}
