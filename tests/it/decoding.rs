//! The scanner reads every record exactly as a full JSON parser does: those of all captures, and generated ones.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nixmon_log::input::{DecodeError, Scratch, decode};
use nixmon_log::nix::log::{ActivityType, Field, Fields, LogMessage, ResultType};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What a record says, by the full parser alone.
fn reference(record: &[u8]) -> Result<Value, DecodeError> {
    let text = String::from_utf8_lossy(record);
    let Ok(value) = serde_json::from_str::<Value>(&text) else { return Err(DecodeError::NotJson) };
    let object = value.as_object().ok_or(DecodeError::Shape)?;
    let int = |key: &str| object.get(key).and_then(Value::as_u64);
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    let need = |found: Option<u64>| found.ok_or(DecodeError::Shape);
    let nested = |key: &str| object.get(key).filter(|value| value.is_object() || value.is_array());
    let fields: Vec<Value> = match object.get("fields").and_then(Value::as_array) {
        Some(fields) => fields
            .iter()
            .map(|field| if field.is_string() || field.is_u64() { field.clone() } else { Value::Null })
            .collect(),
        None => Vec::new(),
    };
    let kind = need(int("type"));
    Ok(match text("action").ok_or(DecodeError::Shape)? {
        "start" => {
            let kind = format!("{:?}", ActivityType::from(kind?));
            let (level, parent) = (int("level").unwrap_or(0), int("parent").unwrap_or(0));
            json!(["start", need(int("id"))?, level, parent, kind, text("text").unwrap_or(""), fields])
        }
        "stop" => json!(["stop", need(int("id"))?]),
        "result" => {
            let kind = format!("{:?}", ResultType::from(kind?));
            json!(["result", need(int("id"))?, kind, fields, nested("payload")])
        }
        "msg" => json!([
            "msg",
            int("level").unwrap_or(0),
            text("msg").ok_or(DecodeError::Shape)?,
            text("raw_msg"),
            text("file"),
            int("line"),
            int("column"),
            nested("trace")
        ]),
        "setPhase" => json!(["setPhase", text("phase").ok_or(DecodeError::Shape)?]),
        other => json!(["other", other]),
    })
}

/// The same by ours.
fn told(message: &LogMessage<'_>) -> Value {
    let parsed = |json: Option<&str>| json.map(|json| serde_json::from_str::<Value>(json).unwrap());
    let all = |fields: &Fields<'_>| -> Vec<Value> {
        let one = |field| match field {
            Field::Int(int) => json!(int),
            Field::Str(text) => json!(text.decode()),
            Field::Other => Value::Null,
        };
        (0..fields.len()).map(|at| one(fields.get(at).unwrap())).collect()
    };
    match message {
        LogMessage::Start { id, level, parent, kind, text, fields } => {
            json!(["start", id, level, parent, format!("{kind:?}"), text.decode(), all(fields)])
        }
        LogMessage::Stop { id } => json!(["stop", id]),
        LogMessage::Result { id, kind, fields, payload } => {
            json!(["result", id, format!("{kind:?}"), all(fields), parsed(*payload)])
        }
        LogMessage::Msg { level, msg, raw_msg, position, trace } => json!([
            "msg",
            level,
            msg.decode(),
            raw_msg.map(|text| text.decode()),
            position.file.map(|text| text.decode()),
            position.line,
            position.column,
            parsed(*trace)
        ]),
        LogMessage::SetPhase { phase } => json!(["setPhase", phase.decode()]),
        LogMessage::Other { action } => json!(["other", action.decode()]),
    }
}

fn check(record: &[u8]) {
    let mut scratch = Scratch::default();
    let ours = decode(record, &mut scratch).map(|message| told(&message));
    assert_eq!(ours, reference(record), "{}", String::from_utf8_lossy(record));
}

