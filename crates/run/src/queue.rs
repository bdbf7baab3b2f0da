//! What is due next: one queue for both models of load.
//!
//! Open loop: the arrivals of the schedule that belong to this worker, one after the other. Closed
//! loop: a heap of (due, user), in which a user stands while it thinks. The bytes of a request are
//! looked up as early as it is known, which is before it is due unless the generator is behind.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use squall_core::plan::{Shard, ThinkTime};
use squall_core::request::{Request, Requests};
use squall_core::schedule::{Arrival, ArrivalIter};
use squall_core::units::nanoseconds;

use crate::link::{Link, Outgoing};

/// Which arrivals or users are this worker's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    /// The process's share of the plan.
    pub(crate) shard: Shard,
    /// The worker, from 0.
    pub(crate) worker: u16,
    /// How many workers the process has.
    pub(crate) workers: u16,
}

impl Slice {
    /// Whether arrival or user `number` is this worker's.
    pub(crate) fn owns(&self, number: u64) -> bool {
        let shards = u64::from(self.shard.count);
        number % shards == u64::from(self.shard.index)
            && (number / shards) % u64::from(self.workers) == u64::from(self.worker)
    }
}

/// A request that is wanted at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) seq: u64,
    pub(crate) due_ns: i64,
    pub(crate) stage: u16,
    pub(crate) user: Option<u32>,
    pub(crate) request: Request,
}

/// A worker's queue.
pub(crate) enum DueQueue<'a, L: Link> {
    Open(OpenQueue<'a, L>),
    Closed(ClosedQueue<'a, L>),
}

impl<L: Link> DueQueue<'_, L> {
    /// When the next request is due; `None` when there is none at this moment.
    pub(crate) fn next_due_ns(&self) -> Option<i64> {
        match self {
            DueQueue::Open(queue) => queue.next.as_ref().map(|(due, _)| due.due_ns),
            DueQueue::Closed(queue) => queue.heap.peek().map(|Reverse((due_ns, _))| *due_ns),
        }
    }

    /// Takes the next request; [`DueQueue::advance`] must follow.
    pub(crate) fn take(&mut self) -> Option<(Due, Outgoing<L::Message>)> {
        match self {
            DueQueue::Open(queue) => queue.next.take(),
            DueQueue::Closed(queue) => {
                let Reverse((_, index)) = queue.heap.pop()?;
                queue.users[index as usize].next.take()
            }
        }
    }

    /// Draws the request after the one taken; apart from it, so that it does not hold that one up.
    pub(crate) fn advance(&mut self) {
        if let DueQueue::Open(queue) = self {
            queue.advance();
        }
    }

    /// The answer to `due` is there: its user thinks, and asks again.
    pub(crate) fn answered(&mut self, due: &Due, done_ns: i64) {
        if let DueQueue::Closed(queue) = self {
            queue.answered(due, done_ns);
        }
    }

    /// How many requests are due by `now_ns` and not taken, while all places are taken.
    pub(crate) fn backlog(&mut self, now_ns: i64) -> u64 {
        match self {
            DueQueue::Open(queue) => queue.backlog(now_ns),
            // A closed loop has a place for every user.
            DueQueue::Closed(_) => 0,
        }
    }
}

/// The arrivals of an open loop that belong to one worker.
pub(crate) struct OpenQueue<'a, L: Link> {
    arrivals: Owned<'a>,
    requests: &'a Requests,
    link: Rc<L>,
    next: Option<(Due, Outgoing<L::Message>)>,
    /// Present while requests wait: a second look at the schedule that is ahead by what waits, so
    /// that a backlog of millions takes no memory.
    ahead: Option<Ahead<'a>>,
}

struct Ahead<'a> {
    arrivals: Owned<'a>,
    next_due_ns: Option<i64>,
    waiting: u64,
}

/// The arrivals of one worker.
#[derive(Clone)]
struct Owned<'a> {
    arrivals: ArrivalIter<'a>,
    slice: Slice,
}

impl Iterator for Owned<'_> {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let slice = self.slice;
        self.arrivals.find(|arrival| slice.owns(arrival.seq))
    }
}

impl<'a, L: Link> OpenQueue<'a, L> {
    pub(crate) fn new(arrivals: ArrivalIter<'a>, slice: Slice, requests: &'a Requests, link: Rc<L>) -> Self {
        let arrivals = Owned { arrivals, slice };
        let mut queue = Self { arrivals, requests, link, next: None, ahead: None };
        queue.advance();
        queue
    }

