//! What programs that look around send first: browsers, clients of other protocols, and the
//! service probes that nmap is known for. Written from what the protocols say.

use super::random::Random;
use super::raw;

/// First octets by name. Not one of them is ZMTP 3.
pub fn strangers() -> Vec<(&'static str, Vec<u8>)> {
    let mut all: Vec<_> = LINES
        .iter()
        .map(|(name, text)| (*name, text.as_bytes().to_vec()))
        .collect();
    all.extend(BINARY.iter().map(|(name, octets)| (*name, octets.to_vec())));
    all.extend([
        ("TLS ClientHello", client_hello(b"\x03\x01", b"\x03\x03")),
        ("SSLSessionReq", client_hello(b"\x03\x00", b"\x03\x00")),
        ("SMBProgNeg", smb_negotiate()),
        ("Kerberos", kerberos()),
        ("oracle-tns", oracle_connect()),
        ("CVE-2019-6250", long_frame_of_zmtp_2()),
        ("ones", vec![0xfe; 4096]),
        ("zeroes", vec![0; 4096]),
    ]);
    all
}

/// Whatever comes, of a seed that is printed; with a good greeting before it or without.
pub fn noise(count: usize) -> Vec<Vec<u8>> {
    let mut random = Random::new();
    let mut octets = || -> Vec<u8> {
        let length = random.below(300);
        (0..length).map(|_| random.below(256) as u8).collect()
    };
    let one = |i| match i % 2 {
        0 => octets(),
        _ => [raw::greeting("NULL"), vec![0x08], octets()].concat(),
    };
    (0..count).map(one).collect()
}

/// Protocols of lines.
const LINES: [(&str, &str); 13] = [
    ("GenericLines", "\r\n\r\n"),
    ("GetRequest", "GET / HTTP/1.0\r\n\r\n"),
    (
        "HTTP/1.1",
        "GET / HTTP/1.1\r\nHost: victim\r\nUser-Agent: Mozilla/5.0\r\n\r\n",
    ),
    (
        "HTTP/2 preface",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    ),
    ("HTTPOptions", "OPTIONS / HTTP/1.0\r\n\r\n"),
    ("RTSPRequest", "OPTIONS / RTSP/1.0\r\n\r\n"),
    (
        "FourOhFourRequest",
        "GET /nice%20ports%2C/Tri%6Eity.txt%2ebak HTTP/1.0\r\n\r\n",
    ),
    ("Help", "HELP\r\n"),
    ("LPDString", "\x01default\n"),
    ("SSH", "SSH-2.0-OpenSSH_9.9\r\n\0\0\x01\x04\x08\x14"),
    ("Redis", "*1\r\n$4\r\nPING\r\n"),
    ("LANDesk-RC", "TNMP\x04\0\0\0TNME\0\0\x04\0"),
    (
        "SIPOptions",
        "OPTIONS sip:nm SIP/2.0\r\nVia: SIP/2.0/TCP nm;branch=foo\r\nFrom: <sip:nm@nm>;tag=root\r\n\
         To: <sip:nm2@nm2>\r\nCall-ID: 50000\r\nCSeq: 42 OPTIONS\r\nMax-Forwards: 70\r\n\
         Content-Length: 0\r\nContact: <sip:nm@nm>\r\nAccept: application/sdp\r\n\r\n",
    ),
];

