//! Which fields an answer shows, and their values.

use serde_json::{Map, Value};
use squall_proto::code::ServerError;

use super::{
    column::Column,
    index::bad,
    rows::Rows,
    schema::{DYNAMIC_FIELD, Field, Schema},
};

/// The fields that a request names, resolved.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OutputFields {
    /// Places of fields of the schema, in the order asked for.
    places: Vec<usize>,
    /// Keys of the dynamic field: none, some or all.
    dynamic: Dynamic,
    /// The names, `*` replaced by what it stands for.
    pub(crate) names: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Dynamic {
    None,
    Keys(Vec<String>),
    All,
}

/// A field of an answer and its values, one a hit or row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OutputColumn {
    pub(crate) field: Field,
    pub(crate) values: Column,
}

impl OutputFields {
    /// # Errors
    /// When a name is neither a field nor, in a collection with a dynamic field, a possible key.
    pub(crate) fn resolve(names: &[String], schema: &Schema) -> Result<Self, ServerError> {
        let mut output = Self { places: Vec::new(), dynamic: Dynamic::None, names: Vec::new() };
        for name in names {
            match schema.field(name) {
                Some(place) if schema.fields[place].dynamic => output.show_all_keys(),
                Some(place) => output.show(place, name),
                None if name == "*" => {
                    for (place, field) in schema.fields.iter().enumerate() {
                        if field.dynamic { output.show_all_keys() } else { output.show(place, &field.name) }
                    }
                }
                None if schema.dynamic().is_some() => {
                    if let Dynamic::None = output.dynamic {
                        output.dynamic = Dynamic::Keys(Vec::new());
                    }
                    if let Dynamic::Keys(keys) = &mut output.dynamic {
                        keys.push(name.clone());
                    }
                    output.names.push(name.clone());
                }
                None => return Err(bad(format!("field {name} not exist"))),
            }
        }
        Ok(output)
    }

    fn show(&mut self, place: usize, name: &str) {
        if !self.places.contains(&place) {
            self.places.push(place);
            self.names.push(name.to_owned());
        }
    }

    fn show_all_keys(&mut self) {
        if self.dynamic != Dynamic::All {
            self.dynamic = Dynamic::All;
            self.names.push(DYNAMIC_FIELD.to_owned());
        }
    }

    /// Puts a field first unless it is shown anyway.
    pub(crate) fn and(mut self, place: usize, schema: &Schema) -> Self {
        if !self.places.contains(&place) {
            self.places.insert(0, place);
            self.names.insert(0, schema.fields[place].name.clone());
        }
        self
    }

    /// The values of these rows.
    pub(crate) fn gather(&self, stored: &Rows, rows: &[usize], schema: &Schema) -> Vec<OutputColumn> {
        let column = |place: usize| OutputColumn {
            field: schema.fields[place].clone(),
            values: stored.columns()[place].gather(rows),
        };
        let mut columns: Vec<OutputColumn> = self.places.iter().map(|&place| column(place)).collect();
        if let Some(place) = schema.dynamic()
            && self.dynamic != Dynamic::None
        {
            let mut shown = column(place);
            if let (Dynamic::Keys(keys), Column::Json(values)) = (&self.dynamic, &mut shown.values) {
                values.iter_mut().for_each(|value| *value = only(keys, value));
            }
            columns.push(shown);
        }
        columns
    }
}

fn only(keys: &[String], value: &Value) -> Value {
    let has = |key: &String| Some((key.clone(), value.get(key)?.clone()));
    Value::Object(keys.iter().filter_map(has).collect::<Map<_, _>>())
}
