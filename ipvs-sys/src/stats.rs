//! What the kernel counted for a service or a destination.
//!
//! In go the 64-bit attributes or, from kernels before 4.1, the 32-bit ones; out comes [`Stats`].
//! Rates are the kernel's own estimates, renewed every two seconds.
//!
//! Source: `ip_vs_genl_fill_stats64` and `ip_vs_genl_fill_stats` in `net/netfilter/ipvs/ip_vs_ctl.c`, Linux 6.1.

use crate::attr::StatsAttr;

/// Counters since the start or the last zeroing, and rates a second.
///
/// Old kernels cut everything but the bytes to 32 bits, so that a counter starts again at 0 after 4,294,967,295.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients; only those that pass this machine, hence not with direct routing or tunnels.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients, where they pass this machine.
    pub bytes_out: u64,
    /// Connections a second.
    pub connection_rate: u64,
    /// Packets from clients a second.
    pub packet_rate_in: u64,
    /// Packets to clients a second.
    pub packet_rate_out: u64,
    /// Bytes from clients a second.
    pub byte_rate_in: u64,
    /// Bytes to clients a second.
    pub byte_rate_out: u64,
}

impl Stats {
    /// The wide counters where there are some, else the narrow ones, else zeros.
    pub(crate) fn from_either(
        wide: Option<Vec<StatsAttr>>,
        narrow: Option<Vec<StatsAttr>>,
    ) -> Self {
        let mut stats = Self::default();
        for attribute in wide.or(narrow).unwrap_or_default() {
            let (field, counter) = match attribute {
                StatsAttr::Connections(counter) => (&mut stats.connections, counter),
                StatsAttr::PacketsIn(counter) => (&mut stats.packets_in, counter),
                StatsAttr::PacketsOut(counter) => (&mut stats.packets_out, counter),
                StatsAttr::BytesIn(counter) => (&mut stats.bytes_in, counter),
                StatsAttr::BytesOut(counter) => (&mut stats.bytes_out, counter),
                StatsAttr::ConnectionRate(counter) => (&mut stats.connection_rate, counter),
                StatsAttr::PacketRateIn(counter) => (&mut stats.packet_rate_in, counter),
                StatsAttr::PacketRateOut(counter) => (&mut stats.packet_rate_out, counter),
                StatsAttr::ByteRateIn(counter) => (&mut stats.byte_rate_in, counter),
                StatsAttr::ByteRateOut(counter) => (&mut stats.byte_rate_out, counter),
                StatsAttr::Padding(_) => continue,
            };
            *field = counter.into();
        }
        stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::Counter;

    #[test]
    fn wide_counters_win_and_narrow_ones_stand_in() {
        let wide = vec![StatsAttr::BytesIn(Counter::Wide(1 << 40))];
        let narrow = vec![
            StatsAttr::BytesIn(Counter::Narrow(7)),
            StatsAttr::Connections(Counter::Narrow(3)),
        ];
        assert_eq!(Stats::from_either(Some(wide), Some(narrow.clone())).bytes_in, 1 << 40);
        let old_kernel = Stats::from_either(None, Some(narrow));
        assert_eq!((old_kernel.bytes_in, old_kernel.connections), (7, 3));
        assert_eq!(Stats::from_either(None, None), Stats::default());
    }
}
