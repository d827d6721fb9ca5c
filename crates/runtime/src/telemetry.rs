//! Logs on standard error, for Cloud Logging or for a person.

use std::fmt;
use std::io::Write as _;

use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Who reads standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Cloud Logging, or a program: one JSON object per line.
    Machine,
    /// A person at a terminal: warnings and errors, as plain lines.
    Person,
}

/// Sends all events of this process to standard error.
///
/// `RUST_LOG` chooses what is logged, such as `info,sluice_planner=debug`. If it is not set, events
/// are logged from `info` for a machine and from `warn` for a person. A second call changes
/// nothing.
#[expect(clippy::disallowed_methods, reason = "the one setting that every program has")]
pub fn init(audience: Audience) {
    let default = match audience {
        Audience::Machine => LevelFilter::INFO,
        Audience::Person => LevelFilter::WARN,
    };
    let asked = std::env::var("RUST_LOG").ok().and_then(|typed| typed.parse().ok());
    let filter = asked.unwrap_or_else(|| Targets::new().with_default(default));
    let lines = Lines { audience };
    // A subscriber that was installed before, such as a test's, is kept.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
}

/// Cloud Logging's name for a level.
///
/// <https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#logseverity>
fn severity(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}

/// One line per event, with the fields of the spans around it.
struct Lines {
    audience: Audience,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        if self.audience == Audience::Machine {
            for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
                if let Some(outer) = span.extensions().get::<Fields>() {
                    fields.0.extend(outer.0.clone());
                }
            }
        }
        event.record(&mut fields);
        let level = *event.metadata().level();
        let line = match self.audience {
            Audience::Machine => machine_line(level, fields.0),
            Audience::Person => person_line(level, &fields.0),
        };
        // If standard error is gone, there is nowhere left to report it.
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }
}

fn machine_line(level: Level, fields: Map<String, Value>) -> String {
    let mut line = Map::new();
    line.insert("severity".to_owned(), severity(level).into());
    line.insert("time".to_owned(), Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true).into());
    line.extend(fields);
    line.entry("message").or_insert_with(|| "".into());
    Value::Object(line).to_string()
}

fn person_line(level: Level, fields: &Map<String, Value>) -> String {
    let word = match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    };
    let message = fields.get("message").and_then(Value::as_str).unwrap_or_default();
    let mut line = format!("{word}: {message}");
    for (name, value) in fields.iter().filter(|(name, _)| *name != "message") {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        line.extend([" ", name, "=", &text]);
    }
    line
}

/// The fields of an event or a span, as JSON.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn insert(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_reads_flat_fields_beside_severity_and_message() {
        let mut fields = Map::new();
        fields.insert("message".into(), "unit done".into());
        fields.insert("task".into(), 3.into());
        let line: Value = serde_json::from_str(&machine_line(Level::WARN, fields)).unwrap();
        assert_eq!(line["severity"], "WARNING");
        assert_eq!(line["message"], "unit done");
        assert_eq!(line["task"], 3);
        assert!(line["time"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn a_person_reads_a_plain_line() {
        let mut fields = Map::new();
        fields.insert("message".into(), "lost the connection".into());
        fields.insert("attempt".into(), 2.into());
        assert_eq!(person_line(Level::WARN, &fields), "warning: lost the connection attempt=2");
    }
}
