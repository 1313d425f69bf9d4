//! The processes of a stack: starting them, identifying them later, waiting until they are ready, stopping them, and
//! choosing their ports. `./dev` (through the binary of this crate), the chaos harness and the tests share it.
//!
//! | module | contents |
//! |---|---|
//! | [`identity`] | a process that is never mistaken for a later one with the same pid |
//! | [`process`] | a child of this program, or a recorded process, and everything that can be done to it |
//! | [`readiness`] | whether a server responds on its port with its protocol |
//! | [`ports`] | free ports that no other stack or test chooses at the same time |
//! | [`folder`] | the processes of `./dev`, which outlive it, in the folder of a stack |
//!
//! `./dev` builds the binary on first use. The dependencies are therefore few, and the errors and the command line are
//! written by hand.

pub mod folder;
pub mod identity;
pub mod ports;
pub mod process;
pub mod readiness;

pub use folder::StackFolder;
pub use identity::Identity;
pub use process::{Process, ProcessError};
pub use readiness::Protocol;
pub use rustix::process::Signal;
