//! `curvelink key`, the help, and what keeps secrets where they belong.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use curvelink_tests::python;
use tempfile::tempdir;

use crate::support::{curvelink, curvelink_with, shell};

fn mode(path: &Path) -> u32 {
    fs::metadata(path)
        .expect("the file is there")
        .permissions()
        .mode()
        & 0o777
}

#[test]
fn keys_flow_through_pipes_as_with_wg() {
    let dir = tempdir().unwrap();
    let z85 = shell(dir.path(), "curvelink key gen | tee k | curvelink key pub").ok();
    assert_eq!(z85.trim_end().len(), 40);
    assert!(
        fs::read_to_string(dir.path().join("k"))
            .unwrap()
            .contains(z85.trim_end())
    );
    let pem = shell(dir.path(), "curvelink key gen --sign | curvelink key pub").ok();
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----"), "{pem}");
}

#[test]
fn t20_a_secret_file_is_its_owners_alone_under_any_umask() {
    let dir = tempdir().unwrap();
    for umask in ["000", "022", "077"] {
        let line = format!(
            "umask {umask}; curvelink key gen --out o{umask} && curvelink key gen > r{umask}"
        );
        shell(dir.path(), &line).ok();
        assert_eq!(
            mode(&dir.path().join(format!("o{umask}"))),
            0o600,
            "--out, {umask}"
        );
        assert_eq!(
            mode(&dir.path().join(format!("r{umask}"))),
            0o600,
            "redirected, {umask}"
        );
    }
}

