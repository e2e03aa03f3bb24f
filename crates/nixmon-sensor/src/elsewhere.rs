//! Systems on which no processes are seen. Marker files and the hooks of shells work there as well.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::model::build::{Build, Moment};
use crate::model::event::Backend;
use crate::model::programs::Rules;
use crate::sensor::{Happened, Losses};

/// There is none.
#[derive(Debug)]
pub(crate) enum Watch {}

impl Watch {
    pub(crate) fn start(_: &Rules, _: Backend) -> Result<Self, String> {
        Err("only on Linux".to_owned())
    }

    pub(crate) fn now(&self) -> Moment {
        match *self {}
    }

    pub(crate) fn losses(&self) -> Losses {
        match *self {}
    }

    pub(crate) fn is_settled(&self, _: i32) -> bool {
        match *self {}
    }

    pub(crate) fn running(&self) -> Vec<Build> {
        match *self {}
    }

    pub(crate) fn next(&mut self, _: Duration, _: Option<BorrowedFd<'_>>) -> io::Result<Vec<Happened>> {
        match *self {}
    }
}
