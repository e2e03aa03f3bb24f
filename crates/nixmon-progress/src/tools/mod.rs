//! The tables, one file for each tool.

pub(crate) mod autotools;
pub(crate) mod bazel;
pub(crate) mod cargo;
pub(crate) mod cargo_fetch;
pub(crate) mod cargo_test;
pub(crate) mod cmake;
pub(crate) mod ctest;
pub(crate) mod curl;
pub(crate) mod ghc;
pub(crate) mod git;
pub(crate) mod go;
pub(crate) mod go_test;
pub(crate) mod gradle;
pub(crate) mod latex;
pub(crate) mod make;
pub(crate) mod maven;
pub(crate) mod meson;
pub(crate) mod meson_test;
pub(crate) mod nextest;
pub(crate) mod ninja;
pub(crate) mod npm;
pub(crate) mod pip;
pub(crate) mod pnpm;
pub(crate) mod prove;
pub(crate) mod pytest;
pub(crate) mod rustc;
pub(crate) mod vite;
pub(crate) mod webpack;

use crate::form::Table;

/// All tables. Where a line has the form of several rows, the first table in this order that may believe it has it.
pub(crate) static TABLES: &[&Table] = &[
    &npm::TABLE,
    &ninja::TABLE,
    &cmake::TABLE,
    &make::TABLE,
    &meson::TABLE,
    &autotools::TABLE,
    &cargo::TABLE,
    &rustc::TABLE,
    &ghc::TABLE,
    &go::TABLE,
    &pnpm::TABLE,
    &vite::TABLE,
    &webpack::TABLE,
    &gradle::TABLE,
    &maven::TABLE,
    &pip::TABLE,
    &latex::TABLE,
    &bazel::TABLE,
    &ctest::TABLE,
    &cargo_test::TABLE,
    &nextest::TABLE,
    &pytest::TABLE,
    &go_test::TABLE,
    &prove::TABLE,
    &meson_test::TABLE,
    &curl::TABLE,
    &git::TABLE,
    &cargo_fetch::TABLE,
];