#[test]
fn records_of_all_captures() {
    let archive = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/corpus.tar.zst");
    #[expect(clippy::disallowed_methods, reason = "a test reads its fixtures")]
    let file = std::fs::File::open(archive).unwrap();
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).unwrap());
    let mut n_records = 0;
    for entry in archive.entries().unwrap() {
        let mut log = Vec::new();
        std::io::Read::read_to_end(&mut entry.unwrap(), &mut log).unwrap();
        for line in log.split(|&byte| byte == b'\n') {
            if let Some(record) = line.strip_prefix(b"@nix ") {
                check(record);
                n_records += 1;
            }
        }
    }
    assert!(n_records > 10_000, "{n_records}");
}

fn value() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<u64>().prop_map(|n| n.to_string()),
        (0u64..120).prop_map(|n| n.to_string()),
        Just("18446744073709551616".to_owned()),
        "-?[0-9]{1,3}(\\.[0-9])?(e[0-9])?",
    ];
    let text = prop_oneof![
        any::<String>().prop_map(|text| Value::String(text).to_string()),
        "\"([ -!#-\\[\\]-~é🚀]|\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-fA-F]{4}){0,6}\"",
        "\"\\\\u[dD][89a-fA-F][0-9]{2}(\\\\u[dD][c-f][0-9]{2})?\"",
        r#""(start|stop|result|msg|setPhase|dance)""#,
    ];
    let leaf = prop_oneof![4 => number, 4 => text, 1 => "null|true|false"];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let list =
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(",")));
        let object = prop::collection::vec(("[a-c]", inner), 0..3).prop_map(|members| {
            let members: Vec<String> =
                members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            format!("{{{}}}", members.join(","))
        });
        prop_oneof![list, object]
    })
}

/// Objects that are records, nearly records, and no JSON at all.
fn record() -> impl Strategy<Value = Vec<u8>> {
    const KEYS: [&str; 16] = [
        "action", "id", "type", "fields", "level", "parent", "text", "msg", "raw_msg", "phase", "file",
        "line", "column", "payload", "trace", "new",
    ];
    let action = prop_oneof![Just("start"), Just("stop"), Just("result"), Just("msg"), Just("setPhase")];
    let id = prop_oneof![any::<u64>(), 0u64..200];
    let likely = (action, id, "[ -!#-\\[\\]-~]{0,8}", prop::collection::vec(value(), 0..6)).prop_map(
        |(action, id, text, fields)| {
            [
                format!("\"action\":\"{action}\""),
                format!("\"fields\":[{}]", fields.join(",")),
                format!("\"id\":{id}"),
                format!("\"level\":{}", id % 8),
                format!("\"msg\":\"{text}\""),
                format!("\"phase\":\"{text}\""),
                format!("\"type\":{}", id % 120),
            ]
        },
    );
    let odd = prop::collection::vec((prop::sample::select(&KEYS[..]), value()), 0..5);
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..8u8), 0..3);
    (likely, any::<u8>(), odd, prop_oneof![Just(","), Just(" , ")], edits).prop_map(
        |(likely, taken, odd, comma, edits)| {
            let mut members: Vec<String> = likely
                .into_iter()
                .enumerate()
                .filter(|(at, _)| *at == 0 || taken & (1 << at) != 0)
                .map(|(_, member)| member)
                .collect();
            members.extend(odd.iter().map(|(key, value)| format!("\"{key}\":{value}")));
            let mut record = format!("{{{}}}", members.join(comma)).into_bytes();
            for (at, byte, edit) in edits {
                let at = at.index(record.len());
                match edit {
                    0 => drop(record.remove(at)),
                    1 => record.insert(at, byte),
                    2 => record[at] = byte,
                    _ => {}
                }
                if record.is_empty() {
                    break;
                }
            }
            record
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn generated_records(record in record()) {
        check(&record);
    }
}

#[test]
fn equal_keys() {
    // A map keeps the last of two equal keys; the scanner leaves them to the parser.
    for record in
        [r#"{"action":"stop","id":1,"id":2}"#, r#"{"action":"stop","id":1,"action":"msg","msg":""}"#]
    {
        check(record.as_bytes());
    }
}
