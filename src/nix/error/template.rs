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
    let mut text =
        if anywhere { &text[text.find(literal)? + literal.len()..] } else { strip_start(text, literal)? };
    template = rest;
    while let Some((name, after)) = template.strip_prefix('{').and_then(|field| field.split_once('}')) {
        let (literal, rest) = next_literal(after);
        let (value, remaining) = if !literal.is_empty() {
            text.split_once(literal)?
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
    chars.as_str().strip_prefix(&literal[first.len_utf8()..])
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
    }
}
