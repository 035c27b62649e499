//! The time zone of this machine, for dates that people read.
//!
//! In goes nothing but the environment and `/etc/localtime`, out comes a [`TimeZone`]. What the zone is called is not
//! asked: to find that out jiff looks through all of `/usr/share/zoneinfo`, which takes longer than all else that
//! `ldirectord status` does.
//!
//! Sources: `tzset(3)`, `tzfile(5)`.

use std::{env, fs};

use jiff::tz::TimeZone;

/// What `TZ` says, else `/etc/localtime`; UTC without either.
pub(super) fn local() -> TimeZone {
    let file = || TimeZone::tzif("local", &fs::read("/etc/localtime").ok()?).ok();
    if env::var_os("TZ").is_some() { None } else { file() }.unwrap_or_else(TimeZone::system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_is_the_one_that_jiff_finds() {
        for second in [0, 1_750_000_000, 1_790_000_000] {
            let moment = jiff::Timestamp::from_second(second).unwrap();
            let [ours, its] = [local(), TimeZone::system()].map(|zone| zone.to_datetime(moment));
            assert_eq!(ours, its);
        }
    }
}
