//! Sentences as HTML: what stands between backticks is code. Templates see this as their filters.

use std::fmt::Display;

use askama::filters::Safe;

/// Escapes a sentence and sets what stands between two backticks as code; a backtick alone stays.
#[askama::filter_fn]
pub(crate) fn code(sentence: impl Display, _: &dyn askama::Values) -> askama::Result<Safe<String>> {
    Ok(Safe(html(&sentence.to_string())))
}

fn html(sentence: &str) -> String {
    let mut html = String::with_capacity(sentence.len());
    let mut rest = sentence;
    while let Some((before, code, after)) = next_code(rest) {
        html.push_str(&escaped(before));
        html.push_str("<code>");
        html.push_str(&escaped(code));
        html.push_str("</code>");
        rest = after;
    }
    html.push_str(&escaped(rest));
    html
}

/// What comes before the next code, the code, and what comes after it.
pub(crate) fn next_code(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('`')?;
    let (code, after) = rest.split_once('`')?;
    Some((before, code, after))
}

/// A text without a meaning in HTML and SVG.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&#38;").replace('<', "&#60;").replace('>', "&#62;").replace('"', "&#34;")
}

#[cfg(test)]
mod tests {
    use super::html;

    #[test]
    fn what_stands_between_backticks_is_code_and_all_is_escaped() {
        assert_eq!(
            html("The filter `price > 5 && a == \"<b>\"` and `rare`."),
            "The filter <code>price &#62; 5 &#38;&#38; a == &#34;&#60;b&#62;&#34;</code> and <code>rare</code>."
        );
        assert_eq!(html("<script>"), "&#60;script&#62;");
        assert_eq!(html("a lone ` stays"), "a lone ` stays");
        assert_eq!(html(""), "");
    }
}
