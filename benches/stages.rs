//! What each stage costs: framing, decoding, applying, looking, rendering. `make bench` prints the table.

mod streams;

use std::time::Duration;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use nixmon_core::frontend::{Limits, Lines, LinesOptions, LogLines, Passthrough};
use nixmon_core::render::{self, Extent, Style, Thresholds};
use nixmon_core::state::{Effects, Input, State};
use nixmon_core::text::{Palette, Symbols};
use nixmon_core::view::{Evidence, View};
use nixmon_log::input::{Framer, Reader, Scratch, decode};

fn main() {
    divan::main();
}

const SIZES: [usize; 3] = [10, 1_000, 100_000];
const NOW: Duration = Duration::from_secs(60);

fn state_of(stream: &str) -> State {
    let (mut reader, mut state, mut effects) = (Reader::default(), State::new(), Effects::default());
    reader.feed(stream.as_bytes(), |event| {
        state.apply(Input::Event(event), NOW, &mut effects);
        effects.changes.clear();
        effects.requests.clear();
    });
    state
}

#[divan::bench]
fn framing(bencher: Bencher<'_, '_>) {
    let stream = streams::log_lines(10_000);
    bencher.counter(BytesCount::of_str(&stream)).bench(|| {
        let mut n_lines = 0;
        Framer::default().feed(stream.as_bytes(), |_| n_lines += 1);
        n_lines
    });
}

#[divan::bench]
fn decoding(bencher: Bencher<'_, '_>) {
    let stream = streams::builds(1_000);
    let records: Vec<&str> = stream.lines().filter_map(|line| line.strip_prefix("@nix ")).collect();
    bencher.counter(BytesCount::of_str(&stream)).bench(|| {
        let mut scratch = Scratch::default();
        records.iter().filter(|record| decode(record.as_bytes(), &mut scratch).is_ok()).count()
    });
}

#[divan::bench(args = SIZES, max_time = 5)]
fn applying_builds(bencher: Bencher<'_, '_>, n: usize) {
    let stream = streams::builds(n);
    bencher.counter(BytesCount::of_str(&stream)).bench_local(|| state_of(&stream));
}

#[divan::bench]
fn applying_log_lines(bencher: Bencher<'_, '_>) {
    let stream = streams::log_lines(10_000);
    bencher.counter(BytesCount::of_str(&stream)).bench_local(|| state_of(&stream));
}

#[divan::bench]
fn applying_messages(bencher: Bencher<'_, '_>) {
    let stream = streams::messages(10_000);
    bencher.counter(BytesCount::of_str(&stream)).bench_local(|| state_of(&stream));
}

#[divan::bench(args = SIZES, max_time = 5)]
fn view(bencher: Bencher<'_, '_>, n: usize) {
    let state = state_of(&streams::half_done(n));
    bencher.bench_local(|| {
        let view = View::new(black_box(&state), NOW);
        (view.builds(), view.fetches(), view.running().len(), view.fetching().len())
    });
}

#[divan::bench(args = SIZES, max_time = 5)]
fn rendering_heartbeat(bencher: Bencher<'_, '_>, n: usize) {
    let state = state_of(&streams::half_done(n));
    let style = Style { symbols: Symbols::unicode(), ascii: false, thresholds: Thresholds::default() };
    bencher.bench_local(|| render::heartbeat(&View::new(black_box(&state), NOW), false, &style));
}

#[divan::bench(args = SIZES, max_time = 5)]
fn rendering_report(bencher: Bencher<'_, '_>, n: usize) {
    let mut state = state_of(&streams::half_done(n));
    state.apply(Input::End(None), NOW, &mut Effects::default());
    let style = Style { symbols: Symbols::unicode(), ascii: false, thresholds: Thresholds::default() };
    let extent = Extent { lines: 60, bytes: 8192, log_lines: 8 };
    let passed = render::Passed::default();
    bencher.bench_local(|| render::report(black_box(&state), &Evidence::default(), &passed, &style, extent));
}

#[divan::bench]
fn whole(bencher: Bencher<'_, '_>) {
    let stream = streams::builds(1_000);
    bencher.counter(BytesCount::of_str(&stream)).bench_local(|| {
        let options = LinesOptions {
            palette: Palette::default(),
            style: Style { symbols: Symbols::unicode(), ascii: false, thresholds: Thresholds::default() },
            limits: Limits::default(),
            passthrough: Passthrough::Auto,
            logs: LogLines::default(),
        };
        let mut lines = Lines::new(Vec::new(), options);
        let (mut reader, mut state, mut effects) = (Reader::default(), State::new(), Effects::default());
        reader.feed(stream.as_bytes(), |event| {
            state.apply(Input::Event(event), NOW, &mut effects);
            lines.changes(&state, &effects.changes, NOW);
            effects.changes.clear();
            effects.requests.clear();
        });
        lines.end(&state, &Evidence::default(), NOW);
        lines.into_writer()
    });
}
