//! Lists in the environment.

use serde::{Deserialize as _, Deserializer};

/// Reads a variable that lists its values with commas between them. Spaces around a value, and
/// empty values, are left out: an empty path is the beginning of every path.
///
/// # Errors
/// If the variable is not a text.
pub fn deserialize<'de, D, T>(variable: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: From<String>,
{
    let text = String::deserialize(variable)?;
    let values = text.split(',').map(str::trim).filter(|value| !value.is_empty());
    Ok(values.map(|value| T::from(value.to_owned())).collect())
}
