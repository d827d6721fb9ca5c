//! Values of environment variables, which no message contains.

use percent_encoding::percent_decode_str;
use sluice_contracts::Error;

use crate::SOURCES;
use crate::source::NoConnectionLeft;

/// What separates the parts of a URL.
const SEPARATORS: [char; 7] = ['/', ':', '@', '?', '&', '=', '#'];
/// A part that is shorter than this is replaced only where it is a word of its own: it occurs in
/// other words by chance.
const SHORT: usize = 4;
/// Longest name that PostgreSQL repeats, in bytes.
/// <https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS>
const LONGEST_NAME: usize = 63;

/// Values of environment variables, whole and in the parts that a URL's parser makes of them.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    /// Each text with what stands for it, longest first.
    texts: Vec<(String, String)>,
}

impl Secrets {
    /// Adds the value of the variable `name`.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        let own = format!("${{{name}}}");
        self.insert(value, &own);
        let rest = without_public_words(value);
        for part in rest.split(SEPARATORS) {
            self.insert(part, "***");
        }
        // Whatever characters a parser separates by, and whether it decodes them before or after.
        for form in [decoded(&rest), rest] {
            for part in form.split(|c: char| !c.is_alphanumeric() && !"._-".contains(c)) {
                self.insert(part, "***");
            }
        }
        self.texts.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
    }

    fn insert(&mut self, text: &str, stands_for: &str) {
        for form in [text, &decoded(text)] {
            let lowercase = form.to_lowercase();
            let cut = form.get(..form.floor_char_boundary(LONGEST_NAME)).unwrap_or(form);
            for form in [form, &lowercase, cut] {
                if !form.is_empty() && !self.texts.iter().any(|(known, _)| known == form) {
                    self.texts.push((form.to_owned(), stands_for.to_owned()));
                }
            }
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// An error of a connection without the values. Its hint contains none.
    pub(crate) fn redact(&self, error: Error) -> Error {
        let what = error.to_string();
        let chain = error.chain();
        let cause = chain.strip_prefix(&what).unwrap_or(&chain).trim_start_matches(": ");
        let (clean_what, clean_cause) = (self.clean(&what), self.clean(cause));
        if clean_what == what && clean_cause == cause {
            return error;
        }
        let redacted = Error::new(error.kind(), clean_what);
        let redacted = match clean_cause {
            cause if cause.is_empty() => redacted,
            cause if NoConnectionLeft::caused(&error) => redacted.because(NoConnectionLeft(cause)),
            cause => redacted.because(cause),
        };
        match error.remedy() {
            Some(hint) => redacted.hint(hint.to_owned()),
            None => redacted,
        }
    }

    /// An error of a statement without the values in what the server said, and in the hint. What
    /// Sluice says itself names tables, whose names may occur in a value: a word of it is known
    /// anyway. A part of a word stays: the owner of database `shop` may be called `shop_owner`.
    pub(crate) fn redact_cause(&self, error: Error) -> Error {
        let (what, chain) = (error.to_string(), error.chain());
        let mut deepest = std::error::Error::source(&error);
        while let Some(next) = deepest.and_then(std::error::Error::source) {
            deepest = Some(next);
        }
        let Some(said) = deepest.map(ToString::to_string) else { return error };
        let Some(own) = chain.strip_suffix(&said) else { return error };
        let public = |text: &String| own.contains(text.as_str());
        let texts = self.texts.iter().filter(|(text, _)| !public(text)).cloned().collect();
        let secret = Self { texts };
        let clean = secret.clean_words(&said);
        let hint = error.remedy().map(|hint| secret.clean_words(hint));
        if clean == said && hint.as_deref() == error.remedy() {
            return error;
        }
        let rest = own.strip_prefix(&what).unwrap_or(own).trim_start_matches(": ");
        let cause = format!("{rest}{clean}");
        let redacted = Error::new(error.kind(), what);
        let redacted = if NoConnectionLeft::caused(&error) {
            redacted.because(NoConnectionLeft(cause))
        } else {
            redacted.because(cause)
        };
        hint.into_iter().fold(redacted, Error::hint)
    }

    fn clean_words(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for (secret, stands_for) in &self.texts {
            clean = replaced(&clean, secret, stands_for, |c: char| c.is_alphanumeric() || c == '_');
        }
        clean
    }

    fn clean(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for (secret, stands_for) in &self.texts {
            if clean.contains(secret.as_str()) {
                let inside = |c: char| secret.chars().count() < SHORT && c.is_alphanumeric();
                clean = replaced(&clean, secret, stands_for, inside);
            }
        }
        clean
    }
}

/// A value without what of a source's whole URL is no secret, and what messages are riddles without:
/// the scheme, the names of parameters, and the certificates that it names.
fn without_public_words(value: &str) -> String {
    let kind_of = |scheme: &str| SOURCES.iter().find(|kind| kind.schemes().contains(&scheme));
    let found = value.split_once("://").and_then(|(scheme, rest)| Some((kind_of(scheme)?, rest)));
    let Some((kind, rest)) = found else { return value.to_owned() };
    let Some((place, query)) = rest.split_once('?') else { return rest.to_owned() };
    // With an `@` after it, the `?` belongs to a password that is not percent-encoded.
    let has_server = !place.starts_with(['/', '#']) && !place.is_empty() && !query.contains('@');
    let secret = |pair: &str| match pair.split_once('=') {
        Some((name, path)) if has_server && kind.names_file(name) && path.starts_with('/') => {
            String::new()
        }
        Some((name, value)) if kind.is_parameter(name) => value.to_owned(),
        _ => pair.to_owned(),
    };
    let query: Vec<String> = query.split('&').map(secret).collect();
    format!("{place}?{}", query.join("&"))
}

/// A text as a parser of parameters reads it.
fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

/// `continues` says which characters beside a secret make a longer word of it, which stays.
fn replaced(
    text: &str,
    secret: &str,
    stands_for: &str,
    continues: impl Fn(char) -> bool,
) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(secret) {
        let (before, after) = (&rest[..at], &rest[at + secret.len()..]);
        let previous = before.chars().next_back().or_else(|| clean.chars().next_back());
        let by_chance =
            previous.is_some_and(&continues) || after.chars().next().is_some_and(&continues);
        clean.push_str(before);
        clean.push_str(if by_chance { secret } else { stands_for });
        rest = after;
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_kind_and_hint_and_loses_the_values() {
        let mut secrets = Secrets::default();
        secrets.add("URL", "postgres://ann:s3cr%40t@db.example/a");
        let error = Error::transient("connect to `${URL}`")
            .because("no pg_hba.conf entry for user \"ann\", database \"a\" at db.example: s3cr@t")
            .hint("a hint");
        let redacted = secrets.redact(error);
        assert_eq!(
            redacted.chain(),
            "connect to `${URL}`: no pg_hba.conf entry for user \"***\", database \"***\" at ***: ***"
        );
        assert_eq!((redacted.is_transient(), redacted.remedy()), (true, Some("a hint")));
    }

    #[test]
    fn what_of_a_whole_url_is_no_secret_stays() {
        let said = |value: &str, message: &'static str| {
            let mut secrets = Secrets::default();
            secrets.add("V", value);
            secrets.redact(Error::invalid(message)).to_string()
        };
        let file = "`sslrootcert`: there is no file `/etc/ca.crt`";
        let hidden = "`sslrootcert`: there is no file `/***/***`";
        let whole = "postgres://ann:pw12@db/d?sslmode=verify-full&sslrootcert=/etc/ca.crt";
        assert_eq!(said(whole, file), file);
        assert_eq!(
            said("postgres://u@h/d?sslmode=requre", "`sslmode` is not a mode"),
            "`sslmode` is not a mode"
        );
        assert_eq!(said("sqlite:///a.db?mode=rw", "parameter `mode` has"), "parameter `mode` has");
        // Its value, another place of the same text, and what is no whole URL stay hidden.
        assert_eq!(said("postgres://u@h/d?user=carol", "role carol"), "role ***");
        assert_eq!(said("postgres://u:sslmode@h/d", "`sslmode`"), "`***`");
        assert_eq!(said("sslrootcert=/etc/ca.crt", "file /etc/ca.crt"), "file /***/***");
        assert_eq!(
            said("postgres://ca.crt@h/d?sslrootcert=/etc/ca.crt", "role ca.crt"),
            "role ***"
        );
        // The rest of a password that is not percent-encoded.
        let raw = "postgres://u:x?sslrootcert=/etc/ca.crt@h/d";
        assert_eq!(said(raw, file), hidden);
    }

    #[test]
    fn a_long_name_that_a_server_cuts_is_known() {
        let mut secrets = Secrets::default();
        let long = "x1".repeat(50);
        secrets.add("USER", &long);
        let error =
            Error::invalid("connect").because(format!("role \"{}\" is absent", &long[..63]));
        assert_eq!(
            secrets.redact(error).chain(),
            "connect: role \"***\" is absent".replace("***", "${USER}")
        );
    }

    #[test]
    fn the_type_that_retries_are_decided_by_is_kept() {
        let mut secrets = Secrets::default();
        secrets.add("USER", "annabel");
        let error = Error::transient("connect")
            .because(NoConnectionLeft("too many connections for role \"annabel\"".to_owned()));
        let redacted = secrets.redact(error);
        assert!(NoConnectionLeft::caused(&redacted));
        assert!(!redacted.chain().contains("annabel"));
    }

    #[test]
    fn only_what_others_say_of_a_statement_is_redacted() {
        let mut secrets = Secrets::default();
        secrets.add("SOURCE_URL", "postgres://s3cret_user@host/shop");
        let said = "permission denied for s3cret_user";
        let error = Error::new(sluice_contracts::Kind::Denied, "describe table `shop.orders`")
            .because(said)
            .hint("grant it to `s3cret_user`")
            .during("plan job `x`");
        let redacted = secrets.redact_cause(error);
        assert_eq!(
            redacted.chain(),
            "plan job `x`: describe table `shop.orders`: permission denied for ***"
        );
        assert_eq!(redacted.remedy(), Some("grant it to `***`"));
        let owner = Error::bug("look").because("view of shop_owner in shop").during("plan");
        assert_eq!(secrets.redact_cause(owner).chain(), "plan: look: view of shop_owner in ***");
        let lost =
            Error::transient("connect").because(NoConnectionLeft("no s3cret_user".to_owned()));
        assert!(NoConnectionLeft::caused(&secrets.redact_cause(lost)));
    }
}
