//! The command line.

use std::time::Duration;

use anyhow::{Context, bail};
use curvelink::CurveBackend;

/// What was asked for, defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Args {
    pub(crate) command: String,
    pub(crate) endpoint: String,
    pub(crate) size: usize,
    pub(crate) count: u64,
    pub(crate) warmup: u64,
    pub(crate) connections: usize,
    pub(crate) subscribers: usize,
    pub(crate) hwm: Option<usize>,
    pub(crate) idle: Duration,
    pub(crate) curve: bool,
    pub(crate) stay: bool,
    pub(crate) backend: CurveBackend,
    pub(crate) blocking: bool,
}

impl Args {
    /// Reads words as a shell gives them, the program's name left out, and the environment.
    pub(crate) fn parse(
        words: impl IntoIterator<Item = String>,
        env: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let mut words = words.into_iter();
        let command = words.next().context("a command is missing: thr-recv, …")?;
        let mut args = Self::defaults(command, env)?;
        let mut warmup = None;
        while let Some(name) = words.next() {
            let mut value = || words.next().with_context(|| format!("{name}: no value"));
            match &*name {
                "--curve" => args.curve = true,
                "--stay" => args.stay = true,
                "--endpoint" => args.endpoint = value()?,
                "--size" => args.size = number(&name, &value()?)?,
                "--count" => args.count = number(&name, &value()?)?,
                "--warmup" => warmup = Some(number(&name, &value()?)?),
                "--n" => args.connections = number(&name, &value()?)?,
                "--subs" => args.subscribers = number(&name, &value()?)?,
                "--hwm" => args.hwm = Some(number(&name, &value()?)?),
                "--idle-ms" => args.idle = Duration::from_millis(number(&name, &value()?)?),
                _ => bail!("{name}: no such option"),
            }
        }
        args.warmup = warmup.unwrap_or_else(|| (args.count / 10).clamp(100, 5000));
        Ok(args)
    }

    fn defaults(command: String, env: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let throughput = command.contains("thr");
        let hwm = env("CURVELINK_THR_HWM").filter(|_| throughput);
        let blocking = match env("CURVELINK_FACE").as_deref() {
            Some("blocking") => true,
            None | Some("async") => false,
            Some(_) => bail!("CURVELINK_FACE: async or blocking"),
        };
        let backend = env("CURVELINK_BACKEND").map(|name| name.parse());
        let backend = backend.transpose().context("CURVELINK_BACKEND")?;
        Ok(Self {
            command,
            endpoint: "inproc://bench".to_owned(),
            size: 64,
            count: 0,
            warmup: 0,
            connections: 0,
            subscribers: 1,
            hwm: hwm
                .map(|hwm| number("CURVELINK_THR_HWM", &hwm))
                .transpose()?,
            idle: Duration::from_secs(4),
            curve: false,
            stay: false,
            backend: backend.unwrap_or_default(),
            blocking,
        })
    }

    /// Whether both ends are in this process.
    pub(crate) fn in_process(&self) -> bool {
        self.endpoint.starts_with("inproc:")
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> anyhow::Result<T> {
    value
        .parse()
        .ok()
        .with_context(|| format!("{name}: not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str, env: &[(&str, &str)]) -> Result<Args, String> {
        let words = line.split_whitespace().map(str::to_owned);
        let find = |name: &str| {
            let found = env.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Args::parse(words, find).map_err(|error| error.to_string())
    }

    #[test]
    fn every_option_is_read() {
        let line = "sub --endpoint tcp://h:1 --size 2 --count 3 --warmup 4 --n 5 --subs 6 --hwm 7 \
                    --idle-ms 8 --curve --stay";
        let env = [
            ("CURVELINK_FACE", "blocking"),
            ("CURVELINK_BACKEND", "rustcrypto"),
        ];
        let args = parse(line, &env).unwrap();
        let numbers = (args.size, args.count, args.warmup, args.connections);
        assert_eq!(numbers, (2, 3, 4, 5));
        assert_eq!((args.subscribers, args.hwm), (6, Some(7)));
        assert_eq!(args.idle, Duration::from_millis(8));
        assert_eq!(args.endpoint, "tcp://h:1");
        assert!(args.curve && args.stay && args.blocking);
        assert_eq!(args.backend, CurveBackend::RustCrypto);
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let args = parse("thr-recv --count 20000", &[]).unwrap();
        assert_eq!((args.size, args.warmup, args.hwm), (64, 2000, None));
        assert!(!args.curve && !args.stay && !args.blocking && args.in_process());
        assert_eq!(args.backend, CurveBackend::default());
        assert_eq!(parse("lat-req --count 1", &[]).unwrap().warmup, 100);
    }

    #[test]
    fn the_environment_sets_the_mark_of_throughput_alone() {
        let env = [("CURVELINK_THR_HWM", "9")];
        let hwm = |line| parse(line, &env).unwrap().hwm;
        assert_eq!(hwm("thr-send"), Some(9));
        assert_eq!(hwm("inproc-thr --hwm 10"), Some(10));
        assert_eq!(hwm("sub"), None);
    }

    #[test]
    fn what_cannot_be_meant_is_an_error() {
        let cases = [
            ("", "a command is missing: thr-recv, …"),
            ("sub --sise 1", "--sise: no such option"),
            ("sub --size", "--size: no value"),
            ("sub --size -1", "--size: not a number"),
        ];
        for (line, error) in cases {
            assert_eq!(parse(line, &[]).unwrap_err(), error);
        }
        assert!(parse("sub", &[("CURVELINK_FACE", "both")]).is_err());
        assert!(parse("sub", &[("CURVELINK_BACKEND", "other")]).is_err());
        assert!(parse("thr-send", &[("CURVELINK_THR_HWM", "x")]).is_err());
    }
}
