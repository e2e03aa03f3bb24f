//! The work of one tool: its counts as its lines give them.

use crate::{
    belief::{Belief, Count, Verdict},
    form::{Kind, Sighting},
    unit::{Stage, Tests, Tool, Unit},
};

/// Points by which a percent may leap in a line of free text.
const MOST_LEAP: f64 = 5.0;

/// The work of one tool.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) tool: Tool,
    pub(super) stage: Stage,
    pub(super) done: u64,
    pub(super) total: Option<u64>,
    /// The tool's own percent.
    pub(super) percent: Option<f64>,
    pub(super) current: Option<String>,
    pub(super) package: Option<String>,
    /// True if the tool is known to run.
    pub(super) is_open: bool,
    failed: u64,
    tests: Option<Tests>,
    belief: Belief,
    /// Sums of the runs of the tool before this one.
    before: Count,
    begun: u64,
    /// Ends that the tool reported one by one.
    reported: u64,
    /// Lines with a percent.
    counted: u64,
    seen: u64,
}

impl Work {
    pub(super) fn new(tool: Tool, stage: Stage, total: Option<u64>) -> Self {
        Self {
            tool,
            stage,
            done: 0,
            total,
            percent: None,
            current: None,
            package: None,
            is_open: false,
            failed: 0,
            tests: tool.runs_tests().then(Tests::default),
            belief: Belief::default(),
            before: Count { done: 0, total: 0 },
            begun: 0,
            reported: 0,
            counted: 0,
            seen: 0,
        }
    }

    /// Judges a count, and takes it if it is believed.
    ///
    /// `is_described` says that a known generator wrote the line's text.
    pub(super) fn count(&mut self, sighting: &Sighting<'_>, is_known: bool, is_described: bool) -> Verdict {
        let count = match (sighting.done, sighting.total, sighting.percent) {
            (Some(done), Some(total), _) => Count { done, total },
            (_, _, Some(percent)) => {
                // A percent leaps in a small project: only that it does not fall is asked of a line in known words.
                let percent = percent as f64;
                // What a custom command prints is free text: it may not leap.
                let leaps = !is_described
                    && self.tool == Tool::CMake
                    && percent > self.percent.unwrap_or(0.0) + MOST_LEAP;
                if percent > 100.0 || !is_known || leaps {
                    return Verdict::Doubted;
                }
                if self.tool == Tool::CMake {
                    self.counted += 1;
                    self.done = self.counted;
                }
                if self.percent.is_none_or(|before| percent >= before) {
                    self.percent = Some(percent);
                }
                self.seen += 1;
                return Verdict::Continues;
            }
            // A count without a total, such as Vite's modules.
            (Some(done), None, None) => {
                self.done = self.done.max(done);
                self.seen += 1;
                return Verdict::Continues;
            }
            _ => return Verdict::Doubted,
        };
        // What cargo and Bazel show is a sample of a counter that leaps; it only may not fall or exceed its total.
        let leaps = matches!(self.tool, Tool::Cargo | Tool::Bazel | Tool::Pnpm | Tool::Git | Tool::Ghc);
        let verdict = if leaps && is_known {
            if count.total == 0 || count.done > count.total { Verdict::Doubted } else { Verdict::Continues }
        } else {
            self.belief.judge(count, is_known)
        };
        if verdict == Verdict::Doubted {
            return verdict;
        }
        if verdict == Verdict::Starts
            && let Some(total) = self.total
        {
            self.before.done += self.done.min(total);
            self.before.total += total;
        }
        // GHC and Maven print the step that begins.
        let begins = matches!(self.tool, Tool::Ghc | Tool::Maven);
        self.done = if begins { count.done.saturating_sub(1) } else { count.done };
        self.total = Some(count.total);
        self.seen += 1;
        verdict
    }

    /// Takes any other line. Returns whether it moves something.
    pub(super) fn apply(&mut self, sighting: &Sighting<'_>, jobs: Option<u32>) -> bool {
        if !matches!(sighting.kind, Kind::Fails | Kind::Closes | Kind::Tally | Kind::Built) {
            self.stage = sighting.stage;
        }
        match sighting.kind {
            Kind::Opens => self.is_open = true,
            Kind::Begins => {
                self.is_open = true;
                self.begun += 1;
                self.seen += 1;
                // Without a line for ends, as many run as there are jobs.
                if !self.tool.runs_tests() && self.reported == 0 {
                    let running = u64::from(jobs.unwrap_or(1)).min(self.begun);
                    self.done = self.done.max(self.begun - running);
                }
            }
            Kind::Ends => {
                self.seen += 1;
                // cargo's JSON messages are exact; what was told from the lines for begins gives way.
                self.reported += 1;
                self.done =
                    if self.tool == Tool::Cargo { self.reported } else { self.done.max(self.reported) };
            }
            Kind::Counts => {
                if let Some(percent) = sighting.percent.filter(|_| self.tool == Tool::Pytest) {
                    self.letters(sighting, percent);
                } else if let Some(done) = sighting.done {
                    // Pages: they begin anew with each run of LaTeX.
                    self.done = if done <= 1 { done } else { self.done.max(done) };
                }
                self.seen += 1;
            }
            Kind::Totals => {
                self.seen += 1;
                self.is_open = true;
                if let Some(tests) = &mut self.tests {
                    // Each binary of `cargo test` has a total of its own.
                    let before = if self.tool == Tool::CargoTest {
                        tests.total.unwrap_or(0).max(tests.done)
                    } else {
                        0
                    };
                    tests.total = sighting.total.map(|total| (before + total).max(tests.done));
                } else if let Some(total) = sighting.total {
                    self.total = Some(total);
                    self.done = total;
                }
            }
            Kind::Passed | Kind::TestFailed | Kind::Skipped => self.test(sighting),
            Kind::Tally => self.tally(sighting),
            Kind::Fails => self.failed += 1,
            Kind::Built => {
                self.seen += 1;
                if matches!(self.tool, Tool::Cargo) {
                    self.begun += 1;
                    self.done += 1;
                }
            }
            Kind::Closes => {
                self.begun = self.begun.max(self.done);
                if self.failed == 0 && self.total.is_none() {
                    self.done = self.begun;
                }
            }
        }
        if let Some(item) = sighting.item.filter(|_| !matches!(sighting.kind, Kind::Fails | Kind::Closes)) {
            self.current = Some(item.to_owned());
        }
        if let Some(package) = sighting.package {
            self.package = Some(package.to_owned());
        }
        !matches!(sighting.kind, Kind::Fails | Kind::Closes | Kind::Tally)
    }

