//! One record's bytes to a [`LogMessage`].

use serde_json::{Map, Value};

use super::scan::scan;
use crate::nix::log::LogMessage;

/// Why a record could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// No JSON: torn, cut off, or never a record.
    #[error("record is no JSON")]
    NotJson,
    /// JSON, but no object with an action and what the action needs.
    #[error("record lacks what its action needs")]
    Shape,
}

/// Room for the records that need rewriting before they can be read in place.
#[derive(Debug, Default)]
pub struct Scratch {
    text: String,
}

/// Reads one record (the JSON without `@nix `).
///
/// Bad UTF-8 is replaced, as Nix itself does. Keys, actions and types that are not known are no error.
// Else the message is copied from one frame to the next, which takes as long as reading most records does.
#[inline(always)]
pub fn decode<'a>(record: &'a [u8], scratch: &'a mut Scratch) -> Result<LogMessage<'a>, DecodeError> {
    match scan(record, false) {
        Some(message) => Ok(message),
        None => rewrite(&String::from_utf8_lossy(record), &mut scratch.text),
    }
}

/// The slow and complete way: a full parser, then the record in the plain form that the scanner reads.
fn rewrite<'a>(text: &str, scratch: &'a mut String) -> Result<LogMessage<'a>, DecodeError> {
    let value: Value = serde_json::from_str(text).map_err(|_| DecodeError::NotJson)?;
    let Value::Object(object) = value else { return Err(DecodeError::Shape) };
    let plain = Value::Object(plain(object)).to_string();
    scratch.clear();
    scratch.push_str(&plain);
    scan(scratch.as_bytes(), true).ok_or(DecodeError::Shape)
}

/// Keeps the keys that are known and have the type that they should have.
fn plain(object: Map<String, Value>) -> Map<String, Value> {
    object
        .into_iter()
        .filter_map(|(key, value)| {
            let value = match key.as_str() {
                "action" | "text" | "msg" | "raw_msg" | "phase" | "file" => string(value)?,
                "id" | "level" | "parent" | "type" | "line" | "column" => {
                    Some(value).filter(Value::is_u64)?
                }
                "fields" => Value::Array(
                    value
                        .as_array()?
                        .iter()
                        .map(|field| match field {
                            Value::String(text) => Value::String(text.clone()),
                            Value::Number(number) if number.is_u64() => field.clone(),
                            _ => Value::Null,
                        })
                        .collect(),
                ),
                "payload" | "trace" => Some(value).filter(|v| v.is_object() || v.is_array())?,
                _ => return None,
            };
            Some((key, value))
        })
        .collect()
}

