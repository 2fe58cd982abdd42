use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;

fn lane(portfolio: &str, account: &str) -> Lane {
    let portfolio = PortfolioRef { namespace: "shop".into(), name: portfolio.into() };
    Lane { portfolio, target: Target::Account(AccountId::from(account)) }
}

fn meta(uid: &str, generation: i64, send_code: Option<&str>) -> ObjectMeta {
    ObjectMeta {
        uid: Some(uid.into()),
        generation: Some(generation),
        annotations: send_code.map(|value| BTreeMap::from([("send-code".into(), value.into())])),
        ..ObjectMeta::default()
    }
}

fn seen(uid: &str, generation: i64, send_code: Option<&str>) -> Seen {
    Seen::of(&meta(uid, generation, send_code), &["send-code"])
}

fn shows(queue: &Queue<&'static str>, key: &'static str, lane: Lane, class: Urgency) {
    queue.shows(&key, lane, seen(key, 1, None), class);
}

/// Begins whatever may begin, and ends it at once.
fn order(queue: &Queue<&'static str>) -> Vec<&'static str> {
    let mut order = Vec::new();
    loop {
        let Some(begun) = queue.0.lock().next(Instant::now()) else { return order };
        order.push(begun.key);
        drop(queue.turn(&begun));
        let next = Next::after(Duration::from_secs(600), Urgency::Drift);
        queue.0.lock().ended(&begun.key, begun.ticket, next, Instant::now());
    }
}

fn begin(queue: &Queue<&'static str>) -> Option<(Begun<&'static str>, Seat<&'static str>)> {
    let begun = queue.0.lock().next(Instant::now())?;
    let seat = queue.turn(&begun).place;
    Some((begun, seat))
}

fn free<K: Handle>(queue: &Queue<K>) -> (usize, usize) {
    let inner = queue.0.lock();
    (inner.free, inner.away.values().sum())
}

const FEW: usize = CROWD as usize;

#[tokio::test(start_paused = true)]
async fn who_is_waited_for_by_a_person_goes_first_and_drift_last() {
    let queue = Queue::new(1);
    shows(&queue, "drift", lane("a", "1"), Urgency::Drift);
    shows(&queue, "step", lane("a", "1"), Urgency::Transitional);
    shows(&queue, "edit", lane("a", "1"), Urgency::Edit);
    shows(&queue, "person", lane("a", "1"), Urgency::Person);
    assert_eq!(order(&queue), ["person", "edit", "step", "drift"]);
}

#[tokio::test(start_paused = true)]
async fn while_edits_come_other_work_keeps_two_places_and_gets_all_of_them_soon_after() {
    let queue = Queue::new(16);
    shows(&queue, "edit", lane("a", "1"), Urgency::Edit);
    for key in ["a", "b", "c", "d", "e"] {
        shows(&queue, key, lane("a", "1"), Urgency::Transitional);
    }
    let edit = begin(&queue).expect("the edit");
    assert_eq!((edit.0.key, edit.0.class), ("edit", Urgency::Edit));
    let beside = [begin(&queue).expect("one place beside it"), begin(&queue).expect("and another")];
    assert_eq!(beside.each_ref().map(|(begun, _)| begun.key), ["a", "b"]);
    assert!(begin(&queue).is_none(), "two places are in use");
    shows(&queue, "person", lane("b", "1"), Urgency::Edit);
    let person = begin(&queue).expect("those in a hurry have all places");
    assert_eq!(person.0.key, "person");
    let [first, second] = beside;
    drop(first);
    let next = begin(&queue).expect("however many are in a hurry, two others have a place");
    assert!(begin(&queue).is_none(), "no more while more edits may come");
    assert_eq!(queue.0.lock().next_date(Instant::now()), Some(Instant::now() + PRESSED));
    tokio::time::advance(PRESSED).await;
    assert!(begin(&queue).is_some() && begin(&queue).is_some(), "nobody was in a hurry for a while");
    drop((edit, person, second, next));
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_from_a_wait_is_let_in_beside_edits_and_a_look_for_a_code_holds_nobody_up() {
    let queue = Queue::new(16);
    for key in ["a", "b", "c"] {
        shows(&queue, key, lane("a", "1"), Urgency::Transitional);
    }
    let (_, mut seat) = begin(&queue).expect("a step");
    seat.leave();
    shows(&queue, "edit", lane("a", "1"), Urgency::Edit);
    let edit = begin(&queue).expect("the edit");
    let beside = [begin(&queue).expect("one"), begin(&queue).expect("two")];
    assert!(begin(&queue).is_none());
    let mut back = std::pin::pin!(seat.enter());
    assert!(futures::poll!(back.as_mut()).is_pending(), "it stands in line");
    assert!(begin(&queue).is_none(), "it is no new work");
    assert!(futures::poll!(back.as_mut()).is_ready(), "and has its place again");
    drop((edit, beside));

    let queue = Queue::new(16);
    for key in ["a", "b", "c", "code"] {
        shows(&queue, key, lane("a", "1"), if key == "code" { Urgency::Person } else { Urgency::Drift });
    }
    let begun = begin(&queue).expect("whose person waits");
    let again = Next::after(Duration::from_secs(5), Urgency::Person);
    queue.0.lock().ended(&"code", begun.0.ticket, again, Instant::now());
    tokio::time::advance(Duration::from_secs(5)).await;
    let look = begin(&queue).expect("it looks whether the code has come");
    assert_eq!(look.0.key, "code");
    let others: Vec<_> = std::iter::from_fn(|| begin(&queue)).collect();
    assert_eq!(others.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn work_that_can_wait_goes_on_by_itself_when_nobody_is_in_a_hurry_any_more() {
    let queue = Queue::new(4);
    for (key, class) in
        [("edit", Urgency::Edit), ("one", Urgency::Drift), ("two", Urgency::Drift), ("three", Urgency::Drift)]
    {
        shows(&queue, key, lane("a", "1"), class);
    }
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let started = Instant::now();
    let running = tokio::spawn({
        let queue = queue.clone();
        let work = move |turn: Turn<&'static str>| {
            let tell = tell.clone();
            async move {
                let Turn { key, place: _held, .. } = turn;
                let at = started.elapsed();
                // Longer than others have to keep out of the way.
                tokio::time::sleep(Duration::from_secs(if key == "edit" { 0 } else { 5 })).await;
                let _ = tell.send((key, at));
                Next::after(Duration::from_secs(3600), Urgency::Drift)
            }
        };
        async move { queue.run(Pulse::new(), work, |_, _| {}).await }
    });
    let mut begun = BTreeMap::new();
    for _ in 0..4 {
        let (key, at) = told.recv().await.expect("told");
        begun.insert(key, at);
    }
    running.abort();
    let mut times: Vec<_> = begun.into_values().collect();
    times.sort_unstable();
    assert_eq!(times, [Duration::ZERO, Duration::ZERO, Duration::ZERO, PRESSED]);
}

#[tokio::test(start_paused = true)]
async fn portfolios_take_turns_then_accounts_and_inside_who_came_first_goes_first() {
    for (class, turns) in [
        (Urgency::Edit, ["a1x", "b1x", "a2x", "b1y", "a1y", "a2y", "a1z"]),
        // Those who share a list and are in no hurry have theirs together.
        (Urgency::Drift, ["a1x", "a1y", "a1z", "b1x", "b1y", "a2x", "a2y"]),
    ] {
        let queue = Queue::new(1);
        for key in ["a1x", "a1y", "a1z"] {
            shows(&queue, key, lane("a", "1"), class);
        }
        for key in ["a2x", "a2y"] {
            shows(&queue, key, lane("a", "2"), class);
        }
        shows(&queue, "b1x", lane("b", "1"), class);
        shows(&queue, "b1y", lane("b", "1"), class);
        assert_eq!(order(&queue), turns, "{class:?}");
    }
}

/// 150 portfolios of two accounts with a hundred numbers each, and room for the lists of a third of them.
#[tokio::test(start_paused = true)]
async fn a_crowd_of_many_accounts_does_not_have_each_list_read_for_each_number() {
    const ACCOUNTS: usize = 300;
    let queue = Queue::new(16);
    for n in 0..100_usize {
        for account in 0..ACCOUNTS {
            let (portfolio, target) = ((account / 2).to_string(), (account % 2).to_string());
            let key = format!("{account}-{n}");
            let seen = Seen::of(&meta(&key, 1, None), &[]);
            queue.shows(&key, lane(&portfolio, &target), seen, Urgency::Drift);
        }
    }
    let kept = Arc::new(Mutex::new(VecDeque::<String>::new()));
    let reading = Arc::new(Mutex::new(HashSet::<String>::new()));
    let (reads, passes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (read, passed) = (reads.clone(), passes.clone());
    let work = move |turn: Turn<String>| {
        let (kept, reading) = (kept.clone(), reading.clone());
        let (reads, passes) = (read.clone(), passed.clone());
        async move {
            let Turn { key, mut place, .. } = turn;
            let account = key.split('-').next().unwrap_or_default().to_owned();
            if !kept.lock().expect("sound").contains(&account) {
                // Whoever wants a list that is being read waits for the same read.
                let is_first = reading.lock().expect("sound").insert(account.clone());
                reads.fetch_add(usize::from(is_first), Ordering::SeqCst);
                place.leave();
                tokio::time::sleep(Duration::from_millis(50)).await;
                {
                    let mut kept = kept.lock().expect("sound");
                    reading.lock().expect("sound").remove(&account);
                    if !kept.contains(&account) {
                        kept.push_back(account);
                    }
                    if kept.len() > ACCOUNTS / 3 {
                        kept.pop_front();
                    }
                }
                place.enter().await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            passes.fetch_add(1, Ordering::SeqCst);
            Next { after: None, class: Urgency::Drift }
        }
    };
    let working = tokio::spawn({
        let queue = queue.clone();
        async move { queue.run(Pulse::new(), work, |_, _| {}).await }
    });
    while passes.load(Ordering::SeqCst) < 100 * ACCOUNTS {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    working.abort();
    let each = reads.load(Ordering::SeqCst) / ACCOUNTS;
    assert_eq!(each, 1, "reads of each list");
}

/// Each of many accounts hangs with a crowd.
#[tokio::test(start_paused = true)]
async fn accounts_that_hang_keep_another_waiting_no_longer_than_it_takes_to_see_that() {
    let queue = Queue::new(4);
    for account in 0..10 * OPEN {
        for n in 0..8 {
            let key = format!("{account}-{n}");
            let seen = Seen::of(&meta(&key, 1, None), &[]);
            queue.shows(&key, lane(&account.to_string(), "1"), seen, Urgency::Drift);
        }
    }
    queue.shows(&"healthy".to_owned(), lane("z", "1"), Seen::of(&meta("z", 1, None), &[]), Urgency::Drift);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let begun = Instant::now();
    let work = move |turn: Turn<String>| {
        let tell = tell.clone();
        async move {
            let Turn { key, mut place, .. } = turn;
            if key == "healthy" {
                let _ = tell.send(begun.elapsed());
            } else {
                place.leave();
                tokio::time::sleep(Duration::from_secs(600)).await;
            }
            Next { after: None, class: Urgency::Drift }
        }
    };
    let working = tokio::spawn({
        let queue = queue.clone();
        async move { queue.run(Pulse::new(), work, |_, _| {}).await }
    });
    let after = told.recv().await.expect("it has its turn");
    working.abort();
    assert!(after <= SLOW * 11, "{after:?}");
}

/// How many crowds have their turns in a class.
fn opened(queue: &Queue<String>, class: Urgency) -> usize {
    queue.0.lock().lines[index(class)].open.len()
}

#[tokio::test(start_paused = true)]
async fn a_step_in_progress_waits_for_no_crowds_that_are_looked_at_for_drift() {
    let queue = Queue::new(2 * OPEN);
    let show = |key: String, account: usize, class| {
        let seen = Seen::of(&meta(&key, 1, None), &[]);
        queue.shows(&key, lane(&account.to_string(), "1"), seen, class);
    };
    for account in 0..OPEN {
        (0..6).for_each(|n| show(format!("{account}-{n}"), account, Urgency::Drift));
    }
    let mut waiting = Vec::new();
    while let Some(begun) = { queue.0.lock().next(Instant::now()) } {
        let mut seat = queue.turn(&begun).place;
        seat.leave();
        waiting.push(seat);
    }
    assert_eq!(opened(&queue, Urgency::Drift), OPEN, "all of them have their turns");
    show("look".into(), OPEN, Urgency::Drift);
    assert!(queue.0.lock().next(Instant::now()).is_none(), "one more look waits");
    show("step".into(), OPEN, Urgency::Transitional);
    let begun = { queue.0.lock().next(Instant::now()) }.expect("the step begins at once");
    assert_eq!((begun.key.as_str(), begun.class), ("step", Urgency::Transitional));
}

#[tokio::test(start_paused = true)]
async fn crowds_whose_turns_moved_to_another_class_keep_no_other_from_beginning() {
    let queue = Queue::new(2 * OPEN);
    let show = |key: &str, account: usize, class| {
        let seen = Seen::of(&meta(key, 1, None), &[]);
        queue.shows(&key.to_owned(), lane(&account.to_string(), "1"), seen, class);
    };
    for account in 0..OPEN {
        (0..6).for_each(|n| show(&format!("{account}-{n}"), account, Urgency::Drift));
    }
    let mut seats = Vec::new();
    while let Some(begun) = { queue.0.lock().next(Instant::now()) }.filter(|_| seats.len() < 2 * OPEN) {
        let mut seat = queue.turn(&begun).place;
        seat.leave();
        seats.push((begun, seat));
    }
    assert_eq!(opened(&queue, Urgency::Drift), OPEN, "all of them have their turns");
    for account in 0..OPEN {
        (0..6).for_each(|n| queue.ask(&format!("{account}-{n}"), Urgency::Person));
    }
    queue.tidy();
    assert_eq!(queue.0.lock().stale, 0, "nobody has the tickets of the class before any more");
    drop(seats);
    show("another", OPEN, Urgency::Drift);
    show("its neighbour", OPEN, Urgency::Drift);
    let mut begun = Vec::new();
    while let Some(next) = { queue.0.lock().next(Instant::now()) } {
        drop(queue.turn(&next));
        let rests = Next { after: None, class: Urgency::Drift };
        queue.0.lock().ended(&next.key, next.ticket, rests, Instant::now());
        begun.push(next.key);
        tokio::time::advance(PRESSED).await;
    }
    assert!(begun.contains(&"another".to_owned()), "{begun:?}");
}

#[tokio::test(start_paused = true)]
async fn a_large_account_does_not_keep_others_waiting_until_it_is_done() {
    let queue = Queue::new(1);
    for n in 0..300_u32 {
        let key: &'static str = Box::leak(n.to_string().into_boxed_str());
        shows(&queue, key, lane("a", "large"), Urgency::Drift);
    }
    shows(&queue, "same portfolio", lane("a", "small"), Urgency::Drift);
    shows(&queue, "another", lane("b", "small"), Urgency::Drift);
    let order = order(&queue);
    let at = |key| order.iter().position(|one| *one == key);
    let stint = usize::try_from(stint(Urgency::Drift)).unwrap();
    assert_eq!((at("another"), at("same portfolio")), (Some(stint), Some(stint + 1)));
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_for_again_moves_up_and_is_worked_on_once() {
    let queue = Queue::new(1);
    for key in ["one", "two", "three"] {
        shows(&queue, key, lane("a", "1"), Urgency::Drift);
    }
    queue.ask(&"three", Urgency::Person);
    queue.ask(&"three", Urgency::Edit);
    assert_eq!(order(&queue), ["three", "one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_account_holds_no_place_that_another_could_use() {
    let queue = Queue::new(2);
    for n in 0..300_u32 {
        let seen = Seen::of(&meta(&n.to_string(), 1, None), &[]);
        queue.shows(&format!("slow-{n:03}"), lane("a", "slow"), seen, Urgency::Transitional);
    }
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let begun = Instant::now();
    let working = tokio::spawn({
        let queue = queue.clone();
        async move {
            let work = |turn: Turn<String>| {
                let tell = tell.clone();
                async move {
                    let Turn { key, mut place, .. } = turn;
                    if key.starts_with("slow") {
                        place.leave();
                        tokio::time::sleep(Duration::from_secs(19)).await;
                        place.enter().await;
                    }
                    let _ = tell.send((key, begun.elapsed()));
                    Next::after(Duration::from_secs(3600), Urgency::Drift)
                }
            };
            queue.run(Pulse::new(), work, |_, _| {}).await;
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    queue.shows(&"healthy".into(), lane("a", "2"), Seen::of(&meta("h", 1, None), &[]), Urgency::Person);
    assert_eq!(told.recv().await, Some(("healthy".into(), Duration::from_secs(1))));
    assert_eq!(queue.0.lock().away[&lane("a", "slow")], room(Urgency::Transitional));
    // A person who waits for the slow account itself is not kept behind those who wait for it already.
    queue.shows(
        &"slow-person".into(),
        lane("a", "slow"),
        Seen::of(&meta("p", 1, None), &[]),
        Urgency::Person,
    );
    let mut ends = Vec::new();
    while ends.len() < 301 {
        ends.extend(told.recv().await);
    }
    let person = ends.iter().find(|(key, _)| key == "slow-person").expect("it ends");
    assert!(person.1 <= Duration::from_secs(20), "{person:?}");
    // The others go on four at a time.
    assert_eq!(ends.last().map(|(_, at)| at.as_secs()), Some(19 * 300 / 4));
    working.abort();
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_while_it_is_worked_on_is_worked_on_again() {
    let queue = Queue::new(2);
    shows(&queue, "one", lane("a", "1"), Urgency::Drift);
    let (begun, seat) = begin(&queue).expect("it may begin");
    queue.ask(&"one", Urgency::Person);
    queue.wake(["one"]);
    assert!(begin(&queue).is_none(), "never twice at one time");
    drop(seat);
    let next = Next::after(Duration::from_secs(600), Urgency::Drift);
    queue.0.lock().ended(&"one", begun.ticket, next, Instant::now());
    let (again, _seat) = begin(&queue).expect("it is worked on again");
    assert!(again.is_asked && again.class == Urgency::Person);
    queue.0.lock().ended(&"one", again.ticket, next, Instant::now());
    assert!(begin(&queue).is_none());
    tokio::time::advance(Duration::from_secs(601)).await;
    let (by_date, _seat) = begin(&queue).expect("its date has come");
    assert!(!by_date.is_asked && by_date.class == Urgency::Drift);
}

#[tokio::test(start_paused = true)]
async fn work_that_somebody_comes_to_ask_for_goes_on_in_the_class_of_who_asks() {
    type Asks = fn(&Queue<&'static str>);
    let asks: [(&str, Asks, Urgency); 3] = [
        ("a person", |queue| queue.ask(&"one", Urgency::Person), Urgency::Person),
        (
            "an edit",
            |queue| queue.shows(&"one", lane("a", "1"), seen("one", 2, None), Urgency::Drift),
            Urgency::Edit,
        ),
        (
            "an edit, then a person",
            |queue| {
                queue.ask(&"one", Urgency::Edit);
                queue.ask(&"one", Urgency::Person);
            },
            Urgency::Person,
        ),
    ];
    for (what, asks, class) in asks {
        for is_in_line in [false, true] {
            let queue = Queue::new(1);
            shows(&queue, "one", lane("a", "1"), Urgency::Drift);
            let (_, mut seat) = begin(&queue).expect("a look for drift");
            seat.leave();
            for key in ["edit", "more", "most"] {
                shows(&queue, key, lane("b", key), class);
            }
            let (edit, edited) = begin(&queue).expect("another object");
            assert_eq!(edit.class, class);
            if !is_in_line {
                asks(&queue);
            }
            {
                let mut back = std::pin::pin!(seat.enter());
                assert!(futures::poll!(back.as_mut()).is_pending(), "there is one place");
                if is_in_line {
                    asks(&queue);
                }
                // The portfolio that stood there before has its turn, once.
                drop(edited);
                let others = std::iter::from_fn(|| begin(&queue)).count();
                assert!(others <= 1, "{what}, in line: {is_in_line}: {others} before it");
                assert!(futures::poll!(back.as_mut()).is_ready(), "{what}, in line: {is_in_line}");
            }
            assert_eq!(seat.class(), class, "{what}");
            drop(seat);
            while begin(&queue).is_some() {}
            let inner = queue.0.lock();
            assert_eq!((inner.free, inner.beside, inner.returning.len()), (1, 0, 0), "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_earlier_date_counts_and_a_later_one_does_not() {
    let queue = Queue::new(1);
    shows(&queue, "one", lane("a", "1"), Urgency::Drift);
    assert_eq!(order(&queue), ["one"]);
    queue.within(&"one", Duration::from_secs(2));
    queue.within(&"one", Duration::from_secs(900));
    tokio::time::advance(Duration::from_millis(1_990)).await;
    assert_eq!(order(&queue), [""; 0]);
    tokio::time::advance(Duration::from_millis(20)).await;
    assert_eq!(order(&queue), ["one"]);
}

#[tokio::test(start_paused = true)]
async fn a_place_comes_back_whenever_work_is_dropped() {
    let queue = Queue::new(1);
    let take = |key| {
        shows(&queue, key, lane("a", "1"), Urgency::Drift);
        begin(&queue).expect("a place is free").1
    };
    drop(take("with a place"));
    assert_eq!(free(&queue), (1, 0));
    let mut seat = take("without");
    seat.leave();
    assert_eq!(free(&queue), (1, 1));
    drop(seat);
    assert_eq!(free(&queue), (1, 0));
    // In line for a place that another holds, and given up there.
    let mut seat = take("in line");
    seat.leave();
    let holder = take("holder");
    let waits = tokio::time::timeout(Duration::from_secs(1), seat.enter()).await;
    assert!(waits.is_err());
    drop(seat);
    assert_eq!(free(&queue), (0, 0));
    drop(holder);
    assert!(begin(&queue).is_none());
    assert_eq!(free(&queue), (1, 0));
    // In line, and given a place that it never took.
    let mut seat = take("given");
    seat.leave();
    let waits = tokio::time::timeout(Duration::from_secs(1), seat.enter()).await;
    assert!(waits.is_err());
    assert!(begin(&queue).is_none(), "the only place goes to who comes back");
    assert_eq!(free(&queue), (0, 0));
    drop(seat);
    assert_eq!(free(&queue), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_last_gives_its_lane_back() {
    let queue = Queue::new(3);
    for (key, account) in [("one", "1"), ("two", "1"), ("three", "2")] {
        shows(&queue, key, lane("a", account), Urgency::Drift);
    }
    assert_eq!(queue.forget(&"one"), None, "another one is in it");
    assert_eq!(queue.forget(&"two"), Some(lane("a", "1")));
    assert_eq!(queue.forget(&"two"), None, "it is not known");
    assert_eq!(queue.forget(&"three"), Some(lane("a", "2")));
}

#[tokio::test(start_paused = true)]
async fn an_object_of_the_same_name_is_another_one() {
    let queue = Queue::new(3);
    shows(&queue, "one", lane("a", "1"), Urgency::Drift);
    let (old, _seat) = begin(&queue).expect("it may begin");
    queue.forget(&"one");
    queue.shows(&"one", lane("b", "1"), seen("another", 1, None), Urgency::Transitional);
    let (new, _seat) = begin(&queue).expect("the new one may begin");
    assert_eq!(new.lane, lane("b", "1"));
    let next = Next::after(Duration::ZERO, Urgency::Drift);
    queue.0.lock().ended(&"one", old.ticket, next, Instant::now());
    assert!(begin(&queue).is_none(), "the new one is still worked on");
    queue.0.lock().ended(&"one", new.ticket, next, Instant::now());
    assert!(begin(&queue).is_some());
}

#[tokio::test(start_paused = true)]
async fn only_what_a_user_changes_asks_for_work() {
    let queue = Queue::new(1);
    let show = |seen| queue.shows(&"one", lane("a", "1"), seen, Urgency::Transitional);
    show(seen("u", 1, None));
    assert_eq!(order(&queue), ["one"]);
    show(seen("u", 1, None));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(order(&queue), [""; 0], "our own write of status");
    show(seen("u", 1, Some("now")));
    assert_eq!(begin(&queue).map(|(begun, _)| (begun.class, begun.is_asked)), Some((Urgency::Person, true)));
    let queue = Queue::new(1);
    let show = |seen| queue.shows(&"one", lane("a", "1"), seen, Urgency::Transitional);
    show(seen("u", 1, None));
    assert_eq!(order(&queue), ["one"]);
    show(seen("u", 2, None));
    show(seen("u", 3, None));
    assert!(begin(&queue).is_none(), "edits that come together are one");
    tokio::time::advance(DEBOUNCE).await;
    assert_eq!(begin(&queue).map(|(begun, _)| (begun.class, begun.is_asked)), Some((Urgency::Edit, true)));
}

#[tokio::test(start_paused = true)]
async fn work_is_started_and_stopped_many_times_and_everybody_has_a_turn() {
    let queue = Queue::new(3);
    for n in 0..50_u32 {
        let seen = Seen::of(&meta(&n.to_string(), 1, None), &[]);
        queue.shows(&format!("{n:02}"), lane("a", "1"), seen, Urgency::Drift);
    }
    let done = Arc::new(Mutex::new(BTreeMap::<String, u32>::new()));
    for _ in 0..40 {
        let work = |turn: Turn<String>| {
            let done = done.clone();
            async move {
                let Turn { key, mut place, .. } = turn;
                place.leave();
                tokio::time::sleep(Duration::from_millis(700)).await;
                place.enter().await;
                *done.lock().expect("sound").entry(key).or_default() += 1;
                Next::after(Duration::from_secs(3600), Urgency::Drift)
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(2_500), queue.run(Pulse::new(), work, |_, _| {}))
            .await;
        // What was dropped in the middle ends in its task.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let done = done.lock().expect("sound");
    assert_eq!(done.len(), 50, "{done:?}");
    // Each run works on all anew, and goes on with those for which the one before had no time.
    let (least, most) = (done.values().min(), done.values().max());
    assert!(least.zip(most).is_some_and(|(least, most)| most - least <= 1), "{done:?}");
    assert_eq!(free(&queue), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_crowd_is_woken_at_a_pace_and_nobody_twice() {
    let queue = Queue::new(1);
    let keys: Vec<String> = (0..1_000_u32).map(|n| format!("{n:04}")).collect();
    for key in &keys {
        queue.shows(key, lane("a", "1"), Seen::of(&meta(key, 1, None), &[]), Urgency::Drift);
    }
    let all = |queue: &Queue<String>| {
        let mut begun = 0;
        while let Some(next) = { queue.0.lock().next(Instant::now()) } {
            begun += 1;
            drop(queue.turn(&next));
            let after = Next::after(Duration::from_secs(3_600), Urgency::Drift);
            queue.0.lock().ended(&next.key, next.ticket, after, Instant::now());
        }
        begun
    };
    assert_eq!(all(&queue), 1_000);
    queue.wake(keys.clone());
    assert_eq!(all(&queue), FEW, "a few at once");
    assert_eq!(over(&queue, PACE * 100).await.len(), 100);
    assert_eq!(over(&queue, PACE * 1_000).await.len(), 900 - FEW);
    assert_eq!(over(&queue, Duration::from_secs(60)).await.len(), 0, "each was looked at once");
}

fn crowd(name: &str, count: usize, of: &Lane, class: Urgency, queue: &Queue<String>) -> Vec<String> {
    let keys: Vec<String> = (0..count).map(|n| format!("{name}{n:04}")).collect();
    for key in &keys {
        queue.shows(key, of.clone(), Seen::of(&meta(key, 1, None), &[]), class);
    }
    keys
}

/// Those that may begin now; each comes again in its class after an hour.
fn begun(queue: &Queue<String>) -> Vec<String> {
    let mut begun = Vec::new();
    while let Some(next) = { queue.0.lock().next(Instant::now()) } {
        begun.push(next.key.clone());
        drop(queue.turn(&next));
        let after = Next::after(Duration::from_secs(3_600), next.class);
        queue.0.lock().ended(&next.key, next.ticket, after, Instant::now());
    }
    begun
}

/// Those that begin within this time, each as soon as it may.
async fn over(queue: &Queue<String>, time: Duration) -> Vec<String> {
    let (end, mut all) = (Instant::now() + time, Vec::new());
    while Instant::now() < end {
        tokio::time::advance(PACE.min(end - Instant::now())).await;
        all.extend(begun(queue));
    }
    all
}

#[tokio::test(start_paused = true)]
async fn those_of_a_crowd_that_had_to_wait_for_a_place_do_not_come_all_together() {
    let queue = Queue::new(1);
    let of = lane("a", "1");
    let keys = crowd("c", 1_000, &of, Urgency::Drift, &queue);
    begun(&queue);
    queue.wake(keys);
    assert_eq!(begun(&queue).len(), FEW);
    // Nothing ends for a while, and most of them stand in line by then.
    tokio::time::advance(PACE * 500).await;
    queue.0.lock().rouse(Instant::now());
    assert_eq!(begun(&queue).len(), FEW);
    let at = queue.0.lock().next_date(Instant::now());
    assert_eq!(at, Some(Instant::now() + PACE), "it is known when the next may begin");
    // Who changes is in no crowd, and who is asked for waits for none.
    queue.ask(&"c0999".to_owned(), Urgency::Person);
    assert_eq!(begun(&queue), ["c0999"]);
    assert_eq!(over(&queue, PACE * 100).await.len(), 100);
    over(&queue, PACE * 1_000).await;
    assert_eq!((begun(&queue).len(), queue.0.lock().roused), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn those_who_stand_in_line_since_the_start_are_begun_at_the_pace_where_each_writes_at_once() {
    let queue = Queue::new(1);
    let keys = crowd("c", 1_000, &lane("a", "1"), Urgency::Drift, &queue);
    let beside = crowd("b", 100, &lane("b", "1"), Urgency::Drift, &queue);
    let hurry = crowd("edit", 10, &lane("a", "1"), Urgency::Edit, &queue);
    let all = [&keys[..], &hurry].concat();
    for _ in 0..2 {
        queue.wake_all_at_pace(&all);
    }
    // Those of other portfolios, and those whom an edit waits for, are not kept.
    assert_eq!(begun(&queue).len(), FEW + beside.len() + hurry.len());
    assert_eq!(over(&queue, PACE * 100).await.len(), 100);
    assert_eq!(over(&queue, PACE * 1_000).await.len(), 900 - FEW);
    assert_eq!(over(&queue, Duration::from_secs(60)).await.len(), 0, "each was looked at once");
    assert_eq!(queue.0.lock().roused, 0);
}

#[tokio::test(start_paused = true)]
async fn wakes_of_many_accounts_share_one_pace_and_a_small_one_does_not_wait_for_a_large_one() {
    let queue = Queue::new(1_000);
    let large = crowd("large", 5_000, &lane("a", "1"), Urgency::Drift, &queue);
    let small: Vec<_> = (0..40)
        .map(|n| crowd(&format!("s{n:02}-"), 10, &lane("b", &n.to_string()), Urgency::Drift, &queue))
        .collect();
    let hurry = crowd("edit", 100, &lane("c", "1"), Urgency::Edit, &queue);
    assert_eq!(begun(&queue).len(), 5_500);
    tokio::time::advance(Duration::from_secs(60)).await;
    queue.wake(large);
    for keys in &small {
        queue.wake(keys.clone());
    }
    assert_eq!(begun(&queue).len(), FEW, "a few at once, and not of each");
    // Those whom a person or an edit waits for are not kept.
    queue.wake(hurry);
    assert_eq!(begun(&queue).len(), 100);
    let (mut seconds, mut all) = (Vec::new(), 0);
    while all < 5_400 - FEW {
        let begun = over(&queue, Duration::from_secs(1)).await;
        all += begun.len();
        seconds.push((begun.len(), begun.iter().filter(|key| key.starts_with('s')).count()));
    }
    let most = seconds.iter().map(|(all, _)| *all).max();
    assert!(most.is_some_and(|most| most + FEW <= 200), "{most:?} in a second");
    let of_small: Vec<usize> = seconds.iter().map(|(_, small)| *small).collect();
    assert_eq!(of_small.iter().take(4).sum::<usize>(), 400, "{of_small:?}");
}

#[tokio::test(start_paused = true)]
async fn who_was_woken_is_looked_at_once_however_it_comes_to_its_turn() {
    let queue = Queue::new(1_000);
    let keys = crowd("c", 200, &lane("a", "1"), Urgency::Drift, &queue);
    assert_eq!(begun(&queue).len(), 200);
    queue.wake(keys.clone());
    assert_eq!(begun(&queue).len(), FEW);
    let last = &keys[199];
    // It is worked on before the pace lets it through, and somebody asked for it.
    queue.within(last, Duration::ZERO);
    let next = queue.0.lock().next(Instant::now()).expect("its date has come");
    assert!(next.key == *last && next.is_asked);
    // What changes while it is worked on is looked at when that is over: not before its turn, and an edit before it.
    queue.wake([last.clone()]);
    queue.ask_within(last, Urgency::Edit, Duration::from_millis(250));
    drop(queue.turn(&next));
    queue.0.lock().ended(
        last,
        next.ticket,
        Next::after(Duration::from_secs(600), Urgency::Drift),
        Instant::now(),
    );
    assert!(begun(&queue).is_empty());
    assert!(over(&queue, Duration::from_millis(250)).await.contains(last), "the edit came first");
    let rest = over(&queue, Duration::from_secs(60)).await;
    assert!(!rest.contains(last), "and nothing was left to look at");
    // A step in progress goes on in its time, although it was woken.
    let last = &keys[198];
    queue.wake(keys[..199].to_vec());
    assert_eq!(begun(&queue).len(), FEW);
    queue.within(last, Duration::ZERO);
    let next = queue.0.lock().next(Instant::now()).expect("its date has come");
    queue.wake([last.clone()]);
    drop(queue.turn(&next));
    let soon = Next::after(Duration::from_millis(100), Urgency::Drift);
    queue.0.lock().ended(last, next.ticket, soon, Instant::now());
    assert!(over(&queue, Duration::from_millis(100)).await.contains(last));
    // Whoever is gone is not woken, and leaves nothing.
    over(&queue, Duration::from_secs(60)).await;
    queue.wake(keys.clone());
    for key in &keys {
        queue.forget(key);
    }
    assert!(begun(&queue).is_empty());
    assert!(queue.0.lock().woken.is_empty());
}

#[test]
fn a_version_that_the_watch_showed_later_is_known() {
    let queue: Queue<&str> = Queue::new(1);
    let shown = |version: &str| {
        let meta = ObjectMeta { resource_version: Some(version.into()), ..meta("one", 1, None) };
        queue.shows(&"one", lane("a", "1"), Seen::of(&meta, &[]), Urgency::Drift);
    };
    assert!(!queue.has_shown_later(&"one", "9"), "nothing was shown");
    shown("10");
    assert!(queue.has_shown_later(&"one", "9") && !queue.has_shown_later(&"one", "10"));
    shown("11");
    assert!(queue.has_shown_later(&"one", "10"));
    shown("abc");
    assert!(!queue.has_shown_later(&"one", "9"), "no number");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_is_woken_lane_after_lane() {
    let queue = Queue::new(1_000);
    let keys: Vec<String> = (0..300).map(|n| format!("c{n:03}")).collect();
    let lane_of = |key: &str| lane("a", &key[3..]);
    for key in &keys {
        queue.shows(key, lane_of(key), Seen::of(&meta(key, 1, None), &[]), Urgency::Drift);
    }
    let begun = |queue: &Queue<String>| {
        let mut begun = Vec::new();
        while let Some(next) = { queue.0.lock().next(Instant::now()) } {
            begun.push(next.key.clone());
            drop(queue.turn(&next));
            let after = Next::after(Duration::from_secs(3_600), Urgency::Drift);
            queue.0.lock().ended(&next.key, next.ticket, after, Instant::now());
        }
        begun
    };
    assert_eq!(begun(&queue).len(), 300);
    queue.wake(keys.clone());
    let mut lanes = Vec::new();
    for _ in 0..200 {
        lanes.extend(begun(&queue).iter().map(|key| key[3..].to_owned()));
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    assert_eq!(lanes.len(), 300);
    // Thirty in each of ten lanes; those that are woken at once take turns.
    let crowd = &lanes[usize::try_from(CROWD).unwrap()..];
    assert!(crowd.is_sorted(), "{crowd:?}");
}

#[tokio::test(start_paused = true)]
async fn of_a_thousand_portfolios_that_hang_but_for_one_that_one_has_its_turn_and_a_new_one_at_once() {
    const HANGING: usize = 999;
    const PLACES: usize = 16;
    let queue: Queue<String> = Queue::new(PLACES);
    let shows = |name: &str, class| {
        let portfolio = PortfolioRef { namespace: "shop".into(), name: name.into() };
        let lane = Lane { portfolio, target: Target::Portfolio };
        queue.shows(&name.to_owned(), lane, Seen::of(&meta(name, 1, None), &[]), class);
    };
    // Those that wait for Meta hold no place; those that were just begun do until they wait. Nothing comes of it, and
    // whoever tried stands in line again at once.
    let mut waiting = VecDeque::new();
    let mut turn = || {
        let begun = queue.0.lock().next(Instant::now())?;
        let mut seat = queue.turn(&begun).place;
        if begun.key == "healthy" {
            return Some(true);
        }
        seat.leave();
        waiting.push_back((begun, seat));
        if waiting.len() > PLACES {
            let (over, _seat) = waiting.pop_front()?;
            let again = Next::after(Duration::ZERO, over.class);
            queue.0.lock().ended(&over.key, over.ticket, again, Instant::now());
        }
        Some(false)
    };
    for n in 0..HANGING {
        shows(&format!("hangs-{n:03}"), Urgency::Drift);
    }
    for _ in 0..3 * HANGING {
        assert_eq!(turn(), Some(false), "there is always another that hangs");
    }
    // Whoever stands in line already comes first, once; in a better class nobody does.
    for (class, most) in [(Urgency::Drift, HANGING), (Urgency::Edit, 0), (Urgency::Person, 0)] {
        queue.forget(&"healthy".to_owned());
        shows("healthy", class);
        let before = (0..=most).take_while(|_| turn() == Some(false)).count();
        assert!(before <= most, "{class:?}: {before} turns of others");
    }
}

#[tokio::test(start_paused = true)]
async fn work_that_was_dropped_comes_again_in_its_class_and_none_behind_a_step() {
    for (class, again) in [
        (Urgency::Person, Urgency::Person),
        (Urgency::Edit, Urgency::Edit),
        (Urgency::Transitional, Urgency::Transitional),
        (Urgency::Drift, Urgency::Transitional),
    ] {
        let queue = Queue::new(1);
        shows(&queue, "one", lane("a", "1"), class);
        let (begun, _) = begin(&queue).expect("it is there");
        drop(Ending { queue: queue.clone(), key: begun.key, ticket: begun.ticket, class, is_over: false });
        tokio::time::advance(DROPPED).await;
        assert_eq!(begin(&queue).map(|(begun, _)| begun.class), Some(again), "{class:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_one_turn_and_no_other() {
    let queue = Queue::new(1);
    for key in ["poisoned", "sound"] {
        shows(&queue, key, lane("a", "1"), Urgency::Drift);
    }
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let work = |turn: Turn<&'static str>| {
        let tell = tell.clone();
        async move {
            let _ = tell.send(turn.key);
            assert!(turn.key != "poisoned", "poisoned");
            Next::after(Duration::from_secs(3600), Urgency::Drift)
        }
    };
    let _ =
        tokio::time::timeout(Duration::from_millis(1_500), queue.run(Pulse::new(), work, |_, _| {})).await;
    let mut order = Vec::new();
    while let Ok(key) = told.try_recv() {
        order.push(key);
    }
    assert_eq!(order, ["poisoned", "sound", "poisoned"], "it comes again after a pause");
}

#[tokio::test(start_paused = true)]
async fn how_many_stand_in_line_is_told_by_class() {
    let queue = Queue::new(1);
    shows(&queue, "one", lane("a", "1"), Urgency::Drift);
    shows(&queue, "two", lane("a", "1"), Urgency::Drift);
    queue.ask(&"two", Urgency::Person);
    let depths = queue.depths();
    assert_eq!(depths.map(|(_, depth)| depth), [1, 0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn whoever_was_woken_and_waits_for_the_pace_stands_in_line_since_then() {
    let queue = Queue::new(1);
    let all: Vec<_> = (0..3 * CROWD).map(|n| format!("{n:03}")).collect();
    for key in &all {
        let seen = Seen::of(&meta(key, 1, None), &[]);
        queue.shows(key, lane("a", "1"), seen, Urgency::Drift);
    }
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let work = |_: Turn<String>| async { Next { after: None, class: Urgency::Drift } };
    let running = queue.run(Pulse::new(), work, move |class, delay| _ = tell.send((class, delay)));
    let waking = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        queue.wake(all.clone());
        let drift = queue.depths()[index(Urgency::Drift)].1;
        tokio::time::sleep(Duration::from_secs(60)).await;
        drift
    };
    let drift = tokio::select! { () = running => 0, drift = waking => drift };
    assert_eq!(drift, all.len(), "all of them wait");
    let delays: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).skip(all.len()).collect();
    let longest = delays.iter().map(|(_, delay)| *delay).max();
    let paced = PACE * (2 * CROWD - 1);
    assert!(delays.len() == all.len() && longest.is_some_and(|longest| longest >= paced), "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_stands_in_line_for_another_place_is_told_how_long_too() {
    let queue = Queue::new(1);
    shows(&queue, "waits", lane("a", "1"), Urgency::Drift);
    shows(&queue, "works", lane("b", "1"), Urgency::Drift);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let work = |turn: Turn<&'static str>| async move {
        let Turn { key, mut place, .. } = turn;
        if key == "waits" {
            place.leave();
            tokio::time::sleep(Duration::from_secs(1)).await;
            place.enter().await;
        } else {
            tokio::time::sleep(Duration::from_secs(8)).await;
        }
        Next { after: None, class: Urgency::Drift }
    };
    let running = queue.run(Pulse::new(), work, move |_, delay| _ = tell.send(delay.as_secs()));
    let _ = tokio::time::timeout(Duration::from_secs(30), running).await;
    let delays: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
    assert_eq!(delays, [0, 0, 7]);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_never_ends_is_given_up_and_comes_again() {
    let queue = Queue::new(1);
    shows(&queue, "hangs", lane("a", "1"), Urgency::Edit);
    shows(&queue, "sound", lane("b", "1"), Urgency::Drift);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let work = |turn: Turn<&'static str>| {
        let tell = tell.clone();
        async move {
            let Turn { key, place: _place, .. } = turn;
            let _ = tell.send(key);
            if key == "hangs" {
                std::future::pending::<()>().await;
            }
            Next { after: None, class: Urgency::Drift }
        }
    };
    let _ = tokio::time::timeout(LONGEST * 3 / 2, queue.run(Pulse::new(), work, |_, _| {})).await;
    let order: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
    assert_eq!(order, ["hangs", "sound", "hangs"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_an_earlier_run_takes_no_place_of_a_later_one() {
    let queue = Queue::new(1);
    shows(&queue, "one", lane("a", "1"), Urgency::Drift);
    queue.0.lock().restart(Instant::now());
    let (begun, mut seat) = begin(&queue).expect("there is work");
    seat.leave();
    queue.0.lock().restart(Instant::now());
    assert_eq!(free(&queue), (1, 0));
    // It was begun before, so it does not wait for a place of this run, and gives none back.
    seat.enter().await;
    drop(seat);
    let next = Next::after(Duration::from_secs(60), Urgency::Drift);
    queue.0.lock().ended(&begun.key, begun.ticket, next, Instant::now());
    assert_eq!(free(&queue), (1, 0));
    assert_eq!(order(&queue), ["one"], "this run works on it too");
}

#[tokio::test(start_paused = true)]
async fn who_is_in_a_lane_is_counted_wherever_they_stand() {
    let queue = Queue::new(1);
    assert_eq!(queue.crowd(&lane("a", "1")), 0);
    for key in ["one", "two", "three"] {
        shows(&queue, key, lane("a", "1"), Urgency::Drift);
    }
    shows(&queue, "elsewhere", lane("a", "2"), Urgency::Drift);
    let under_way = begin(&queue).unwrap();
    assert_eq!(queue.crowd(&lane("a", "1")), 3);
    queue.forget(&"two");
    shows(&queue, "three", lane("a", "2"), Urgency::Drift);
    assert_eq!((queue.crowd(&lane("a", "1")), queue.crowd(&lane("a", "2"))), (1, 2));
    drop(under_way);
}

#[tokio::test(start_paused = true)]
async fn who_can_wait_a_while_does_so_also_when_asking_during_work() {
    let queue = Queue::new(1);
    shows(&queue, "one", lane("a", "1"), Urgency::Drift);
    let (begun, seat) = begin(&queue).unwrap();
    let end = |begun: &Begun<&'static str>| {
        let next = Next::after(Duration::from_secs(600), Urgency::Drift);
        queue.0.lock().ended(&begun.key, begun.ticket, next, Instant::now());
    };
    queue.ask_within(&"one", Urgency::Drift, Duration::from_secs(2));
    drop(seat);
    end(&begun);
    assert!(begin(&queue).is_none());
    tokio::time::advance(Duration::from_secs(2)).await;
    let (begun, seat) = begin(&queue).unwrap();
    assert!(begun.is_asked);
    drop(seat);
    // Who cannot wait goes on at once, whoever else asks before or after.
    queue.ask_within(&"one", Urgency::Drift, Duration::from_secs(2));
    queue.ask(&"one", Urgency::Edit);
    queue.ask_within(&"one", Urgency::Drift, Duration::from_secs(2));
    end(&begun);
    assert_eq!(begin(&queue).map(|(begun, _)| begun.class), Some(Urgency::Edit));
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_used_is_looked_at_when_it_is_deleted_or_let_go() {
    let queue = Queue::new(1);
    let shown = |meta: &ObjectMeta, is_usable: bool| {
        let seen = Seen::of(meta, &["send-code"]);
        queue.shows(&"one", lane("a", "1"), if is_usable { seen } else { seen.unusable() }, Urgency::Drift);
    };
    let begun = meta("one", 1, None);
    let going = ObjectMeta { deletion_timestamp: Some(Time(Timestamp::UNIX_EPOCH)), ..meta("one", 1, None) };
    let skipped =
        ObjectMeta { deletion_timestamp: going.deletion_timestamp.clone(), ..meta("one", 1, Some("yes")) };
    for (what, meta, is_usable, is_news) in [
        ("it is there", &begun, true, true),
        ("it cannot be used", &begun, false, true),
        ("only we wrote to it", &begun, false, false),
        ("it is deleted", &going, false, true),
        ("it is let go", &skipped, false, true),
        ("it can be used again", &skipped, true, true),
    ] {
        shown(meta, is_usable);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(!order(&queue).is_empty(), is_news, "{what}");
    }
}
