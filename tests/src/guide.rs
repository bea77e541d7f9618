//! The guide's examples, as tests: every Rust block of its pages is compiled and run.

macro_rules! pages {
    ($($name:ident = $file:literal,)*) => {
        /// The pages whose examples run; `tests/guide.rs` checks that none is left out.
        pub const PAGES: &[&str] = &[$($file),*];

        $(
            #[cfg(doctest)]
            #[doc = include_str!(concat!("../../docs/guide/", $file))]
            mod $name {}
        )*
    };
}

pages! {
    readme = "README.md",
    push_pull = "push-pull.md",
    pub_sub = "pub-sub.md",
    xpub_xsub = "xpub-xsub.md",
    req_rep = "req-rep.md",
    dealer_router = "dealer-router.md",
    pair = "pair.md",
    stream = "stream.md",
    security = "security.md",
    operations = "operations.md",
    links = "links.md",
    endpoints = "endpoints.md",
    around = "around.md",
    siem = "siem.md",
    audit = "audit.md",
    questions = "questions.md",
    coming_from = "coming-from.md",
}

/// The fenced blocks of a page in order: what stands behind the fence, and the text.
#[must_use]
pub fn blocks(page: &str) -> Vec<(&str, String)> {
    let mut lines = page.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let body = lines.by_ref().take_while(|line| *line != "```");
            found.push((language, body.map(|line| format!("{line}\n")).collect()));
        }
    }
    found
}
