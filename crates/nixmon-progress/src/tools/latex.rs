//! LaTeX: pages as they are shipped out, and latexmk's rules. The number of pages is not known before.

use crate::{
    form::{Effect::*, Kind, Sighting, Table, inner, row},
    unit::{Stage, Tool},
};

const TEX: &str = "TeX Live 2022 tex.web, ship_out";
const PDFTEX: &str = "TeX Live 2022 pdftexdir/pdftex.web";
const LATEXMK: &str = "latexmk 4.79";

pub(super) static TABLE: Table = Table {
    tool: Tool::Latex,
    within: &[],
    rows: &[
        row("This is pdfTeX, Version {any}", Opens(Stage::Compile), PDFTEX),
        row("This is XeTeX, Version {any}", Opens(Stage::Compile), "TeX Live 2022 xetexdir/xetex.web"),
        row("This is LuaHBTeX, Version {any}", Opens(Stage::Compile), "TeX Live 2022 luatexdir"),
        row("Latexmk: applying rule '{item}'...", Opens(Stage::Compile), LATEXMK),
        row("Run number {n} of rule '{item}'", Opens(Stage::Compile), LATEXMK),
        inner("Chapter {n}.", Opens(Stage::Compile), "TeX Live 2022 report.cls"),
        inner("Output written on {item} ({total} pages, {any}", Totals(Stage::Link), PDFTEX),
        inner("Output written on {item} ({total} page, {any}", Totals(Stage::Link), PDFTEX),
        inner("Latexmk: All targets {any} are up-to-date", Closes, LATEXMK),
        inner("({any}", Custom(page), TEX),
        inner("[{any}", Custom(page), TEX),
    ],
};

/// Reads the last `[N` or `[N{…}]` of a line, a page that was shipped out, and the last file `(./…` that was opened.
fn page(line: &str) -> Option<Sighting<'_>> {
    let mut sighting = Sighting::new(Kind::Counts, Stage::Compile);
    for (at, _) in line.match_indices('[') {
        let rest = line.get(at + 1..)?;
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let after = rest.get(digits..)?;
        if (1..=5).contains(&digits) && (after.is_empty() || after.starts_with([']', '{', ' ', '\n'])) {
            sighting.done = rest.get(..digits)?.parse().ok();
        }
    }
    if let Some((_, file)) = line.rsplit_once("(./") {
        sighting.item = file.split([' ', ')', '(']).next().filter(|file| file.contains('.'));
    }
    (sighting.done.is_some() || sighting.item.is_some()).then_some(sighting)
}
