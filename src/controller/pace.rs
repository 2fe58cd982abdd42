//! When the next pass of an object is.

use std::{
    hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState},
    time::Duration,
};

use jiff::Timestamp;

use crate::engine::id::AccountId;

/// No object is left alone for longer: a missed event is repaired by the next pass.
pub const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Shorter pauses are waits for something in particular and come on time.
const JITTERED_FROM: Duration = Duration::from_secs(30);

/// A random number, good enough to spread passes.
pub fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// How long until then: longer pauses are stretched by 10 to 20 percent, so that a restart does not make
/// all channels look at the same time from then on; none is longer than [`LONGEST`].
pub fn until(then: Timestamp, now: Timestamp) -> Duration {
    let pause = Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO);
    spread(pause, chance())
}

/// How long until everybody looks again who shares a list that was begun then: all at one time, so that the next list
/// serves all of them, and none is read sooner than the age of the last demands. From account to account, and from list
/// to list, that time is spread as other pauses are.
pub fn with_siblings(account: &AccountId, begun: Timestamp, every: Duration, now: Timestamp) -> Duration {
    let mut hasher = DefaultHasher::new();
    (account, begun).hash(&mut hasher);
    let every = spread(every, hasher.finish());
    // Never longer, also when the clock went back since.
    Duration::try_from((begun + every).duration_since(now)).unwrap_or(Duration::ZERO).min(every)
}

/// The same for numbers at rest. Where all of them ask to be looked at more rarely it is up to a tenth sooner than they ask, and
/// never sooner than for others.
pub fn at_rest(
    account: &AccountId,
    begun: Timestamp,
    every: Duration,
    interval: Option<Duration>,
    now: Timestamp,
) -> Duration {
    let usual = with_siblings(account, begun, every, now);
    let Some(interval) = interval else { return usual };
    let mut hasher = DefaultHasher::new();
    (account, begun).hash(&mut hasher);
    let interval = interval * (100 - u32::try_from(hasher.finish() % 11).unwrap_or(0)) / 100;
    let wanted = Duration::try_from((begun + interval).duration_since(now)).unwrap_or(Duration::ZERO);
    usual.max(wanted.min(interval))
}

/// When the day of an account, or of a portfolio, began: what is read of each once a day is spread over the day, at the same time each
/// day, so that a restart adds nothing to it.
pub fn day_of(what: &impl Hash, now: Timestamp) -> Timestamp {
    const DAY: i64 = 24 * 60 * 60;
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    let offset = i64::try_from(hasher.finish() % DAY.unsigned_abs()).unwrap_or(0);
    let begun = (now.as_second() - offset).div_euclid(DAY) * DAY + offset;
    Timestamp::from_second(begun).unwrap_or(now)
}

fn spread(pause: Duration, chance: u64) -> Duration {
    if pause < JITTERED_FROM {
        return pause;
    }
    let percent = 110 + u32::try_from(chance % 11).unwrap_or(0);
    pause.min(LONGEST * 100 / 120) * percent / 100
}

/// How long to leave an object alone after this many failures in a row: 2 s doubling to 5 min, less up to a fifth.
pub fn after_failures(failures: u32) -> Duration {
    let pause = Duration::from_secs(2 << failures.saturating_sub(1).min(8)).min(Duration::from_secs(300));
    pause * (100 - u32::try_from(chance() % 21).unwrap_or(0)) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_of_an_account_begins_once_in_24_hours_and_not_at_the_same_time_for_all() {
        let hour = |hour: i64| Timestamp::from_second(1_764_000_000 + hour * 3_600).unwrap();
        let mut begins = std::collections::BTreeSet::new();
        for n in 0..24 {
            let account = AccountId::new(format!("3000000000000{n:02}"));
            let days: std::collections::BTreeSet<_> = (0..72).map(|h| day_of(&account, hour(h))).collect();
            let days: Vec<_> = days.into_iter().collect();
            assert!(days.len() == 3 || days.len() == 4, "{days:?}");
            assert!(days.windows(2).all(|pair| pair[1].as_second() - pair[0].as_second() == 86_400));
            assert!((0..72).all(|h| day_of(&account, hour(h)) <= hour(h)));
            begins.insert(days[0].as_second().rem_euclid(86_400) / 3_600);
        }
        assert!(begins.len() > 8, "{begins:?}");
    }

    #[test]
    fn no_pause_is_longer_than_a_quarter_of_an_hour() {
        for chance in 0..20 {
            assert!(spread(Duration::from_secs(86_400), chance) <= LONGEST);
        }
    }

    #[test]
    fn numbers_at_rest_are_looked_at_as_they_ask_and_never_sooner_than_any() {
        let (begun, every) = ("2026-03-01T12:00:00Z".parse().unwrap(), Duration::from_secs(300));
        for account in 0..20 {
            let account = AccountId::from(account.to_string().as_str());
            let pause = |interval: Option<u64>| {
                at_rest(&account, begun, every, interval.map(Duration::from_secs), begun)
            };
            let usual = with_siblings(&account, begun, every, begun);
            assert_eq!((pause(None), pause(Some(1)), pause(Some(300))), (usual, usual, usual));
            for asked in [3_600, 86_400] {
                assert!((asked * 9 / 10..=asked).contains(&pause(Some(asked)).as_secs()));
            }
            let late = begun + Duration::from_secs(7_200);
            let due = at_rest(&account, begun, every, Some(Duration::from_secs(3_600)), late);
            assert_eq!(due, Duration::ZERO, "a list that is too old is read at once");
        }
    }

    #[test]
    fn a_wait_for_something_in_particular_comes_on_time() {
        assert_eq!(spread(Duration::from_secs(5), 7), Duration::from_secs(5));
        assert!(spread(Duration::from_secs(300), 0) >= Duration::from_secs(330));
    }

    #[test]
    fn who_shares_a_list_looks_again_at_one_time_and_others_at_another() {
        let every = Duration::from_secs(300);
        let begun: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let at = |account: &str, begun, looked| {
            let now = begun + Duration::from_secs(looked);
            now + with_siblings(&AccountId::from(account), begun, every, now)
        };
        for account in 0..20 {
            let account = account.to_string();
            let pause = at(&account, begun, 0).duration_since(begun).as_secs();
            assert!((330..=360).contains(&pause), "{pause}");
            assert_eq!(at(&account, begun, 0), at(&account, begun, 299));
        }
        let hour_back = begun - Duration::from_secs(3_600);
        let pause = with_siblings(&AccountId::from("1"), begun, every, hour_back);
        assert!(pause <= Duration::from_secs(360), "a clock that went back: {pause:?}");
        let others: std::collections::BTreeSet<_> =
            (0..20).map(|account| at(&account.to_string(), begun, 0)).collect();
        assert!(others.len() > 5, "{others:?}");
    }

    #[test]
    fn failures_are_given_more_and_more_time() {
        assert!(after_failures(1) <= Duration::from_secs(2));
        assert!(after_failures(60) >= Duration::from_secs(240));
    }
}
