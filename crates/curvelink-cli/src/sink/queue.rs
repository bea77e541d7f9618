//! What waits for a sink: bounded, and what does not fit is counted.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use curvelink_audit::Time;
use tokio::sync::Notify;

/// The most lines that wait, and the octets that they may have together.
const MAX_LINES: usize = 4096;
const MAX_OCTETS: usize = 4 << 20;

/// A record in the sink's format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: Vec<u8>,
    pub(super) kind: LineKind,
    /// How many events it tells of, and when they happened.
    pub(super) told: Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineKind {
    Event,
    /// Tells how sinks do. What had to go for it is told with the next event, and that it had to
    /// go itself to nobody: else two sinks would keep each other busy.
    Notice,
    /// The next covers it: nothing is lost with it.
    Checkpoint,
}

/// So many events, and the time that they took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) count: u64,
    pub(super) first: Time,
    pub(super) last: Time,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Line(Line),
    /// Here events are missing.
    Lost(Told),
}

/// The lines of one sink. Whoever adds never waits: the oldest give way, since the newest tell how
/// things are and the journal has them all.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    more: Notify,
    closing: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Line>,
    octets: usize,
    /// What the sink misses and has not been told of.
    lost: Option<Told>,
    /// How many events of that others have not been told of.
    untold: u64,
    is_closed: bool,
}

impl Queue {
    /// Adds a line. Of an event, tells how many events had to go since the last.
    pub(super) fn push(&self, line: Line) -> u64 {
        let mut waiting = self.lock();
        let is_newer = line.kind == LineKind::Checkpoint
            && matches!(waiting.lines.back(), Some(last) if last.kind == LineKind::Checkpoint);
        if is_newer && let Some(older) = waiting.lines.pop_back() {
            waiting.octets -= older.text.len();
        }
        let is_event = line.kind == LineKind::Event;
        waiting.octets += line.text.len();
        waiting.lines.push_back(line);
        while waiting.is_full() {
            waiting.lose_oldest();
        }
        let lost = if is_event {
            std::mem::take(&mut waiting.untold)
        } else {
            0
        };
        drop(waiting);
        self.more.notify_one();
        lost
    }

    /// The next line, or that some are missing before it; waits. `None` once the queue is closed
    /// and empty.
    ///
    /// Cancel safe; for one caller at a time.
    pub(super) async fn next(&self) -> Option<Next> {
        loop {
            let more = self.more.notified();
            {
                let mut waiting = self.lock();
                if let Some(next) = waiting.pop() {
                    return Some(next);
                }
                if waiting.is_closed {
                    return None;
                }
            }
            more.await;
        }
    }

    /// Puts back what could not be sent: it is the next again.
    pub(super) fn put_back(&self, line: Line) {
        let mut waiting = self.lock();
        waiting.octets += line.text.len();
        waiting.lines.push_front(line);
    }

    /// Nothing will be added any more.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.more.notify_one();
        self.closing.notify_one();
    }

    /// Resolves when the queue is closed; for one caller at a time.
    pub(super) async fn closed(&self) {
        while !self.lock().is_closed {
            self.closing.notified().await;
        }
    }

    /// How many events wait or had to go untold: what a sink that ends now never gets.
    pub(super) fn left(&self) -> u64 {
        let waiting = self.lock();
        let lines = waiting.lines.iter();
        let events = lines.filter(|line| line.kind == LineKind::Event);
        waiting.untold + events.map(|line| line.told.count).sum::<u64>()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Each change is whole before anything can panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_full(&self) -> bool {
        self.lines.len() > MAX_LINES || (self.octets > MAX_OCTETS && self.lines.len() > 1)
    }

    fn pop(&mut self) -> Option<Next> {
        if let Some(lost) = self.lost.take() {
            return Some(Next::Lost(lost));
        }
        let line = self.lines.pop_front()?;
        self.octets -= line.text.len();
        Some(Next::Line(line))
    }

    fn lose_oldest(&mut self) {
        let Some(line) = self.lines.pop_front() else {
            return;
        };
        self.octets -= line.text.len();
        if line.kind == LineKind::Checkpoint {
            return;
        }
        match &mut self.lost {
            Some(lost) => lost.add(line.told),
            lost => *lost = Some(line.told),
        }
        if line.kind == LineKind::Event {
            self.untold += line.told.count;
        }
    }
}

