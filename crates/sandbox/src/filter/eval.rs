//! A bound filter over columns: one bit a row.
//!
//! A comparison of a column with a constant, which is what workloads use, is a plain loop over the
//! column; everything else goes value by value. A value that is missing (a key the row does not have,
//! a division by zero) or of another kind makes every comparison false but `!=`, as in Milvus 2.3.

use std::collections::HashSet;

use serde_json::Value;

use super::{
    ast::{ArithmeticOp, CompareOp, Contains, Literal},
    bind::{Condition, Term, follow},
    bitmap::Bitmap,
};
use crate::engine::column::Column;

/// The rows below `len` for which the condition holds.
pub(crate) fn eval(condition: &Condition, columns: &[Column], len: usize) -> Bitmap {
    match condition {
        Condition::Constant(value) => {
            let mut rows = Bitmap::none(len);
            if *value {
                rows.invert();
            }
            rows
        }
        Condition::Not(inner) => {
            let mut rows = eval(inner, columns, len);
            rows.invert();
            rows
        }
        Condition::And(parts) => combine(parts, columns, len, Bitmap::and),
        Condition::Or(parts) => combine(parts, columns, len, Bitmap::or),
        Condition::Compare(op, Term::Column(column), Term::Constant(constant)) => {
            compare_column(*op, &columns[*column], constant, len)
        }
        Condition::In { term: Term::Column(column), list, negated } => {
            let mut rows = column_in(&columns[*column], list, len);
            if *negated {
                rows.invert();
            }
            rows
        }
        _ => Bitmap::from_rows(len, |row| holds(condition, columns, row)),
    }
}

fn combine(parts: &[Condition], columns: &[Column], len: usize, with: fn(&mut Bitmap, &Bitmap)) -> Bitmap {
    let mut parts = parts.iter().map(|part| eval(part, columns, len));
    let first = parts.next().unwrap_or_else(|| Bitmap::none(len));
    parts.fold(first, |mut rows, part| {
        with(&mut rows, &part);
        rows
    })
}

fn compare_column(op: CompareOp, column: &Column, constant: &Literal, len: usize) -> Bitmap {
    match (column, constant) {
        (Column::Int(values), Literal::Int(constant)) => compare_all(op, values, constant, len),
        // In the column's own precision, as Milvus does: 0.1 equals a stored float 0.1.
        (Column::Float(values), Literal::Float(constant)) => {
            compare_all(op, values, &(*constant as f32), len)
        }
        (Column::Float(values), Literal::Int(constant)) => compare_all(op, values, &(*constant as f32), len),
        (Column::Double(values), Literal::Float(constant)) => compare_all(op, values, constant, len),
        (Column::Double(values), Literal::Int(constant)) => compare_all(op, values, &(*constant as f64), len),
        (Column::Bool(values), Literal::Bool(constant)) => compare_all(op, values, constant, len),
        (Column::Text(values), Literal::Text(constant)) => {
            Bitmap::from_rows(len, |row| ordering_fits(op, Some((*values[row]).cmp(constant.as_str()))))
        }
        (column, constant) => {
            let constant = of_literal(constant);
            Bitmap::from_rows(len, |row| compare(op, &of_column(column, row), &constant))
        }
    }
}

fn compare_all<T: PartialOrd>(op: CompareOp, values: &[T], constant: &T, len: usize) -> Bitmap {
    let values = &values[..len];
    match op {
        CompareOp::Equal => Bitmap::from_rows(len, |row| values[row] == *constant),
        CompareOp::NotEqual => Bitmap::from_rows(len, |row| values[row] != *constant),
        CompareOp::Less => Bitmap::from_rows(len, |row| values[row] < *constant),
        CompareOp::LessOrEqual => Bitmap::from_rows(len, |row| values[row] <= *constant),
        CompareOp::Greater => Bitmap::from_rows(len, |row| values[row] > *constant),
        CompareOp::GreaterOrEqual => Bitmap::from_rows(len, |row| values[row] >= *constant),
    }
}

