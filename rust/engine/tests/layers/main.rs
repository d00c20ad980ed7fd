//! The layers of the crates, that is which module may import which, and the
//! style of files.
//!
//! Each crate has a list of its top-level modules; a module imports only what
//! stands above it. Within a folder the files may see one another, but the
//! folders in it form no cycle. Modules that only tests compile are excused.

mod layers;
mod locks;
mod reader_tests;
mod source;
mod style;
