use super::*;

/// A build with files as (name, start, elapsed); a link ends with `!`.
fn run(jobs: u32, elapsed_ms: u64, files: &[(&str, u64, u64)]) -> PackageRun {
    let files: Vec<PackageFile> = files
        .iter()
        .map(|(file, start_ms, elapsed_ms)| PackageFile {
            file: file.trim_end_matches('!').to_owned(),
            is_link: file.ends_with('!'),
            start_ms: *start_ms,
            elapsed_ms: *elapsed_ms,
        })
        .collect();
    let sum = |is_link| files.iter().filter(|f| f.is_link == is_link).map(|f| f.elapsed_ms).sum();
    PackageRun {
        name: "core".to_owned(),
        target: Some("app".to_owned()),
        host: "here".to_owned(),
        jobs: Some(jobs),
        elapsed_ms,
        n_files: files.iter().filter(|file| !file.is_link).count() as u64,
        compile_ms: Some(sum(false)),
        link_ms: Some(sum(true)),
        files,
        ..PackageRun::default()
    }
}

fn only(runs: &[PackageRun]) -> PackageHistory {
    let mut histories = histories(runs);
    assert_eq!(histories.len(), 1);
    histories.remove(0)
}

#[test]
fn bottlenecks_are_what_a_package_waits_for() {
    let check = |files: &[(&str, u64, u64)], expected: &[(&str, u64, u64)]| {
        let history = only(&[run(2, 100, files)]);
        let said: Vec<(&str, u64, u64)> = history.times[0]
            .bottleneck_files
            .iter()
            .map(|file| (file.file.as_str(), file.own_ms, file.holds_up_ms))
            .collect();
        assert_eq!(said, expected, "{files:?}");
    };
    // The long file goes on for 60 ms after the last of the others.
    check(
        &[("a.c", 0, 10), ("b.cc", 0, 80), ("c.c", 10, 10), ("app!", 80, 20)],
        &[("b.cc", 80, 60), ("a.c", 10, 0), ("c.c", 10, 0)],
    );
    // The last file is held up by itself only from its begin.
    check(&[("a.c", 0, 10), ("b.c", 50, 5)], &[("a.c", 10, 0), ("b.c", 5, 5)]);
    // Two that end together hold up nothing alone.
    check(&[("a.c", 0, 10), ("b.c", 0, 10)], &[("a.c", 10, 0), ("b.c", 10, 0)]);
    check(&[("a.c", 0, 10), ("app!", 10, 90)], &[]);
    let one_by_one = only(&[run(1, 20, &[("a.c", 0, 10), ("b.c", 10, 10)])]);
    assert!(one_by_one.times[0].bottleneck_files.iter().all(|file| file.holds_up_ms == 0));
    check(&[], &[]);
}

#[test]
fn shares_are_of_files_and_links() {
    let history = only(&[run(2, 100, &[("a.c", 0, 30), ("b.c", 0, 45), ("app!", 45, 25)])]);
    let times = &history.times[0];
    assert_eq!((times.compile_share_pct, times.link_share_pct), (Some(75.0), Some(25.0)));
    assert_eq!((times.typical_files, times.parallelism), (Some(2), Some(1.7)));
    // Of a derivation only the whole time is known.
    let bare = PackageRun { elapsed_ms: 7, ..PackageRun::default() };
    let history = only(&[bare]);
    let times = &history.times[0];
    assert_eq!((times.compile_share_pct, times.link_share_pct, times.typical_files), (None, None, None));
    assert_eq!((times.median_ms, times.gain), (7, None));
}

#[test]
fn confidence_grows_with_samples_and_falls_with_their_spread() {
    let check = |times: &[u64], expected: f64| assert_eq!(confidence(times), expected, "{times:?}");
    check(&[], 0.0);
    check(&[1000], 0.33);
    check(&[1000, 1000], 0.5);
    check(&[1000; 20], 0.91);
    check(&[500, 1000, 1500], 0.3);
    check(&[0, 0, 0], 0.6);
}

