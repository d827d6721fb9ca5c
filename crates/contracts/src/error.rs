//! The error every Sluice library returns.

use std::borrow::Cow;

/// A result whose error says who must act.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Errors that [`Error::several`] shows.
const LISTED: usize = 10;

/// Who must act on an [`Error`]. Retry policy, exit code and HTTP status follow from it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The author of the job: what was asked for cannot be done as written.
    Invalid,
    /// The operator: a permission, a password or a network path is missing.
    Denied,
    /// The author or operator: something named does not exist.
    NotFound,
    /// No one, usually: another program did the same thing first.
    Conflict,
    /// No one: the same call may succeed when repeated.
    Transient,
    /// The owner of the data: a value, row or document is not valid.
    Data,
    /// The authors of Sluice.
    Bug,
}

/// What was being done, why it failed, and what to do about it.
///
/// [`Display`](std::fmt::Display) is one lowercase verb phrase with the things it names in
/// backticks. It never contains its source: a report prints the chain once, at the top. It never
/// contains a cell's value, a password or a URL with credentials.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    what: Cow<'static, str>,
    hint: Option<Cow<'static, str>>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` while doing `what`.
    pub fn new(kind: Kind, what: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, what: what.into(), hint: None, source: None }
    }

    /// [`Kind::Invalid`].
    pub fn invalid(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Invalid, what)
    }

    /// [`Kind::Data`].
    pub fn data(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Data, what)
    }

    /// [`Kind::NotFound`].
    pub fn not_found(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::NotFound, what)
    }

    /// [`Kind::Transient`].
    pub fn transient(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Transient, what)
    }

    /// [`Kind::Bug`].
    pub fn bug(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Bug, what)
    }

    /// Adds the remedy, shown after the message.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Attaches the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Wraps this error in what the caller was doing, keeping its kind and its hint.
    #[must_use]
    pub fn during(self, what: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: self.kind, what: what.into(), hint: None, source: Some(Box::new(self)) }
    }

    /// Several errors as one: `what`, a line for each of the first ten below it, and each remedy
    /// once. An error alone is only wrapped.
    ///
    /// The kind is [`Kind::Transient`] if one of them is: repeated, the call may come further. Else
    /// it is that of the first that is not [`Kind::Invalid`], if there is one: another job would not
    /// help all of them.
    pub fn several(what: impl Into<Cow<'static, str>>, errors: Vec<Self>) -> Self {
        let mut errors = errors;
        if errors.len() == 1
            && let Some(only) = errors.pop()
        {
            return only.during(what);
        }
        let first =
            |wanted: fn(Kind) -> bool| errors.iter().map(Self::kind).find(|kind| wanted(*kind));
        let kind = first(|kind| kind == Kind::Transient)
            .or_else(|| first(|kind| kind != Kind::Invalid))
            .unwrap_or(Kind::Invalid);
        let mut lines = vec![what.into().into_owned()];
        let mut hints: Vec<&str> = Vec::new();
        for error in errors.iter().take(LISTED) {
            lines.push(error.chain().replace('\n', "\n  "));
            hints.extend(error.remedy().filter(|hint| !hints.contains(hint)));
        }
        if errors.len() > LISTED {
            lines.push(format!("and {} more", errors.len() - LISTED));
        }
        let error = Self::new(kind, lines.join("\n  "));
        if hints.is_empty() { error } else { error.hint(hints.join("\n")) }
    }

    /// All results, or all errors among them as one: `what` is given their number. An error alone
    /// stays as it is.
    ///
    /// # Errors
    /// As [`Error::several`].
    pub fn all<T>(
        results: impl IntoIterator<Item = Result<T>>,
        what: impl FnOnce(usize) -> String,
    ) -> Result<Vec<T>> {
        let (mut all, mut errors) = (Vec::new(), Vec::new());
        for result in results {
            match result {
                Ok(one) => all.push(one),
                Err(error) => errors.push(error),
            }
        }
        match errors.len() {
            0 => Ok(all),
            1 => Err(errors.remove(0)),
            count => Err(Self::several(what(count), errors)),
        }
    }

    /// Who must act.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The remedy nearest to the top of the chain.
    pub fn remedy(&self) -> Option<&str> {
        if let Some(hint) = &self.hint {
            return Some(hint);
        }
        let mut next = std::error::Error::source(self);
        while let Some(error) = next {
            if let Some(hint) = error.downcast_ref::<Self>().and_then(|e| e.hint.as_deref()) {
                return Some(hint);
            }
            next = error.source();
        }
        None
    }

    /// The whole chain in one line: `what: what: root cause`.
    pub fn chain(&self) -> String {
        let mut line = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(error) = next {
            let text = error.to_string();
            // Libraries often repeat their source in their own message; once is enough.
            if !line.ends_with(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            next = error.source();
        }
        line
    }

    /// Whether the same call may succeed when repeated.
    pub fn is_transient(&self) -> bool {
        self.kind == Kind::Transient
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

/// Adds to another library's error what was being done.
pub trait Doing<T> {
    /// Turns the error into an [`Error`] of `kind` that happened while doing `what`.
    fn doing<W: Into<Cow<'static, str>>>(self, kind: Kind, what: impl FnOnce() -> W) -> Result<T>;
}

impl<T, E: std::error::Error + Send + Sync + 'static> Doing<T> for Result<T, E> {
    fn doing<W: Into<Cow<'static, str>>>(self, kind: Kind, what: impl FnOnce() -> W) -> Result<T> {
        self.map_err(|source| Error::new(kind, what()).because(source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_prints_each_cause_once_and_finds_the_nearest_hint() {
        let root = std::io::Error::other("connection refused");
        let error = Error::transient("connect to `postgres://db/shop`")
            .because(root)
            .hint("start the server")
            .during("describe table `public.orders`");
        assert_eq!(
            error.chain(),
            "describe table `public.orders`: connect to `postgres://db/shop`: connection refused"
        );
        assert_eq!(error.remedy(), Some("start the server"));
        assert!(error.is_transient());
    }

    #[test]
    fn several_errors_are_told_at_once_with_each_remedy_once() {
        let column = |name: &str| Error::invalid(format!("column `{name}`")).hint("cast it");
        let error = Error::several("describe `t`", vec![column("a"), column("b")]);
        assert_eq!(error.chain(), "describe `t`\n  column `a`\n  column `b`");
        assert_eq!((error.kind(), error.remedy()), (Kind::Invalid, Some("cast it")));
        let denied = Error::new(Kind::Denied, "column `c`").hint("grant it").during("look");
        let error = Error::several("describe `t`", vec![column("a"), denied]);
        assert_eq!(error.chain(), "describe `t`\n  column `a`\n  look: column `c`");
        assert_eq!((error.kind(), error.remedy()), (Kind::Denied, Some("cast it\ngrant it")));
        let error = Error::several("describe `t`", vec![column("a")]);
        assert_eq!(error.chain(), "describe `t`: column `a`");
        assert_eq!(error.remedy(), Some("cast it"));
        for (kinds, expected) in [
            ([Kind::Denied, Kind::Transient], Kind::Transient),
            ([Kind::Transient, Kind::Denied], Kind::Transient),
            ([Kind::Invalid, Kind::Transient], Kind::Transient),
            ([Kind::Invalid, Kind::Data], Kind::Data),
            ([Kind::Denied, Kind::Data], Kind::Denied),
        ] {
            let errors = kinds.map(|kind| Error::new(kind, "look")).into();
            assert_eq!(Error::several("describe `t`", errors).kind(), expected, "{kinds:?}");
        }
        let many = (0..12).map(|at| column(&at.to_string())).collect();
        let error = Error::several("describe `t`", many);
        assert!(error.chain().ends_with("  column `9`\n  and 2 more"), "{}", error.chain());
    }
}
