//! Keys as text: Z85 and hex.

use curvelink_proto::{PublicKey, SecretKey, z85};

pub(super) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match z85::decode(&text) {
        Ok(octets) => {
            assert_eq!(z85::encode(&octets), text, "a key has one spelling");
            let strong = PublicKey::from_octets(octets);
            assert_eq!(PublicKey::from_z85(&text), strong);
            assert!(SecretKey::from_z85(&text).is_ok() == SecretKey::from_octets(&octets).is_ok());
        }
        Err(_) => {
            assert!(PublicKey::from_z85(&text).is_err() && SecretKey::from_z85(&text).is_err());
        }
    }
    if let Ok(key) = PublicKey::from_hex(&text) {
        assert_eq!(key.to_hex(), text.to_ascii_lowercase());
        assert_eq!(PublicKey::from_z85(&key.to_z85()), Ok(key));
    }
    if let Some(octets) = data.first_chunk() {
        assert_eq!(z85::decode(&z85::encode(octets)).as_ref(), Ok(octets));
    }
}
