//! A CURVE client made by hand (RFC 26), with every liberty that the protocol does not give.

use crate::fuzz::nacl::{PairBox, nonce, public};

/// A key pair: public, secret.
pub type Pair = ([u8; 32], [u8; 32]);

/// A key pair that is the same for the same secret.
#[must_use]
pub fn pair(secret: [u8; 32]) -> Pair {
    (public(&secret), secret)
}

/// The keys of a client and what it says of them; by default nothing is wrong with it.
#[derive(Clone, Debug)]
pub struct Client {
    /// The server that HELLO is for.
    pub server: [u8; 32],
    /// C and c.
    pub keys: Pair,
    /// C' and c'.
    pub transient: Pair,
    /// HELLO: CurveZMQ's version.
    pub version: [u8; 2],
    /// HELLO: zeroes.
    pub padding: [u8; 72],
    /// HELLO: what is said to be C'.
    pub claimed_transient: [u8; 32],
    /// HELLO: where counting begins.
    pub hello_counter: u64,
    /// HELLO: what is in its box.
    pub signature: [u8; 64],
    /// INITIATE: an octet of the cookie with these bits changed.
    pub cookie_flip: (usize, u8),
    /// INITIATE: how far its counter is from HELLO's.
    pub initiate_step: i64,
    /// INITIATE: what is said to be C.
    pub claimed: [u8; 32],
    /// INITIATE: the secret that makes the vouch.
    pub vouch_secret: [u8; 32],
    /// INITIATE: the C' that the vouch names.
    pub vouched_transient: [u8; 32],
    /// INITIATE: the S that the vouch names.
    pub vouched_server: [u8; 32],
    /// INITIATE: an octet of the vouch with these bits changed.
    pub vouch_flip: (usize, u8),
    /// How far the first MESSAGE's counter is from INITIATE's.
    pub message_step: i64,
}

impl Client {
    /// A client of a server. Its transient keys are yet to be chosen.
    #[must_use]
    pub fn new(server: [u8; 32], keys: Pair) -> Self {
        let transient = keys;
        Self {
            server,
            keys,
            transient,
            version: [1, 0],
            padding: [0; 72],
            claimed_transient: transient.0,
            hello_counter: 1,
            signature: [0; 64],
            cookie_flip: (0, 0),
            initiate_step: 1,
            claimed: keys.0,
            vouch_secret: keys.1,
            vouched_transient: transient.0,
            vouched_server: server,
            vouch_flip: (0, 0),
            message_step: 1,
        }
    }

    /// The same client on a connection of this number.
    #[must_use]
    pub fn with_transient(&self, number: usize) -> Self {
        let mut seed = [b't'; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        let transient = pair(seed);
        Self {
            transient,
            claimed_transient: transient.0,
            vouched_transient: transient.0,
            ..self.clone()
        }
    }
}

/// What a client knows of one connection.
#[derive(Default)]
#[allow(missing_debug_implementations, reason = "it is made of keys")]
pub struct Session {
    greeting: Option<PairBox>,
    /// S' and the cookie, from WELCOME.
    welcome: Option<([u8; 32], Vec<u8>)>,
    traffic: Option<PairBox>,
    counter: u64,
    ready: bool,
    messages: u64,
}

impl Session {
    /// Whether the server has sent a READY that opens.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.ready
    }

    /// RFC 26, "The HELLO Command", without its name.
    pub fn hello(&mut self, client: &Client) -> Vec<u8> {
        let greeting = PairBox::new(&client.server, &client.transient.1);
        self.counter = client.hello_counter;
        let mut out = [&client.version[..], &client.padding].concat();
        out.extend(client.claimed_transient);
        out.extend(self.counter.to_be_bytes());
        let nonce = nonce("CurveZMQHELLO---", &self.counter.to_be_bytes());
        out.extend(greeting.seal(&nonce, &client.signature));
        self.greeting = Some(greeting);
        out
    }

    /// Takes WELCOME's body; whether it opens.
    pub fn welcomed(&mut self, body: &[u8]) -> bool {
        let opened = self.greeting.as_ref().zip(body.split_at_checked(16));
        let clear = opened.and_then(|(greeting, (unique, sealed))| {
            greeting.open(&nonce("WELCOME-", unique), sealed)
        });
        let fields = clear.as_deref().and_then(<[u8]>::split_first_chunk);
        self.welcome = fields.map(|(transient, cookie)| (*transient, cookie.to_vec()));
        self.welcome.is_some()
    }

    /// RFC 26, "The INITIATE Command", without its name. One that was not welcomed makes the
    /// cookie up.
    pub fn initiate(&mut self, client: &Client, metadata: &[u8]) -> Vec<u8> {
        let made_up = || (client.server, vec![7; 96]);
        let (transient, cookie) = self.welcome.clone().unwrap_or_else(made_up);
        let traffic = PairBox::new(&transient, &client.transient.1);
        self.counter = self.counter.wrapping_add_signed(client.initiate_step);

        let unique = [3; 16];
        let vouched = [client.vouched_transient, client.vouched_server].concat();
        let sealed = PairBox::new(&transient, &client.vouch_secret)
            .seal(&nonce("VOUCH---", &unique), &vouched);
        let mut vouch = [&unique[..], &sealed].concat();
        flip(&mut vouch, client.vouch_flip);

        let mut out = cookie;
        flip(&mut out, client.cookie_flip);
        out.extend(self.counter.to_be_bytes());
        let clear = [&client.claimed[..], &vouch, metadata].concat();
        let nonce = nonce("CurveZMQINITIATE", &self.counter.to_be_bytes());
        out.extend(traffic.seal(&nonce, &clear));
        self.traffic = Some(traffic);
        out
    }

    /// Takes READY's body; whether it opens.
    pub fn readied(&mut self, body: &[u8]) -> bool {
        self.ready = self.open("CurveZMQREADY---", body).is_some();
        self.ready
    }

    /// RFC 26, "The MESSAGE Command", without its name.
    pub fn message(&mut self, client: &Client, flags: u8, body: &[u8]) -> Vec<u8> {
        let step = if self.messages == 0 {
            client.message_step
        } else {
            1
        };
        self.messages += 1;
        self.counter = self.counter.wrapping_add_signed(step);
        let counter = self.counter.to_be_bytes();
        let nonce = nonce("CurveZMQMESSAGEC", &counter);
        let clear = [&[flags][..], body].concat();
        let sealed = self.traffic.as_ref().map(|key| key.seal(&nonce, &clear));
        [&counter[..], &sealed.unwrap_or_default()].concat()
    }

    /// The flags and the clear octets of a MESSAGE of the server's.
    #[must_use]
    pub fn opened(&self, body: &[u8]) -> Option<Vec<u8>> {
        self.open("CurveZMQMESSAGES", body)
    }

    fn open(&self, prefix: &str, body: &[u8]) -> Option<Vec<u8>> {
        let (counter, sealed) = body.split_at_checked(8)?;
        self.traffic.as_ref()?.open(&nonce(prefix, counter), sealed)
    }
}

fn flip(octets: &mut [u8], (position, bits): (usize, u8)) {
    let length = octets.len();
    octets[position % length] ^= bits;
}
