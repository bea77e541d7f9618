//! The guide's commands do what it says, typed as it writes them.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use curvelink_tests::guide::blocks;
use curvelink_tests::python;
use tempfile::tempdir;

use crate::support::shell;

fn page(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide");
    let text = fs::read_to_string(folder.join(name)).expect("a page");
    // The ports of the guide may be in use here.
    let ports = (7001..7010).map(|port| format!("127.0.0.1:{port}"));
    ports.fold(text, |text, written| text.replace(&written, &free()))
}

/// An address of this host that nobody is bound to.
fn free() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

/// Whether a line of output is the one that is shown, where `…` stands for anything.
fn is_shown(line: &str, shown: &str) -> bool {
    let mut parts = shown.split('…');
    let mut rest = parts.next().and_then(|first| line.strip_prefix(first));
    for part in parts {
        rest = rest.and_then(|rest| rest.split_once(part).map(|(_, after)| after));
    }
    rest.is_some_and(|rest| rest.is_empty() || shown.ends_with('…'))
}

#[track_caller]
fn assert_shown(output: &str, shown: &str) {
    for shown in shown.lines() {
        let found = output.lines().any(|line| is_shown(line, shown));
        assert!(found, "{shown}\nis not in:\n{output}");
    }
}

/// Runs the commands of a page in order, in one folder, and looks for what it shows after each.
/// A Python program takes the place of what follows the `&` of the commands before it.
fn works_as_written(name: &str) {
    let dir = tempdir().unwrap();
    let page = page(name);
    let blocks = blocks(&page);
    let mut server = String::new();
    let (mut commands, mut expected) = (0, "");
    for (index, (language, body)) in blocks.iter().enumerate() {
        let shown = blocks.get(index + 1).filter(|(next, _)| *next == "text");
        let shown = shown.map_or("", |(_, shown)| shown);
        match *language {
            "sh" => {
                (server, _) = body
                    .split_once("&\n")
                    .map_or_else(Default::default, |(server, rest)| {
                        (format!("{server}&\n"), rest)
                    });
                expected = shown;
                assert_shown(&shell(dir.path(), &format!("set -e\n{body}")).ok(), shown);
                commands += 1;
            }
            "python" => {
                let Ok(python) = python::environment() else {
                    continue;
                };
                fs::write(dir.path().join("page.py"), body).unwrap();
                let line = format!("{server}{} page.py", python.display());
                assert_shown(&shell(dir.path(), &line).ok(), expected);
                commands += 1;
            }
            _ => {}
        }
    }
    assert!(commands > 1, "the search for commands finds them");
}

/// Runs all commands of a page in one shell, and looks for all that it shows.
fn works_together(name: &str) {
    let dir = tempdir().unwrap();
    let page = page(name);
    let of = |wanted| {
        let blocks = blocks(&page);
        let wanted = blocks.into_iter().filter(move |(it, _)| *it == wanted);
        wanted.map(|(_, body)| body).collect::<String>()
    };
    let (commands, shown) = (of("sh"), of("text"));
    assert!(commands.lines().count() > 10, "the search finds them");
    assert_shown(
        &shell(dir.path(), &format!("set -e\n{commands}")).ok(),
        &shown,
    );
}

#[test]
fn what_an_operator_sees_is_as_written() {
    works_together("operations.md");
}

#[test]
fn the_first_steps_work_as_written() {
    works_as_written("README.md");
}

#[test]
fn keys_and_policies_work_as_written() {
    works_as_written("security.md");
}

#[test]
fn output_that_is_not_shown_is_told_from_output_that_is() {
    for (line, shown) in [("a b", "a b"), ("a 17 b", "a … b"), ("a 17", "a …")] {
        assert!(is_shown(line, shown), "{shown}");
    }
    for (line, shown) in [
        ("a b c", "a b"),
        ("x a", "a"),
        ("a 17", "a … b"),
        ("a b c", "a …b"),
    ] {
        assert!(!is_shown(line, shown), "{shown}");
    }
}
