//! Estimates: what must hold for any plan and any past, and what single ones come to.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use nixmon_history::estimate::{
    CachePast, Estimator, Eta, MachineId, NodeId, Past, PastRun, Plan, Rung, Sample, Stage, TargetPast, Work,
};
use nixmon_history::name::DrvName;
use proptest::prelude::*;

const LOCAL: MachineId = MachineId::LOCAL;

/// As many runs on `here`, one a day, with the builds given as name and seconds, one after the other.
fn past(builds: &[(&str, u64)], times: usize) -> Past {
    past_of(&vec![builds; times])
}

/// The same with the builds of each run.
fn past_of(runs: &[&[(&str, u64)]]) -> Past {
    let mut past = Past::default();
    for (r, builds) in runs.iter().enumerate() {
        past.runs.push(PastRun { host: "here".to_owned(), started_ms: r as i64 * 86_400_000, jobs: 1 });
        let mut at = 0;
        for &(name, seconds) in *builds {
            let stop_ms = at + seconds * 1000;
            past.samples.push(Sample {
                run: r as u32,
                name: DrvName::parse(name),
                start_ms: at,
                stop_ms,
                ok: true,
                ..Sample::default()
            });
            at = stop_ms;
        }
    }
    past.count_concurrency();
    past
}

fn seconds(eta: Option<Eta>) -> f64 {
    eta.unwrap().remaining_ms as f64 / 1000.0
}

fn near(got: f64, expected: f64, share: f64) {
    assert!((got - expected).abs() <= expected * share, "{got} is not about {expected}");
}

#[test]
fn a_plan_takes_what_its_builds_took() {
    let past = past(&[("a-1", 10), ("b-1", 20), ("c-1", 30)], 6);
    let mut plan = Plan::new("here", 1, 4);
    let [a, b, c] = ["a-1", "b-1", "c-1"].map(|name| plan.build(name, None, None));
    near(seconds(Estimator::new(&past).estimate(&plan, 0)), 60.0, 0.05);
    plan.machines[0].slots = 3;
    near(seconds(Estimator::new(&past).estimate(&plan, 0)), 30.0, 0.4);
    plan.depends(c, a);
    plan.depends(c, b);
    near(seconds(Estimator::new(&past).estimate(&plan, 0)), 50.0, 0.4);
}

#[test]
fn a_slow_machine_today_is_noticed() {
    let names: Vec<String> = (0..20).map(|i| format!("p{}-1", (b'a' + i) as char)).collect();
    let builds: Vec<(&str, u64)> = names.iter().map(|n| (n.as_str(), 60)).collect();
    let past = past(&builds, 5);
    let mut plan = Plan::new("here", 1, 4);
    let ids: Vec<NodeId> = names.iter().map(|n| plan.build(n, None, None)).collect();
    let mut estimator = Estimator::new(&past);
    near(seconds(estimator.estimate(&plan, 0)), 1200.0, 0.05);
    for (i, &id) in ids[..10].iter().enumerate() {
        plan.set(
            id,
            Stage::Done { start_ms: i as u64 * 120_000, stop_ms: (i as u64 + 1) * 120_000, machine: LOCAL },
        );
    }
    let eta = estimator.estimate(&plan, 1_200_000).unwrap();
    assert!(eta.remaining_ms > 850_000, "ten builds took twice as long: {eta:?}");
    assert!(eta.low_ms < eta.remaining_ms && eta.remaining_ms < eta.high_ms);
}

#[test]
fn a_build_past_its_time_is_not_expected_at_once() {
    let past = past(&[("a-1", 100)], 5);
    let mut plan = Plan::new("here", 1, 4);
    let a = plan.build("a-1", None, None);
    plan.set(a, Stage::Running { since_ms: 0, machine: LOCAL });
    let mut estimator = Estimator::new(&past);
    let at = |estimator: &mut Estimator, s: u64| seconds(estimator.estimate(&plan, s * 1000));
    near(at(&mut estimator, 50), 50.0, 0.15);
    let late = at(&mut estimator, 130);
    assert!((3.0..40.0).contains(&late), "{late}");
}

#[test]
fn what_the_build_says_of_itself_counts() {
    let past = past_of(&[&[("a-1", 100)], &[("a-2", 100)]]);
    let mut plan = Plan::new("here", 1, 4);
    let a = plan.build("a-3", None, None);
    plan.set(a, Stage::Running { since_ms: 0, machine: LOCAL });
    plan.progress(a, Some(0.25));
    let got = seconds(Estimator::new(&past).estimate(&plan, 60_000));
    assert!((60.0..190.0).contains(&got), "a quarter after a minute is far from done: {got}");
    plan.progress(a, Some(0.9));
    near(seconds(Estimator::new(&past).estimate(&plan, 180_000)), 20.0, 0.6);
}

