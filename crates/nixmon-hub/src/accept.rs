//! The form of an answer, by `Accept` (RFC 9110, 12.5.1) or the parameter `format`.

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// A page for a browser.
    #[default]
    Html,
    /// The same as text, for readers without a browser.
    Markdown,
    /// The same as data.
    Json,
}

/// Chooses the form that a client prefers; a page if it has no preference.
pub(crate) fn form(accept: Option<&str>, format: Option<&str>) -> Form {
    match format {
        Some("html") => return Form::Html,
        Some("md" | "markdown" | "text") => return Form::Markdown,
        Some("json") => return Form::Json,
        _ => {}
    }
    let mut best = (0, 0, Form::Html);
    for range in accept.unwrap_or_default().split(',').take(32) {
        let mut parts = range.split(';');
        let kind = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let quality = parts.find_map(|part| part.trim().strip_prefix("q=").map(quality)).unwrap_or(1000);
        let (form, exactness) = match kind.as_str() {
            "text/html" | "application/xhtml+xml" => (Form::Html, 3),
            "text/markdown" => (Form::Markdown, 3),
            "application/json" => (Form::Json, 3),
            "text/plain" => (Form::Markdown, 2),
            "text/*" | "*/*" => (Form::Html, 1),
            "application/*" => (Form::Json, 1),
            _ => continue,
        };
        // Of the same quality the more exact one counts, and of those the first.
        if quality > 0 && (quality, exactness) > (best.0, best.1) {
            best = (quality, exactness, form);
        }
    }
    best.2
}

/// Reads a quality in thousandths.
fn quality(text: &str) -> u32 {
    let value: f64 = text.trim().parse().unwrap_or(0.0);
    // Clamped, so that it fits.
    (value.clamp(0.0, 1.0) * 1000.0).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accept: &str, expected: Form) {
        assert_eq!(form(Some(accept), None), expected, "{accept}");
    }

    #[test]
    fn forms_by_accept() {
        assert_eq!(form(None, None), Form::Html);
        check("*/*", Form::Html);
        check("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Form::Html);
        check("text/markdown", Form::Markdown);
        check("text/markdown, text/html;q=0.9", Form::Markdown);
        check("text/html;q=0.5, application/json;q=0.6", Form::Json);
        check("text/html, application/json", Form::Html);
        check("application/json, */*", Form::Json);
        check("text/plain", Form::Markdown);
        check("application/json;q=0, */*;q=0.1", Form::Html);
        check("image/png", Form::Html);
        check("TEXT/MARKDOWN ; q=1.0", Form::Markdown);
        check("text/html;q=nan, application/json;q=9", Form::Json);
    }

    #[test]
    fn a_parameter_precedes() {
        assert_eq!(form(Some("text/html"), Some("json")), Form::Json);
        assert_eq!(form(Some("text/html"), Some("md")), Form::Markdown);
        assert_eq!(form(Some("application/json"), Some("x")), Form::Json);
    }
}
