//! `sluice schema`: a document's JSON Schema, and what the types become.

use schemars::schema_for;
use sluice_contracts::Result;
use sluice_contracts::documents::{Manifest, Receipt};
use sluice_contracts::job::job_schema;
use sluice_sources::type_documentation;

use crate::answer::Answer;
use crate::arguments::{Document, Schema};
use crate::render::type_page;

pub(crate) fn schema(options: &Schema) -> Result<Answer> {
    let schema = match options.document {
        Document::Job => job_schema(),
        Document::Manifest => schema_for!(Manifest).to_value(),
        Document::Receipt => schema_for!(Receipt).to_value(),
        Document::Types => {
            let rows = type_documentation();
            return Answer::new(&type_page::document(&rows), type_page::render(&rows));
        }
    };
    Answer::new(&schema, format!("{schema:#}\n"))
}
