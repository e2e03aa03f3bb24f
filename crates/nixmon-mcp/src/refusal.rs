//! Refusals of a call: what is wrong and which call to make instead.

use nixmon_log::escapes::sanitize;
use nixmon_runs::{ErrorKind, QueryError, StoreError};

/// A call that cannot be answered, with the next call to make.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", .next.as_ref().map(|next| format!(". Next: {next}")).unwrap_or_default())]
pub struct Refusal {
    /// The mistake.
    pub message: String,
    /// Advice.
    pub next: Option<String>,
}

impl Refusal {
    /// Makes a refusal.
    pub fn new(message: impl Into<String>, next: impl Into<String>) -> Self {
        Self { message: message.into(), next: Some(next.into()) }
    }
}

impl From<QueryError> for Refusal {
    fn from(error: QueryError) -> Self {
        let next = match error.kind() {
            ErrorKind::UnknownRun => {
                "build_list {} shows the runs, build_start starts one; an id looks like run-41".to_owned()
            }
            ErrorKind::Ambiguous => "name one of these by its id".to_owned(),
            ErrorKind::NotFound => {
                "build_log with only the id shows the log of the whole run; why_failed names failed derivations"
                    .to_owned()
            }
            ErrorKind::Usage => "give grep a regular expression like \"error|warning\", or leave it out".to_owned(),
            ErrorKind::DoesNotEnd => "tell the user; the process may hang in the kernel".to_owned(),
            ErrorKind::Busy => "build_list {} shows it; wait for it, or choose another name".to_owned(),
            _ => "tell the user; nixmon's store cannot be read".to_owned(),
        };
        let message = match &error {
            // In the words of a command line.
            QueryError::Pattern { pattern, reason } => format!("grep {pattern}: {reason}"),
            QueryError::Store(StoreError::Empty) => "there are no runs yet".to_owned(),
            error => error.to_string(),
        };
        Self::new(one_line(&message), next)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        QueryError::from(error).into()
    }
}

fn one_line(text: &str) -> String {
    sanitize(text).split_whitespace().collect::<Vec<_>>().join(" ")
}
