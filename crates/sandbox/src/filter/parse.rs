//! Text to [`Expr`]. Loosest first: `or`, `and`, `not`, comparison, sum, product, sign, the rest.

use winnow::{
    ModalResult, Parser,
    ascii::{Caseless, digit1, multispace0},
    combinator::{
        alt, cut_err, delimited, dispatch, empty, fail, not, opt, peek, preceded, separated, terminated,
    },
    error::{ContextError, ErrMode, StrContext, StrContextValue},
    stream::Stateful,
    token::{any, one_of, take_while},
};

use super::ast::{ArithmeticOp, CompareOp, Contains, Expr, FieldPath, Literal, Step};

/// Nesting (and arithmetic chaining) beyond this is refused, so that no text can exhaust the stack.
const MAX_DEPTH: usize = 128;

/// Why a text is no filter, without the text itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParseError {
    #[error("{expected} near `{near}` at character {at}")]
    Syntax { expected: String, near: String, at: usize },
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

type Input<'s> = Stateful<&'s str, State>;

#[derive(Clone, Copy, Debug, Default)]
struct State {
    depth: usize,
    too_deep: bool,
}

/// Reads a filter.
pub(crate) fn parse(text: &str) -> Result<Expr, ParseError> {
    let mut input = Stateful { input: text, state: State::default() };
    let result = preceded(multispace0, or_expr).parse_next(&mut input);
    if input.state.too_deep {
        return Err(ParseError::TooDeep);
    }
    let expected = match result {
        Ok(expr) if input.input.is_empty() => return Ok(expr),
        Ok(_) => "the end of the expression was expected".to_owned(),
        Err(ErrMode::Backtrack(error) | ErrMode::Cut(error)) => expectation(&error),
        Err(ErrMode::Incomplete(_)) => expectation(&ContextError::new()),
    };
    let at = text.chars().count() - input.input.chars().count();
    let near: String = match input.input.chars().take(16).collect::<String>() {
        rest if rest.is_empty() => "the end".to_owned(),
        rest => rest,
    };
    Err(ParseError::Syntax { expected, near, at })
}

fn expectation(error: &ContextError) -> String {
    let expected = error.context().find_map(|context| match context {
        StrContext::Expected(StrContextValue::Description(text)) => Some(*text),
        _ => None,
    });
    format!("{} was expected", expected.unwrap_or("a field, a number, a text or a parenthesis"))
}

fn expected(text: &'static str) -> StrContext {
    StrContext::Expected(StrContextValue::Description(text))
}

/// Runs `parser` one level further down.
fn deeper<'s, T>(
    mut parser: impl FnMut(&mut Input<'s>) -> ModalResult<T>,
) -> impl FnMut(&mut Input<'s>) -> ModalResult<T> {
    move |input| {
        input.state.depth += 1;
        if input.state.depth > MAX_DEPTH {
            input.state.too_deep = true;
            return Err(ErrMode::Cut(ContextError::new()));
        }
        let result = parser(input);
        input.state.depth -= 1;
        result
    }
}

/// `parser` and the space after it.
fn lexeme<'s, T>(
    parser: impl Parser<Input<'s>, T, ErrMode<ContextError>>,
) -> impl Parser<Input<'s>, T, ErrMode<ContextError>> {
    terminated(parser, multispace0)
}

fn symbol<'s>(text: &'static str) -> impl Parser<Input<'s>, (), ErrMode<ContextError>> {
    lexeme(text).void()
}

/// A word in any case that does not go on.
fn keyword<'s>(word: &'static str) -> impl Parser<Input<'s>, (), ErrMode<ContextError>> {
    lexeme((Caseless(word), not(one_of(is_word_part)))).void()
}

fn is_word_part(c: char) -> bool {
    c == '_' || c == '$' || c.is_alphanumeric()
}

fn or_expr(input: &mut Input<'_>) -> ModalResult<Expr> {
    let parts: Vec<Expr> =
        separated_strict(input, and_expr, |input| alt((keyword("or"), symbol("||"))).parse_next(input))?;
    Ok(one_or(parts, Expr::Or))
}

