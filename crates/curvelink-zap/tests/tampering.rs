//! A file that another user could change, swap or read decides nothing.
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use curvelink_zap::{Policy, PolicyError, Problem};
use tempfile::TempDir;

const TEXT: &str = "version = 1\n[identities.peer]\n\
                    curve = [\"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\"]\n";
const WITH_HASH: &str = "version = 1\n[identities.peer]\nplain = [{ username = \"u\", password_hash = \
     \"$argon2id$v=19$m=8192,t=1,p=1$c2FsdC1vZi1zaWVtLTAwMA$6DmxWyjUPI0v/bswyANTNndgFJw3HQx6m7D5PANveLA\" }]\n";

/// A directory of ours, with a directory `etc` in it, with a policy file in that.
fn etc() -> (TempDir, PathBuf, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("etc");
    fs::create_dir(&directory).unwrap();
    set_mode(&directory, 0o755);
    let file = directory.join("zap.toml");
    write(&file, TEXT);
    (root, directory, file)
}

fn write(file: &Path, text: impl AsRef<[u8]>) {
    fs::write(file, text).unwrap();
    set_mode(file, 0o644);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn refusal(path: &Path) -> PolicyError {
    let error = Policy::from_file(path).unwrap_err();
    assert!(!error.to_string().contains('\n'), "{error}");
    error
}

/// Gives a path to another user, where the test may.
fn give_away(path: &Path) -> bool {
    let given = std::os::unix::fs::lchown(path, Some(4_242), None).is_ok();
    if !given {
        println!("SKIPPED: only root can give a file to another user");
    }
    given
}

#[test]
fn a_file_that_only_its_owner_can_change_is_read() {
    let (_root, directory, file) = etc();
    for mode in [0o400, 0o600, 0o644, 0o755] {
        set_mode(&file, mode);
        let policy = Policy::from_file(&file).unwrap();
        assert_eq!(policy.file(), file.display().to_string());
    }
    set_mode(&directory, 0o1777);
    Policy::from_file(&file).unwrap();
}

#[test]
fn l2_a_file_writable_by_group_or_others_is_refused() {
    let (_root, _, file) = etc();
    for mode in [0o664, 0o646, 0o666, 0o622, 0o777] {
        set_mode(&file, mode);
        let error = refusal(&file);
        assert!(
            matches!(error.problem(), Problem::Writable("the file")),
            "{mode:o} {error}"
        );
        assert!(error.to_string().contains("chmod go-w"));
    }
}

#[test]
fn l2_a_directory_writable_by_group_or_others_is_refused() {
    let (_root, directory, file) = etc();
    for mode in [0o775, 0o757, 0o777] {
        set_mode(&directory, mode);
        let error = refusal(&file);
        assert!(
            matches!(error.problem(), Problem::Writable("its directory")),
            "{mode:o} {error}"
        );
    }
}

#[test]
fn l2_a_directory_above_writable_by_others_is_refused() {
    let (root, _, file) = etc();
    set_mode(root.path(), 0o777);
    let error = refusal(&file);
    assert!(
        matches!(error.problem(), Problem::Writable("a directory above it")),
        "{error}"
    );
    set_mode(root.path(), 0o770);
    Policy::from_file(&file).unwrap();
}

#[test]
fn l2_a_file_of_another_user_is_refused() {
    let (_root, _, file) = etc();
    if give_away(&file) {
        assert!(matches!(
            refusal(&file).problem(),
            Problem::Owner("the file")
        ));
    }
}

#[test]
fn l2_a_directory_of_another_user_is_refused() {
    let (root, directory, file) = etc();
    if give_away(&directory) {
        assert!(matches!(
            refusal(&file).problem(),
            Problem::Owner("its directory")
        ));
        chown(&directory, Some(0), None).unwrap();
        assert!(give_away(root.path()));
        assert!(matches!(
            refusal(&file).problem(),
            Problem::Owner("a directory above it")
        ));
    }
}

#[test]
fn l2_a_link_is_followed_only_where_both_ends_are_ours() {
    let (root, directory, file) = etc();
    let other = root.path().join("other");
    fs::create_dir(&other).unwrap();
    let link = other.join("zap.toml");
    symlink(&file, &link).unwrap();
    set_mode(&other, 0o755);
    Policy::from_file(&link).unwrap();

    set_mode(&other, 0o777);
    assert!(matches!(
        refusal(&link).problem(),
        Problem::Writable("its directory")
    ));
    set_mode(&other, 0o755);

    set_mode(&directory, 0o777);
    assert!(matches!(
        refusal(&link).problem(),
        Problem::Writable("its directory")
    ));
    set_mode(&directory, 0o755);

    set_mode(&file, 0o666);
    assert!(matches!(
        refusal(&link).problem(),
        Problem::Writable("the file")
    ));
    set_mode(&file, 0o644);

    if give_away(&link) {
        assert!(matches!(
            refusal(&link).problem(),
            Problem::Owner("the file")
        ));
    }
}

#[test]
fn l2_a_linked_directory_counts_with_both_its_ends() {
    let (root, directory, _) = etc();
    let link = root.path().join("link");
    symlink(&directory, &link).unwrap();
    let file = link.join("zap.toml");
    Policy::from_file(&file).unwrap();
    if give_away(&link) {
        assert!(matches!(
            refusal(&file).problem(),
            Problem::Owner("its directory")
        ));
    }
}

#[test]
fn l2_what_is_not_a_regular_file_is_refused_without_waiting() {
    let (root, directory, _) = etc();
    let socket = root.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let mut paths = vec![directory, socket, PathBuf::from("/dev/null")];
    let pipe = root.path().join("pipe");
    if std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .is_ok_and(|done| done.success())
    {
        paths.push(pipe);
    }
    for path in paths {
        assert!(
            matches!(refusal(&path).problem(), Problem::NotRegular),
            "{}",
            path.display()
        );
    }
}

#[test]
fn l2_password_hashes_are_read_only_from_a_file_that_others_cannot_read() {
    let (_root, _, file) = etc();
    write(&file, WITH_HASH);
    for mode in [0o644, 0o640, 0o604, 0o610, 0o601] {
        set_mode(&file, mode);
        let error = refusal(&file);
        assert!(
            matches!(error.problem(), Problem::Readable),
            "{mode:o} {error}"
        );
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    for mode in [0o600, 0o400] {
        set_mode(&file, mode);
        let policy = Policy::from_file(&file).unwrap();
        assert!(!format!("{policy:?}").contains("argon2id"));
    }
}

#[test]
fn what_is_no_text_or_too_large_or_missing_is_refused() {
    let (root, _, file) = etc();
    write(&file, [TEXT.as_bytes(), b"# \xff\n"].concat());
    let error = refusal(&file);
    assert!(matches!(error.problem(), Problem::NotUtf8), "{error}");
    assert_eq!(error.line(), Some(4));

    write(
        &file,
        format!("{TEXT}#{}", " ".repeat((1 << 20) - TEXT.len() - 1)),
    );
    Policy::from_file(&file).unwrap();
    write(
        &file,
        format!("{TEXT}#{}", " ".repeat((1 << 20) - TEXT.len())),
    );
    assert!(matches!(refusal(&file).problem(), Problem::TooLarge));

    let error = refusal(&root.path().join("none.toml"));
    assert!(error.to_string().ends_with("(os error 2)"), "{error}");
}

#[test]
fn a_mistake_in_a_file_is_told_with_its_name_and_line() {
    let (_root, _, file) = etc();
    write(&file, TEXT.replace("curve", "curwe"));
    let error = refusal(&file);
    assert_eq!(
        (error.file(), error.line()),
        (&*file.display().to_string(), Some(3))
    );
    assert!(matches!(error.problem(), Problem::Toml(_)), "{error}");
}