#[test]
fn incremental_builds_are_apart() {
    let files: Vec<(String, u64, u64)> = (0..10).map(|n| (format!("{n}.c"), n * 10, 10)).collect();
    let files: Vec<(&str, u64, u64)> = files.iter().map(|(f, a, b)| (f.as_str(), *a, *b)).collect();
    let mut told = run(2, 20, &files[..2]);
    told.n_files_total = Some(2);
    let cases = [
        // The largest build says how many files there are.
        (
            vec![run(2, 100, &files), run(2, 20, &files[..2]), run(2, 102, &files[..9])],
            [Some((2, 101)), Some((1, 20))],
        ),
        // The project says it.
        (vec![told.clone()], [Some((1, 20)), None]),
        (vec![PackageRun { n_files_total: Some(10), ..told }], [None, Some((1, 20))]),
    ];
    for (runs, expected) in cases {
        let history = only(&runs);
        let of = |extent| {
            let times = history.times.iter().find(|times| times.extent == extent)?;
            Some((times.samples, times.median_ms))
        };
        assert_eq!([of(BuildExtent::Full), of(BuildExtent::Incremental)], expected);
    }
}

#[test]
fn more_jobs_help_some_packages() {
    let wide = [("a.c", 0, 40), ("b.c", 0, 40), ("c.c", 40, 40), ("d.c", 40, 40), ("app!", 80, 10)];
    let narrow = [("a.c", 0, 10), ("big.cc", 0, 80), ("app!", 80, 10)];
    let starved = [("a.c", 0, 10), ("b.c", 30, 10), ("c.c", 60, 10), ("d.c", 90, 10)];
    let check = |runs: &[PackageRun], jobs: u32, expected: Option<(bool, GainBasis, Option<u32>, f64)>| {
        let history = only(runs);
        let times = history.times.iter().find(|times| times.jobs == Some(jobs)).unwrap();
        let said = times.gain.map(|gain| (gain.more_jobs_help, gain.basis, gain.to_jobs, gain.factor));
        assert_eq!(said, expected, "{runs:?}");
    };
    check(&[run(2, 90, &wide)], 2, Some((true, GainBasis::Foreseen, None, 1.8)));
    check(&[run(2, 90, &narrow)], 2, Some((false, GainBasis::Foreseen, None, 1.0)));
    // It waits for other packages, so that jobs are idle.
    check(&[run(2, 100, &starved)], 2, Some((false, GainBasis::Foreseen, None, 10.0)));
    check(&[run(2, 90, &wide), run(4, 50, &wide)], 2, Some((true, GainBasis::Seen, Some(4), 1.8)));
    check(&[run(2, 90, &wide), run(4, 88, &wide)], 2, Some((false, GainBasis::Seen, Some(4), 1.02)));
    check(&[PackageRun { jobs: Some(0), ..run(2, 90, &wide) }], 0, None);
}

#[test]
fn the_best_times_are_those_asked_for() {
    let files = [("a.c", 0, 40), ("b.c", 0, 40)];
    let elsewhere = |run: PackageRun| PackageRun { host: "there".to_owned(), ..run };
    let runs = [
        run(2, 100, &files),
        run(2, 110, &files),
        run(4, 60, &files),
        elsewhere(run(8, 30, &files)),
        elsewhere(run(8, 31, &files)),
        elsewhere(run(8, 32, &files)),
    ];
    let history = only(&runs);
    let best =
        |host, jobs| history.best(host, jobs).map(|times| (times.host.as_str(), times.jobs, times.samples));
    assert_eq!(best("here", None), Some(("here", Some(2), 2)));
    assert_eq!(best("here", Some(4)), Some(("here", Some(4), 1)));
    assert_eq!(best("here", Some(64)), Some(("here", Some(2), 2)));
    assert_eq!(best("there", None), Some(("there", Some(8), 3)));
    assert_eq!(best("nowhere", None), Some(("there", Some(8), 3)));
}

#[test]
fn the_slowest_package_comes_first() {
    let named = |name: &str, elapsed_ms| PackageRun { name: name.to_owned(), ..run(2, elapsed_ms, &[]) };
    let histories = histories(&[named("a", 10), named("b", 30), named("c", 30), named("a", 50)]);
    let names: Vec<&str> = histories.iter().map(|history| history.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
}
