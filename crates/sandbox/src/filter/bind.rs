//! A parsed filter against a schema: fields become columns, and what can never be compared is refused.

use serde_json::Value;

use super::ast::{ArithmeticOp, CompareOp, Contains, Expr, FieldPath, Literal, Step};
use crate::engine::schema::{FieldType, Schema};

/// A condition on a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    Constant(bool),
    /// A boolean field, or a JSON value that is `true`.
    Flag(Term),
    Compare(CompareOp, Term, Term),
    In {
        term: Term,
        list: Vec<Literal>,
        negated: bool,
    },
    Like {
        term: Term,
        pattern: Pattern,
    },
    Exists {
        column: usize,
        steps: Vec<Step>,
    },
    Contains {
        which: Contains,
        term: Term,
        values: Vec<Literal>,
    },
    Not(Box<Condition>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Term {
    Constant(Literal),
    Column(usize),
    /// A place inside a JSON column.
    Json {
        column: usize,
        steps: Vec<Step>,
    },
    Negate(Box<Term>),
    Arithmetic(ArithmeticOp, Box<Term>, Box<Term>),
}

/// A LIKE pattern: `%` is any text, `_` any one character, `\%` and `\_` themselves.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pattern(Vec<Piece>);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Piece {
    Any,
    One,
    Char(char),
}

impl Pattern {
    fn new(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            pieces.push(match c {
                '%' => Piece::Any,
                '_' => Piece::One,
                '\\' if matches!(chars.peek(), Some('%' | '_')) => {
                    Piece::Char(chars.next().expect("peeked just now"))
                }
                c => Piece::Char(c),
            });
        }
        Self(pieces)
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        // Greedy with one point to go back to, the last `%`: linear in memory, never exponential.
        let (pieces, text) = (&self.0, text.chars().collect::<Vec<_>>());
        let (mut piece, mut at) = (0, 0);
        let mut back: Option<(usize, usize)> = None;
        while at < text.len() {
            match pieces.get(piece) {
                Some(Piece::Any) => {
                    back = Some((piece, at));
                    piece += 1;
                }
                Some(Piece::One) => (piece, at) = (piece + 1, at + 1),
                Some(Piece::Char(c)) if *c == text[at] => (piece, at) = (piece + 1, at + 1),
                _ => match back {
                    Some((any, from)) => {
                        back = Some((any, from + 1));
                        (piece, at) = (any + 1, from + 1);
                    }
                    None => return false,
                },
            }
        }
        pieces[piece..].iter().all(|piece| *piece == Piece::Any)
    }
}

/// What is known of a value before any row is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    Number,
    Text,
    /// JSON: anything.
    Any,
}

/// Resolves the names of a filter.
///
/// # Errors
/// A sentence naming the field or the operation that does not fit the schema.
pub(crate) fn bind(expr: &Expr, schema: &Schema) -> Result<Condition, String> {
    match expr {
        Expr::Literal(Literal::Bool(value)) => Ok(Condition::Constant(*value)),
        Expr::Field(_) => match term(expr, schema)? {
            (term, Kind::Bool | Kind::Any) => Ok(Condition::Flag(term)),
            _ => Err(format!("predicate is not a boolean expression: {expr}")),
        },
        Expr::Compare(op, left, right) => compare(*op, left, right, schema),
        Expr::Range { low, low_op, value, high_op, high } => Ok(Condition::And(vec![
            compare(*low_op, low, value, schema)?,
            compare(*high_op, value, high, schema)?,
        ])),
        Expr::In { value, list, negated } => {
            let (term, kind) = term(value, schema)?;
            if let Some(wrong) = list.iter().find(|literal| !comparable(kind, literal_kind(literal))) {
                return Err(format!("value '{wrong}' in list cannot be compared with {value}"));
            }
            Ok(Condition::In { term, list: list.clone(), negated: *negated })
        }
        Expr::Like { value, pattern } => match term(value, schema)? {
            (term, Kind::Text | Kind::Any) => Ok(Condition::Like { term, pattern: Pattern::new(pattern) }),
            _ => Err(format!("like operation on non-string field is unsupported: {value}")),
        },
        Expr::Exists(path) => match field(path, schema)? {
            (Term::Json { column, steps }, _) => Ok(Condition::Exists { column, steps }),
            _ => Err(format!("exists operation is only supported on json field: {path}")),
        },
        Expr::Contains { which, field: path, values } => match field(path, schema)? {
            (term, Kind::Any) => Ok(Condition::Contains { which: *which, term, values: values.clone() }),
            _ => Err(format!("contains operation is only supported on json field: {path}")),
        },
        Expr::Not(inner) => Ok(Condition::Not(Box::new(bind(inner, schema)?))),
        Expr::And(parts) => {
            Ok(Condition::And(parts.iter().map(|part| bind(part, schema)).collect::<Result<_, _>>()?))
        }
        Expr::Or(parts) => {
            Ok(Condition::Or(parts.iter().map(|part| bind(part, schema)).collect::<Result<_, _>>()?))
        }
        Expr::Literal(_) | Expr::Negate(_) | Expr::Arithmetic(..) => {
            Err(format!("predicate is not a boolean expression: {expr}"))
        }
    }
}

