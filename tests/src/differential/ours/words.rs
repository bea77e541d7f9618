//! Our errors by libzmq's names, in the words of scenarios.

use std::io;

use curvelink::{
    BindError, ConnectError, EndpointError, EndpointNotFound, RefusedEndpoint, SendError,
    SubscribePeerError,
};

pub(super) fn no_endpoint(_: EndpointNotFound) -> String {
    "no-endpoint".to_owned()
}

pub(super) fn of_endpoint(error: EndpointError, endpoint: &str) -> String {
    // Each of these two is two errors of libzmq's.
    match error {
        EndpointError::Transport if endpoint.contains("://") => "no-transport",
        EndpointError::Path if !endpoint.ends_with("://") => "too-long",
        _ => "invalid",
    }
    .to_owned()
}

pub(super) fn of_bind(error: &BindError, endpoint: &str) -> String {
    match error {
        BindError::Endpoint(error) => return of_endpoint(*error, endpoint),
        BindError::InUse => "in-use",
        BindError::Host => "no-device",
        BindError::Refused(RefusedEndpoint::ClearText) => "clear-text",
        BindError::Refused(RefusedEndpoint::NoPolicy) => "no-policy",
        BindError::Closed => "terminated",
        BindError::Io(error) => return of_io(error),
        other => return format!("{other:?}"),
    }
    .to_owned()
}

pub(super) fn of_connect(error: &ConnectError, endpoint: &str) -> String {
    match error {
        ConnectError::Endpoint(error) => of_endpoint(*error, endpoint),
        ConnectError::Wildcard => "invalid".to_owned(),
        ConnectError::Refused(RefusedEndpoint::ClearText) => "clear-text".to_owned(),
        ConnectError::Closed => "terminated".to_owned(),
        other => format!("{other:?}"),
    }
}

pub(super) fn of_io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "in-use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "not-available".to_owned(),
        io::ErrorKind::PermissionDenied => "denied".to_owned(),
        io::ErrorKind::NotFound => "no-endpoint".to_owned(),
        // ENODEV, for which there is no kind.
        _ if error.raw_os_error() == Some(19) => "no-device".to_owned(),
        kind => format!("{kind:?}"),
    }
}

pub(super) fn of_send(error: SendError) -> String {
    match error {
        SendError::WrongTurn => "fsm",
        SendError::Unroutable => "unreachable",
        SendError::TimedOut => "again",
        SendError::Closed => "terminated",
        SendError::Empty => "invalid",
        SendError::NotSupported => "unsupported",
        other => return format!("{other:?}"),
    }
    .to_owned()
}

pub(super) fn of_subscribe(error: SubscribePeerError) -> String {
    match error {
        SubscribePeerError::NotManual => "invalid".to_owned(),
        other => format!("{other:?}"),
    }
}
