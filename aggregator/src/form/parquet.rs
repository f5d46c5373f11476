//! Parquet: typed columns under their flat names. Counts are INT64 (read everywhere, unlike unsigned ones), days DATE, texts UTF-8. What is known about the
//! rows stands in the file's key-value metadata as `sightline.NAME`, lists with commas between their entries.

use std::sync::Arc;

use ::parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use ::parquet::column::writer::ColumnWriter;
use ::parquet::data_type::ByteArray;
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::Type as Schema;
use chrono::NaiveDate;
use serde_json::Value;

use super::{Cell, Column, FormError, Table, Type, day};

pub(super) fn write(table: &Table<'_>) -> std::result::Result<Vec<u8>, FormError> {
    file(table).map_err(|error| FormError::Broken { form: "parquet", why: error.to_string() })
}

fn file(table: &Table<'_>) -> Result<Vec<u8>> {
    let fields = table.columns.iter().map(field).collect::<Result<Vec<_>>>()?;
    let schema = Schema::group_type_builder(table.name).with_fields(fields).build()?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(concat!("sightline ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(facts(table)))
        .build();
    let mut file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    if !table.rows.is_empty() {
        let mut group = file.next_row_group()?;
        for (at, column) in table.columns.iter().enumerate() {
            let Some(mut out) = group.next_column()? else {
                return Err(broken(column, "is one too many"));
            };
            let cells = table.rows.iter().map(|row| row.get(at).copied().unwrap_or(Cell::Nothing));
            put(out.untyped(), column, cells)?;
            out.close()?;
        }
        group.close()?;
    }
    file.into_inner()
}

fn field(column: &Column) -> Result<Arc<Schema>> {
    let (physical, logical) = match column.kind {
        Type::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Type::Day => (Physical::INT32, Some(LogicalType::Date)),
        Type::Count | Type::Change => (Physical::INT64, None),
        Type::Rate | Type::Number => (Physical::DOUBLE, None),
        Type::Flag => (Physical::BOOLEAN, None),
    };
    let repetition = if column.may_be_empty { Repetition::OPTIONAL } else { Repetition::REQUIRED };
    let name = column.place.flat();
    let builder = Schema::primitive_type_builder(&name, physical);
    Ok(Arc::new(builder.with_logical_type(logical).with_repetition(repetition).build()?))
}

/// Writes the cells of a column.
fn put<'a>(out: &mut ColumnWriter<'_>, column: &Column, cells: impl Iterator<Item = Cell<'a>>) -> Result<()> {
    match out {
        ColumnWriter::BoolColumnWriter(out) => {
            let (values, levels) = split(column, cells, |cell| match cell {
                Cell::Flag(flag) => Some(flag),
                _ => None,
            })?;
            out.write_batch(&values, Some(&levels), None)?;
        }
        ColumnWriter::Int32ColumnWriter(out) => {
            let (values, levels) = split(column, cells, |cell| match cell {
                Cell::Day(text) => {
                    Some(day(text)?.signed_duration_since(NaiveDate::default()).num_days() as i32)
                }
                _ => None,
            })?;
            out.write_batch(&values, Some(&levels), None)?;
        }
        ColumnWriter::Int64ColumnWriter(out) => {
            let (values, levels) = split(column, cells, |cell| match cell {
                Cell::Count(count) => i64::try_from(count).ok(),
                Cell::Change(change) => Some(change),
                _ => None,
            })?;
            out.write_batch(&values, Some(&levels), None)?;
        }
        ColumnWriter::DoubleColumnWriter(out) => {
            let (values, levels) = split(column, cells, |cell| match cell {
                Cell::Number(number) => Some(number),
                _ => None,
            })?;
            out.write_batch(&values, Some(&levels), None)?;
        }
        ColumnWriter::ByteArrayColumnWriter(out) => {
            let (values, levels) = split(column, cells, |cell| match cell {
                Cell::Text(text) => Some(ByteArray::from(text)),
                _ => None,
            })?;
            out.write_batch(&values, Some(&levels), None)?;
        }
        _ => return Err(broken(column, "is of a type that is not written")),
    }
    Ok(())
}

/// The values that are there, and for each row whether there is one.
fn split<'a, T>(
    column: &Column,
    cells: impl Iterator<Item = Cell<'a>>,
    value: impl Fn(Cell<'a>) -> Option<T>,
) -> Result<(Vec<T>, Vec<i16>)> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    for cell in cells {
        if cell == Cell::Nothing {
            if !column.may_be_empty {
                return Err(broken(column, "has nothing in a row"));
            }
            levels.push(0);
        } else {
            values.push(value(cell).ok_or_else(|| broken(column, "has a value of another type"))?);
            levels.push(i16::from(column.may_be_empty));
        }
    }
    Ok((values, levels))
}

fn broken(column: &Column, what: &str) -> ParquetError {
    ParquetError::General(format!("the column {} {what}", column.place.flat()))
}

fn facts(table: &Table<'_>) -> Vec<KeyValue> {
    let words = |value: Value| match value {
        Value::String(text) => text,
        value => value.to_string(),
    };
    let joined = |values: Vec<Value>| values.into_iter().map(words).collect::<Vec<_>>().join(",");
    table
        .facts()
        .into_iter()
        .map(|(name, values)| KeyValue::new(format!("sightline.{name}"), joined(values)))
        .collect()
}