fn and_expr(input: &mut Input<'_>) -> ModalResult<Expr> {
    let parts: Vec<Expr> =
        separated_strict(input, not_expr, |input| alt((keyword("and"), symbol("&&"))).parse_next(input))?;
    Ok(one_or(parts, Expr::And))
}

/// Like `separated(1.., ..)`, but after a separator an item must come.
fn separated_strict<'s, T>(
    input: &mut Input<'s>,
    mut item: impl FnMut(&mut Input<'s>) -> ModalResult<T>,
    mut separator: impl FnMut(&mut Input<'s>) -> ModalResult<()>,
) -> ModalResult<Vec<T>> {
    let mut items = vec![item(input)?];
    while opt(&mut separator).parse_next(input)?.is_some() {
        items.push(cut_err(&mut item).parse_next(input)?);
    }
    Ok(items)
}

fn one_or(mut parts: Vec<Expr>, many: fn(Vec<Expr>) -> Expr) -> Expr {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            many(parts)
        }
        None => many(parts),
    }
}

fn not_expr(input: &mut Input<'_>) -> ModalResult<Expr> {
    let negated = alt((keyword("not"), lexeme(('!', not('='))).void()));
    if opt(negated).parse_next(input)?.is_some() {
        let inner = cut_err(deeper(not_expr)).parse_next(input)?;
        return Ok(Expr::Not(Box::new(inner)));
    }
    comparison(input)
}

fn comparison(input: &mut Input<'_>) -> ModalResult<Expr> {
    let left = sum(input)?;
    if let Some(op) = opt(compare_op).parse_next(input)? {
        let middle = cut_err(sum).parse_next(input)?;
        let Some(second) = opt(compare_op).parse_next(input)? else {
            return Ok(Expr::Compare(op, Box::new(left), Box::new(middle)));
        };
        if !same_direction(op, second) {
            return cut_err(fail.context(expected("a range such as 1 < a <= 4"))).parse_next(input);
        }
        let high = cut_err(sum).parse_next(input)?;
        return Ok(Expr::Range {
            low: Box::new(left),
            low_op: op,
            value: Box::new(middle),
            high_op: second,
            high: Box::new(high),
        });
    }
    let negated = opt(terminated(keyword("not"), peek(keyword("in")))).parse_next(input)?.is_some();
    if opt(keyword("in")).parse_next(input)?.is_some() {
        let list = cut_err(list).parse_next(input)?;
        return Ok(Expr::In { value: Box::new(left), list, negated });
    }
    if opt(keyword("like")).parse_next(input)?.is_some() {
        let pattern = cut_err(lexeme(text).context(expected("a text in quotes"))).parse_next(input)?;
        return Ok(Expr::Like { value: Box::new(left), pattern });
    }
    Ok(left)
}

fn same_direction(first: CompareOp, second: CompareOp) -> bool {
    use CompareOp::{Greater, GreaterOrEqual, Less, LessOrEqual};
    matches!((first, second), (Less | LessOrEqual, Less | LessOrEqual))
        || matches!((first, second), (Greater | GreaterOrEqual, Greater | GreaterOrEqual))
}

fn compare_op(input: &mut Input<'_>) -> ModalResult<CompareOp> {
    lexeme(alt((
        "==".value(CompareOp::Equal),
        "!=".value(CompareOp::NotEqual),
        "<=".value(CompareOp::LessOrEqual),
        ">=".value(CompareOp::GreaterOrEqual),
        "<".value(CompareOp::Less),
        ">".value(CompareOp::Greater),
    )))
    .parse_next(input)
}

fn sum(input: &mut Input<'_>) -> ModalResult<Expr> {
    chain(input, product, |input| {
        lexeme(alt(('+'.value(ArithmeticOp::Add), '-'.value(ArithmeticOp::Subtract)))).parse_next(input)
    })
}

fn product(input: &mut Input<'_>) -> ModalResult<Expr> {
    chain(input, signed, |input| {
        lexeme(alt((
            '*'.value(ArithmeticOp::Multiply),
            '/'.value(ArithmeticOp::Divide),
            '%'.value(ArithmeticOp::Modulo),
        )))
        .parse_next(input)
    })
}

