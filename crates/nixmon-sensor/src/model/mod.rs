//! The sensor's logic: a function of its inputs, without files, processes and clocks.

pub mod build;
pub mod engage;
pub mod event;
pub mod mask;
pub mod programs;
mod tables;
pub mod tracker;

pub use tables::PROGRAMS;
