//! Helpers of these tests. They lie beside the test binaries, since both use some.

#[path = "../../common/corpus.rs"]
pub(crate) mod corpus;
#[path = "../../common/play.rs"]
pub(crate) mod play;
#[path = "../../common/tree.rs"]
pub(crate) mod tree;
