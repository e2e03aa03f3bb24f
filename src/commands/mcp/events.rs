//! The events of the machine for agents: the journal of the sensor.

use nixmon_core::text::Symbols;
use nixmon_mcp::{EventAnswer, Events};
use nixmon_sensor::Journal;

use crate::commands::watch::line;
use crate::settings::Settings;

/// Events in one answer. Agents pay per line.
const MOST: usize = 50;

/// The sensor's journal.
#[derive(Debug)]
pub(super) struct Journaled {
    journal: Option<Journal>,
    home: Option<String>,
}

impl Journaled {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { journal: settings.journal(), home: settings.watch.home.clone() }
    }
}

impl Events for Journaled {
    fn since(&self, cursor: u64) -> Option<EventAnswer> {
        let journal = self.journal.as_ref()?;
        let is_watched = journal.sensor().is_some();
        let page = match journal.since(cursor, MOST) {
            Ok(Some(page)) => page,
            Ok(None) if is_watched => {
                return Some(EventAnswer { events: Some(Vec::new()), ..EventAnswer::default() });
            }
            Ok(None) => return None,
            Err(error) => {
                let note = Some(format!("the journal of the sensor cannot be read: {error}"));
                return Some(EventAnswer { events: None, cursor, note });
            }
        };
        let home = self.home.as_deref();
        let events = page.entries.iter().map(|entry| line(&entry.record, &Symbols::unicode(), home).plain());
        let mut notes = Vec::new();
        if page.omitted > 0 {
            notes.push(format!("{} older events were left out", page.omitted));
        }
        if !is_watched {
            notes.push("no sensor is running now; `nixmon watch` is one".to_owned());
        }
        let note = Some(notes.join("; ")).filter(|note| !note.is_empty());
        Some(EventAnswer { events: Some(events.collect()), cursor: page.cursor, note })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nixmon_sensor::model::event::{Backend, LossEvent, Record};

    #[test]
    fn events_after_a_cursor() {
        let temp = tempfile::tempdir().unwrap();
        let journal = Journal::new(temp.path().join("watch"));
        let events = Journaled { journal: Some(journal.clone()), home: None };
        assert!(events.since(0).is_none());
        let held = journal.hold(Backend::Connector).unwrap().unwrap();
        let answer = events.since(0).unwrap();
        assert_eq!((answer.events, answer.cursor, answer.note), (Some(Vec::new()), 0, None));
        let loss = |n| Record::Loss(LossEvent { at_ms: 0, overruns: n, missed: 0 });
        journal.append((1..=60).map(loss)).unwrap();
        let answer = events.since(58).unwrap();
        assert_eq!((answer.events.unwrap().len(), answer.cursor, answer.note), (2, 60, None));
        let answer = events.since(0).unwrap();
        assert_eq!(answer.events.unwrap().len(), MOST);
        assert_eq!(answer.note.as_deref(), Some("10 older events were left out"));
        drop(held);
        let answer = events.since(60).unwrap();
        assert_eq!(answer.events, Some(Vec::new()));
        assert!(answer.note.unwrap().starts_with("no sensor is running now"));
    }
}
