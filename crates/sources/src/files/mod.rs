//! Files: CSV, JSON lines, Parquet and Avro, in the stores of all clouds, on web servers and on this machine.
//!
//! A file is read in the version that it had when the run was planned: units name it, and every answer of a
//! store says which version its bytes are of. Only reading is needed: no right to write, and none to change.

mod address;
mod bad_rows;
mod columns;
mod csv;
mod detect;
mod fetch;
mod file_bytes;
mod folder;
mod format;
mod glob;
mod infer;
mod json;
mod kind;
mod listing;
mod native;
mod partitions;
mod pattern;
mod piece;
mod place;
mod reader;
mod sample;
mod starts;
mod store;
mod survey;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod text_batches;
mod typed;
mod value;
#[cfg(feature = "google")]
mod web;

use std::sync::Arc;

use async_trait::async_trait;
use sluice_contracts::job::{FILE_SCHEMES, URL_SEPARATOR};
use sluice_contracts::ports::DatabaseLogin;
use sluice_contracts::{Error, Result};

use self::address::Address;
use self::reader::FilesReader;
use self::store::FileStore;
use self::survey::FilesSurvey;
use crate::documentation::TypeRow;
use crate::place::{Place, Protection};
use crate::secrets::Secrets;
use crate::source::{Join, Reader, Source, SourceKind, Survey};
use crate::url::SourceUrl;

/// The kind.
#[derive(Debug)]
pub(crate) struct Files;

impl SourceKind for Files {
    fn schemes(&self) -> &'static [&'static str] {
        &FILE_SCHEMES
    }

    fn is_parameter(&self, _name: &str) -> bool {
        false
    }

    fn types(&self) -> Vec<TypeRow> {
        kind::type_documentation().into_iter().chain(typed::type_documentation()).collect()
    }

    fn open(
        &self,
        url: &SourceUrl,
        _login: Option<&Arc<dyn DatabaseLogin>>,
    ) -> Result<Arc<dyn Source>> {
        let addresses: Vec<Address> =
            url.text().split(URL_SEPARATOR).map(Address::parse).collect::<Result<_>>()?;
        let [first, others @ ..] = addresses.as_slice() else {
            return Err(Error::invalid("read `source.url`: it names no file"));
        };
        if others.iter().any(|other| other.root() != first.root()) {
            return Err(Error::invalid("read `source.urls`: they are of several stores")
                .hint("write a job for the files of each bucket, container or server"));
        }
        let label = url.label(|| first.label().to_owned());
        let urls = url.template().split(URL_SEPARATOR).map(str::to_owned).collect();
        Ok(Arc::new(FileSet { label, urls, addresses, secrets: url.secrets().clone() }))
    }
}

/// The files that a job names.
struct FileSet {
    label: String,
    /// As the job writes them.
    urls: Vec<String>,
    addresses: Vec<Address>,
    secrets: Secrets,
}

// A path may contain a variable's value, and a URL its signature.
impl std::fmt::Debug for FileSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSet").field("label", &self.label).finish_non_exhaustive()
    }
}

impl FileSet {
    fn store(&self) -> Result<Arc<FileStore>> {
        let Some(first) = self.addresses.first() else {
            return Err(Error::bug("open the store of no file"));
        };
        let store = FileStore::open(first).map_err(|error| self.secrets.redact(error))?;
        Ok(Arc::new(store))
    }
}

#[async_trait]
impl Source for FileSet {
    fn label(&self) -> &str {
        &self.label
    }

    fn places(&self) -> Vec<Place> {
        self.addresses.iter().map(Address::place).collect()
    }

    fn protection(&self) -> Protection {
        self.addresses.iter().map(Address::protection).min().unwrap_or(Protection::None)
    }

    async fn survey(&self, _application: &str) -> Result<Box<dyn Survey>> {
        Ok(Box::new(FilesSurvey::new(self.store()?, self.urls.clone(), self.addresses.clone())))
    }

    async fn reader(&self, _application: &str, _join: Join<'_>) -> Result<Option<Box<dyn Reader>>> {
        Ok(Some(Box::new(FilesReader::new(self.store()?))))
    }
}
