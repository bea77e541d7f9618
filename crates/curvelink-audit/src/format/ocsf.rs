//! Open Cybersecurity Schema Framework.

use curvelink_proto::EventId;
use serde_json::json;

use super::fields::{Fields, Object, leaf_hash};
use super::outcome::Outcome;
use super::text::summary;
use crate::record::{Record, Value};

/// The release whose classes these are; later ones of 1.x take them as they are.
const VERSION: &str = "1.5.0";

const OTHER: u64 = 99;

/// The record as an event of OCSF 1.5.0: JSON, one line without its end.
///
/// `metadata.uid` is the hash of the record as a leaf of the journal's tree (RFC 6962), `time` and
/// `end_time` are when the last happened. Fields without a place in the class are in `unmapped`.
/// An event of a later version is of the base class.
#[must_use]
pub fn ocsf(record: &Record) -> String {
    let mut fields = Fields::of(record);
    let class = Class::of(record);
    let mut event = Object::default();
    event.put("class_uid", class.uid);
    event.put("category_uid", class.uid / 1000);
    event.put("activity_id", class.activity);
    event.put("type_uid", class.uid * 100 + class.activity);
    if class.activity == OTHER {
        let action = record.field("action").map(ToString::to_string);
        event.put(
            "activity_name",
            action.unwrap_or_else(|| record.name().into()),
        );
    }
    event.put("severity_id", record.severity() as u8);
    event.put("status_id", class.status(Outcome::of(record)));
    event.put("message", summary(record));
    event.put("time", record.last().unix_us() / 1000);
    event.put("start_time", record.first().unix_us() / 1000);
    event.put("end_time", record.last().unix_us() / 1000);
    event.put("count", record.count());
    event.put_some("duration", fields.milliseconds());
    event.put_some(
        "status_detail",
        fields.text("reason").or_else(|| fields.text("error")),
    );
    event.put_some("status_code", fields.text("status"));
    event.put_object("metadata", metadata(record, class.is_controlled()));
    class.fill(&mut event, record, &mut fields);
    let mut rest = fields.into_object();
    rest.put("boot", record.origin().boot());
    rest.put("program", record.origin().program());
    rest.put("host", record.origin().host());
    event.put_object("unmapped", rest);
    event.into_text()
}

fn metadata(record: &Record, is_controlled: bool) -> Object {
    let mut metadata = Object::default();
    metadata.put("version", VERSION);
    metadata.put("product", product());
    metadata.put("uid", leaf_hash(record));
    metadata.put("sequence", record.origin().sequence());
    metadata.put("event_code", record.id());
    metadata.put("log_name", record.name());
    if is_controlled {
        metadata.put("profiles", json!(["security_control"]));
    }
    metadata
}

fn product() -> serde_json::Value {
    json!({
        "name": "curvelink",
        "vendor_name": "curvelink",
        "version": env!("CARGO_PKG_VERSION"),
    })
}

/// A class of OCSF, and what was done in its words.
#[derive(Clone, Copy)]
struct Class {
    uid: u64,
    activity: u64,
}

const AUTHENTICATION: u64 = 3002;
const ENTITY_MANAGEMENT: u64 = 3004;
const DETECTION_FINDING: u64 = 2004;
const DEVICE_CONFIG_STATE_CHANGE: u64 = 5019;
const APPLICATION_LIFECYCLE: u64 = 6002;
const API_ACTIVITY: u64 = 6003;
const APPLICATION_ERROR: u64 = 6008;

impl Class {
    fn of(record: &Record) -> Self {
        let action = record.field("action").and_then(Value::as_text);
        let (uid, activity) = match record.event() {
            Some(EventId::Accepted | EventId::Refused) => (AUTHENTICATION, 1),
            Some(EventId::Disconnected | EventId::Cut) => (AUTHENTICATION, 2),
            Some(EventId::Decision) => (AUTHENTICATION, 6),
            Some(EventId::Denied) if action == Some("publish") => (API_ACTIVITY, 1),
            Some(EventId::Subscription) if action != Some("subscribe") => (API_ACTIVITY, OTHER),
            Some(EventId::Signed) => (API_ACTIVITY, 1),
            Some(
                EventId::Denied | EventId::Subscription | EventId::Verified | EventId::Unconfirmed,
            ) => (API_ACTIVITY, 2),
            Some(EventId::Rejected | EventId::Gap | EventId::Insecure) => (DETECTION_FINDING, 1),
            Some(EventId::Lifecycle) => (APPLICATION_LIFECYCLE, lifecycle_activity(action)),
            Some(EventId::Journal | EventId::Checkpoint) => (APPLICATION_LIFECYCLE, OTHER),
            Some(EventId::Reload) => (DEVICE_CONFIG_STATE_CHANGE, 1),
            Some(EventId::Key) => (ENTITY_MANAGEMENT, key_activity(action)),
            Some(EventId::Sink) if action == Some("back") => (APPLICATION_ERROR, 2),
            Some(EventId::Witness) => match action {
                Some("away") => (APPLICATION_ERROR, 1),
                Some("back" | "enough") => (APPLICATION_ERROR, 2),
                _ => (DETECTION_FINDING, 1),
            },
            Some(EventId::AcceptFailed | EventId::NotSaved | EventId::Lost | EventId::Sink) => {
                (APPLICATION_ERROR, 1)
            }
            _ => (0, 0),
        };
        Self { uid, activity }
    }

    fn status(self, outcome: Outcome) -> u8 {
        match outcome {
            // The status of a finding is not how it ended, but that it is new.
            _ if self.uid == DETECTION_FINDING => 1,
            Outcome::Unknown => 0,
            Outcome::Success => 1,
            Outcome::Failure => 2,
        }
    }

