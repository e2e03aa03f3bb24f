//! Arguments of a call, checked in words that say what to pass instead.

use nixmon_core::text::nearest;
use serde_json::{Map, Value};

use crate::refusal::Refusal;
use crate::tools::Tool;

/// The arguments of a call.
pub(crate) struct Args<'a> {
    tool: &'static Tool,
    values: &'a Map<String, Value>,
}

impl<'a> Args<'a> {
    /// Checks the names of the arguments.
    pub(crate) fn new(tool: &'static Tool, values: &'a Map<String, Value>) -> Result<Self, Refusal> {
        let args = Self { tool, values };
        let known = tool.arguments();
        for key in values.keys() {
            if !known.contains(&key.as_str()) {
                let meant = match nearest(key, &known) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None if known.is_empty() => "it takes none".to_owned(),
                    None => format!("it takes {}", known.join(", ")),
                };
                return Err(args.wrong(format!("{} has no argument `{}`; {meant}", tool.name, short(key))));
            }
        }
        Ok(args)
    }

    /// Returns a refusal that shows a call that works.
    pub(crate) fn wrong(&self, message: impl Into<String>) -> Refusal {
        Refusal::new(message, format!("call {} as in {}", self.tool.name, self.tool.example))
    }

    fn given(&self, key: &str) -> Option<&'a Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    /// Returns a text; a number passes as one.
    pub(crate) fn text(&self, key: &str) -> Result<Option<String>, Refusal> {
        match self.given(key) {
            None => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => {
                Err(self.wrong(format!("`{key}` is empty; leave it out or give a value")))
            }
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(other) => Err(self.wrong(format!("`{key}` is a string, not {}", what(other)))),
        }
    }

    /// Returns a text that has to be there.
    pub(crate) fn required(&self, key: &str) -> Result<String, Refusal> {
        self.text(key)?.ok_or_else(|| self.wrong(format!("`{key}` is missing")))
    }

    /// Returns a whole number within limits; digits in a string pass as one.
    pub(crate) fn whole(&self, key: &str, least: u64, most: u64, why: &str) -> Result<Option<u64>, Refusal> {
        let Some(value) = self.given(key) else { return Ok(None) };
        let number = match value {
            Value::Number(number) => number.as_u64().or_else(|| whole_float(number)),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => {
                let limits =
                    if most == u64::MAX { format!("{least} or more") } else { format!("{least} to {most}") };
                let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
                Err(self.wrong(format!("`{key}` is a whole number, {limits}{why}, not {}", what(value))))
            }
        }
    }

    /// Returns one of several words, the first of them if none is given.
    pub(crate) fn choice(&self, key: &str, words: &[&'static str]) -> Result<&'static str, Refusal> {
        let first = words.first().copied().unwrap_or_default();
        let Some(value) = self.given(key) else { return Ok(first) };
        let text = value.as_str().unwrap_or_default();
        words
            .iter()
            .find(|word| **word == text)
            .copied()
            .ok_or_else(|| self.wrong(format!("`{key}` is one of {}, not {}", words.join(", "), what(value))))
    }

    /// Returns a command as a list of words.
    pub(crate) fn command(&self, key: &str) -> Result<Option<Vec<String>>, Refusal> {
        let Some(value) = self.given(key) else { return Ok(None) };
        let words: Option<Vec<String>> = match value {
            Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        let message = match words {
            Some(words) if words.iter().any(|word| word.contains('\0')) => {
                "a word of `command` has a NUL character"
            }
            Some(words) if words.first().is_some_and(|program| !program.is_empty()) => {
                return Ok(Some(words));
            }
            Some(_) => "`command` is empty; its first word is the program",
            None => {
                "`command` is a list of words, as [\"nix\",\"build\",\".#hello\"]; for a line with | or && pass \
                 [\"sh\",\"-c\",\"LINE\"]"
            }
        };
        Err(self.wrong(message))
    }
}

fn whole_float(number: &serde_json::Number) -> Option<u64> {
    let float = number.as_f64().filter(|float| float.fract() == 0.0 && (0.0..9e15).contains(float))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the limits above")]
    Some(float as u64)
}

fn what(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("\"{}\"", short(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn short(text: &str) -> String {
    crate::words::clean(text, 40)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tools;

    fn check(tool: &str, arguments: Value, expected: &str) {
        let tool = tools::find(tool).unwrap();
        let values = arguments.as_object().unwrap();
        let read = |args: &Args<'_>| -> Result<(), Refusal> {
            args.required("id")?;
            args.whole("max_wait_s", 0, 50, "clients give up on longer calls")?;
            args.choice("until", &["end", "change", "phase"])?;
            args.command("command")?;
            Ok(())
        };
        let error = Args::new(tool, values).and_then(|args| read(&args)).unwrap_err();
        assert!(error.message.starts_with(expected), "{error}");
        assert!(error.next.as_ref().unwrap().starts_with("call build_"), "{error}");
        for word in ["invalid type", "deserialize", "expected", "missing field", "u64"] {
            assert!(!error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn mistakes_say_what_to_pass_instead() {
        check("build_wait", json!({}), "`id` is missing");
        check("build_wait", json!({"id": ["x"]}), "`id` is a string, not a list");
        check("build_wait", json!({"id": " "}), "`id` is empty; leave it out or give a value");
        check(
            "build_wait",
            json!({"id": 1, "sinse": 3}),
            "build_wait has no argument `sinse`; did you mean `since`?",
        );
        check(
            "build_wait",
            json!({"id": 1, "max_wait_s": "soon"}),
            "`max_wait_s` is a whole number, 0 to 50 (clients give up on longer calls), not \"soon\"",
        );
        check("build_wait", json!({"id": 1, "max_wait_s": 51}), "`max_wait_s` is a whole number, 0 to 50");
        check("build_wait", json!({"id": 1, "max_wait_s": -1.5}), "`max_wait_s` is a whole number, 0 to 50");
        check(
            "build_wait",
            json!({"id": 1, "until": "done"}),
            "`until` is one of end, change, phase, not \"done\"",
        );
        check("build_list", json!({"xyzzy": 1}), "build_list has no argument `xyzzy`; it takes limit");
    }

    #[test]
    fn commands_are_lists_of_words() {
        let tool = tools::find("build_start").unwrap();
        let read = |command: Value| {
            let values = json!({ "command": command });
            Args::new(tool, values.as_object().unwrap()).unwrap().command("command")
        };
        assert_eq!(read(json!(["make", "home"])).unwrap().unwrap(), ["make", "home"]);
        for wrong in [json!("make home"), json!([]), json!([""]), json!([1]), json!(["a\0b"])] {
            assert!(read(wrong).unwrap_err().message.contains("command"));
        }
    }

    #[test]
    fn numbers_may_be_written_as_clients_write_them() {
        let tool = tools::find("build_wait").unwrap();
        for value in [json!(7), json!("7"), json!(7.0)] {
            let values = json!({ "since": value });
            let args = Args::new(tool, values.as_object().unwrap()).unwrap();
            assert_eq!(args.whole("since", 0, u64::MAX, "").unwrap(), Some(7));
        }
    }
}