#[test]
fn t20_an_existing_file_or_symlink_is_never_written_through() {
    let dir = tempdir().unwrap();
    let (file, link) = (dir.path().join("file"), dir.path().join("link"));
    fs::write(&file, "precious").unwrap();
    symlink(dir.path().join("elsewhere"), &link).unwrap();
    for target in ["file", "link"] {
        for kind in ["", "--sign"] {
            let line = curvelink(dir.path(), format!("key gen {kind} --out {target}")).fails(1);
            assert!(line.contains("exists"), "{line}");
        }
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert!(!dir.path().join("elsewhere").exists());
}

#[test]
fn t20_a_secret_that_others_can_read_is_refused_and_a_public_key_is_not() {
    let dir = tempdir().unwrap();
    curvelink(dir.path(), "key gen --out k").ok();
    curvelink(dir.path(), "key convert k --public --to czmq --out p").ok();
    for bits in [0o640, 0o604, 0o620] {
        fs::set_permissions(dir.path().join("k"), fs::Permissions::from_mode(bits)).unwrap();
        let line = curvelink(dir.path(), "key show k").fails(1);
        assert!(line.contains("chmod 600 k"), "{line}");
    }
    fs::set_permissions(dir.path().join("k"), fs::Permissions::from_mode(0o400)).unwrap();
    curvelink(dir.path(), "key show k").ok();
    fs::set_permissions(dir.path().join("p"), fs::Permissions::from_mode(0o666)).unwrap();
    curvelink(dir.path(), "key show p").ok();
}

#[test]
fn t20_a_secret_is_shown_by_no_command_that_is_not_asked_to_write_it() {
    let dir = tempdir().unwrap();
    curvelink(dir.path(), "key gen --out k").ok();
    let z85 = curvelink(dir.path(), "key convert k --to z85").ok();
    let hex = curvelink(dir.path(), "key convert k --to hex").ok();
    let (z85, hex) = (z85.trim_end(), hex.trim_end());
    for args in [
        "key show k",
        "key show k --json",
        "key pub k",
        "key pub k --json",
        "key convert k --public --to czmq",
        "key convert k --public --to pem",
    ] {
        let out = curvelink(dir.path(), args).ok();
        assert!(!out.contains(z85) && !out.contains(hex), "{args:?}");
    }
}

#[test]
fn t20_a_key_on_the_command_line_is_refused_and_not_repeated() {
    let dir = tempdir().unwrap();
    let z85 = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6";
    for args in ["key show", "key pub", "key pub k"] {
        let line = curvelink(dir.path(), format!("{args} {z85}")).fails(1);
        assert!(
            line.contains("command line") && !line.contains(z85),
            "{line}"
        );
    }
}

#[test]
fn a_key_is_read_from_standard_input_variables_descriptors_and_files() {
    let dir = tempdir().unwrap();
    let public = curvelink(dir.path(), "key gen --out k").ok();
    for line in [
        "curvelink key pub < k",
        "curvelink key pub - < k",
        "curvelink key pub k",
        "curvelink key pub file:k",
        "curvelink key pub fd:9 9< k",
        "HUB=$(cat k) curvelink key pub env:HUB",
    ] {
        assert_eq!(shell(dir.path(), line).ok(), public, "{line}");
    }
    curvelink(dir.path(), "key pub env:NOT_SET_ANYWHERE").fails(1);
    curvelink(dir.path(), "key pub fd:99").fails(1);
}

#[test]
fn every_form_leads_back_to_the_same_key() {
    let dir = tempdir().unwrap();
    let public = curvelink(dir.path(), "key gen --out k").ok();
    for (form, bare) in [
        ("czmq", ""),
        ("pem", ""),
        ("z85", "--secret"),
        ("hex", "--secret"),
    ] {
        let line = format!(
            "curvelink key convert k --to {form} | curvelink key convert - {bare} --to czmq \
             | curvelink key pub"
        );
        assert_eq!(shell(dir.path(), &line).ok(), public, "{form}");
    }
    curvelink_with(dir.path(), "key show", &public).fails(1);
    let shown = curvelink_with(dir.path(), "key show --public --json", &public).json();
    assert_eq!(shown["z85"], public.trim_end());
    assert_eq!(shown["secret"], false);
}

#[test]
fn openssl_reads_both_kinds_of_key() {
    let dir = tempdir().unwrap();
    for (sign, name) in [("", "X25519"), ("--sign", "ED25519")] {
        let line = format!(
            "curvelink key gen {sign} --out k{name} >&2 && \
             curvelink key convert k{name} --to pem | openssl pkey -noout -text && \
             curvelink key convert k{name} --public --to pem > want && \
             curvelink key convert k{name} --to pem | openssl pkey -pubout | cmp - want"
        );
        assert!(shell(dir.path(), &line).ok().contains(name), "{name}");
    }
}

#[test]
fn openssl_keys_are_read() {
    let dir = tempdir().unwrap();
    for (kind, word) in [("x25519", "CURVE"), ("ed25519", "Ed25519")] {
        let line =
            format!("umask 077; openssl genpkey -algorithm {kind} -out k; curvelink key show k");
        assert!(shell(dir.path(), &line).ok().contains(word), "{kind}");
        let line = "curvelink key convert k --public --to pem > ours; openssl pkey -in k -pubout | cmp - ours";
        shell(dir.path(), line).ok();
    }
    shell(
        dir.path(),
        "umask 077; openssl genpkey -algorithm ec -pkeyopt group:P-256 -out ec",
    )
    .ok();
    curvelink(dir.path(), "key show ec").fails(1);
}

#[test]
fn pyzmq_reads_our_certificates_and_we_read_those_of_pyzmq() {
    let Ok(python) = python::environment() else {
        return;
    };
    let dir = tempdir().unwrap();
    curvelink(dir.path(), "key gen --out ours.key_secret").ok();
    curvelink(
        dir.path(),
        "key convert ours.key_secret --public --to czmq --out ours.key",
    )
    .ok();
    let script = "\
import zmq, zmq.auth
public, secret = zmq.auth.load_certificate('ours.key_secret')
assert zmq.curve_public(secret) == public
assert zmq.auth.load_certificate('ours.key') == (public, None)
assert zmq.auth.load_certificates('.') == {public: True}
zmq.auth.create_certificates('.', 'theirs')
print(zmq.auth.load_certificate('theirs.key')[0].decode())
";
    let output = Command::new(python)
        .args(["-c", script])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let theirs = String::from_utf8(output.stdout).unwrap();
    shell(dir.path(), "chmod 600 theirs.key_secret").ok();
    for file in ["theirs.key", "theirs.key_secret"] {
        assert_eq!(
            curvelink(dir.path(), ["key", "pub", file]).ok(),
            theirs,
            "{file}"
        );
    }
}

#[test]
fn help_completions_and_man_pages_are_made() {
    let dir = tempdir().unwrap();
    assert!(curvelink(dir.path(), "--help").ok().contains("Exit codes:"));
    for name in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(
            curvelink(dir.path(), ["completions", name])
                .ok()
                .contains("curvelink"),
            "{name}"
        );
    }
    curvelink(dir.path(), "man man1").ok();
    let page = fs::read_to_string(dir.path().join("man1/curvelink-key-gen.1")).unwrap();
    assert!(page.contains("Ed25519"));
    assert!(curvelink(dir.path(), "man").ok().contains(".TH curvelink"));
}

#[test]
fn usage_errors_end_with_1_in_one_line() {
    let dir = tempdir().unwrap();
    for args in ["nonsense", "key convert", "key gen --to x"] {
        curvelink(dir.path(), args).fails(1);
    }
    let bare = curvelink(dir.path(), "key");
    assert_eq!(bare.code, 1, "{}", bare.err);
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let dir = tempdir().unwrap();
    let line = "curvelink completions bash 2> err | head -1 > /dev/null; cat err";
    assert_eq!(shell(dir.path(), line).ok(), "");
}

#[test]
fn the_demo_keys_are_the_published_test_keys_and_fit_together() {
    let dir = tempdir().unwrap();
    let certs = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../certs"));
    let published = [
        (
            "server.key_secret",
            "server.key",
            "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7",
        ),
        (
            "client.key_secret",
            "client.key",
            "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
        ),
        (
            "signer.secret.pem",
            "signer.pem",
            "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        ),
    ];
    for (secret, public, text) in published {
        let copy = dir.path().join(secret);
        fs::copy(certs.join(secret), &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).unwrap();
        for file in [copy, certs.join(public)] {
            let shown = curvelink(dir.path(), format!("key pub {}", file.display())).ok();
            assert!(shown.contains(text), "{shown}");
        }
    }
    let files = fs::read_dir(certs).unwrap().count();
    assert_eq!(
        files,
        2 * published.len() + 1,
        "an unlisted file among the demo keys"
    );
}
