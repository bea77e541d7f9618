//! The endpoints of one run: `tcp`, `tcp2`, `ipc`, `abstract` and `inproc` stand for fresh ones.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

/// Names and what they stand for.
#[derive(Debug)]
pub(super) struct Endpoints {
    folder: TempDir,
    known: BTreeMap<String, String>,
}

impl Endpoints {
    /// None yet.
    ///
    /// # Panics
    /// Without a place for temporary files.
    #[must_use]
    pub(super) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            known: BTreeMap::new(),
        }
    }

    /// The endpoint that is written so. In any other text, `{tcp}` is the port of that endpoint and
    /// `{folder}` a folder of this run's.
    pub(super) fn resolve(&mut self, text: &str) -> String {
        let transport = text.trim_end_matches(|c: char| c.is_ascii_digit());
        if ["tcp", "ipc", "abstract", "inproc"].contains(&transport) {
            return self.fresh(text, transport);
        }
        let folder = self.folder.path().display().to_string();
        let mut resolved = text.replace("{folder}", &folder);
        while let Some((before, rest)) = resolved.split_once('{')
            && let Some((name, after)) = rest.split_once('}')
            && name.starts_with("tcp")
        {
            let endpoint = self.fresh(name, "tcp");
            let port = endpoint.rsplit(':').next().unwrap_or_default();
            resolved = format!("{before}{port}{after}");
        }
        resolved
    }

    fn fresh(&mut self, name: &str, transport: &str) -> String {
        let path = self.folder.path().join(name);
        let path = path.display();
        let make = || match transport {
            "tcp" => format!("tcp://127.0.0.1:{}", free_port()),
            "abstract" => format!("ipc://@{path}"),
            _ => format!("{transport}://{path}"),
        };
        self.known
            .entry(name.to_owned())
            .or_insert_with(make)
            .clone()
    }

    /// An answer with the names in place of what they stand for, and without the ports that the
    /// system chose.
    #[must_use]
    pub(super) fn hide(&self, text: &str) -> String {
        let known = self.known.iter().find(|(_, endpoint)| *endpoint == text);
        if let Some((name, _)) = known {
            return name.clone();
        }
        let folder = self.folder.path().display().to_string();
        let text = text.replace(&folder, "{folder}");
        match text.rsplit_once(':') {
            Some((host, port))
                if host.starts_with("tcp://") && port.parse::<u16>().is_ok_and(|port| port > 0) =>
            {
                let same = format!(":{port}");
                let known = self.known.iter().find(|(_, e)| e.ends_with(&same));
                let name = known.map_or("PORT", |(name, _)| name);
                format!("{host}:{{{name}}}")
            }
            _ => text,
        }
    }
}

impl Default for Endpoints {
    fn default() -> Self {
        Self::new()
    }
}

/// A port that nobody has. It lies below those that the system gives to connections, so that it
/// stays free until it is bound.
///
/// Nobody answers there. To bind it and let it go would do less: a process that is started in
/// between has the listener for as long as it takes to become another program.
fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = std::process::id() as u16;
    loop {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + process.wrapping_mul(97).wrapping_add(next) % COUNT;
        if TcpStream::connect(("127.0.0.1", port)).is_err() {
            return port;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_endpoint_and_is_hidden_again() {
        let mut endpoints = Endpoints::new();
        let first = endpoints.resolve("tcp");
        assert_eq!(endpoints.resolve("tcp"), first);
        assert_ne!(endpoints.resolve("tcp2"), first);
        assert_eq!(endpoints.hide(&first), "tcp");
        let localhost = endpoints.resolve("tcp://localhost:{tcp}");
        assert_eq!(endpoints.hide(&localhost), "tcp://localhost:{tcp}");
        assert_eq!(endpoints.hide("tcp://[::1]:4711"), "tcp://[::1]:{PORT}");
        assert_eq!(endpoints.hide("tcp://*:0"), "tcp://*:0");
        let ipc = endpoints.resolve("ipc://{folder}/x");
        assert_eq!(endpoints.hide(&ipc), "ipc://{folder}/x");
    }
}