/// Left-associative operations; each one nests the tree by one.
fn chain<'s>(
    input: &mut Input<'s>,
    mut operand: impl FnMut(&mut Input<'s>) -> ModalResult<Expr>,
    mut operator: impl FnMut(&mut Input<'s>) -> ModalResult<ArithmeticOp>,
) -> ModalResult<Expr> {
    let depth = input.state.depth;
    let mut left = operand(input)?;
    while let Some(op) = opt(&mut operator).parse_next(input)? {
        let right = cut_err(deeper(&mut operand)).parse_next(input)?;
        left = Expr::Arithmetic(op, Box::new(left), Box::new(right));
        input.state.depth += 1;
    }
    input.state.depth = depth;
    Ok(left)
}

fn signed(input: &mut Input<'_>) -> ModalResult<Expr> {
    // A sign right before digits belongs to the number: only so is the smallest integer one.
    if let Some(number) = opt(lexeme(number)).parse_next(input)? {
        return Ok(Expr::Literal(number));
    }
    if opt(symbol("-")).parse_next(input)?.is_some() {
        let inner = cut_err(deeper(signed)).parse_next(input)?;
        return Ok(Expr::Negate(Box::new(inner)));
    }
    primary(input)
}

fn primary(input: &mut Input<'_>) -> ModalResult<Expr> {
    let first = peek(any).parse_next(input)?;
    match first {
        '(' => {
            delimited(symbol("("), cut_err(deeper(or_expr)), cut_err(symbol(")").context(expected("`)`"))))
                .parse_next(input)
        }
        '"' | '\'' => lexeme(text).map(|text| Expr::Literal(Literal::Text(text))).parse_next(input),
        _ => alt((boolean.map(Expr::Literal), exists, contains, field.map(Expr::Field))).parse_next(input),
    }
}

fn exists(input: &mut Input<'_>) -> ModalResult<Expr> {
    preceded(keyword("exists"), cut_err(field)).map(Expr::Exists).parse_next(input)
}

fn contains(input: &mut Input<'_>) -> ModalResult<Expr> {
    let which = alt((
        alt((keyword("json_contains"), keyword("array_contains"))).value(Contains::One),
        alt((keyword("json_contains_all"), keyword("array_contains_all"))).value(Contains::All),
        alt((keyword("json_contains_any"), keyword("array_contains_any"))).value(Contains::Any),
    ));
    let which = terminated(which, symbol("(")).parse_next(input)?;
    let field = cut_err(terminated(field, symbol(",").context(expected("`,`")))).parse_next(input)?;
    let values = match which {
        Contains::One => cut_err(literal).map(|literal| vec![literal]).parse_next(input)?,
        Contains::All | Contains::Any => cut_err(list).parse_next(input)?,
    };
    cut_err(symbol(")").context(expected("`)`"))).parse_next(input)?;
    Ok(Expr::Contains { which, field, values })
}

fn list(input: &mut Input<'_>) -> ModalResult<Vec<Literal>> {
    delimited(
        symbol("[").context(expected("a list in brackets")),
        terminated(separated(0.., literal, symbol(",")), opt(symbol(","))),
        symbol("]").context(expected("`]`")),
    )
    .parse_next(input)
}

fn literal(input: &mut Input<'_>) -> ModalResult<Literal> {
    lexeme(alt((number, text.map(Literal::Text), boolean))).context(expected("a value")).parse_next(input)
}

fn boolean(input: &mut Input<'_>) -> ModalResult<Literal> {
    alt((keyword("true").value(Literal::Bool(true)), keyword("false").value(Literal::Bool(false))))
        .parse_next(input)
}

/// Digits with an optional sign right before them; a point or an exponent makes it a float, as does a
/// size beyond 64 bits.
fn number(input: &mut Input<'_>) -> ModalResult<Literal> {
    let exponent = (one_of(['e', 'E']), opt(one_of(['+', '-'])), digit1);
    let fraction = ('.', take_while(0.., |c: char| c.is_ascii_digit()));
    let number = alt(((digit1, opt(fraction)).void(), ('.', digit1).void()));
    (opt('-'), number, opt(exponent), not(one_of(is_word_part)))
        .take()
        .verify_map(|text: &str| match text.parse::<i64>() {
            Ok(int) => Some(Literal::Int(int)),
            // Not finite: beyond what a double holds.
            Err(_) => text.parse().ok().filter(|float: &f64| float.is_finite()).map(Literal::Float),
        })
        .parse_next(input)
}

fn text(input: &mut Input<'_>) -> ModalResult<String> {
    let quote = one_of(['"', '\'']).parse_next(input)?;
    let mut text = String::new();
    loop {
        match cut_err(any.context(expected("a closing quote"))).parse_next(input)? {
            c if c == quote => return Ok(text),
            '\\' => {
                let c = cut_err(dispatch! {any;
                    'n' => empty.value('\n'),
                    'r' => empty.value('\r'),
                    't' => empty.value('\t'),
                    c @ ('"' | '\'' | '\\' | '/') => empty.value(c),
                    // LIKE's own escapes (`\%`, `\_`) stay as they are.
                    c => empty.value(c).verify(|c| { matches!(c, '%' | '_') }),
                })
                .context(expected("an escape such as \\n or \\\""))
                .parse_next(input)?;
                if matches!(c, '%' | '_') {
                    text.push('\\');
                }
                text.push(c);
            }
            c => text.push(c),
        }
    }
}

fn field(input: &mut Input<'_>) -> ModalResult<FieldPath> {
    let name = lexeme((one_of(|c: char| is_word_part(c) && !c.is_numeric()), take_while(0.., is_word_part)))
        .take()
        .map(|name: &str| name.trim_end().to_owned())
        .verify(|name: &String| !is_keyword(name))
        .context(expected("a field, a number, a text or a parenthesis"))
        .parse_next(input)?;
    let mut steps = Vec::new();
    while opt(symbol("[")).parse_next(input)?.is_some() {
        let step = alt((
            text.map(Step::Key),
            digit1.verify_map(|digits: &str| digits.parse().ok()).map(Step::Index),
        ));
        let step =
            cut_err(lexeme(step).context(expected("a key in quotes or an index"))).parse_next(input)?;
        cut_err(symbol("]").context(expected("`]`"))).parse_next(input)?;
        steps.push(step);
    }
    Ok(FieldPath { name, steps })
}

fn is_keyword(name: &str) -> bool {
    ["and", "or", "not", "in", "like", "exists", "true", "false"]
        .iter()
        .any(|word| name.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        ArithmeticOp, CompareOp, Contains, Expr, FieldPath, Literal, ParseError, Step, is_keyword, parse,
    };

    fn shown(text: &str) -> String {
        parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).to_string()
    }

    #[test]
    fn operators_bind_as_in_milvus() {
        assert_eq!(shown("a == 1 or b == 2 and c == 3"), "(a == 1) or ((b == 2) and (c == 3))");
        assert_eq!(shown("price >= 100 and price < 500"), "(price >= 100) and (price < 500)");
        assert_eq!(shown("a + 1 * 2 - b % 3 == 4"), "((a + (1 * 2)) - (b % 3)) == 4");
        assert_eq!(
            shown("!(a in [1,2]) && not b like 'x%'"),
            "(not (a in [1, 2])) and (not (b like \"x%\"))"
        );
        assert_eq!(shown("1 < a <= 4"), "1 < a <= 4");
        assert_eq!(shown("a not in [\"x\"] || a IN []"), "(a not in [\"x\"]) or (a in [])");
        assert_eq!(shown("$meta['k'][0] > 1 && exists dyn"), "($meta[\"k\"][0] > 1) and (exists dyn)");
        assert_eq!(shown("JSON_CONTAINS($meta[\"x\"], 1)"), "json_contains($meta[\"x\"], 1)");
        assert_eq!(shown("a-1==-1"), "(a - 1) == -1");
        assert_eq!(shown("a == -9223372036854775808"), "a == -9223372036854775808");
        assert_eq!(shown("a > .5 and a < 1e3"), "(a > 0.5) and (a < 1000.0)");
        assert_eq!(shown("android == 1 and oracle == 2"), "(android == 1) and (oracle == 2)");
    }

    #[test]
    fn what_is_no_filter_is_refused_with_the_place() {
        for (text, at) in [
            ("a ===1", 4),
            ("a >", 3),
            ("(a == 1", 7),
            ("a == 1)", 6),
            ("", 0),
            ("a in 1", 5),
            ("a == \"x", 7),
            ("and", 0),
            ("a == 1 and", 10),
            ("1 < a > 0", 8),
            ("a like b", 7),
            ("3a == 1", 0),
        ] {
            match parse(text) {
                Err(ParseError::Syntax { at: found, .. }) => {
                    assert_eq!(found, at, "{text}: {:?}", parse(text));
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn no_text_exhausts_the_stack() {
        let deep = [
            "(".repeat(100_000),
            "not ".repeat(100_000),
            "!".repeat(100_000),
            "- ".repeat(100_000),
            format!("a {} == 1", "+ a".repeat(100_000)),
        ];
        for text in deep {
            assert_eq!(parse(&text), Err(ParseError::TooDeep));
        }
        // A long conjunction is flat and fine.
        assert!(parse(&vec!["a == 1"; 50_000].join(" and ")).is_ok());
    }

    fn literal() -> impl Strategy<Value = Literal> {
        prop_oneof![
            any::<bool>().prop_map(Literal::Bool),
            any::<i64>().prop_map(Literal::Int),
            proptest::num::f64::NORMAL.prop_map(Literal::Float),
            // `\%` and `\_` are LIKE's own escapes and stay two characters, so a lone backslash before
            // one of them has no text that means just it.
            any::<String>().prop_map(|text| Literal::Text(text.replace('\\', "/"))),
        ]
    }

    fn path() -> impl Strategy<Value = FieldPath> {
        let step = prop_oneof!["[^\\\\]{0,8}".prop_map(Step::Key), (0usize..100).prop_map(Step::Index)];
        ("[a-z_$][a-z0-9_]{0,6}", proptest::collection::vec(step, 0..3))
            .prop_filter("keywords are no names", |(name, _)| !is_keyword(name))
            .prop_map(|(name, steps)| FieldPath { name, steps })
    }

    fn compare() -> impl Strategy<Value = CompareOp> {
        use CompareOp::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        proptest::sample::select(vec![Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual])
    }

    fn expr() -> impl Strategy<Value = Expr> {
        use ArithmeticOp::{Add, Divide, Modulo, Multiply, Subtract};
        let leaf =
            prop_oneof![
                literal().prop_map(Expr::Literal),
                path().prop_map(Expr::Field),
                path().prop_map(Expr::Exists),
                (path(), proptest::collection::vec(literal(), 0..3))
                    .prop_map(|(field, values)| Expr::Contains { which: Contains::Any, field, values }),
                (path(), literal()).prop_map(|(field, value)| Expr::Contains {
                    which: Contains::One,
                    field,
                    values: vec![value]
                }),
            ];
        leaf.prop_recursive(6, 48, 4, |inner| {
            let pair = (inner.clone().prop_map(Box::new), inner.clone().prop_map(Box::new));
            prop_oneof![
                inner.clone().prop_map(|e| Expr::Not(Box::new(e))),
                inner.clone().prop_map(|e| Expr::Negate(Box::new(e))),
                proptest::collection::vec(inner.clone(), 2..4).prop_map(Expr::And),
                proptest::collection::vec(inner.clone(), 2..4).prop_map(Expr::Or),
                (compare(), pair.clone()).prop_map(|(op, (l, r))| Expr::Compare(op, l, r)),
                (proptest::sample::select(vec![Add, Subtract, Multiply, Divide, Modulo]), pair.clone())
                    .prop_map(|(op, (l, r))| Expr::Arithmetic(op, l, r)),
                (pair, inner.clone()).prop_map(|((low, value), high)| Expr::Range {
                    low,
                    low_op: CompareOp::Less,
                    value,
                    high_op: CompareOp::LessOrEqual,
                    high: Box::new(high)
                }),
                (inner.clone(), proptest::collection::vec(literal(), 0..4), any::<bool>())
                    .prop_map(|(value, list, negated)| Expr::In { value: Box::new(value), list, negated }),
                (inner, "[^\\\\]{0,8}")
                    .prop_map(|(value, pattern)| Expr::Like { value: Box::new(value), pattern }),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_printed_filter_parses_to_itself(expr in expr()) {
            let text = expr.to_string();
            prop_assert_eq!(parse(&text), Ok(expr), "{}", text);
        }

        #[test]
        fn no_text_panics(text in ".{0,64}") {
            let _ = parse(&text);
        }
    }
}
