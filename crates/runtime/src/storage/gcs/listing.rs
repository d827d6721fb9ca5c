//! The JSON API's descriptions of objects.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use futures::{Stream, stream};
use object_store::path::Path;
use object_store::{Extensions, ListResult, ObjectMeta};
use serde::Deserialize;

use super::failure::Failure;
use super::rest::Rest;

/// The fields requested of an object.
const FIELDS: &str = "name,size,updated,etag,generation,crc32c";

/// Names per page: the most that the service gives.
const PAGE: &str = "1000";

/// An object, as the service describes it. Its numbers are strings.
#[derive(Debug, Deserialize)]
pub(super) struct Described {
    name: String,
    size: String,
    updated: Option<DateTime<Utc>>,
    pub(super) etag: Option<String>,
    pub(super) generation: Option<String>,
    /// CRC-32C of its bytes, big endian, in base64.
    pub(super) crc32c: Option<String>,
}

impl Described {
    fn meta(self) -> object_store::Result<ObjectMeta> {
        let location = Path::parse(&self.name)?;
        let gibberish = |what| Failure::Gibberish(what).at(&self.name);
        let size = self.size.parse().map_err(|_| gibberish("a size that is not a number"))?;
        let last_modified = self.updated.ok_or_else(|| gibberish("an object without a time"))?;
        Ok(ObjectMeta { location, last_modified, size, e_tag: self.etag, version: self.generation })
    }
}

/// One page of a listing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Page {
    items: Vec<Described>,
    prefixes: Vec<String>,
    next_page_token: Option<String>,
}

/// The description of an object.
pub(super) async fn head(rest: &Rest, location: &Path) -> object_store::Result<ObjectMeta> {
    let described = describe(rest, location.as_ref()).await;
    described.map_err(|failure| failure.at(location.as_ref()))?.meta()
}

pub(super) async fn describe(rest: &Rest, name: &str) -> Result<Described, Failure> {
    let mut url = rest.object(name);
    url.query_pairs_mut().append_pair("fields", FIELDS);
    rest.ask(&url).await
}

/// The position of a listing.
#[derive(Debug)]
enum Place {
    Begin,
    After(String),
    End,
}

/// Everything below a prefix, page by page.
pub(super) fn list<'a>(
    rest: impl AsRef<Rest> + Send + 'a,
    prefix: Option<&Path>,
) -> impl Stream<Item = object_store::Result<ObjectMeta>> + Send + 'a {
    let prefix = below(prefix);
    stream::try_unfold(
        (rest, prefix, Place::Begin, VecDeque::<Described>::new()),
        |(rest, prefix, mut place, mut found)| async move {
            loop {
                if let Some(described) = found.pop_front() {
                    let meta = described.meta()?;
                    return Ok(Some((meta, (rest, prefix, place, found))));
                }
                let after = match &place {
                    Place::Begin => None,
                    Place::After(token) => Some(token.as_str()),
                    Place::End => return Ok(None),
                };
                let page = page(rest.as_ref(), &prefix, after, false).await?;
                place = page.next_page_token.map_or(Place::End, Place::After);
                found.extend(page.items);
            }
        },
    )
}

/// What lies directly below a prefix.
pub(super) async fn list_one_level(
    rest: &Rest,
    prefix: Option<&Path>,
) -> object_store::Result<ListResult> {
    let prefix = below(prefix);
    let mut objects = Vec::new();
    let mut common_prefixes = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = page(rest, &prefix, after.as_deref(), true).await?;
        for described in page.items {
            objects.push(described.meta()?);
        }
        for name in page.prefixes {
            common_prefixes.push(Path::parse(name)?);
        }
        match page.next_page_token {
            Some(token) => after = Some(token),
            None => {
                return Ok(ListResult { common_prefixes, objects, extensions: Extensions::new() });
            }
        }
    }
}

/// Names below `a` begin with `a/`; `ab` does not lie below it.
fn below(prefix: Option<&Path>) -> String {
    match prefix.map(Path::as_ref) {
        None | Some("") => String::new(),
        Some(prefix) => format!("{prefix}/"),
    }
}

async fn page(
    rest: &Rest,
    prefix: &str,
    after: Option<&str>,
    one_level: bool,
) -> object_store::Result<Page> {
    let mut url = rest.objects();
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("prefix", prefix).append_pair("maxResults", PAGE);
        query.append_pair("fields", &format!("items({FIELDS}),prefixes,nextPageToken"));
        if let Some(after) = after {
            query.append_pair("pageToken", after);
        }
        if one_level {
            query.append_pair("delimiter", "/");
        }
    }
    rest.ask(&url).await.map_err(|failure| failure.at(prefix))
}