    /// Whether it says what a control let pass or stopped.
    const fn is_controlled(self) -> bool {
        self.uid == API_ACTIVITY
    }

    /// Puts what the class asks for, and what of the fields has a place in it.
    fn fill(self, event: &mut Object, record: &Record, fields: &mut Fields<'_>) {
        match self.uid {
            AUTHENTICATION => fill_authentication(event, fields),
            API_ACTIVITY => {
                let is_denied = matches!(record.event(), Some(EventId::Denied));
                event.put("action_id", if is_denied { 2 } else { 1 });
                fill_api_activity(event, record, fields);
            }
            DETECTION_FINDING => fill_finding(event, record, fields),
            APPLICATION_LIFECYCLE => event.put("app", product()),
            DEVICE_CONFIG_STATE_CHANGE => fill_device(event, record, fields),
            ENTITY_MANAGEMENT => fill_entity(event, fields),
            _ => {}
        }
    }
}

fn lifecycle_activity(action: Option<&str>) -> u64 {
    match action {
        Some("start") => 3,
        Some("stop") => 4,
        _ => OTHER,
    }
}

fn key_activity(action: Option<&str>) -> u64 {
    match action {
        Some("generated" | "accepted") => 1,
        Some("loaded") => 2,
        Some("rotated") => 3,
        Some("revoked" | "withdrawn") => 11,
        _ => OTHER,
    }
}

fn fill_authentication(event: &mut Object, fields: &mut Fields<'_>) {
    event.put("user", user(fields));
    event.put("service", json!({ "name": "curvelink" }));
    let mechanism = fields.text("mechanism");
    let is_cleartext = mechanism.as_deref().map(|name| name != "CURVE");
    event.put_some("is_cleartext", is_cleartext);
    event.put(
        "auth_protocol_id",
        if mechanism.is_some() { OTHER } else { 0 },
    );
    event.put_some("auth_protocol", mechanism);
    event.put("logon_type_id", 3);
    event.put_object("dst_endpoint", endpoint(fields, "endpoint"));
    event.put_object("src_endpoint", endpoint(fields, "peer"));
}

fn fill_api_activity(event: &mut Object, record: &Record, fields: &mut Fields<'_>) {
    event.put("actor", json!({ "user": user(fields) }));
    let action = fields.text("action");
    let operation = action.unwrap_or_else(|| record.name().to_owned());
    event.put(
        "api",
        json!({ "operation": operation, "service": { "name": "curvelink" } }),
    );
    event.put_object("dst_endpoint", endpoint(fields, "endpoint"));
    let mut source = endpoint(fields, "peer");
    if source.is_empty() {
        source.put("name", NOBODY);
    }
    event.put_object("src_endpoint", source);
    if let Some(topic) = fields.text("topic") {
        let mut resource = Object::default();
        resource.put("name", topic);
        resource.put("type", "topic");
        resource.put_some("uid", fields.text("digest"));
        event.put("resources", vec![serde_json::Value::from(resource)]);
    }
}

fn fill_finding(event: &mut Object, record: &Record, fields: &mut Fields<'_>) {
    let mut finding = Object::default();
    finding.put("uid", leaf_hash(record));
    finding.put("title", record.name().replace('-', " "));
    finding.put("types", json!([record.id()]));
    finding.put("first_seen_time", record.first().unix_us() / 1000);
    finding.put("last_seen_time", record.last().unix_us() / 1000);
    event.put_object("finding_info", finding);
    event.put("is_alert", true);
    let mut evidence = Object::default();
    evidence.put_object("src_endpoint", endpoint(fields, "peer"));
    evidence.put_object("dst_endpoint", endpoint(fields, "endpoint"));
    if fields.has("identity") || fields.has("key") {
        evidence.put("actor", json!({ "user": user(fields) }));
    }
    if !evidence.is_empty() {
        event.put("evidences", vec![serde_json::Value::from(evidence)]);
    }
}

fn fill_device(event: &mut Object, record: &Record, fields: &mut Fields<'_>) {
    let host = record.origin().host();
    let name = if host.is_empty() { NOBODY } else { host };
    // A server.
    event.put("device", json!({ "hostname": name, "type_id": 1 }));
    if let Some(who) = fields.text("who") {
        event.put("actor", json!({ "user": { "name": who } }));
    }
}

fn fill_entity(event: &mut Object, fields: &mut Fields<'_>) {
    let mut entity = Object::default();
    entity.put("type_id", OTHER);
    entity.put("type", "key");
    entity.put("uid", fields.text("key").unwrap_or_else(|| NOBODY.into()));
    entity.put_some("name", fields.text("identity"));
    event.put_object("entity", entity);
    event.put_some("comment", fields.text("purpose"));
}

/// What the schema asks for a name of, and nothing is known of.
const NOBODY: &str = "-";

fn user(fields: &mut Fields<'_>) -> serde_json::Value {
    let mut user = Object::default();
    user.put_some("name", fields.text("identity"));
    user.put_some("uid", fields.text("key"));
    if user.is_empty() {
        user.put("name", NOBODY);
    }
    user.into()
}

fn endpoint(fields: &mut Fields<'_>, name: &str) -> Object {
    let mut endpoint = Object::default();
    if let Some(address) = fields.address(name) {
        endpoint.put("ip", address.ip().to_string());
        endpoint.put("port", address.port());
    } else {
        endpoint.put_some("name", fields.text(name));
    }
    endpoint
}
