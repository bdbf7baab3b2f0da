//! A filter as a tree. `Display` writes it as text that parses to the same tree.

use std::fmt;

/// An expression; whether it is a condition or a value is for [`super::bind`] to say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    Literal(Literal),
    Field(FieldPath),
    Negate(Box<Expr>),
    Arithmetic(ArithmeticOp, Box<Expr>, Box<Expr>),
    Compare(CompareOp, Box<Expr>, Box<Expr>),
    /// `low < value <= high`, or with both signs turned.
    Range {
        low: Box<Expr>,
        low_op: CompareOp,
        value: Box<Expr>,
        high_op: CompareOp,
        high: Box<Expr>,
    },
    In {
        value: Box<Expr>,
        list: Vec<Literal>,
        negated: bool,
    },
    Like {
        value: Box<Expr>,
        pattern: String,
    },
    Exists(FieldPath),
    Contains {
        which: Contains,
        field: FieldPath,
        values: Vec<Literal>,
    },
    Not(Box<Expr>),
    /// Two or more.
    And(Vec<Expr>),
    /// Two or more.
    Or(Vec<Expr>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

/// A field, a key of the dynamic field, or a place inside a JSON field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FieldPath {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArithmeticOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CompareOp {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl CompareOp {
    /// The sign that says the same with the sides exchanged.
    pub(crate) fn turned(self) -> Self {
        match self {
            Self::Equal | Self::NotEqual => self,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contains {
    One,
    All,
    Any,
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(literal) => literal.fmt(f),
            Self::Field(path) => path.fmt(f),
            // Parenthesized, or `-` before a number would read as a negative number.
            Self::Negate(inner) => write!(f, "-({inner})"),
            Self::Arithmetic(op, left, right) => write!(f, "{} {op} {}", Nested(left), Nested(right)),
            Self::Compare(op, left, right) => write!(f, "{} {op} {}", Nested(left), Nested(right)),
            Self::Range { low, low_op, value, high_op, high } => {
                write!(f, "{} {low_op} {} {high_op} {}", Nested(low), Nested(value), Nested(high))
            }
            Self::In { value, list, negated } => {
                let not = if *negated { "not " } else { "" };
                write!(f, "{} {not}in {}", Nested(value), List(list))
            }
            Self::Like { value, pattern } => {
                write!(f, "{} like {}", Nested(value), Literal::Text(pattern.clone()))
            }
            Self::Exists(path) => write!(f, "exists {path}"),
            Self::Contains { which, field, values } => match (which, values.as_slice()) {
                (Contains::One, [value]) => write!(f, "json_contains({field}, {value})"),
                (Contains::Any, _) => write!(f, "json_contains_any({field}, {})", List(values)),
                _ => write!(f, "json_contains_all({field}, {})", List(values)),
            },
            Self::Not(inner) => write!(f, "not {}", Nested(inner)),
            Self::And(parts) => join(f, parts, " and "),
            Self::Or(parts) => join(f, parts, " or "),
        }
    }
}

fn join(f: &mut fmt::Formatter<'_>, parts: &[Expr], between: &str) -> fmt::Result {
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            f.write_str(between)?;
        }
        write!(f, "{}", Nested(part))?;
    }
    Ok(())
}

/// In parentheses unless it is a leaf.
struct Nested<'a>(&'a Expr);

impl fmt::Display for Nested<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Expr::Literal(_) | Expr::Field(_) | Expr::Contains { .. } => self.0.fmt(f),
            inner => write!(f, "({inner})"),
        }
    }
}

struct List<'a>(&'a [Literal]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (place, literal) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(", ")?;
            }
            literal.fmt(f)?;
        }
        f.write_str("]")
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            // `{:?}` keeps the point of 1.0, which makes it a float again.
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(text) => {
                f.write_str("\"")?;
                for c in text.chars() {
                    match c {
                        '"' => f.write_str("\\\"")?,
                        '\\' => f.write_str("\\\\")?,
                        '\n' => f.write_str("\\n")?,
                        '\r' => f.write_str("\\r")?,
                        '\t' => f.write_str("\\t")?,
                        c => write!(f, "{c}")?,
                    }
                }
                f.write_str("\"")
            }
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for step in &self.steps {
            match step {
                Step::Key(key) => write!(f, "[{}]", Literal::Text(key.clone()))?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for ArithmeticOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
        })
    }
}

impl fmt::Display for CompareOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}
