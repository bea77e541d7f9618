//! Messages as the shell sees them: what is read to be sent, and how what came is shown.

mod input;
mod json;
mod shown;

pub(crate) use input::{Cut, Input, content_type, path_of};
pub(crate) use shown::{Form, print, print_verified};
