use super::*;
use std::cell::RefCell;
use std::rc::Rc;

/// Notes the calls that it gets.
#[derive(Default)]
struct Noted {
    calls: Vec<&'static str>,
    wants_events: bool,
}

impl Sink for Noted {
    fn wants_events(&self) -> bool {
        self.wants_events
    }

    fn event(&mut self, _: &Event<'_>, changes: &[Change]) {
        self.calls.push(if changes.is_empty() { "event" } else { "event with changes" });
    }

    fn changes(&mut self, _: &State, _: &[Change], _: Moment) {
        self.calls.push("changes");
    }

    fn notice(&mut self, _: &[Line], _: Moment) {
        self.calls.push("notice");
    }

    fn tick(&mut self, _: &State, _: Moment) {
        self.calls.push("tick");
    }

    fn end(&mut self, _: &State, _: &Evidence, _: nixmon_log::input::InputCounts, _: i32, _: Moment) {
        self.calls.push("end");
    }

    fn touch(&mut self) {
        self.calls.push("touch");
    }

    fn partial(&mut self, _: &[u8], _: Moment) {
        self.calls.push("partial");
    }

    fn frame(&mut self, _: &State, _: Moment, _: Condition) {
        self.calls.push("frame");
    }

    fn leave(&mut self) {
        self.calls.push("leave");
    }
}

/// Drives a pipeline with a sink that is shown and one that is kept, which wants events or not.
fn check(wants_events: bool, shown_calls: &[&str], kept_calls: &[&str]) {
    let shown = Rc::new(RefCell::new(Noted::default()));
    let kept = Rc::new(RefCell::new(Noted { wants_events, ..Noted::default() }));
    let mut pipeline = Pipeline::new(Rc::clone(&shown), LogLines::None);
    pipeline.keep(Rc::clone(&kept));
    let at = Duration::from_secs;
    pipeline.feed(b"text\npassword: ", at(1));
    pipeline.settle(at(2));
    pipeline.notice(&[Line::new()], at(2));
    pipeline.notice(&[], at(2));
    pipeline.frame(at(2), Condition::default());
    pipeline.leave();
    pipeline.tick(at(3));
    let answer = pipeline.report_now(at(3));
    assert!(answer.is_some_and(|answer| answer.is_ascii()), "no sink reports to people");
    pipeline.end(Some(0), at(4), |_| Evidence::default());
    assert_eq!(shown.borrow().calls, shown_calls);
    assert_eq!(kept.borrow().calls, kept_calls);
}

#[test]
fn only_the_shown_sink_gets_what_is_for_eyes() {
    let shown =
        ["touch", "changes", "partial", "notice", "frame", "leave", "tick", "changes", "changes", "end"];
    check(false, &shown, &["changes", "notice", "tick", "changes", "changes", "end"]);
    check(
        true,
        &shown,
        &[
            "event with changes",
            "changes",
            "notice",
            "tick",
            "event with changes",
            "changes",
            "changes",
            "end",
        ],
    );
}