impl Told {
    fn add(&mut self, later: Self) {
        self.count = self.count.saturating_add(later.count);
        self.first = self.first.min(later.first);
        self.last = self.last.max(later.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64, kind: LineKind) -> Line {
        let at = Time::from_unix_us(number);
        Line {
            text: number.to_string().into_bytes(),
            kind,
            told: Told {
                count: 1,
                first: at,
                last: at,
            },
        }
    }

    fn event(number: u64) -> Line {
        line(number, LineKind::Event)
    }

    fn told(count: u64, first: u64, last: u64) -> Told {
        let [first, last] = [first, last].map(Time::from_unix_us);
        Told { count, first, last }
    }

    #[tokio::test]
    async fn the_oldest_give_way_and_their_number_comes_first() {
        let queue = Queue::default();
        let most = MAX_LINES as u64;
        for number in 0..most {
            assert_eq!(queue.push(event(number)), 0);
        }
        for number in most..most + 3 {
            assert_eq!(queue.push(event(number)), 1);
        }
        assert_eq!(queue.left(), most);
        assert_eq!(queue.next().await, Some(Next::Lost(told(3, 0, 2))));
        assert_eq!(queue.next().await, Some(Next::Line(event(3))));
        queue.put_back(event(3));
        queue.close();
        for number in 3..most + 3 {
            assert_eq!(queue.next().await, Some(Next::Line(event(number))));
        }
        assert_eq!((queue.next().await, queue.left()), (None, 0));
        queue.closed().await;
    }

    #[tokio::test]
    async fn octets_are_bounded_and_one_line_has_room_whatever_its_length() {
        let queue = Queue::default();
        let mut long = event(0);
        long.text = vec![b'x'; MAX_OCTETS];
        assert_eq!(queue.push(long.clone()), 0);
        assert_eq!(queue.push(event(1)), 1);
        assert_eq!(queue.push(long.clone()), 1);
        assert_eq!(queue.next().await, Some(Next::Lost(told(2, 0, 1))));
        assert_eq!(queue.next().await, Some(Next::Line(long)));
        assert_eq!(queue.push(event(2)), 0);
    }

    #[tokio::test]
    async fn a_checkpoint_replaces_the_one_that_waits_before_it_and_no_event() {
        let queue = Queue::default();
        let checkpoint = |number| line(number, LineKind::Checkpoint);
        queue.push(event(0));
        queue.push(checkpoint(1));
        queue.push(checkpoint(2));
        queue.push(event(3));
        queue.push(checkpoint(4));
        for wanted in [event(0), checkpoint(2), event(3), checkpoint(4)] {
            assert_eq!(queue.next().await, Some(Next::Line(wanted)));
        }
        for number in 0..2 * MAX_LINES as u64 {
            assert_eq!(queue.push(checkpoint(number)), 0);
        }
        assert_eq!(queue.left(), 0, "of checkpoints none is missed");
        queue.next().await;
        queue.close();
        assert_eq!(queue.next().await, None);
    }

    #[test]
    fn what_a_notice_about_sinks_costs_is_told_with_the_next_event() {
        let queue = Queue::default();
        let notice = |number| line(number, LineKind::Notice);
        for number in 0..MAX_LINES as u64 {
            queue.push(event(number));
        }
        assert_eq!(queue.push(notice(1)), 0);
        assert_eq!(queue.push(line(2, LineKind::Checkpoint)), 0);
        assert_eq!(queue.lock().lost, Some(told(2, 0, 1)));
        assert_eq!(queue.left(), MAX_LINES as u64, "and none twice");
        assert_eq!(queue.push(event(3)), 3);
        for number in 0..2 * MAX_LINES as u64 {
            assert_eq!(queue.push(notice(number)), 0);
        }
        queue.lock().untold = 0;
        assert_eq!(queue.push(event(4)), 0, "a notice itself is told to nobody");
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_a_line_and_by_the_end() {
        let queue = std::sync::Arc::new(Queue::default());
        let waiting = tokio::spawn({
            let queue = std::sync::Arc::clone(&queue);
            async move { [queue.next().await, queue.next().await] }
        });
        let ending = tokio::spawn({
            let queue = std::sync::Arc::clone(&queue);
            async move { queue.closed().await }
        });
        tokio::task::yield_now().await;
        queue.push(event(1));
        tokio::task::yield_now().await;
        queue.close();
        let got = waiting.await.unwrap();
        assert_eq!(got, [Some(Next::Line(event(1))), None]);
        let longest = std::time::Duration::from_secs(60);
        let ended = tokio::time::timeout(longest, ending).await;
        ended.expect("it is woken").unwrap();
    }
}
