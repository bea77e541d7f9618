//! ZMTP 3.1 written by hand: peers that say what no curvelink socket would.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The 64 octets that begin a connection (RFC 37, "Greeting").
#[must_use]
pub fn greeting(mechanism: &str) -> Vec<u8> {
    let mut greeting = vec![0; 64];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10..12].copy_from_slice(&[3, 1]);
    greeting[12..12 + mechanism.len()].copy_from_slice(mechanism.as_bytes());
    greeting
}

/// One frame; 1 is MORE and 4 COMMAND.
#[must_use]
pub fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = match u8::try_from(body.len()) {
        Ok(length) => vec![flags, length],
        Err(_) => [&[flags | 2][..], &(body.len() as u64).to_be_bytes()].concat(),
    };
    frame.extend_from_slice(body);
    frame
}

/// A command.
#[must_use]
pub fn command(name: &str, body: &[u8]) -> Vec<u8> {
    let name = [&[name.len() as u8][..], name.as_bytes()].concat();
    frame(4, &[&name, body].concat())
}

/// READY or INITIATE's metadata.
#[must_use]
pub fn metadata(properties: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in properties {
        out.push(name.len() as u8);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&(value.len() as u32).to_be_bytes());
        out.extend_from_slice(value);
    }
    out
}

/// A NULL peer's whole first half: greeting and READY.
#[must_use]
pub fn null_peer(properties: &[(&str, &[u8])]) -> Vec<u8> {
    let ready = command("READY", &metadata(properties));
    [greeting("NULL"), ready].concat()
}

/// Opens a connection to `tcp://…` and writes.
///
/// # Panics
/// If there is nobody.
pub async fn dial(endpoint: &str, octets: &[u8]) -> TcpStream {
    let address = endpoint.trim_start_matches("tcp://");
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(octets).await.expect("writes");
    stream
}

/// Connects as a NULL peer of a type, and reads the other side's greeting and READY.
///
/// # Panics
/// If the other side does not greet.
pub async fn join(endpoint: &str, properties: &[(&str, &[u8])]) -> TcpStream {
    let mut stream = dial(endpoint, &null_peer(properties)).await;
    skip_greeting(&mut stream).await;
    let (flags, body) = read_frame(&mut stream).await.expect("READY");
    assert!(flags & 4 == 4 && body.starts_with(b"\x05READY"));
    stream
}

/// Reads 64 octets.
///
/// # Panics
/// If they do not come.
pub async fn skip_greeting(stream: &mut TcpStream) {
    stream.read_exact(&mut [0; 64]).await.expect("a greeting");
}

/// The next frame's flags and body; `None` at the end of the connection.
pub async fn read_frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let flags = stream.read_u8().await.ok()?;
    let length = if flags & 2 == 2 {
        stream.read_u64().await.ok()?
    } else {
        u64::from(stream.read_u8().await.ok()?)
    };
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body).await.ok()?;
    Some((flags, body))
}

/// Waits until the other side has closed; what it said until then.
pub async fn closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    let _reset_is_an_end_too = stream.read_to_end(&mut said).await;
    said
}