fn column_in(column: &Column, list: &[Literal], len: usize) -> Bitmap {
    match column {
        Column::Int(values) => {
            let mut wanted = HashSet::new();
            for literal in list {
                match literal {
                    Literal::Int(value) => wanted.insert(*value),
                    Literal::Float(value) if value.fract() == 0.0 => wanted.insert(*value as i64),
                    _ => false,
                };
            }
            Bitmap::from_rows(len, |row| wanted.contains(&values[row]))
        }
        Column::Text(values) => {
            let wanted: HashSet<&str> = list
                .iter()
                .filter_map(|literal| match literal {
                    Literal::Text(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect();
            Bitmap::from_rows(len, |row| wanted.contains(&*values[row]))
        }
        column => list.iter().fold(Bitmap::none(len), |mut rows, literal| {
            rows.or(&compare_column(CompareOp::Equal, column, literal, len));
            rows
        }),
    }
}

/// Whether a condition that is no combination holds for a row.
fn holds(condition: &Condition, columns: &[Column], row: usize) -> bool {
    match condition {
        Condition::Flag(term) => matches!(value(term, columns, row), Scalar::Bool(true)),
        Condition::Compare(op, left, right) => {
            compare(*op, &value(left, columns, row), &value(right, columns, row))
        }
        Condition::In { term, list, negated } => {
            let value = value(term, columns, row);
            let found = list.iter().any(|literal| compare(CompareOp::Equal, &value, &of_literal(literal)));
            found != *negated
        }
        Condition::Like { term, pattern } => match value(term, columns, row) {
            Scalar::Text(text) => pattern.matches(text),
            _ => false,
        },
        Condition::Exists { column, steps } => match &columns[*column] {
            Column::Json(values) => follow(&values[row], steps).is_some(),
            _ => false,
        },
        Condition::Contains { which, term, values } => {
            let Scalar::Json(Value::Array(elements)) = value(term, columns, row) else { return false };
            let has = |literal: &Literal| {
                elements
                    .iter()
                    .any(|element| compare(CompareOp::Equal, &of_json(element), &of_literal(literal)))
            };
            match which {
                Contains::One | Contains::All => values.iter().all(has),
                Contains::Any => values.iter().any(has),
            }
        }
        Condition::Constant(value) => *value,
        Condition::Not(inner) => !holds(inner, columns, row),
        Condition::And(parts) => parts.iter().all(|part| holds(part, columns, row)),
        Condition::Or(parts) => parts.iter().any(|part| holds(part, columns, row)),
    }
}

/// A value of a row while it is looked at.
enum Scalar<'a> {
    Missing,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    /// An array or an object.
    Json(&'a Value),
}

fn value<'a>(term: &'a Term, columns: &'a [Column], row: usize) -> Scalar<'a> {
    match term {
        Term::Constant(literal) => of_literal(literal),
        Term::Column(column) => of_column(&columns[*column], row),
        Term::Json { column, steps } => match &columns[*column] {
            Column::Json(values) => follow(&values[row], steps).map_or(Scalar::Missing, of_json),
            _ => Scalar::Missing,
        },
        Term::Negate(inner) => match value(inner, columns, row) {
            Scalar::Int(value) => value.checked_neg().map_or(Scalar::Missing, Scalar::Int),
            Scalar::Float(value) => Scalar::Float(-value),
            _ => Scalar::Missing,
        },
        Term::Arithmetic(op, left, right) => {
            arithmetic(*op, &value(left, columns, row), &value(right, columns, row))
        }
    }
}

fn arithmetic<'a>(op: ArithmeticOp, left: &Scalar<'_>, right: &Scalar<'_>) -> Scalar<'a> {
    if let (Scalar::Int(left), Scalar::Int(right)) = (left, right) {
        let result = match op {
            ArithmeticOp::Add => left.checked_add(*right),
            ArithmeticOp::Subtract => left.checked_sub(*right),
            ArithmeticOp::Multiply => left.checked_mul(*right),
            ArithmeticOp::Divide => left.checked_div(*right),
            ArithmeticOp::Modulo => left.checked_rem(*right),
        };
        return result.map_or(Scalar::Missing, Scalar::Int);
    }
    let (Some(left), Some(right)) = (number(left), number(right)) else { return Scalar::Missing };
    let result = match op {
        ArithmeticOp::Add => left + right,
        ArithmeticOp::Subtract => left - right,
        ArithmeticOp::Multiply => left * right,
        ArithmeticOp::Divide => left / right,
        ArithmeticOp::Modulo => left % right,
    };
    if result.is_finite() { Scalar::Float(result) } else { Scalar::Missing }
}

fn number(scalar: &Scalar<'_>) -> Option<f64> {
    match scalar {
        Scalar::Int(value) => Some(*value as f64),
        Scalar::Float(value) => Some(*value),
        _ => None,
    }
}

fn of_literal(literal: &Literal) -> Scalar<'_> {
    match literal {
        Literal::Bool(value) => Scalar::Bool(*value),
        Literal::Int(value) => Scalar::Int(*value),
        Literal::Float(value) => Scalar::Float(*value),
        Literal::Text(text) => Scalar::Text(text),
    }
}

fn of_column(column: &Column, row: usize) -> Scalar<'_> {
    match column {
        Column::Bool(values) => Scalar::Bool(values[row]),
        Column::Int(values) => Scalar::Int(values[row]),
        Column::Float(values) => Scalar::Float(values[row].into()),
        Column::Double(values) => Scalar::Float(values[row]),
        Column::Text(values) => Scalar::Text(&values[row]),
        Column::Json(values) => of_json(&values[row]),
        Column::Vector(_) => Scalar::Missing,
    }
}

fn of_json(value: &Value) -> Scalar<'_> {
    match value {
        Value::Null => Scalar::Missing,
        Value::Bool(value) => Scalar::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(value) => Scalar::Int(value),
            None => number.as_f64().map_or(Scalar::Missing, Scalar::Float),
        },
        Value::String(text) => Scalar::Text(text),
        Value::Array(_) | Value::Object(_) => Scalar::Json(value),
    }
}

