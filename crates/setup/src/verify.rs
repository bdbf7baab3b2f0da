//! Verifying: all rows counted, some of them read back and compared bit by bit.

use rand::RngExt;
use squall_core::batch::{RowBatch, Values};
use squall_core::dataset::ID_FIELD;
use squall_core::schema::Consistency;
use squall_core::stream::{Field, stream};
use squall_milvus::admin::Admin;

use crate::event::{Events, Phase};
use crate::{SetupConfig, SetupError};

/// Rows read back.
pub(crate) const SAMPLE: u64 = 100;

/// Counts the rows and reads some of them back.
pub(crate) async fn verify(admin: &Admin, config: &SetupConfig, events: &Events) -> Result<(), SetupError> {
    let collection = &config.server.collection;
    let found = admin.count(collection, None, Consistency::Strong).await?;
    if found != config.rows {
        return Err(SetupError::Count { collection: collection.clone(), expected: config.rows, found });
    }
    read_back(admin, config, events).await
}

/// Reads [`SAMPLE`] rows back and compares them with the dataset's; which rows is a function of its seed.
pub(crate) async fn read_back(
    admin: &Admin,
    config: &SetupConfig,
    events: &Events,
) -> Result<(), SetupError> {
    let collection = &config.server.collection;
    let mut rng = stream(config.dataset.seed(), config.rows, Field::VerifyRow);
    let mut rows: Vec<u64> = (0..SAMPLE).map(|_| rng.random_range(0..config.rows)).collect();
    rows.sort_unstable();
    rows.dedup();
    let fields: Vec<String> =
        config.dataset.schema(config.rows).fields.into_iter().map(|field| field.name).collect();
    for (done, chunk) in rows.chunks(20).enumerate() {
        let ids: Vec<String> = chunk.iter().map(u64::to_string).collect();
        let filter = format!("{ID_FIELD} in [{}]", ids.join(", "));
        let answer = admin.query(collection, &filter, &fields, chunk.len() as u32).await?;
        for &row in chunk {
            compare(config, row, &answer)?;
        }
        events.progress(Phase::Verify, (done as u64 + 1) * 20);
    }
    Ok(())
}

/// Compares `row` as it was read back with the row as it is.
fn compare(config: &SetupConfig, row: u64, answer: &RowBatch) -> Result<(), SetupError> {
    let wrong = |field: &str| SetupError::Row {
        collection: config.server.collection.clone(),
        row,
        field: field.to_owned(),
    };
    let position = match answer.column(ID_FIELD) {
        Some(Values::Int64(ids)) => ids.iter().position(|id| *id == row as i64),
        _ => None,
    };
    let position = position.ok_or_else(|| wrong(ID_FIELD))?;
    for column in config.dataset.batch(row, 1)?.columns {
        let found = answer.column(&column.name).ok_or_else(|| wrong(&column.name))?;
        if !same_value(&column.values, found, position) {
            return Err(wrong(&column.name));
        }
    }
    Ok(())
}

/// Whether value `position` of `found` is the only value of `expected`, bit by bit.
fn same_value(expected: &Values, found: &Values, position: usize) -> bool {
    match (expected, found) {
        (Values::Int64(expected), Values::Int64(found)) => found.get(position) == expected.first(),
        (Values::Double(expected), Values::Double(found)) => {
            found.get(position).map(|x| x.to_bits()) == expected.first().map(|x| x.to_bits())
        }
        (Values::VarChar(expected), Values::VarChar(found)) => found.get(position) == expected.first(),
        (
            Values::FloatVector { values: expected, dimension },
            Values::FloatVector { values: found, dimension: found_dimension },
        ) => {
            let dimension = *dimension as usize;
            let range = position * dimension..(position + 1) * dimension;
            dimension == *found_dimension as usize
                && found
                    .get(range)
                    .is_some_and(|found| found.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits()))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_the_same_bit_by_bit_or_not_at_all() {
        let vector = |values: Vec<f32>| Values::FloatVector { dimension: 2, values };
        assert!(same_value(&vector(vec![1.0, 2.0]), &vector(vec![9.0, 9.0, 1.0, 2.0]), 1));
        assert!(!same_value(&vector(vec![1.0, 0.0]), &vector(vec![1.0, -0.0]), 0));
        assert!(!same_value(&vector(vec![1.0, 2.0]), &vector(vec![1.0, 2.0]), 1), "out of range");
        assert!(!same_value(&Values::Int64(vec![1]), &Values::Double(vec![1.0]), 0), "another type");
        assert!(same_value(
            &Values::VarChar(vec!["a".into()]),
            &Values::VarChar(vec!["b".into(), "a".into()]),
            1
        ));
    }
}
