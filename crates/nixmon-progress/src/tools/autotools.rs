//! Autoconf's `configure`, libtool's commands and automake's test driver.

use crate::{
    form::{Effect::*, Table, inner, row},
    unit::{Stage, Tool},
};

const AUTOCONF: &str = "Autoconf 2.71 lib/autoconf/general.m4";
const LIBTOOL: &str = "libtool 2.4.7 build-aux/ltmain.in";
const DRIVER: &str = "automake 1.16.5 lib/test-driver";
const CHECK: &str = "automake 1.16.5 lib/am/check.am";
const SUBDIRS: &str = "automake 1.16.5 lib/am/subdirs.am";

pub(super) static TABLE: Table = Table {
    tool: Tool::Autotools,
    within: &[],
    rows: &[
        row("checking whether {item}...{any}", Begins(Stage::Configure), AUTOCONF),
        row("checking for {item}...{any}", Begins(Stage::Configure), AUTOCONF),
        row("checking {item}...{any}", Begins(Stage::Configure), AUTOCONF),
        row("configure: creating ./config.status", Opens(Stage::Configure), AUTOCONF),
        row("config.status: creating {item}", Ends(Stage::Configure), AUTOCONF),
        row("libtool: install: /usr/bin/install -c {item}", Ends(Stage::Install), LIBTOOL),
        row("Making all in {package}", Opens(Stage::Compile), SUBDIRS),
        row("Making check in {package}", Opens(Stage::Test), SUBDIRS),
        row("Making install in {package}", Opens(Stage::Install), SUBDIRS),
        inner("PASS: {item}", Passed, DRIVER),
        inner("XFAIL: {item}", Passed, DRIVER),
        inner("FAIL: {item}", TestFailed, DRIVER),
        inner("XPASS: {item}", TestFailed, DRIVER),
        inner("ERROR: {item}", TestFailed, DRIVER),
        inner("SKIP: {item}", Skipped, DRIVER),
        inner("# TOTAL: {total}", Tally, CHECK),
    ],
};