fn compare(op: CompareOp, left: &Scalar<'_>, right: &Scalar<'_>) -> bool {
    let ordering = match (left, right) {
        (Scalar::Int(left), Scalar::Int(right)) => Some(left.cmp(right)),
        (Scalar::Text(left), Scalar::Text(right)) => Some(left.cmp(right)),
        (Scalar::Bool(left), Scalar::Bool(right)) => Some(left.cmp(right)),
        (left, right) => match (number(left), number(right)) {
            (Some(left), Some(right)) => left.partial_cmp(&right),
            _ => None,
        },
    };
    ordering_fits(op, ordering)
}

fn ordering_fits(op: CompareOp, ordering: Option<std::cmp::Ordering>) -> bool {
    let Some(ordering) = ordering else { return op == CompareOp::NotEqual };
    match op {
        CompareOp::Equal => ordering.is_eq(),
        CompareOp::NotEqual => ordering.is_ne(),
        CompareOp::Less => ordering.is_lt(),
        CompareOp::LessOrEqual => ordering.is_le(),
        CompareOp::Greater => ordering.is_gt(),
        CompareOp::GreaterOrEqual => ordering.is_ge(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use squall_proto::{
        data_type::DataType,
        milvus::{CollectionSchema, FieldSchema, KeyValue},
    };

    use super::*;
    use crate::{
        engine::schema::Schema,
        filter::{bind::bind, parse::parse},
    };

    fn table() -> (Schema, Vec<Column>) {
        let field = |name: &str, data_type: DataType, key: &str, value: &str| FieldSchema {
            name: name.to_owned(),
            data_type: data_type.number(),
            is_primary_key: name == "id",
            type_params: vec![KeyValue { key: key.to_owned(), value: value.to_owned() }],
            ..FieldSchema::default()
        };
        let sent = CollectionSchema {
            enable_dynamic_field: true,
            fields: vec![
                field("id", DataType::Int64, "", ""),
                field("v", DataType::FloatVector, "dim", "1"),
                field("category", DataType::VarChar, "max_length", "20"),
                field("price", DataType::Float, "", ""),
                field("in_stock", DataType::Bool, "", ""),
                field("weight", DataType::Double, "", ""),
            ],
            ..CollectionSchema::default()
        };
        let schema = Schema::check(sent, "t").unwrap();
        let mut columns: Vec<Column> =
            schema.fields.iter().map(|field| Column::empty(field.field_type)).collect();
        let rows = [
            ("books", 10.0f32, true, 1.5, json!({"color": "red", "tags": ["a", 1], "n": {"k": 3}})),
            ("books", 99.99, false, 2.5, json!({"color": "blue"})),
            ("toys", 100.0, true, 3.5, json!({})),
            ("electronics", 499.0, false, 4.5, json!({"color": 7, "tags": []})),
            ("electronics", 500.0, true, 5.5, json!({"color": "red", "n": {"k": 3.5}})),
        ];
        for (id, (category, price, in_stock, weight, meta)) in rows.into_iter().enumerate() {
            let row = [
                Column::Int(vec![id as i64]),
                Column::Vector(crate::engine::column::Vectors::from_flat(1, &[0.0]).unwrap()),
                Column::Text(vec![category.into()]),
                Column::Float(vec![price]),
                Column::Bool(vec![in_stock]),
                Column::Double(vec![weight]),
                Column::Json(vec![meta]),
            ];
            columns.iter_mut().zip(row).for_each(|(column, value)| column.append(value));
        }
        (schema, columns)
    }

    #[test]
    fn every_operation_picks_its_rows() {
        let (schema, columns) = table();
        let cases: &[(&str, &[usize])] = &[
            ("category == \"electronics\"", &[3, 4]),
            ("category != 'books'", &[2, 3, 4]),
            ("category > 'books' and category < 'toys'", &[3, 4]),
            ("price >= 100 and price < 500", &[2, 3]),
            ("price == 99.99", &[1]),
            ("99.99 <= price <= 100", &[1, 2]),
            ("500 > price >= 100", &[2, 3]),
            ("100 == price", &[2]),
            ("100 < price", &[3, 4]),
            ("id in [0, 4, 9]", &[0, 4]),
            ("id not in [0, 4, 9]", &[1, 2, 3]),
            ("category in ['toys'] or id == 0", &[0, 2]),
            ("weight in [1.5, 2.5]", &[0, 1]),
            ("price in [99.99]", &[1]),
            ("not (category == 'books')", &[2, 3, 4]),
            ("!(id == 1) && id <= 2", &[0, 2]),
            ("category like 'e%'", &[3, 4]),
            ("category like '%oo%'", &[0, 1]),
            ("id % 2 == 0", &[0, 2, 4]),
            ("id * 2 + 1 == 5", &[2]),
            ("id / 0 == 1", &[]),
            ("-id < -2", &[3, 4]),
            ("in_stock == true", &[0, 2, 4]),
            ("in_stock and id > 0", &[2, 4]),
            ("true", &[0, 1, 2, 3, 4]),
            ("color == 'red'", &[0, 4]),
            ("$meta['color'] == 'red'", &[0, 4]),
            ("color != 'red'", &[1, 2, 3]),
            ("color in ['blue', 7]", &[1, 3]),
            ("exists color", &[0, 1, 3, 4]),
            ("not exists color", &[2]),
            ("n['k'] >= 3", &[0, 4]),
            ("$meta['n']['k'] + 0.5 == 4", &[4]),
            ("json_contains(tags, 1)", &[0]),
            ("json_contains_any(tags, ['a', 'z'])", &[0]),
            ("json_contains_all($meta['tags'], ['a', 'z'])", &[]),
            ("tags[1] == 1", &[0]),
        ];
        for (text, expected) in cases {
            let condition =
                bind(&parse(text).unwrap(), &schema).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(eval(&condition, &columns, 5).rows().collect::<Vec<_>>(), *expected, "{text}");
        }
    }

    #[test]
    fn what_can_never_be_compared_is_refused() {
        let (mut schema, _) = table();
        for text in [
            "category == 1",
            "price == 'x'",
            "price > true",
            "v == 1",
            "price + 'a' == 1",
            "price",
            "category[0] == 'b'",
            "price like '1%'",
            "exists price",
            "1 + 2",
            "id in ['a']",
            "in_stock > false",
        ] {
            assert!(bind(&parse(text).unwrap(), &schema).is_err(), "{text}");
        }
        schema.fields.pop();
        assert_eq!(bind(&parse("colour == 1").unwrap(), &schema), Err("field colour not exist".to_owned()));
    }
}
