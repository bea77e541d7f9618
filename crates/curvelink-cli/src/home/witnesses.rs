//! `[[audit.witness]]`: who watches the hub's journal.

use std::time::Duration;

use curvelink::PublicKey;
use curvelink_tlog::{MAX_SIGNATURES, VerifyingCosignerKey};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::config::AuditConfig;

/// For so many seconds a checkpoint may wait for its witnesses before that is told.
pub(super) const WITHIN: u64 = 60;
const SOONEST: u64 = 2;

/// A witness of the hub's journal.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WitnessConfig {
    /// Where it is asked.
    pub(crate) endpoint: String,
    /// Its public CURVE key, in Z85 or hex.
    #[serde(deserialize_with = "curve_key")]
    pub(crate) server_key: PublicKey,
    /// The public key that its signatures are by, as `curvelink witness init` prints it.
    #[serde(deserialize_with = "cosigner_key")]
    pub(crate) key: VerifyingCosignerKey,
}

impl AuditConfig {
    /// How many witnesses must sign a checkpoint: all, unless the settings say fewer.
    pub(crate) fn min_witnesses(&self) -> usize {
        self.min_witnesses.unwrap_or(self.witness.len())
    }

    /// For longer without them is told.
    pub(crate) const fn witness_within(&self) -> Duration {
        Duration::from_secs(self.witness_within)
    }

    /// Whether what is said of witnesses can be meant.
    pub(super) fn check_witnesses(&self) -> Result<(), String> {
        let count = self.witness.len();
        let min = self.min_witnesses();
        if min > count {
            return Err(format!(
                "min_witnesses is {min}, and there are {count} [[audit.witness]]: name more, or \
                 ask for less"
            ));
        }
        if count >= MAX_SIGNATURES {
            return Err(format!(
                "there are {count} [[audit.witness]], and a checkpoint has room for {} signatures \
                 of witnesses",
                MAX_SIGNATURES - 1
            ));
        }
        if count > 0 && min == 0 {
            return Err(
                "min_witnesses is 0, and there are [[audit.witness]]: leave it out to ask for all \
                 of them, or take them out"
                    .to_owned(),
            );
        }
        if self.witness_within < SOONEST {
            return Err(format!(
                "witness_within is {}, and asking takes longer: at least {SOONEST} seconds",
                self.witness_within
            ));
        }
        if count > 0 && !self.journal {
            return Err(
                "without a journal there is nothing to witness: take [[audit.witness]] \
                        out, or journal = false"
                    .to_owned(),
            );
        }
        for (at, one) in self.witness.iter().enumerate() {
            let others = self.witness.iter().take(at);
            if others.into_iter().any(|other| is_same(one, other)) {
                return Err(format!(
                    "two [[audit.witness]] are the same ({}): one witness counts once",
                    one.key.name()
                ));
            }
        }
        Ok(())
    }
}

/// Whether two have a name or a key in common.
fn is_same(one: &WitnessConfig, other: &WitnessConfig) -> bool {
    let octets = |key: &VerifyingCosignerKey| {
        let text = key.to_string();
        // A name, an id made of the name and the key, the key.
        text.splitn(3, '+').last().map(str::to_owned)
    };
    one.key.name() == other.key.name()
        || octets(&one.key) == octets(&other.key)
        || one.server_key == other.server_key
}

fn curve_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PublicKey, D::Error> {
    let text = String::deserialize(deserializer)?;
    let key = PublicKey::from_z85(&text).or_else(|_| PublicKey::from_hex(&text));
    key.map_err(|_| D::Error::custom("no public CURVE key: 40 characters of Z85 or 64 of hex"))
}

fn cosigner_key<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<VerifyingCosignerKey, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.trim().parse().map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use curvelink_tlog::Cosigner;

    use super::*;

    fn witness(number: u8, name: &str) -> String {
        let key = Cosigner::from_seed(name, &[number; 32]).unwrap();
        let curve = curvelink::SecretKey::from_octets(&[number; 32]).unwrap();
        format!(
            "[[witness]]\nendpoint = \"tcp://127.0.0.1:1\"\nserver_key = {:?}\nkey = \"{}\"\n",
            curve.public().to_z85(),
            key.verifying_key()
        )
    }

    fn read(text: &str) -> Result<AuditConfig, String> {
        let config: AuditConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check_witnesses().map(|()| config)
    }

    #[test]
    fn all_witnesses_must_sign_unless_the_file_asks_for_fewer() {
        let two = witness(1, "w.example/1") + &witness(2, "w.example/2");
        let config = read(&two).unwrap();
        assert_eq!((config.min_witnesses(), config.witness.len()), (2, 2));
        assert_eq!(config.settings().min_witnesses, 2);
        assert_eq!(config.settings().cosigners.len(), 2);
        let fewer = read(&format!("min_witnesses = 1\n{two}")).unwrap();
        assert_eq!(fewer.settings().min_witnesses, 1);
        assert_eq!(read("").unwrap().min_witnesses(), 0);
    }

    #[test]
    fn what_would_leave_the_journal_without_witnesses_is_refused() {
        let one = witness(1, "w.example/1");
        for (text, cause) in [
            (format!("min_witnesses = 2\n{one}"), "there are 1"),
            ("min_witnesses = 1\n".to_owned(), "there are 0"),
            (format!("min_witnesses = 0\n{one}"), "min_witnesses is 0"),
            (format!("min_witnesses = -1\n{one}"), "min_witnesses"),
            (format!("witness_within = 1\n{one}"), "at least 2"),
            (format!("journal = false\n{one}"), "nothing to witness"),
            (one.clone() + &one, "the same"),
            (one.clone() + &witness(1, "w.example/2"), "the same"),
            (one.clone() + &witness(2, "w.example/1"), "the same"),
            (
                (1..=64).map(|it| witness(it, &format!("w/{it}"))).collect(),
                "has room for 63",
            ),
            (one.replace("endpoint", "endpiont"), "endpiont"),
            (
                one.replace("server_key = \"", "server_key = \"x"),
                "no public CURVE key",
            ),
            (one.replace("key = \"w", "key = \"x"), "key"),
            (one.replace("[[witness]]", "[[witnes]]"), "witnes"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(cause), "{cause}: {error}");
        }
    }
}
