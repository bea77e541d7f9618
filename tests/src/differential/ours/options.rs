//! libzmq's options by name, as ours.

use std::time::Duration;

use curvelink::{Curve, KeyPair, Options, Plain, PublicKey, ReconnectStop, SecretKey};

/// The options with one more, or the word for what is wrong.
pub(super) fn with(options: Options, name: &str, value: &[u8]) -> Result<Options, String> {
    let number = || -> Result<i64, String> {
        let text = std::str::from_utf8(value).map_err(|_| "invalid".to_owned())?;
        text.parse().map_err(|_| "invalid".to_owned())
    };
    let count = || usize::try_from(number()?).map_err(|_| "invalid".to_owned());
    let time = || Ok::<_, String>(Duration::from_millis(count()? as u64));
    let seconds = || Ok::<_, String>(Duration::from_secs(count()? as u64));
    let flag = || match number()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err("invalid".to_owned()),
    };
    let text = || String::from_utf8_lossy(value).into_owned();
    Ok(match name {
        "sndhwm" => options.send_hwm(count()?),
        "rcvhwm" => options.recv_hwm(count()?),
        "conflate" => options.conflate(flag()?),
        "immediate" => options.immediate(flag()?),
        "maxmsgsize" => options.max_message_size(count()?),
        "linger" if number()? == -1 => options.linger(Duration::MAX),
        "linger" => options.linger(time()?),
        "sndtimeo" => options.send_timeout(time()?),
        "rcvtimeo" => options.recv_timeout(time()?),

        "connect_timeout" => options.connect_timeout(time()?),
        "handshake_ivl" => options.greeting_timeout(time()?).handshake_timeout(time()?),
        "reconnect_ivl" => options.reconnect_interval(time()?),
        "reconnect_ivl_max" => options.reconnect_interval_max(time()?),
        "reconnect_stop" => options.reconnect_stop(stop(number()?)),
        "heartbeat_ivl" => options.heartbeat_interval(time()?),
        "heartbeat_timeout" => options.heartbeat_timeout(time()?),
        "heartbeat_ttl" => options.heartbeat_ttl(time()?),

        "routing_id" => options.routing_id(value),
        "router_mandatory" => options.router_mandatory(flag()?),
        "router_handover" => options.router_handover(flag()?),
        "probe_router" => options.probe_router(flag()?),
        "req_relaxed" => options.req_relaxed(flag()?),
        "req_correlate" => options.req_correlate(flag()?),

        "stream_notify" => options.stream_notify(flag()?),

        "xpub_verbose" => options.xpub_verbose(flag()?),
        "xpub_verboser" => options.xpub_verboser(flag()?),
        "xpub_manual" => options.xpub_manual(flag()?),
        "xpub_manual_last_value" => options.xpub_manual_last_value(flag()?),
        "xpub_nodrop" => options.xpub_nodrop(flag()?),
        "xpub_welcome_msg" => options.xpub_welcome(value),
        "invert_matching" => options.invert_matching(flag()?),
        "only_first_subscribe" => options.only_first_subscribe(flag()?),
        "xsub_verbose_unsubscribe" => options.xsub_verbose_unsubscribe(flag()?),
        "hello_msg" => options.hello_message(value),
        "disconnect_msg" => options.disconnect_message(value),
        "hiccup_msg" => options.hiccup_message(value),

        "ipv6" => options.ipv6(flag()?),
        "clear_text" => options.allow_clear_text_beyond_this_host(),
        "backlog" => options.backlog(count()? as u32),
        "bindtodevice" => options.bind_to_device(&text()),
        "tos" => options.type_of_service(count()? as u8),
        "sndbuf" => options.send_buffer(count()?),
        "rcvbuf" => options.recv_buffer(count()?),
        "tcp_maxrt" => options.tcp_max_retransmit(time()?),
        "tcp_keepalive" => options.tcp_keepalive(flag()?),
        "tcp_keepalive_idle" => options.tcp_keepalive_idle(seconds()?),
        "tcp_keepalive_intvl" => options.tcp_keepalive_interval(seconds()?),
        "tcp_keepalive_cnt" => options.tcp_keepalive_count(count()? as u32),
        "socks_proxy" => options.socks_proxy(&text()),
        // Of the mechanism: see below.
        "zap_domain" => options,
        _ if name.starts_with("curve_") || name.starts_with("plain_") => options,
        _ => return Err(format!("no option {name}")),
    })
}

/// The mechanism that some of the options ask for.
///
/// # Errors
/// The word for what is wrong.
pub(super) fn secured(options: Options, chosen: &[(String, Vec<u8>)]) -> Result<Options, String> {
    let value = |name: &str| {
        let found = chosen.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    };
    let bad = |_| "invalid".to_owned();
    if let Some(domain) = value("zap_domain") {
        return Ok(options.zap_domain(&domain));
    }
    if let Some(name) = value("plain_username") {
        let password = value("plain_password").unwrap_or_default();
        let plain = Plain::client(name, password).map_err(|_| "invalid".to_owned())?;
        return Ok(options.security(plain));
    }
    if value("plain_server").is_some() {
        return Ok(options.security(Plain::server()));
    }
    let Some(secret) = value("curve_secretkey") else {
        return Ok(options);
    };
    let keys = KeyPair::from_secret(SecretKey::from_z85(&secret).map_err(bad)?);
    Ok(options.security(match value("curve_serverkey") {
        Some(server) => Curve::client(keys, PublicKey::from_z85(&server).map_err(bad)?),
        None => Curve::server(keys),
    }))
}

/// libzmq's bits.
fn stop(bits: i64) -> ReconnectStop {
    let mut stop = ReconnectStop::new();
    if bits & 1 != 0 {
        stop = stop.connection_refused();
    }
    if bits & 2 != 0 {
        stop = stop.handshake_failed();
    }
    if bits & 4 != 0 {
        stop = stop.after_disconnect();
    }
    stop
}
