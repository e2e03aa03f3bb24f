//! The lines that compilers print about a source, whether they are errors or not.

/// Returns whether a line has a form in which compilers and linkers report on a source: a place with a word for its weight, a
/// piece of code, or the heading of either.
///
/// It is asked only of the text of a build tool: in other text such a line may mean anything.
pub(crate) fn is_diagnostic(line: &str) -> bool {
    let text = line.trim_start();
    if is_snippet(text, line.len() - text.len())
        || ["--> ", "= note:", "= help:", "= warning:"].iter().any(|start| text.starts_with(start))
    {
        return true;
    }
    // rustc 1.95 compiler/rustc_errors.
    if line.starts_with("error[E") || line.starts_with("For more information about this error, try `rustc") {
        return true;
    }
    // GCC 12 gcc/c-family/c-opts.cc and gcc/diagnostic.cc, Clang 16 lib/Frontend/TextDiagnostic.cpp.
    if line.starts_with("In file included from ")
        || line.starts_with("                 from ")
        || line.starts_with("In function ‘")
        || line.starts_with("    inlined from ")
    {
        return true;
    }
    let is_heading = line.ends_with(':')
        && [": In ", "At "].iter().any(|word| line.contains(word))
        && [
            " function ",
            " member function ",
            " constructor ",
            " destructor ",
            " lambda ",
            "top level:",
            "global scope:",
        ]
        .iter()
        .any(|word| line.contains(word));
    if is_heading {
        return true;
    }
    let weights = [": warning: ", ": note: ", ": error: ", ": fatal error: "];
    let Some((before, _)) = weights.iter().find_map(|weight| line.split_once(weight)) else {
        // ld: `/usr/bin/ld: a.o: in function `f':`.
        return line == "compilation terminated."
            || line.contains(": undefined reference to ")
            || line.contains("/ld: ")
            || line.starts_with("collect2: ");
    };
    // `a.c:3:5`, `cc1plus`, `/usr/bin/ld`.
    !before.contains(' ') || before.ends_with(|c: char| c.is_ascii_digit())
}

/// Returns whether a line is a piece of code with its number, or a mark or a suggestion below it: `   12 | int x;`,
/// `      |     ^~~`, `   |          ;`.
fn is_snippet(text: &str, indentation: usize) -> bool {
    /// Columns that compilers leave for a number, at least.
    const NUMBER: usize = 2;
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    rest.starts_with('|') && (rest.len() < text.len() || indentation >= NUMBER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_compilers() {
        for (line, expected) in [
            ("src/a.c:3:5: warning: unused variable 'x' [-Wunused-variable]", true),
            ("src/a.c:3:5: error: expected ';' before 'return'", true),
            ("src/my file.c:3:5: note: here", true),
            ("cc1plus: note: unrecognized command-line option may have been intended", true),
            ("In file included from a.h:3,", true),
            ("                 from a.c:1:", true),
            ("src/a.cc: In function 'int main()':", true),
            ("src/a.cc: In member function 'void A::b()':", true),
            ("At global scope:", true),
            ("   12 |     int x", true),
            ("      |         ^~~", true),
            ("12 |     int x", true),
            ("      |               ;", true),
            ("  |          ---   ^^^ expected `i32`, found `&str`", true),
            ("error[E0308]: mismatched types", true),
            ("For more information about this error, try `rustc --explain E0308`.", true),
            ("  --> src/main.rs:3:5", true),
            ("   = note: expected `i32`", true),
            ("/usr/bin/ld: a.o: in function `main':", true),
            ("collect2: error: ld returned 1 exit status", true),
            ("b.c:(.text+0x5): undefined reference to `missing'", true),
            ("compilation terminated.", true),
            ("In function ‘listdir’,", true),
            ("    inlined from ‘listdir’ at list.c:239:18,", true),
            ("the server said: warning: it is late", false),
            ("Uploading to https://example.org", false),
            ("| name | value |", false),
            ("At least one of these is wrong:", false),
            ("Now at 12 %: wait", false),
            ("tests passed: 12", false),
        ] {
            assert_eq!(is_diagnostic(line), expected, "{line}");
        }
    }
}
