//! Matching of text against templates: literals with named holes, such as ``builder for '{drv}' failed with exit code
//! {exit}``.

/// The texts of a template's fields, in the order of the template.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Captures<'t>(Vec<(&'static str, &'t str)>);

impl<'t> Captures<'t> {
    /// Returns the text of the first field of this name.
    pub fn get(&self, name: &str) -> Option<&'t str> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, text)| *text)
    }

    /// Returns the number in the first field of this name.
    pub fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        self.get(name)?.parse().ok()
    }
}

/// The part of a text that a template must cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// A whole line, without text before or after it.
    WholeLine,
    /// The beginning of a message, whose wording varies slightly between versions.
    ///
    /// - It begins at the start of the text, or anywhere if the template begins with `*`; text after it is ignored. The
    ///   first character may be of either case, for Nix changed many messages in that alone.
    /// - A field ends at the first place where the template goes on, within one line. At the end of the template it is
    ///   the rest of the line.
    /// - `{n}`, `{exit}`, `{signal}` are digits. `{rest}`, only at the end, is all that follows, across lines.
    /// - A single quote of the template matches a double one as well.
    Message,
}

/// Returns the literal at the beginning of a template, before its first field.
pub fn head(template: &'static str) -> &'static str {
    next_literal(template).0
}

/// Returns the literal at the end of a template, behind its last field.
pub fn tail(template: &'static str) -> &'static str {
    template.rsplit('}').next().unwrap_or(template)
}

/// Returns the literal behind the first field of a template.
pub fn after_first_field(template: &'static str) -> &'static str {
    template.split_once('}').map_or("", |(_, rest)| next_literal(rest).0)
}

/// Matches a message against a template and returns what the fields stand for, see [`Extent::Message`].
pub fn captures<'t>(template: &'static str, text: &'t str) -> Option<Captures<'t>> {
    let mut captures = Captures::default();
    let fits = fit(template, text, Extent::Message, |name, value| {
        let valid = if is_number(name) {
            !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())
        } else {
            name == "rest" || !value.contains('\n')
        };
        if valid {
            captures.0.push((name, value));
        }
        valid
    });
    fits.then_some(captures)
}

/// Matches `text` against `template`. Each field's name and text is offered to `accept` in the order of the template, and
/// a field that is not accepted makes the match fail.
///
/// The cost is linear in the text.
pub fn fit<'t>(
    template: &'static str,
    text: &'t str,
    extent: Extent,
    mut accept: impl FnMut(&'static str, &'t str) -> bool,
) -> bool {
    fit_fields(template, text, extent, &mut accept).is_some()
}

fn fit_fields<'t>(
    template: &'static str,
    text: &'t str,
    extent: Extent,
    accept: &mut dyn FnMut(&'static str, &'t str) -> bool,
) -> Option<()> {
    let (mut text, mut template) = match extent {
        Extent::WholeLine => {
            let (literal, rest) = next_literal(template);
            (text.strip_prefix(literal)?, rest)
        }
        Extent::Message => after_beginning(template, text)?,
    };
    while let Some((name, after)) = template.strip_prefix('{').and_then(|field| field.split_once('}')) {
        let (literal, rest) = next_literal(after);
        let (value, remaining) = match extent {
            Extent::WholeLine if rest.is_empty() => (text.strip_suffix(literal)?, ""),
            Extent::WholeLine => text.split_once(literal)?,
            Extent::Message => field_of_message(name, literal, text)?,
        };
        if !accept(name, value) {
            return None;
        }
        (text, template) = (remaining, rest);
    }
    (extent == Extent::Message || text.is_empty()).then_some(())
}

/// Returns whether a message may begin as its template does. Nearly all differ in the first byte.
pub(crate) fn may_begin(template: &str, text: &str) -> bool {
    match (template.as_bytes().first(), text.as_bytes().first()) {
        (Some(b'*' | b'{'), _) | (None, _) | (_, None) => true,
        (Some(first), Some(other)) => first.eq_ignore_ascii_case(other),
    }
}

/// Returns what follows the first literal in a message and in its template.
fn after_beginning<'t>(template: &'static str, text: &'t str) -> Option<(&'t str, &'static str)> {
    let (anywhere, template) = match template.strip_prefix('*') {
        Some(template) => (true, template),
        None => (false, template),
    };
    if !anywhere && !may_begin(template, text) {
        return None;
    }
    let (literal, rest) = next_literal(template);
    let text = if anywhere {
        text.get(find(text, literal)? + literal.len()..)?
    } else {
        strip_start(text, literal)?
    };
    Some((text, rest))
}

/// Returns what a field of a message stands for, and what follows the literal behind it.
fn field_of_message<'t>(name: &str, literal: &str, text: &'t str) -> Option<(&'t str, &'t str)> {
    if !literal.is_empty() {
        let at = find(text, literal)?;
        return Some((text.get(..at)?, text.get(at + literal.len()..)?));
    }
    Some(if name == "rest" {
        (text, "")
    } else if is_number(name) {
        text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
    } else {
        text.split_at(text.find('\n').unwrap_or(text.len()))
    })
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

/// Returns the place of a literal in the text.
fn find(text: &str, literal: &str) -> Option<usize> {
    if !literal.contains('\'') {
        return text.find(literal);
    }
    let (text, literal) = (text.as_bytes(), literal.as_bytes());
    (0..=text.len().checked_sub(literal.len())?).find(|&at| is_prefix(&text[at..], literal))
}

/// Returns whether a text begins with a literal. A single quote matches a double quote as well: newer versions print paths between
/// those (2.34, for instance, of programs, outputs and build directories).
fn is_prefix(text: &[u8], literal: &[u8]) -> bool {
    text.len() >= literal.len() && text.iter().zip(literal).all(|(t, l)| t == l || *l == b'\'' && *t == b'"')
}

#[cfg(test)]
mod tests {
    use super::{Extent, captures, fit};

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

    #[test]
    fn whole_lines() {
        let check = |template: &'static str, text: &str, expect: Option<&[(&str, &str)]>| {
            let mut found = Vec::new();
            let fits = fit(template, text, Extent::WholeLine, |name, value| {
                found.push((name, value));
                !value.is_empty()
            });
            assert_eq!(fits.then_some(found.as_slice()), expect, "{template} on {text}");
        };
        check("Done", "Done", Some(&[]));
        check("Done", "done", None);
        check("Done", "Done.", None);
        check("unit {a} failed", "unit x failed", Some(&[("a", "x")]));
        check("unit {a} failed", "unit x failed again", None);
        check("unit {a} failed", "unit x failed, it failed", Some(&[("a", "x failed, it")]));
        check("unit {a}: {b}", "unit x: y: z", Some(&[("a", "x"), ("b", "y: z")]));
        check("unit {a}: {b}", "unit : y", None);
        check("'{a}'", "\"x\"", None);
    }
}