/// A string in a form whose JSON has no surrogate escapes; serde_json writes characters as they are.
fn string(value: Value) -> Option<Value> {
    Some(value).filter(Value::is_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix::log::{ActivityType, ResultType};

    fn check(record: &str, expected: &str) {
        let mut scratch = Scratch::default();
        let said = match decode(record.as_bytes(), &mut scratch) {
            Ok(LogMessage::Start { id, parent, kind, text, fields, level }) => {
                format!("start {id} {parent} {kind:?} {level} {:?} {}", text.decode(), fields.len())
            }
            Ok(LogMessage::Stop { id }) => format!("stop {id}"),
            Ok(LogMessage::Result { id, kind, fields, payload }) => {
                let first = fields.str(0).map(|text| text.decode().into_owned());
                format!("result {id} {kind:?} {first:?} {:?} {payload:?}", fields.int(0))
            }
            Ok(LogMessage::Msg { level, msg, raw_msg, position, trace }) => format!(
                "msg {level} {:?} {:?} {:?} {:?} {trace:?}",
                msg.decode(),
                raw_msg.map(|text| text.decode().into_owned()),
                position.line,
                position.file.map(|file| file.decode().into_owned())
            ),
            Ok(LogMessage::SetPhase { phase }) => format!("phase {}", phase.decode()),
            Ok(LogMessage::Other { action }) => format!("other {}", action.decode()),
            Err(error) => error.to_string(),
        };
        assert_eq!(said, expected, "{record}");
    }

    #[test]
    fn records_are_read_whatever_their_form() {
        let (unknown, copy) = (ActivityType::Unknown, ActivityType::CopyPath);
        let cases = [
            (r#"{"action":"stop","id":10337986281473}"#, "stop 10337986281473".to_owned()),
            (r#" { "id" : 7 , "action" : "stop" } "#, "stop 7".to_owned()),
            (r#"{"action":"stop","id":18446744073709551615}"#, format!("stop {}", u64::MAX)),
            (r#"{"action":"stop","id":18446744073709551616}"#, DecodeError::Shape.to_string()),
            (r#"{"action":"stop","id":-1}"#, DecodeError::Shape.to_string()),
            (r#"{"action":"stop","id":1.0}"#, DecodeError::Shape.to_string()),
            (r#"{"action":"stop","id":1,"id":2}"#, "stop 2".to_owned()),
            (r#"{"action":"stop"}"#, DecodeError::Shape.to_string()),
            (r#"{"action":"sto"#, DecodeError::NotJson.to_string()),
            (r#"[1]"#, DecodeError::Shape.to_string()),
            (r#"{}"#, DecodeError::Shape.to_string()),
            (r#"{"action":"dance","with":{"a":[1,{"b":null}]}}"#, "other dance".to_owned()),
            (
                r#"{"action":"start","id":1,"level":4,"parent":0,"text":"a\tb\u001b[1m\"c\\","type":0}"#,
                format!("start 1 0 {unknown:?} 4 {:?} 0", "a\tb\u{1b}[1m\"c\\"),
            ),
            (
                r#"{"action":"start","fields":["p","u","l",1,2,3],"id":1,"type":100,"sid":"x","new":[1]}"#,
                format!("start 1 0 {copy:?} 0 {:?} 6", ""),
            ),
            (
                r#"{"action":"start","id":1,"type":777,"text":"\ud83d\ude80"}"#,
                format!("start 1 0 {:?} 0 {:?} 0", ActivityType::Other(777), "🚀"),
            ),
            (
                r#"{"action":"result","fields":["a line"],"id":9,"type":101}"#,
                format!("result 9 {:?} Some(\"a line\") None None", ResultType::BuildLogLine),
            ),
            (
                r#"{"action":"result","id":9,"type":109,"payload":{"wanted":"x","got":["]"]}}"#,
                format!(
                    "result 9 {:?} None None {:?}",
                    ResultType::FetchToStoreOrHashMismatch,
                    Some(r#"{"got":["]"],"wanted":"x"}"#)
                ),
            ),
            (
                r#"{"action":"result","fields":[true,1],"id":9,"type":105}"#,
                format!("result 9 {:?} None None None", ResultType::Progress),
            ),
            (
                r#"{"action":"msg","column":null,"file":null,"level":0,"line":3,"msg":"m","raw_msg":"r"}"#,
                "msg 0 \"m\" Some(\"r\") Some(3) None None".to_owned(),
            ),
            (
                r#"{"action":"msg","level":0,"msg":"m","trace":[{"raw_msg":"}"}]}"#,
                r#"msg 0 "m" None None None Some("[{\"raw_msg\":\"}\"}]")"#.to_owned(),
            ),
            (r#"{"action":"msg","level":0,"msg":"m"#, DecodeError::NotJson.to_string()),
            (r#"{"action":"setPhase","phase":"buildPhase"}"#, "phase buildPhase".to_owned()),
            ("{\"action\":\"stop\",\t\"id\":3}", "stop 3".to_owned()),
            ("{\"action\":\"msg\",\"level\":0,\"msg\":\"a\tb\"}", DecodeError::NotJson.to_string()),
        ];
        for (record, expected) in cases {
            check(record, &expected);
        }
    }

    #[test]
    fn bad_utf8_is_replaced() {
        let mut scratch = Scratch::default();
        let message = decode(b"{\"action\":\"msg\",\"level\":0,\"msg\":\"a\xffb\"}", &mut scratch);
        let Ok(LogMessage::Msg { msg, .. }) = message else { panic!("{message:?}") };
        assert_eq!(msg.decode(), "a\u{fffd}b");
    }
}
