//! Witnesses: programs elsewhere that remember how far a hub's journal had come, and sign what goes
//! on from there.
//!
//! ```text
//! hub  REQ  ->  witness (REP)     what `WitnessRequest::to_frames` gives
//!           <-                    an `Answer`: one frame of text
//! ```
//!
//! CURVE and the witness' own policy stand before its socket.

mod answer;
mod ask;
mod folder;
mod rounds;
mod service;
mod status;
mod told;

pub(crate) use folder::{Folder, NewWitness, Seen};
pub(crate) use rounds::Witnesses;
pub(crate) use service::Service;
pub(crate) use status::Witnessed;
