//! The guide is whole: its examples run, its pages are found, its links lead somewhere, and what it
//! names exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use curvelink_tests::guide::{PAGES, blocks};
use curvelink_tests::{api, python};

/// Pages whose commands and Python programs the tests of the program run.
const WITH_COMMANDS: &[&str] = &[
    "audit.md",
    "siem.md",
    "README.md",
    "security.md",
    "operations.md",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide")
}

fn page(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn pages() -> BTreeSet<String> {
    let files = fs::read_dir(folder()).unwrap();
    files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// A page without its blocks.
fn prose(text: &str) -> String {
    let mut inside = false;
    let outside = text.lines().filter(|line| {
        let fence = line.starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    outside.map(|line| format!("{line}\n")).collect()
}

/// Where the links of a page lead: the file, and the heading in it.
fn links(text: &str) -> Vec<(String, Option<String>)> {
    let prose = prose(text);
    let targets = prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'));
    let inside = targets.filter(|(target, _)| !target.contains("://"));
    inside
        .map(|(target, _)| match target.split_once('#') {
            None => (target.to_owned(), None),
            Some((file, heading)) => (file.to_owned(), Some(heading.to_owned())),
        })
        .collect()
}

/// The names by which the headings of a page are linked to.
fn headings(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let titles = prose.lines().filter(|line| line.starts_with('#'));
    titles
        .map(|line| {
            let kept = line
                .trim_start_matches('#')
                .trim()
                .to_lowercase()
                .replace(' ', "-");
            kept.chars()
                .filter(|c| c.is_alphanumeric() || "-_".contains(*c))
                .collect()
        })
        .collect()
}

/// What is wrong with the Rust blocks of a page.
fn unrun(text: &str) -> Option<&'static str> {
    let blocks = blocks(text);
    if blocks.iter().any(|(language, _)| language.is_empty()) {
        return Some("a block without a language would be compiled as Rust");
    }
    let mut examples = blocks
        .iter()
        .filter(|(language, _)| language.starts_with("rust"));
    if examples.clone().any(|(language, _)| *language != "rust") {
        return Some("an example is not run: mark it rust and nothing else");
    }
    if examples.all(|(_, body)| !body.contains("assert")) {
        return Some("no example runs and asserts");
    }
    None
}

#[test]
fn every_page_has_an_example_that_runs() {
    for name in pages() {
        assert!(
            PAGES.contains(&&name[..]),
            "{name} is not in the list of src/guide.rs"
        );
        assert_eq!(unrun(&page(&name)), None, "{name}");
    }
}

#[test]
fn an_example_that_does_not_run_would_be_found() {
    assert_eq!(unrun("```rust\nassert!(true);\n```\n"), None);
    for bad in [
        "",
        "```rust\nlet x = 1;\n```\n",
        "```sh\nassert\n```\n",
        "```rust,ignore\nassert!(true);\n```\n",
        "```rust\nassert!(true);\n```\n```rust,no_run\nassert!(true);\n```\n",
        "```rust\nassert!(true);\n```\n```\ntext\n```\n",
    ] {
        assert!(unrun(bad).is_some(), "{bad}");
    }
}

#[test]
fn every_page_is_linked_from_the_first() {
    let linked: BTreeSet<String> = links(&page("README.md"))
        .into_iter()
        .map(|link| link.0)
        .collect();
    for name in pages() {
        assert!(
            name == "README.md" || linked.contains(&name),
            "{name} is not linked from README.md"
        );
    }
}

#[test]
fn every_link_leads_somewhere() {
    let mut seen = 0;
    for name in pages() {
        let text = page(&name);
        for (file, heading) in links(&text) {
            let target = match &file[..] {
                "" => text.clone(),
                file => fs::read_to_string(folder().join(file))
                    .unwrap_or_else(|error| panic!("{name} links to {file}: {error}")),
            };
            if let Some(heading) = heading {
                assert!(
                    headings(&target).contains(&heading),
                    "{name} links to {file}#{heading}, which is not there"
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 10, "the search for links finds them: {seen}");
}

#[test]
fn links_and_headings_are_read_as_they_are_shown() {
    let text = "# Am I *connected*?\nsee [a](b.md), [c](d.md#e-f) and [g](https://h.i)\n```sh\n# no\n[j](k)\n```\n";
    assert_eq!(
        links(text),
        [
            ("b.md".into(), None),
            ("d.md".into(), Some("e-f".to_owned()))
        ]
    );
    assert_eq!(headings(text), BTreeSet::from(["am-i-connected".into()]));
}

/// The texts between backticks in the cells of a page that speak of curvelink: in a table with a
/// column of that name only those of this column, elsewhere all.
fn spoken_of(text: &str, column: &str) -> Vec<String> {
    let mut only = None;
    let mut found = Vec::new();
    for line in prose(text).lines() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split(" | ").collect();
        if !line.starts_with('|') {
            only = None;
        } else if let Some(index) = cells.iter().position(|cell| cell.trim() == column) {
            only = Some(index);
        }
        let spoken = match only {
            None => line,
            Some(index) => cells.get(index).copied().unwrap_or_default(),
        };
        found.extend(spoken.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    found
}

#[test]
fn every_name_in_the_guide_is_public() {
    let names = api::names();
    let mut seen = 0;
    for name in pages() {
        for code in spoken_of(&page(&name), "curvelink") {
            let Some((owner, member)) = code.split_once("::") else {
                continue;
            };
            if owner.starts_with(|c: char| c.is_ascii_uppercase()) {
                assert!(
                    names.contains(&format!("{owner}::{member}")),
                    "{name} speaks of {code}, which is not there"
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "the search for names finds them: {seen}");
}

/// Whether a text between backticks is a name of Rust's and nothing else: `send_hwm`, `peers()`.
fn is_member(code: &str) -> bool {
    let name = code.split('(').next().unwrap_or_default();
    let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.contains('_') && name.chars().all(snake) && (name == code || code.ends_with(')'))
}

#[test]
fn every_option_and_method_in_the_guide_is_public() {
    let names = api::names();
    let members: BTreeSet<&str> = names
        .iter()
        .filter_map(|name| Some(name.split_once("::")?.1))
        .collect();
    let mut seen = 0;
    for name in pages() {
        for code in spoken_of(&page(&name), "curvelink") {
            let member = code.split('(').next().unwrap_or_default();
            if is_member(&code) && !code.starts_with("zmq_") {
                assert!(
                    members.contains(member),
                    "{name} speaks of {code}, which is not there"
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "the search for names finds them: {seen}");
}

#[test]
fn a_name_of_ours_is_told_from_other_texts() {
    for member in ["send_hwm", "dropped_by()", "router_mandatory(true)"] {
        assert!(is_member(member), "{member}");
    }
    for other in [
        "send",
        "SendError",
        "socket.send_x()",
        "tcp://a_b",
        "a_b c",
        "ZMQ_FD",
    ] {
        assert!(!is_member(other), "{other}");
    }
}

#[test]
fn every_alias_of_the_api_has_a_row() {
    let options = fs::read_to_string(folder().join("../options.md")).unwrap();
    let rows = page("coming-from.md") + &options;
    let aliases = api::aliases();
    assert!(aliases.len() > 40, "{aliases:?}");
    for (alias, name) in aliases {
        let option = alias.trim_start_matches("ZMQ_");
        let row = rows.lines().find(|row| {
            (row.contains(&format!("`{alias}`")) || row.contains(&format!("| `{option}` |")))
                && (row.contains(&format!("::{name}`")) || row.contains(&format!("`{name}")))
        });
        let missing = "no row of coming-from.md or options.md";
        assert!(row.is_some(), "{missing} has {alias} and {name}");
    }
}

#[test]
fn only_the_column_of_that_name_is_looked_at() {
    let text = "`A::b`\n\n| x | curvelink |\n|---|---|\n| `C::d` | `E::f`, `g` |\n\n| y |\n|---|\n| `H::i` |\n";
    assert_eq!(spoken_of(text, "curvelink"), ["A::b", "E::f", "g", "H::i"]);
}

/// Looks each name of pyzmq's up that stands in an expression.
const LOOK_UP: &str = "\
import ast, sys, zmq, zmq.auth, zmq.utils.z85
known = {'zmq': zmq, 'context': zmq.Context, 'socket': zmq.Socket, 'frame': zmq.Frame, 'poller': zmq.Poller}
def resolve(node):
    if isinstance(node, ast.Attribute):
        owner = resolve(node.value)
        return None if owner is None else getattr(owner, node.attr)
    return known.get(node.id) if isinstance(node, ast.Name) else None
for line in sys.argv[1:]:
    for node in ast.walk(ast.parse(line)):
        if isinstance(node, ast.Attribute):
            resolve(node)
print(len(sys.argv) - 1)
";

fn run_python(program: &str, arguments: &[String]) -> Option<String> {
    let python = python::environment().ok()?;
    let output = Command::new(python)
        .args(["-c", program])
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn what_the_guide_says_of_pyzmq_is_there() {
    let names: Vec<String> = spoken_of(&page("coming-from.md"), "pyzmq")
        .into_iter()
        .filter(|code| !code.contains("::") && code.contains('.'))
        .filter(|code| !code.ends_with(".md") && !code.contains(['/', ' ']) || code.contains('('))
        .collect();
    assert!(names.len() > 20, "{names:?}");
    if let Some(answer) = run_python(LOOK_UP, &names) {
        assert_eq!(answer.trim(), names.len().to_string());
    }
}

#[test]
fn python_programs_run_as_written() {
    let mut run = 0;
    for name in pages() {
        let text = page(&name);
        for (language, program) in blocks(&text) {
            assert!(
                language != "sh" || WITH_COMMANDS.contains(&&name[..]),
                "nobody runs the commands of {name}"
            );
            if language == "python" && !WITH_COMMANDS.contains(&&name[..]) {
                run_python(&program, &[]);
                run += 1;
            }
        }
    }
    assert!(run > 0, "the search for programs finds them");
}