    fn advance(&mut self) {
        if let Some(ahead) = &mut self.ahead {
            ahead.waiting -= 1;
            if ahead.waiting == 0 {
                self.ahead = None;
            }
        }
        self.next = self.arrivals.next().map(|arrival| {
            let request = self.requests.open(arrival.stage, arrival.number);
            let due =
                Due { seq: arrival.seq, due_ns: arrival.due_ns, stage: arrival.stage, user: None, request };
            (due, self.link.outgoing(&request))
        });
    }

    fn backlog(&mut self, now_ns: i64) -> u64 {
        let Some((next, _)) = self.next.as_ref().filter(|(due, _)| due.due_ns <= now_ns) else {
            return 0;
        };
        let ahead = self.ahead.get_or_insert_with(|| {
            let mut arrivals = self.arrivals.clone();
            let next_due_ns = arrivals.next().map(|arrival| arrival.due_ns);
            debug_assert!(next_due_ns.is_none_or(|due_ns| due_ns >= next.due_ns));
            Ahead { arrivals, next_due_ns, waiting: 1 }
        });
        while ahead.next_due_ns.is_some_and(|due_ns| due_ns <= now_ns) {
            ahead.waiting += 1;
            ahead.next_due_ns = ahead.arrivals.next().map(|arrival| arrival.due_ns);
        }
        ahead.waiting
    }
}

/// What all users of a closed loop share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClosedLoop {
    pub(crate) users: u32,
    pub(crate) spawn_rate: f64,
    pub(crate) think_time: ThinkTime,
    /// When the ramp ends; requests due before belong to stage 0, the others to stage 1.
    pub(crate) ramp_end_ns: i64,
    /// Nothing is due from here on.
    pub(crate) end_ns: i64,
}

/// The users of a closed loop that belong to one worker: entries, not tasks.
pub(crate) struct ClosedQueue<'a, L: Link> {
    closed: ClosedLoop,
    requests: &'a Requests,
    link: Rc<L>,
    users: Vec<User<L::Message>>,
    /// (due, index of the user) of every user that thinks.
    heap: BinaryHeap<Reverse<(i64, u32)>>,
    slice: Slice,
}

struct User<M> {
    /// Number of the request after the next one.
    count: u32,
    think_ns: i64,
    next: Option<(Due, Outgoing<M>)>,
}

impl<'a, L: Link> ClosedQueue<'a, L> {
    pub(crate) fn new(closed: ClosedLoop, slice: Slice, requests: &'a Requests, link: Rc<L>) -> Self {
        let mut queue = Self { closed, requests, link, users: Vec::new(), heap: BinaryHeap::new(), slice };
        for user in (0..closed.users).filter(|user| slice.owns(u64::from(*user))) {
            let due_ns = (f64::from(user) / closed.spawn_rate * 1e9).round() as i64;
            let index = queue.users.len();
            queue.users.push(User { count: 0, think_ns: 0, next: None });
            queue.ask(user, index, due_ns);
        }
        queue
    }

    fn answered(&mut self, due: &Due, done_ns: i64) {
        let user = due.user.expect("a closed loop's request has a user");
        let shards = self.slice.shard.count;
        let index = (user / shards / u32::from(self.slice.workers)) as usize;
        self.ask(user, index, done_ns.saturating_add(self.users[index].think_ns));
    }