#[test]
fn the_ladder_is_told() {
    let mut past = past(&[("gcc-13.2", 900), ("python3.12-a-1", 8), ("python3.12-b-1", 8), ("same-1", 5)], 3);
    past.samples
        .iter_mut()
        .filter(|s| s.name.pname == "same")
        .for_each(|s| s.drv = Some("digest".to_owned()));
    past.runs.push(PastRun { host: "far".to_owned(), started_ms: 0, jobs: 1 });
    past.samples.push(Sample {
        run: 3,
        name: DrvName::parse("llvm-17.0"),
        stop_ms: 600_000,
        ok: true,
        ..Sample::default()
    });
    let mut plan = Plan::new("here", 1, 4);
    let cases = [
        ("same-1", Some("digest"), Some(Rung::SameDerivation)),
        ("gcc-13.2", None, Some(Rung::SameVersion)),
        ("gcc-14.1", None, Some(Rung::SamePackage)),
        ("llvm-17.0", None, Some(Rung::OtherHost)),
        ("python3.12-c-1", None, None),
    ];
    let ids = cases.map(|(name, drv, _)| plan.build(name, drv, None));
    let mut estimator = Estimator::new(&past);
    for ((name, _, rung), id) in cases.into_iter().zip(ids) {
        assert_eq!(estimator.expected(&plan, 0, id).map(|e| e.rung), rung, "{name}");
    }
    let eta = estimator.estimate(&plan, 0).unwrap();
    assert_eq!((eta.known, eta.unknown), (4, 1));
}

#[test]
fn nothing_is_said_where_nothing_is_known() {
    let mut plan = Plan::new("here", 1, 4);
    plan.build("new-1", None, None);
    assert_eq!(Estimator::new(&Past::default()).estimate(&plan, 0), None);
    assert_eq!(Estimator::new(&past(&[("other-1", 5)], 1)).estimate(&plan, 0), None);
    assert_eq!(TargetPast::default().foresee(0, None), None);
}

#[test]
fn downloads_are_a_second_resource() {
    let mut past = past(&[("a-1", 10)], 3);
    past.downloads = vec![(10_000_000, 1000); 5];
    let mut plan = Plan::new("here", 1, 4);
    let fetches: Vec<NodeId> = (0..6).map(|i| plan.download(&format!("d{i}-1"), Some(50_000_000))).collect();
    near(seconds(Estimator::new(&past).estimate(&plan, 0)), 30.0, 0.1);
    let a = plan.build("a-1", None, None);
    near(seconds(Estimator::new(&past).estimate(&plan, 0)), 30.0, 0.1);
    plan.depends(a, fetches[0]);
    plan.download_rate = Some(100_000_000.0);
    near(seconds(Estimator::new(&past).estimate(&plan, 0)), 13.0, 0.2);
    plan.received(fetches[0], 50_000_000);
    near(seconds(Estimator::new(&past).estimate(&plan, 0)), 10.0, 0.2);
}

#[test]
fn caches_tell_their_own_rate() {
    let cache = |name: &str, bytes| CachePast { cache: name.to_owned(), bytes, busy_ms: 1000 };
    let past = Past { caches: vec![cache("near", 100_000_000), cache("far", 1_000_000)], ..Past::default() };
    let of = |caches: &[&str], measured| {
        let mut plan = Plan::new("here", 1, 4);
        plan.download("d-1", Some(300_000_000));
        plan.caches = caches.iter().map(|cache| (*cache).to_owned()).collect();
        plan.download_rate = measured;
        seconds(Estimator::new(&past).estimate(&plan, 0))
    };
    near(of(&["near"], None), 3.0, 0.1);
    near(of(&["far"], None), 300.0, 0.1);
    near(of(&["near", "far"], None), 5.9, 0.1);
    near(of(&["new"], None), 5.9, 0.1);
    near(of(&["far"], Some(30_000_000.0)), 10.0, 0.1);
}

#[test]
fn remote_builders_share_the_work() {
    let past = past(&[("a-1", 60), ("b-1", 60), ("c-1", 60), ("d-1", 60)], 4);
    let mut plan = Plan::new("here", 1, 4);
    for name in ["a-1", "b-1", "c-1", "d-1"] {
        plan.build(name, None, Some("x86_64-linux"));
    }
    let alone = seconds(Estimator::new(&past).estimate(&plan, 0));
    let far = |systems: &[&str]| nixmon_history::estimate::Machine {
        name: "far".to_owned(),
        slots: 1,
        systems: systems.iter().map(|s| (*s).to_owned()).collect(),
    };
    plan.machines.push(far(&["aarch64-linux"]));
    near(seconds(Estimator::new(&past).estimate(&plan, 0)), alone, 0.01);
    plan.machines[1] = far(&["x86_64-linux"]);
    near(seconds(Estimator::new(&past).estimate(&plan, 0)), alone / 2.0, 0.25);
}

