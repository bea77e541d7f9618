//! Tests of the program from outside: what a shell sees.

mod audit;
mod checkpoints;
mod control;
mod doctor;
mod evidence;
mod guide;
mod hub;
mod key;
mod log;
mod policy;
mod q1;
mod refusals;
mod rotation;
mod secrets;
mod sinks;
mod sockets;
mod support;
