//! Helpers of these tests. They lie beside the test binaries, since both use some.

#[expect(dead_code, reason = "the other test binary needs the rest")]
#[path = "../../common/corpus.rs"]
pub(crate) mod corpus;
#[path = "../../common/home.rs"]
pub(crate) mod home;
#[path = "../../common/newer_nix.rs"]
pub(crate) mod newer_nix;
#[path = "../../common/nix.rs"]
pub(crate) mod nix;
#[path = "../../common/ran.rs"]
pub(crate) mod ran;
#[path = "../../common/require.rs"]
pub(crate) mod require;
#[path = "../../common/tree.rs"]
pub(crate) mod tree;
#[path = "../../common/world.rs"]
pub(crate) mod world;