#[test]
fn the_critical_path_names_the_chain_and_what_is_beside_it() {
    let past =
        past(&[("llvm-1", 100), ("rustc-1", 80), ("firefox-1", 60), ("small-1", 5), ("other-1", 20)], 3);
    let mut plan = Plan::new("here", 2, 4);
    let [llvm, rustc, firefox, small, other] =
        ["llvm-1", "rustc-1", "firefox-1", "small-1", "other-1"].map(|n| plan.build(n, None, None));
    plan.depends(rustc, llvm);
    plan.depends(firefox, rustc);
    plan.depends(firefox, small);
    let path = Estimator::new(&past).critical_path(&plan, 0).unwrap();
    assert_eq!(path.steps.iter().map(|s| s.node).collect::<Vec<_>>(), [llvm, rustc, firefox]);
    near(path.length_ms as f64, 240_000.0, 0.05);
    assert_eq!(path.parallel, [small, other], "ready, the longest way to the end first");
}

#[test]
fn a_target_is_foreseen_from_its_own_past() {
    let times =
        |total_ms, jobs| nixmon_history::estimate::StageTimes { total_ms, jobs, ..Default::default() };
    let past =
        TargetPast { runs: vec![times(100_000, Some(4)), times(110_000, Some(4)), times(400_000, Some(1))] };
    let four = past.foresee(0, Some(4)).unwrap();
    near(four.eta.remaining_ms as f64, 105_000.0, 0.05);
    assert!(!four.other_jobs);
    assert!(past.foresee(0, Some(2)).unwrap().other_jobs, "no run had two jobs, so others are told");
    assert!(
        past.foresee(0, None).unwrap().other_jobs,
        "the number of jobs is not known, and past runs had several"
    );
    let alike = TargetPast { runs: past.runs[..2].to_vec() };
    assert!(!alike.foresee(0, None).unwrap().other_jobs);
    assert!(past.foresee(90_000, Some(4)).unwrap().eta.remaining_ms < 60_000);
}

#[test]
fn a_refresh_lets_time_pass() {
    let past = past(&[("a-1", 100)], 5);
    let mut plan = Plan::new("here", 1, 4);
    let a = plan.build("a-1", None, None);
    plan.set(a, Stage::Running { since_ms: 0, machine: LOCAL });
    let mut estimator = Estimator::new(&past);
    let first = estimator.refresh(&plan, 1000).unwrap();
    let second = estimator.refresh(&plan, 3000).unwrap();
    assert_eq!(second.remaining_ms, first.remaining_ms - 2000);
    plan.set(a, Stage::Done { start_ms: 0, stop_ms: 4000, machine: LOCAL });
    assert_eq!(estimator.refresh(&plan, 4000).unwrap().remaining_ms, 0);
}

/// A plan with edges from later to earlier nodes, each built before in some seconds, and some stages.
#[derive(Clone, Debug)]
struct Case {
    seconds: Vec<u64>,
    edges: Vec<(usize, usize)>,
    jobs: u32,
    done: usize,
}

fn case() -> impl Strategy<Value = Case> {
    (1usize..40).prop_flat_map(|n| {
        let edges = proptest::collection::vec((0..n, 0..n), 0..n * 2);
        (proptest::collection::vec(1u64..500, n), edges, 1u32..6, 0..n).prop_map(
            |(seconds, edges, jobs, done)| Case {
                seconds,
                edges: edges.into_iter().filter(|(a, b)| a > b).collect(),
                jobs,
                done,
            },
        )
    })
}

impl Case {
    fn plan(&self) -> (Plan, Past) {
        let names: Vec<String> = (0..self.seconds.len()).map(|i| format!("pkg-{}-1", letters(i))).collect();
        let builds: Vec<(&str, u64)> =
            names.iter().map(String::as_str).zip(self.seconds.iter().copied()).collect();
        let past = past(&builds, 3);
        let mut plan = Plan::new("here", self.jobs, 4);
        let ids: Vec<NodeId> = names.iter().map(|n| plan.build(n, None, None)).collect();
        for &(user, dep) in &self.edges {
            plan.depends(ids[user], ids[dep]);
        }
        // Earlier nodes never need later ones, so any first part may be done.
        for &id in &ids[..self.done] {
            plan.set(id, Stage::Done { start_ms: 0, stop_ms: 1, machine: LOCAL });
        }
        (plan, past)
    }
}