    /// Lets `user` ask at `due_ns`, unless the run is over by then.
    fn ask(&mut self, user: u32, index: usize, due_ns: i64) {
        if due_ns >= self.closed.end_ns {
            return;
        }
        let state = &mut self.users[index];
        let (request, think) = self.requests.closed(user, state.count, self.closed.think_time);
        let due = Due {
            seq: u64::from(user) << 32 | u64::from(state.count),
            due_ns,
            stage: u16::from(due_ns >= self.closed.ramp_end_ns),
            user: Some(user),
            request,
        };
        state.count += 1;
        state.think_ns = nanoseconds(think);
        state.next = Some((due, self.link.outgoing(&request)));
        self.heap.push(Reverse((due_ns, index as u32)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use squall_core::plan::reference_classes;
    use squall_core::schedule::{Arrivals, OpenSchedule};
    use squall_core::stages::parse_stages;
    use squall_core::vector_type::VectorType;
    use squall_core::workload::{QueryVectors, Workload};
    use squall_milvus::Protocol;
    use squall_milvus::encode::{self, SearchSpec, SearchTemplate, Target};
    use squall_milvus::measured::Wait;

    use super::*;
    use crate::link::Answer;

    /// Makes the bytes of a request from its query's vector, as the real preparation does.
    struct Encoder {
        workload: Workload,
        protocol: Protocol,
    }

    impl Link for Encoder {
        type Message = encode::Request;
        type Seat = ();
        type Sent = ();

        fn outgoing(&self, request: &Request) -> Outgoing<encode::Request> {
            let kind = reference_classes()[usize::from(request.class)].kind;
            let filter = request.filter.map(|filter| self.workload.filters[usize::from(filter)].to_string());
            let spec = SearchSpec {
                vector_field: "embedding",
                vector_type: VectorType::Float32,
                metric: None,
                filter: filter.as_deref(),
                limit: request.limit,
                params: None,
                consistency: None,
                output_fields: &[],
            };
            let target = Target { collection: "c", database: None };
            let template =
                SearchTemplate::new(self.protocol, target, &spec, self.workload.dimension).unwrap();
            let mut vector = vec![0.0; self.workload.dimension as usize];
            QueryVectors::new(&self.workload).unwrap().vector(kind, request.query, &mut vector);
            let message = template.request(encode::vector(self.protocol, VectorType::Float32, &vector));
            Outgoing { bytes_out: message.len() as u32, message, expected_hits: 0 }
        }

        async fn seat(&self) -> Result<(), Answer> {
            Ok(())
        }

        fn had_to_wait((): &()) -> bool {
            false
        }

        async fn start(&self, (): (), _: encode::Request) -> Result<(), Answer> {
            unreachable!("nothing is sent")
        }

        fn waited_for((): &()) -> Wait {
            Wait::Nothing
        }

        async fn finish(&self, (): ()) -> Answer {
            unreachable!("nothing is sent")
        }
    }

    /// (seq, due, bytes) of everything that the workers of one shard send.
    fn sent(
        schedule: &OpenSchedule,
        link: &Rc<Encoder>,
        shard: Shard,
        workers: u16,
    ) -> Vec<(u64, i64, Vec<u8>)> {
        let requests = Requests::new(9, &link.workload, &reference_classes()).unwrap();
        let mut sent = Vec::new();
        for worker in 0..workers {
            let slice = Slice { shard, worker, workers };
            let mut queue =
                DueQueue::Open(OpenQueue::new(schedule.iter(), slice, &requests, Rc::clone(link)));
            while let Some((due, outgoing)) = queue.take() {
                let bytes = [&outgoing.message.head[..], &outgoing.message.tail[..]].concat();
                sent.push((due.seq, due.due_ns, bytes));
                queue.advance();
            }
        }
        sent
    }

    #[test]
    fn every_split_into_threads_and_shards_sends_the_same_bytes_at_the_same_times() {
        for protocol in [Protocol::Grpc, Protocol::RestV2] {
            let link = Rc::new(Encoder { workload: Workload::reference(7, 16), protocol });
            let stages = parse_stages("1s:100..400,1s:400").unwrap();
            let schedule = OpenSchedule::new(stages, Arrivals::Poisson, 9);
            let one = sent(&schedule, &link, Shard::WHOLE, 1);
            assert_eq!(Some(one.len() as u64), schedule.total());
            for (shards, workers) in [(1, 2), (1, 8), (3, 1), (3, 2)] {
                let mut all: Vec<_> = (0..shards)
                    .flat_map(|index| sent(&schedule, &link, Shard { index, count: shards }, workers))
                    .collect();
                all.sort_unstable();
                assert!(all == one, "{shards} shards of {workers} threads");
            }
        }
    }

    proptest! {
        #[test]
        fn every_number_belongs_to_exactly_one_worker_of_one_shard(
            number: u64,
            shards in 1_u32..10,
            workers in 1_u16..10,
        ) {
            let owners = (0..shards)
                .flat_map(|index| (0..workers).map(move |worker| (index, worker)))
                .filter(|&(index, worker)| {
                    Slice { shard: Shard { index, count: shards }, worker, workers }.owns(number)
                })
                .count();
            prop_assert_eq!(owners, 1);
        }
    }
}