/// Protocols of octets that need no more than a line.
const BINARY: [(&str, &[u8]); 10] = [
    // A message of 30 octets: the question version.bind, TXT, CH.
    (
        "DNSVersionBindReqTCP",
        b"\0\x1e\0\x06\x01\0\0\x01\0\0\0\0\0\0\x07version\x04bind\0\0\x10\0\x03",
    ),
    // TPKT and X.224: a connection request, with a cookie and with none.
    (
        "TerminalServerCookie",
        b"\x03\0\0\x2a\x25\xe0\0\0\0\0\0Cookie: mstshash=nmap\r\n\x01\0\x08\0\x03\0\0\0",
    ),
    ("TerminalServer", b"\x03\0\0\x0b\x06\xe0\0\0\0\0\0"),
    // Little-endian, protocol 11.0, no name and no data for the authorization.
    ("X11Probe", b"l\0\x0b\0\0\0\0\0\0\0\0\0"),
    // A search below the root for every object.
    (
        "LDAPSearchReq",
        b"\x30\x84\0\0\0\x2d\x02\x01\x07\x63\x84\0\0\0\x24\x04\0\x0a\x01\0\x0a\x01\0\x02\x01\0\
          \x02\x01\x64\x01\x01\0\x87\x0bobjectClass\x30\x84\0\0\0\0",
    ),
    ("LDAPBindReq", b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x02\x04\0\x80\0"),
    (
        "NotesRPC",
        b"\x3a\0\0\0\x2f\0\0\0\x02\0\0\x40\x02\x0f\0\x01\0\x3d\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\x2f\0\0",
    ),
    (
        "WMSRequest",
        b"\x01\0\0\xfd\xce\xfa\x0b\xb0\xa0\0\0\0MMS\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x12\0\0\0\x01\0\x03\0",
    ),
    ("JavaRMI", b"JRMI\0\x02\x4b"),
    // A call of procedure 0 of the port mapper, version 104 316.
    (
        "RPCCheck",
        b"\x80\0\0\x28\x72\xfe\x1d\x13\0\0\0\0\0\0\0\x02\0\x01\x86\xa0\0\x01\x97\x7c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ),
];

/// A ClientHello of two suites and no extension, in a record.
fn client_hello(record: &[u8; 2], version: &[u8; 2]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([0x42; 32]);
    body.extend(b"\0\0\x04\xc0\x2f\x13\x01\x01\0");
    let handshake = [&[1, 0, 0, body.len() as u8][..], &body].concat();
    let length = (handshake.len() as u16).to_be_bytes();
    [&[0x16][..], record, &length, &handshake].concat()
}

/// SMB's negotiation of a dialect, in a NetBIOS session message.
fn smb_negotiate() -> Vec<u8> {
    let dialects = [
        "PC NETWORK PROGRAM 1.0",
        "LANMAN1.0",
        "NT LM 0.12",
        "SMB 2.002",
    ];
    let dialects: Vec<u8> = dialects
        .iter()
        .flat_map(|name| [&[2][..], name.as_bytes(), &[0]].concat())
        .collect();
    let mut body = b"\xffSMB\x72\0\0\0\0\x08\x01\x40".to_vec();
    body.extend([0; 20]);
    body.push(0);
    body.extend((dialects.len() as u16).to_le_bytes());
    body.extend(dialects);
    [&(body.len() as u32).to_be_bytes()[..], &body].concat()
}

/// An AS-REQ for krbtgt/NM@NM, after its length.
fn kerberos() -> Vec<u8> {
    let tagged = |tag: u8, body: &[u8]| [&[tag, body.len() as u8][..], body].concat();
    let number = |tag, value| tagged(tag, &[2, 1, value]);
    let names = [tagged(0x1b, b"krbtgt"), tagged(0x1b, b"NM")].concat();
    let name = [number(0xa0, 0), tagged(0xa1, &tagged(0x30, &names))].concat();
    let body = [
        tagged(0xa0, b"\x03\x05\0\x50\x80\0\x10"),
        tagged(0xa2, b"\x1b\x02NM"),
        tagged(0xa3, &tagged(0x30, &name)),
        tagged(0xa5, b"\x18\x0f19700101000000Z"),
        tagged(0xa7, b"\x02\x04\x1f\x1e\xb9\xd9"),
        tagged(0xa8, b"\x30\x03\x02\x01\x12"),
    ];
    let body = tagged(0xa4, &tagged(0x30, &body.concat()));
    let request = [number(0xa1, 5), number(0xa2, 10), body].concat();
    let request = tagged(0x6a, &tagged(0x30, &request));
    [&(request.len() as u32).to_be_bytes()[..], &request].concat()
}

/// A CONNECT packet of Oracle's TNS.
fn oracle_connect() -> Vec<u8> {
    let wanted = b"(CONNECT_DATA=(COMMAND=version))";
    let mut body = b"\0\0\x01\0\0\0\x01\x36\x01\x2c\0\0\x08\0\x7f\xff\x7f\x08\0\0\0\x01".to_vec();
    body.extend((wanted.len() as u16).to_be_bytes());
    body.extend(b"\0\x3a\0\0\0\0");
    body.extend([0; 26]);
    body.extend(wanted);
    [&(body.len() as u16 + 2).to_be_bytes()[..], &body].concat()
}

/// A peer of ZMTP 2.0 whose first frame is 2^64 - 1 octets long: libzmq 4.3.0 added the length to a
/// pointer, and wrote what followed beyond its buffer.
fn long_frame_of_zmtp_2() -> Vec<u8> {
    let mut octets = b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x05\0\0\x02".to_vec();
    octets.extend([0xff; 8]);
    octets.extend([0x41; 8192]);
    octets
}
