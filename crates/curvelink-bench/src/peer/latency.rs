//! REQ and REP: how long a round trip takes.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use curvelink::{Rep, Req};
use serde::Serialize;

use crate::args::Args;
use crate::exit::{Exit, check_length, leave, leave_with, say, stalled};
use crate::face::Face;
use crate::machine::{cpu_seconds, wait_for_end};
use crate::socket::{Socket, of_binder, of_dialler, payload};
use crate::watch::watch;

pub(crate) async fn rep(face: &Face, args: &Args) -> anyhow::Result<Infallible> {
    let rep = face.socket::<Rep>(of_binder(args)?);
    rep.bind(&args.endpoint)?;
    thread::spawn(|| {
        wait_for_end();
        leave(Exit::Done);
    });
    say("READY");
    echo(&rep).await
}

pub(crate) async fn req(face: &Face, args: &Args) -> anyhow::Result<Infallible> {
    let req = face.socket::<Req>(of_dialler(args)?);
    req.connect(&args.endpoint)?;
    time(&req, args).await
}

pub(crate) async fn in_process(face: &Face, args: &Args) -> anyhow::Result<Infallible> {
    let rep = face.socket::<Rep>(of_binder(args)?);
    rep.bind(&args.endpoint)?;
    let req = face.socket::<Req>(of_dialler(args)?);
    req.connect(&args.endpoint)?;
    face.spawn(async move { echo(&rep).await.map(drop) });
    time(&req, args).await
}

async fn echo(rep: &Socket<Rep>) -> anyhow::Result<Infallible> {
    loop {
        let request = rep.recv().await?;
        rep.send(request).await?;
    }
}

async fn time(req: &Socket<Req>, args: &Args) -> anyhow::Result<Infallible> {
    let done = Arc::new(AtomicU64::new(0));
    let watched = done.clone();
    let reported = done.clone();
    watch(
        args.idle,
        move || watched.load(Relaxed),
        move |_| stalled(reported.load(Relaxed)),
    );
    let message = payload(args.size);
    let mut times = Vec::with_capacity(usize::try_from(args.count)?);
    let cpu = cpu_seconds();
    for trip in 0..args.warmup + args.count {
        let begun = Instant::now();
        req.send(message.clone()).await?;
        let reply = req.recv().await?;
        let time = begun.elapsed();
        check_length(reply.octets(), args.size);
        done.store(trip + 1, Relaxed);
        if trip >= args.warmup {
            times.push(time);
        }
    }
    leave_with(Exit::Done, &Report::new(times, cpu_seconds() - cpu))
}

/// What is printed of round trips, in microseconds.
#[derive(Debug, Serialize)]
struct Report {
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    p999_us: f64,
    mean_us: f64,
    count: usize,
    cpu_s: f64,
}

impl Report {
    fn new(mut times: Vec<Duration>, cpu_s: f64) -> Self {
        times.sort_unstable();
        let micros = |time: Duration| time.as_nanos() as f64 / 1e3;
        let last = times.len().saturating_sub(1);
        let at = |per_mille: usize| {
            let index = (last * per_mille + 500) / 1000;
            times.get(index).copied().map_or(0.0, micros)
        };
        let sum = times.iter().sum::<Duration>();
        Self {
            p50_us: at(500),
            p90_us: at(900),
            p99_us: at(990),
            p999_us: at(999),
            mean_us: micros(sum) / times.len().max(1) as f64,
            count: times.len(),
            cpu_s,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let times = (0..=1000).rev().map(Duration::from_micros).collect();
        let report = Report::new(times, 0.5);
        let percentiles = [report.p50_us, report.p90_us, report.p99_us, report.p999_us];
        assert_eq!(percentiles, [500.0, 900.0, 990.0, 999.0]);
        assert_eq!((report.mean_us, report.count), (500.0, 1001));
    }

    #[test]
    fn no_round_trip_is_no_division_by_zero() {
        let report = Report::new(Vec::new(), 0.0);
        assert_eq!((report.p50_us, report.mean_us), (0.0, 0.0));
    }
}
