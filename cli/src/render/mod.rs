//! What people read on standard output.

pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod story;
#[cfg(test)]
mod tests;
pub(crate) mod told;
pub(crate) mod type_page;
