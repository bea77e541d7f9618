//! Numbers in their one spelling.

/// A number in decimal digits without a leading zero; no sign, no greater than `max`.
pub(crate) fn parse(text: &str, max: u64) -> Option<u64> {
    let canonical = text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9'));
    let digits = text.bytes().all(|octet| octet.is_ascii_digit());
    (canonical && digits)
        .then(|| text.parse().ok().filter(|number| *number <= max))
        .flatten()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_number_has_one_spelling() {
        let parse = |text| super::parse(text, 1_000);
        assert_eq!(parse("0"), Some(0));
        assert_eq!(parse("1000"), Some(1_000));
        for other in [
            "",
            "00",
            "01",
            "+1",
            "-1",
            " 1",
            "1 ",
            "1_0",
            "1001",
            "99999999999999999999",
            "\u{0661}",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
