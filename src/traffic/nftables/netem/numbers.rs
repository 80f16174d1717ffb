//! The numbers of a degraded path, as netem takes them and as they are known again.

use std::time::Duration;

use crate::model::Degrade;

/// So many packets a second may be on their way at once; each is kept for the whole delay.
const PACKETS_A_SECOND: u64 = 1_000_000;
/// Never fewer than these can be kept, and never more: they take memory.
const KEPT: (u64, u64) = (10_000, 1_000_000);

/// How packets are delayed and thinned, in whole numbers: what is written is what is read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbers {
    /// Microseconds.
    latency: u64,
    jitter: u64,
    /// Of a million.
    loss: u32,
}

/// Our netem as it was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Netem {
    /// So many packets it keeps.
    pub limit: u64,
    /// Seconds.
    pub delay: f64,
    pub jitter: f64,
    /// A share.
    pub loss: f64,
    /// What else it does, which we never ask for.
    pub more: Vec<String>,
}

impl Numbers {
    pub fn of(degrade: &Degrade) -> Numbers {
        let micros = |it: Duration| u64::try_from(it.as_micros()).unwrap_or(u64::MAX);
        Numbers {
            latency: micros(degrade.latency),
            jitter: micros(degrade.jitter),
            loss: (degrade.loss.clamp(0.0, 1.0) * 1e6).round() as u32,
        }
    }

    /// By which they are known again.
    pub fn word(self) -> String {
        let Numbers { latency, jitter, loss } = self;
        format!("latency={latency}us jitter={jitter}us loss={loss}ppm")
    }

    /// What [`Numbers::word`] wrote.
    pub fn read(word: &str) -> Option<Numbers> {
        let mut words = word.split(' ');
        let mut number = |name: &str, unit: &str| {
            let value = words.next()?.strip_prefix(name)?.strip_prefix('=')?;
            value.strip_suffix(unit)?.parse::<u64>().ok()
        };
        let (latency, jitter) = (number("latency", "us")?, number("jitter", "us")?);
        let loss = u32::try_from(number("loss", "ppm")?).ok()?;
        words.next().is_none().then_some(Numbers { latency, jitter, loss })
    }

    /// As `tc` takes them.
    pub fn netem(self) -> String {
        let Numbers { latency, jitter, loss } = self;
        let percent = format!("{}.{:04}%", loss / 10_000, loss % 10_000);
        format!("netem limit {} delay {latency}us {jitter}us loss {percent}", self.limit())
    }

    /// Enough packets for the delay itself to lose none.
    fn limit(self) -> u64 {
        let micros = self.latency.saturating_add(self.jitter);
        (micros.saturating_mul(PACKETS_A_SECOND) / 1_000_000).clamp(KEPT.0, KEPT.1)
    }

    /// Whether `there` is what we would have made. `tc` says six digits of each number.
    pub fn are(self, there: &Netem) -> bool {
        let near = |is: f64, wanted: f64| (is - wanted).abs() <= wanted * 1e-5 + 5e-7;
        let seconds = |micros: u64| Duration::from_micros(micros).as_secs_f64();
        near(there.delay, seconds(self.latency))
            && near(there.jitter, seconds(self.jitter))
            && near(there.loss, f64::from(self.loss) / 1e6)
            && there.limit == self.limit()
            && there.more.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_plan_says_is_what_tc_is_told_and_what_is_read_back() {
        let ms = Duration::from_millis;
        let of = |latency, jitter, loss| Degrade { latency, jitter, loss, bandwidth: None };
        for (degrade, word, netem) in [
            (
                of(ms(200), ms(20), 0.015),
                "latency=200000us jitter=20000us loss=15000ppm",
                "netem limit 220000 delay 200000us 20000us loss 1.5000%",
            ),
            (
                of(ms(0), ms(0), 1.0),
                "latency=0us jitter=0us loss=1000000ppm",
                "netem limit 10000 delay 0us 0us loss 100.0000%",
            ),
            (
                of(Duration::from_micros(1), ms(0), 1e-6),
                "latency=1us jitter=0us loss=1ppm",
                "netem limit 10000 delay 1us 0us loss 0.0001%",
            ),
            (
                of(ms(60_000), ms(2_000), 0.1),
                "latency=60000000us jitter=2000000us loss=100000ppm",
                "netem limit 1000000 delay 60000000us 2000000us loss 10.0000%",
            ),
        ] {
            let numbers = Numbers::of(&degrade);
            assert_eq!(numbers.word(), word);
            assert_eq!(Numbers::read(word), Some(numbers));
            assert_eq!(numbers.netem(), netem);
            // Six digits of each.
            let there = Netem {
                limit: numbers.limit(),
                delay: degrade.latency.as_secs_f64() * 1.000_004,
                jitter: degrade.jitter.as_secs_f64() * 0.999_996,
                loss: degrade.loss,
                more: Vec::new(),
            };
            assert!(numbers.are(&there), "{word}: {there:?}");
            let mut others = [(); 5].map(|()| there.clone());
            others[0].limit += 1;
            others[1].delay = others[1].delay * 1.0001 + 1e-6;
            others[2].jitter = others[2].jitter * 1.0001 + 1e-6;
            others[3].loss = others[3].loss * 0.9999 - 1e-6;
            others[4].more.push("rate".to_owned());
            for other in others {
                assert!(!numbers.are(&other), "{word}: {other:?}");
            }
        }
    }

    #[test]
    fn what_nobody_of_us_wrote_is_not_read() {
        for word in [
            "",
            "latency=1us jitter=1us",
            "latency=1ms jitter=1us loss=1ppm",
            "latency=1us jitter=1us loss=1ppm more=1",
            "latency=-1us jitter=1us loss=1ppm",
            "jitter=1us latency=1us loss=1ppm",
            "latency=1us jitter=1us loss=99999999999ppm",
        ] {
            assert_eq!(Numbers::read(word), None, "{word}");
        }
    }
}
