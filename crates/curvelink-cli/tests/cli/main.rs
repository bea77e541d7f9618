//! Tests of the program from outside: what a shell sees.

mod key;
mod support;