    /// Takes one test that ended. A line beyond the runner's own total is not believed.
    fn test(&mut self, sighting: &Sighting<'_>) {
        let tests = self.tests.get_or_insert_default();
        if let (Some(done), Some(total)) = (sighting.done, sighting.total) {
            if self.belief.judge(Count { done, total }, true) == Verdict::Doubted {
                return;
            }
            tests.total = Some(total);
        }
        if tests.total.is_some_and(|total| tests.done >= total) {
            return;
        }
        tests.done += 1;
        tests.failed += u64::from(sighting.kind == Kind::TestFailed);
        self.seen += 1;
    }

    /// Takes pytest's letters of one file, with the percent of all.
    fn letters(&mut self, sighting: &Sighting<'_>, percent: u64) {
        let Some(tests) = &mut self.tests else { return };
        let (passed, failed) = (sighting.passed.unwrap_or(0), sighting.failed.unwrap_or(0));
        let done = tests.done + passed + failed + sighting.skipped.unwrap_or(0);
        // The percent is rounded down from done of total.
        let fits = tests
            .total
            .is_none_or(|total| done <= total && (done * 100 / total.max(1)).abs_diff(percent) <= 1);
        if fits {
            tests.done = done;
            tests.failed += failed;
        }
    }

    fn tally(&mut self, sighting: &Sighting<'_>) {
        let tests = self.tests.get_or_insert_default();
        let total = sighting.total.or(sighting.done);
        match self.tool {
            // One for each directory, whose tests were counted one by one; and Maven says a sum at the end.
            Tool::Autotools => {
                tests.total = Some((tests.total.unwrap_or(0) + total.unwrap_or(0)).max(tests.done));
            }
            _ => {
                tests.total = total.or(tests.total).map(|total| total.max(tests.done));
                tests.done = tests.total.unwrap_or(tests.done);
                tests.failed = sighting.failed.unwrap_or(tests.failed);
            }
        }
    }

    /// Takes the good end of the build: what has begun has ended.
    pub(super) fn end(&mut self) {
        let is_exact = self.counted > 0 || self.tool == Tool::Cargo && self.reported > 0;
        if !is_exact && !self.tool.runs_tests() {
            self.done = self.done.max(self.begun);
        }
        if matches!(self.tool, Tool::Ghc | Tool::Maven | Tool::Ninja)
            && let Some(total) = self.total
        {
            self.done = total;
        }
    }

    pub(super) fn has_progress(&self) -> bool {
        self.seen > 0
    }

    /// Returns the count of all runs of the tool together.
    pub(super) fn count_of_all(&self) -> Option<Count> {
        let total = self.total?;
        // A total that proved wrong is none: of a hint, or of an earlier run of LaTeX.
        let done = self.done;
        if done > total {
            return None;
        }
        Some(Count { done: self.before.done + done, total: self.before.total + total })
    }

    /// Returns the count behind a percent of CMake's Makefiles, given the steps that ended.
    pub(super) fn count_by_percent(&self, n_ended: u64) -> Option<Count> {
        let percent = self.percent.filter(|percent| *percent > 0.0 && self.tool == Tool::CMake)?;
        (n_ended > 0)
            .then(|| Count { done: n_ended, total: ((n_ended as f64) * 100.0 / percent).ceil() as u64 })
    }

    /// Returns the share that the tool's own numbers say is done.
    pub(super) fn share(&self) -> Option<f64> {
        if let Some(Tests { done, total: Some(total), .. }) = self.tests {
            return (total > 0).then(|| done as f64 / total as f64);
        }
        if let Some(percent) = self.percent {
            return Some(percent / 100.0);
        }
        let count = self.count_of_all()?;
        (count.total > 0).then(|| count.done as f64 / count.total as f64)
    }

    pub(super) fn unit(&self) -> Unit {
        let tests = self.tests.filter(|tests| tests.done > 0 || tests.total.is_some());
        let is_test = self.tool.runs_tests();
        let of_all = self.count_of_all();
        Unit {
            tool: self.tool,
            stage: self.stage,
            done: if is_test {
                tests.map_or(0, |tests| tests.done)
            } else {
                of_all.map_or(self.done, |count| count.done)
            },
            total: if is_test {
                tests.and_then(|tests| tests.total)
            } else {
                of_all.map(|count| count.total)
            },
            percent: self.share().map(|share| 100.0 * share),
            estimated: false,
            current: self.current.clone(),
            package: self.package.clone(),
            failed: if is_test { tests.map_or(0, |tests| tests.failed) } else { self.failed },
            tests,
        }
    }
}
