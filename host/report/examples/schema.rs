//! Prints the JSON Schema of a record: `cargo xtask reference` writes it to docs/record.schema.json. An example, so that
//! the runner itself does not hold it.

fn main() {
    print!("{}", vtick_report::schema());
}
