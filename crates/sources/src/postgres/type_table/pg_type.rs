//! A column's type as the catalogue has it.

/// A column's type as the catalogue has it.
#[derive(Debug, Clone, Copy)]
pub(in crate::postgres) struct PgType<'a> {
    /// The text of `format_type()`.
    pub display: &'a str,
    /// `typname` below every domain; of the element for arrays.
    pub base: &'a str,
    /// The extension that `base` belongs to; empty for the server's own types.
    pub extension: &'a str,
    /// `typtype` of `base`.
    pub typtype: char,
    /// Of the column or its domain; -1 for none.
    pub typmod: i32,
    /// Whether it is an array of `base`.
    pub arrays: Arrays,
    /// Which type inside of a composite the server's JSON does not hold exactly, and why.
    pub inexact: Option<&'a str>,
    /// Whether a composite has arrays inside of it.
    pub has_arrays: bool,
}

/// How many arrays a type is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::postgres) enum Arrays {
    /// None.
    #[default]
    None,
    /// An array of one dimension, according to its declaration.
    One,
    /// An array that is declared with more dimensions, or of arrays.
    Deep,
}
