//! Matching of messages against templates such as ``builder for '{drv}' failed with exit code {exit}``.

/// What the fields of a template matched, in the order of the template.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Captures<'t>(Vec<(&'static str, &'t str)>);

impl<'t> Captures<'t> {
    pub(super) fn get(&self, name: &str) -> Option<&'t str> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, text)| *text)
    }

    pub(super) fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        self.get(name)?.parse().ok()
    }
}

/// Matches `text` against `template`, and returns what the fields stand for.
///
/// - The match begins at the start of the text, or anywhere if the template begins with `*`; text after the template is
///   ignored. The first character may be of either case, for Nix changed many messages in that alone.
/// - `{name}` is the text up to the first place where the template goes on, within one line. At the end of the
///   template it is the rest of the line.
/// - `{n}`, `{exit}`, `{signal}` are digits. `{rest}`, only at the end, is all that follows, across lines.
///
/// - A single quote of the template matches a double one as well.
///
/// The cost is linear in the text.
pub(super) fn captures<'t>(template: &'static str, text: &'t str) -> Option<Captures<'t>> {
    let (anywhere, mut template) = match template.strip_prefix('*') {
        Some(template) => (true, template),
        None => (false, template),
    };
    // Nearly all templates differ from a text in the first byte.
    if !anywhere
        && let (Some(first), Some(other)) = (template.bytes().next(), text.bytes().next())
        && first != b'{'
        && !first.eq_ignore_ascii_case(&other)
    {
        return None;
    }
    let mut captures = Captures::default();
    let (literal, rest) = next_literal(template);
    let mut text = if anywhere {
        text.get(find(text, literal)? + literal.len()..)?
    } else {
        strip_start(text, literal)?
    };
    template = rest;
    while let Some((name, after)) = template.strip_prefix('{').and_then(|field| field.split_once('}')) {
        let (literal, rest) = next_literal(after);
        let (value, remaining) = if !literal.is_empty() {
            let at = find(text, literal)?;
            (text.get(..at)?, text.get(at + literal.len()..)?)
        } else if name == "rest" {
            (text, "")
        } else if is_number(name) {
            text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
        } else {
            text.split_at(text.find('\n').unwrap_or(text.len()))
        };
        let valid = if is_number(name) {
            !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())
        } else {
            name == "rest" || !value.contains('\n')
        };
        if !valid {
            return None;
        }
        captures.0.push((name, value));
        (text, template) = (remaining, rest);
    }
    Some(captures)
}

fn is_number(name: &str) -> bool {
    matches!(name, "n" | "exit" | "signal")
}

fn next_literal(template: &'static str) -> (&'static str, &'static str) {
    template.split_at(template.find('{').unwrap_or(template.len()))
}

fn strip_start<'t>(text: &'t str, literal: &str) -> Option<&'t str> {
    let Some(first) = literal.chars().next() else { return Some(text) };
    let mut chars = text.chars();
    if !chars.next()?.eq_ignore_ascii_case(&first) {
        return None;
    }
    let (rest, literal) = (chars.as_str(), &literal[first.len_utf8()..]);
    is_prefix(rest.as_bytes(), literal.as_bytes()).then(|| rest.get(literal.len()..)).flatten()
}

/// Where a literal stands in the text.
fn find(text: &str, literal: &str) -> Option<usize> {
    if !literal.contains('\'') {
        return text.find(literal);
    }
    let (text, literal) = (text.as_bytes(), literal.as_bytes());
    (0..=text.len().checked_sub(literal.len())?).find(|&at| is_prefix(&text[at..], literal))
}

/// Whether a text begins with a literal. A single quote stands for a double one too: newer versions print paths between
/// those (2.34, for instance, of programs, outputs and build directories).
fn is_prefix(text: &[u8], literal: &[u8]) -> bool {
    text.len() >= literal.len() && text.iter().zip(literal).all(|(t, l)| t == l || *l == b'\'' && *t == b'"')
}

#[cfg(test)]
mod tests {
    use super::captures;

    #[test]
    fn templates() {
        let check = |template: &'static str, text: &str, expect: Option<&[(&str, &str)]>| {
            let found = captures(template, text);
            assert_eq!(found.as_ref().map(|c| c.0.as_slice()), expect, "{template} on {text}");
        };
        check("a '{drv}' b {exit}", "a 'x' b 12;", Some(&[("drv", "x"), ("exit", "12")]));
        check("a '{drv}' b {exit}", "A 'x' b 12", Some(&[("drv", "x"), ("exit", "12")]));
        check("a '{drv}' b {exit}", "a 'x' b twelve", None);
        check("a '{drv}' b", "a 'x\ny' b", None);
        check("a '{drv}' b", "an 'x' b", None);
        check("{n} of '{drv}'", "12 of 'x'", Some(&[("n", "12"), ("drv", "x")]));
        check("{n} of '{drv}'", "all of 'x'", None);
        check("*: denied", "opening x: denied", Some(&[]));
        check("x: {rest}", "x: a\nb", Some(&[("rest", "a\nb")]));
        check("x: {_}", "x: a\nb", Some(&[("_", "a")]));
        check("x", "", None);
        check("a '{drv}' b: '{out}' c", "a 'x' b: \"y\" c", Some(&[("drv", "x"), ("out", "y")]));
        check("program '/{program}' failed", "program \"/x\" failed", Some(&[("program", "x")]));
        check("*of '{drv}'", "ü of \"x\"", Some(&[("drv", "x")]));
    }
}
