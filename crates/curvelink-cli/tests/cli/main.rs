//! Tests of the program from outside: what a shell sees.

mod audit;
mod batches;
mod checkpoints;
mod control;
mod doctor;
mod evidence;
mod guide;
mod heartbeats;
mod hub;
mod key;
mod log;
mod policy;
mod q1;
mod refusals;
mod rotation;
mod secrets;
mod signers;
mod signing;
mod sinks;
mod sockets;
mod support;
mod witness;
