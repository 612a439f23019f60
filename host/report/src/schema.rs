//! The JSON Schema of a record, docs/record.schema.json: made from the record's types and their documentation.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;

use super::record::Record;

/// The schema as JSON.
pub fn schema() -> String {
    let generator = SchemaSettings::draft2020_12().for_serialize().with_transform(in_words_of_json).into_generator();
    let mut json = serde_json::to_string_pretty(&generator.into_root_schema_for::<Record>()).expect("a schema is JSON");
    json.push('\n');
    json
}

/// The documentation is that of Rust's types.
fn in_words_of_json(schema: &mut Schema) {
    if let Some(serde_json::Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ").replace("`None`", "null or absent");
    }
    transform_subschemas(&mut in_words_of_json, schema);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_in_docs_is_that_of_the_records_types() {
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/record.schema.json");
        let text = std::fs::read_to_string(place).unwrap();
        assert!(text == schema(), "docs/record.schema.json is out of date: `cargo xtask reference` writes it");
    }
}
