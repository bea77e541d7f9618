//! libzmq's options by name, as ours.

use std::time::Duration;

use curvelink::Options;

/// The options with one more, or the word for what is wrong.
pub(super) fn with(options: Options, name: &str, value: &[u8]) -> Result<Options, String> {
    let number = || -> Result<i64, String> {
        let text = std::str::from_utf8(value).map_err(|_| "invalid".to_owned())?;
        text.parse().map_err(|_| "invalid".to_owned())
    };
    let count = || usize::try_from(number()?).map_err(|_| "invalid".to_owned());
    let time = || Ok::<_, String>(Duration::from_millis(count()? as u64));
    let flag = || match number()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err("invalid".to_owned()),
    };
    Ok(match name {
        "sndhwm" => options.send_hwm(count()?),
        "rcvhwm" => options.recv_hwm(count()?),
        "linger" => options.linger(time()?),
        "sndtimeo" => options.send_timeout(time()?),
        "rcvtimeo" => options.recv_timeout(time()?),
        "connect_timeout" => options.connect_timeout(time()?),
        "handshake_ivl" => options.greeting_timeout(time()?).handshake_timeout(time()?),
        "reconnect_ivl" => options.reconnect_interval(time()?),
        "reconnect_ivl_max" => options.reconnect_interval_max(time()?),
        "heartbeat_ivl" => options.heartbeat_interval(time()?),
        "heartbeat_timeout" => options.heartbeat_timeout(time()?),
        "heartbeat_ttl" => options.heartbeat_ttl(time()?),
        "maxmsgsize" => options.max_message_size(count()?),
        "backlog" => options.backlog(count()? as u32),
        "routing_id" => options.routing_id(value),
        "router_mandatory" => options.router_mandatory(flag()?),
        _ => return Err(format!("no option {name}")),
    })
}
