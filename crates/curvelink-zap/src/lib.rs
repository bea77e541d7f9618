//! An allow-list file that answers ZAP requests (RFC 27): who may connect, publish and subscribe.
//!
//! ```toml
//! version = 1
//!
//! [identities.ci-scanner]
//! curve   = ["Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"]
//! domains = ["findings"]
//! publish = ["findings/"]
//! ```
//!
//! What the file does not say is not allowed, and what it says wrongly is an error with file, line
//! and what to do: no mistake widens access. [`Policy`] is the file once read: valid by
//! construction, immutable. [`PolicyHandler`] answers from it and takes a new one whole.
//! [`explain()`] and [`lints()`] answer an operator's questions with the same code, offline.
//!
//! ```
//! use std::time::SystemTime;
//!
//! use curvelink_proto::{Credentials, MechanismName, PeerAddress, PublicKey, ZapRequest};
//! use curvelink_zap::Policy;
//!
//! let policy = Policy::from_toml(
//!     r#"
//!     version = 1
//!     [identities.ci-scanner]
//!     curve   = ["Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"]
//!     domains = ["findings"]
//!     publish = ["findings/"]
//!     "#,
//!     "zap.toml",
//! )?;
//! let key = PublicKey::from_z85("Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID")?;
//! let ask = |domain| {
//!     let who = Credentials::Curve(key);
//!     let request = ZapRequest::new(domain, PeerAddress::Inproc, MechanismName::CURVE, who);
//!     policy.decide(&request, SystemTime::now()).settle()
//! };
//! assert!(ask("findings").is_admitted());
//! assert!(!ask("payroll").is_admitted());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod changed;
mod changes;
mod decision;
mod doors;
mod endpoint;
mod error;
mod explain;
mod file;
mod handler;
mod identity;
mod lint;
mod open;
mod owned_file;
mod password;
mod policy;
mod reload;
mod sign_key;
mod source;
mod unit;
mod watch;
mod worker;

pub use changes::{Change, Effect, changes};
pub use decision::{Decision, Outcome, PasswordCheck};
pub use error::{PolicyError, Problem};
pub use explain::{Answer, Explanation, Question, Who, explain};
pub use handler::PolicyHandler;
pub use identity::{DatedKey, Grant, Identity, Limit, Scope, User};
pub use lint::{Lint, LintKind, lints};
pub use owned_file::{FileProblem, OwnedFile};
pub use password::PasswordHash;
pub use policy::Policy;
pub use reload::Reload;
pub use source::{Network, Source};
pub use unit::parse_time;
pub use watch::{FileWatch, RECHECK, watch};