fn compare(op: CompareOp, left: &Expr, right: &Expr, schema: &Schema) -> Result<Condition, String> {
    let (left_term, left_kind) = term(left, schema)?;
    let (right_term, right_kind) = term(right, schema)?;
    if !comparable(left_kind, right_kind) {
        return Err(format!("comparisons between {left} and {right} are not supported"));
    }
    let ordered = !matches!(op, CompareOp::Equal | CompareOp::NotEqual);
    if ordered && (left_kind == Kind::Bool || right_kind == Kind::Bool) {
        return Err(format!("booleans have no order: {left} {op} {right}"));
    }
    // A constant on the right, so that there is one fast case and not two.
    Ok(match (&left_term, &right_term) {
        (Term::Constant(_), right) if !matches!(right, Term::Constant(_)) => {
            Condition::Compare(op.turned(), right_term, left_term)
        }
        _ => Condition::Compare(op, left_term, right_term),
    })
}

fn comparable(left: Kind, right: Kind) -> bool {
    left == right || left == Kind::Any || right == Kind::Any
}

fn literal_kind(literal: &Literal) -> Kind {
    match literal {
        Literal::Bool(_) => Kind::Bool,
        Literal::Int(_) | Literal::Float(_) => Kind::Number,
        Literal::Text(_) => Kind::Text,
    }
}

fn term(expr: &Expr, schema: &Schema) -> Result<(Term, Kind), String> {
    match expr {
        Expr::Literal(literal) => Ok((Term::Constant(literal.clone()), literal_kind(literal))),
        Expr::Field(path) => field(path, schema),
        Expr::Negate(inner) => match term(inner, schema)? {
            (term, kind @ (Kind::Number | Kind::Any)) => Ok((Term::Negate(Box::new(term)), kind)),
            _ => Err(format!("only numbers can be negated: {expr}")),
        },
        Expr::Arithmetic(op, left, right) => match (term(left, schema)?, term(right, schema)?) {
            ((left, Kind::Number | Kind::Any), (right, Kind::Number | Kind::Any)) => {
                Ok((Term::Arithmetic(*op, Box::new(left), Box::new(right)), Kind::Number))
            }
            _ => Err(format!("'{op}' can only be used between numbers: {expr}")),
        },
        _ => Err(format!("a condition is no value: {expr}")),
    }
}

fn field(path: &FieldPath, schema: &Schema) -> Result<(Term, Kind), String> {
    let Some(column) = schema.field(&path.name) else {
        // A name outside the schema is a key of the dynamic field.
        let column = schema.dynamic().ok_or_else(|| format!("field {} not exist", path.name))?;
        let steps = std::iter::once(Step::Key(path.name.clone())).chain(path.steps.iter().cloned()).collect();
        return Ok((Term::Json { column, steps }, Kind::Any));
    };
    let kind = match schema.fields[column].field_type {
        FieldType::Json => return Ok((Term::Json { column, steps: path.steps.clone() }, Kind::Any)),
        FieldType::Vector { .. } => return Err(format!("vector field {} cannot be in a filter", path.name)),
        FieldType::Bool => Kind::Bool,
        FieldType::VarChar { .. } => Kind::Text,
        _ => Kind::Number,
    };
    if path.steps.is_empty() {
        Ok((Term::Column(column), kind))
    } else {
        Err(format!("{} is not a json field: {path}", path.name))
    }
}

/// Follows a path into a JSON value.
pub(crate) fn follow<'v>(value: &'v Value, steps: &[Step]) -> Option<&'v Value> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.as_object()?.get(key),
        Step::Index(index) => value.as_array()?.get(*index),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_as_like_does() {
        for (pattern, text, matches) in [
            ("s1%", "s123", true),
            ("s1%", "as1", false),
            ("%1%3", "s123", true),
            ("%12", "s123", false),
            ("s_2%", "s123", true),
            ("", "", true),
            ("%", "", true),
            ("a\\%b", "a%b", true),
            ("a\\%b", "axb", false),
            ("%a%a%a%a%b", &"a".repeat(2_000), false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), matches, "{pattern} {text:.10}");
        }
    }
}