fn letters(i: usize) -> String {
    format!("{}{}", (b'a' + (i / 26) as u8) as char, (b'a' + (i % 26) as u8) as char)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_schedule_keeps_dependencies_and_slots(case in case()) {
        let (plan, past) = case.plan();
        let rows = Estimator::new(&past).timeline(&plan, 1000);
        prop_assert_eq!(rows.len(), case.seconds.len() - case.done, "each open node is built once");
        let span = |id: NodeId| rows.iter().find(|r| r.0 == id).map(|r| (r.1, r.2));
        for &(id, start, stop) in &rows {
            prop_assert!(1000 <= start && start <= stop);
            for &dep in &plan.node(id).unwrap().deps {
                if let Some((_, end)) = span(dep) {
                    prop_assert!(end <= start + 1, "{:?} before {:?}", dep, id);
                }
            }
            let at_once = rows.iter().filter(|r| r.1 <= start && start < r.2).count();
            prop_assert!(at_once <= case.jobs as usize, "{} at once", at_once);
        }
        // No slot is left empty while something is ready.
        for &(id, start, _) in &rows {
            let ready = plan.node(id).unwrap().deps.iter().filter_map(|&d| span(d)).map(|s| s.1).max().unwrap_or(1000);
            let edges = rows.iter().flat_map(|r| [r.1, r.2]).filter(|&t| ready + 1 < t && t < start);
            for t in edges {
                let at_once = rows.iter().filter(|r| r.1 <= t && t < r.2).count();
                prop_assert!(at_once + 1 >= case.jobs as usize, "{:?} waits at {} with {} at once", id, t, at_once);
            }
        }
    }

    #[test]
    fn answers_are_ordered_and_the_same_again(case in case(), now in 0u64..1_000_000) {
        let (plan, past) = case.plan();
        let mut estimator = Estimator::new(&past);
        let eta = estimator.estimate(&plan, now).unwrap();
        prop_assert!(eta.low_ms <= eta.remaining_ms && eta.remaining_ms <= eta.high_ms);
        prop_assert_eq!(Some(eta), estimator.estimate(&plan, now));
        prop_assert_eq!(Some(eta), Estimator::new(&past).estimate(&plan, now));
        let path = estimator.critical_path(&plan, now).unwrap();
        let end = estimator.timeline(&plan, now).iter().map(|r| r.2).max().unwrap_or(now) - now;
        prop_assert!(path.length_ms <= end + 2, "no schedule is shorter than its longest chain");
        for pair in path.steps.windows(2) {
            prop_assert!(plan.node(pair[1].node).unwrap().deps.contains(&pair[0].node));
        }
    }

    #[test]
    fn hostile_plans_do_no_harm(
        edges in proptest::collection::vec((0u32..9, 0u32..12), 0..30),
        stages in proptest::collection::vec((0u32..9, 0u8..5, any::<u64>(), any::<u64>(), 0u32..9), 0..20),
        slots in 0u32..3,
        now in any::<u64>(),
    ) {
        // Cycles, unknown numbers, times that run backwards, machines that do not exist.
        let past = past(&[("a-1", 5), ("b-1", 0)], 2);
        let mut plan = Plan::new("here", slots, 0);
        for i in 0..6 {
            plan.build(["a-1", "b-1", "c", "", "-", "a-2"][i], None, None);
        }
        plan.download("d", None);
        plan.download("e", Some(u64::MAX));
        for (a, b) in edges {
            plan.depends(NodeId(a), NodeId(b));
        }
        for (id, kind, x, y, m) in stages {
            let machine = MachineId(m);
            let stage = match kind {
                0 => Stage::Running { since_ms: x, machine },
                1 => Stage::Done { start_ms: x, stop_ms: y, machine },
                2 => Stage::Failed,
                3 => Stage::Absent,
                _ => Stage::Queued,
            };
            plan.set(NodeId(id), stage);
            plan.progress(NodeId(id), Some(x as f64));
            plan.received(NodeId(id), y);
        }
        let is_download = matches!(plan.node(NodeId(6)).unwrap().work, Work::Download { .. });
        prop_assert!(is_download);
        let mut estimator = Estimator::new(&past);
        let _ = estimator.estimate(&plan, now);
        let _ = estimator.critical_path(&plan, now);
        let _ = estimator.timeline(&plan, now);
        let _ = estimator.expectations(&plan, now);
    }
}
