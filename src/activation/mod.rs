//! What the tools that switch configurations print, told apart from the build.
