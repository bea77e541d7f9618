//! The catalogue of events and its page say the same.

use std::fs;

use curvelink::EventId;
use curvelink_tests::proofs::root;

/// The rows of the page's table as the code would have them.
fn rows() -> Vec<String> {
    let row = |id: &EventId| {
        let fields: Vec<String> = id.fields().iter().map(|name| format!("`{name}`")).collect();
        format!(
            "| {} | `{}` | {} | {} | {} | {} |",
            id.code(),
            id.name(),
            id.severity(),
            if id.is_default() { "yes" } else { "no" },
            id.telling(),
            fields.join(" ")
        )
    };
    EventId::ALL.iter().map(row).collect()
}

#[test]
fn the_page_lists_the_events_that_the_code_has_and_no_others() {
    let page = fs::read_to_string(root().join("docs/events.md")).unwrap();
    let listed: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| CL"))
        .collect();
    let rows = rows();
    assert_eq!(
        listed,
        rows,
        "docs/events.md should say\n{}",
        rows.join("\n")
    );
}

#[test]
fn the_page_says_of_each_event_what_it_is() {
    let page = fs::read_to_string(root().join("docs/events.md")).unwrap();
    for id in EventId::ALL {
        let heading = format!("* **{}**", id.code());
        let said = page.lines().filter(|line| line.starts_with(&heading));
        assert_eq!(said.count(), 1, "{id}");
    }
}
