//! The JSON schema of the lines, made from their types.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{Record, RunLine, Snapshot, Summary, UnreadableRun};

/// Collects the schemas of all lines in this module. The status of a run is another line that nixmon writes.
pub fn schemas() -> Schemas {
    Schemas::default()
        .with::<Record>()
        .with::<Snapshot>()
        .with::<Summary>()
        .with::<RunLine>()
        .with::<UnreadableRun>()
}

/// Collects the schemas of several types of lines.
#[derive(Debug)]
pub struct Schemas {
    generator: SchemaGenerator,
    lines: Vec<Value>,
}

impl Default for Schemas {
    fn default() -> Self {
        let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
        Self { generator, lines: Vec::new() }
    }
}

impl Schemas {
    /// Adds a type of lines, or each variant of a type with several.
    #[must_use]
    pub fn with<T: JsonSchema>(mut self) -> Self {
        let schema: Schema = T::json_schema(&mut self.generator);
        self.lines.extend(variants(schema.to_value()));
        self
    }

    /// Returns one schema that accepts each of the lines.
    pub fn finish(mut self) -> Value {
        let definitions = self.generator.take_definitions(true);
        let mut schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "A line of nixmon",
            "description": "One line of --output json, or of status, list and wait with --json; each line is an object. The \
                last line of --output json has the type summary. New fields, types of lines and names may appear without a \
                new schema number: readers must ignore fields and lines that they do not know, and accept unknown names.",
            "oneOf": self.lines,
            "$defs": definitions,
        });
        tidy(&mut schema);
        schema
    }
}

/// Splits the schema of a type with variants into one schema for each, with the fields that they share.
fn variants(schema: Value) -> Vec<Value> {
    let Value::Object(mut shared) = schema else { return vec![schema] };
    let Some(Value::Array(variants)) = shared.remove("oneOf") else { return vec![Value::Object(shared)] };
    variants.into_iter().map(|variant| Value::Object(merged(&shared, variant))).collect()
}

/// Returns a variant with the properties of `shared` beside its own.
fn merged(shared: &Map<String, Value>, variant: Value) -> Map<String, Value> {
    let Value::Object(mut variant) = variant else { return shared.clone() };
    for (key, value) in shared {
        match (variant.get_mut(key), value) {
            (Some(Value::Object(own)), Value::Object(more)) => own.extend(more.clone()),
            (Some(Value::Array(own)), Value::Array(more)) => own.extend(more.clone()),
            (Some(_), _) => {}
            (None, value) => {
                variant.insert(key.clone(), value.clone());
            }
        }
    }
    variant
}

/// Drops the formats of Rust's integers, which JSON schemas do not define, defaults, since every field is written, and the line
/// breaks of comments.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.get("type").is_some_and(|kind| *kind != "string" && !kind.is_object()) {
                object.remove("format");
            }
            if ["type", "$ref", "anyOf"].iter().any(|key| object.contains_key(*key)) {
                object.remove("default");
            }
            if let Some(Value::String(description)) = object.get_mut("description") {
                *description = description.replace('\n', " ");
            }
            object.values_mut().for_each(tidy);
        }
        Value::Array(array) => array.iter_mut().for_each(tidy),
        _ => {}
    }
}
