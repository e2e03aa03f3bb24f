//! Tests of the rooms together, from bytes to lines and JSON, on real captures and transcripts; and the rules of the
//! repository.

mod activation;
mod activation_lines;
mod common;
mod config;
mod conformance;
mod decoding;
mod disko;
mod eta;
mod fuzz_corpora;
mod inside;
mod kinds;
mod live_frames;
mod pointers;
mod properties;
mod prose;
mod replay;
mod rules;
mod runners;
mod schema;
mod stalls;
mod streams;
mod text_streams;
mod type_names;
