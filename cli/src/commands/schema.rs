//! `sluice schema`: a document's JSON Schema.

use schemars::schema_for;
use sluice_contracts::Result;
use sluice_contracts::job::job_schema;
use sluice_contracts::manifest::Manifest;
use sluice_contracts::receipt::Receipt;

use crate::answer::Answer;
use crate::arguments::{Document, Schema};

pub(crate) fn schema(options: &Schema) -> Result<Answer> {
    let schema = match options.document {
        Document::Job => job_schema(),
        Document::Manifest => schema_for!(Manifest).to_value(),
        Document::Receipt => schema_for!(Receipt).to_value(),
    };
    Answer::new(&schema, format!("{schema:#}\n"))
}
