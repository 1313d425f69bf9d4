//! The gateway: from a request to a 202, in the order of the files.
//!
//! | step | file | what happens |
//! |---|---|---|
//! | 1 | [`route`] | which call is this |
//! | 2 | [`authenticate`] | who calls |
//! | 3 | [`decode`] | a strict reading of the body; prices from the sale's terms |
//! | 4 | [`refuse`] | a sold-out answer from memory, for those who cannot hold an order |
//! | 5 | [`reserve`] | the sale's batcher: one script call for whoever waits (`batch`) |
//! | 6 | [`hand_off`] | one record into the log; its acknowledgement, under a valid lease, is the 202 |
//! | 7 | [`respond`] | the answer, or the problem |
//!
//! Beside the flow: [`lease`] follows the topic `sales` (`known`) and knows until when that knowledge holds;
//! [`admit`] and [`standstill`] refuse early what would only wait; [`desk`] is a sale's place in this
//! gateway; [`call`] is what a handler is given; [`place`] strings the steps together; [`command`] is what a customer does to an order
//! afterwards; [`callback`] what the payment provider says; [`read`] answers queries; [`live`] tells an
//! order's changes as they are settled; [`admin`] is the operator's side; [`page`] serves the pages for people;
//! [`openapi`] tells it all to programs; [`metrics`] counts.

pub mod admin;
pub mod admit;
pub mod authenticate;
mod batch;
pub mod call;
pub mod callback;
pub mod command;
pub mod cors;
pub mod decode;
pub mod described;
pub mod desk;
pub mod hand_off;
mod known;
pub mod lease;
pub mod live;
pub mod metrics;
pub mod openapi;
pub mod page;
pub mod place;
pub mod read;
pub mod refuse;
pub mod reserve;
pub mod respond;
pub mod route;
pub mod run;
pub mod settings;
pub mod standstill;

pub use run::{StartError, run};
pub use settings::Settings;
