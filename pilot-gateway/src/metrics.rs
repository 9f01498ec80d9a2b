//! Counters in the Prometheus text format.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident = $metric:literal, $labels:literal, $help:literal;)*) => {
        /// What the gateway counts.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $($(#[$doc])* pub $name: Counter,)*
        }

        impl Metrics {
            /// The counters and the number of active drivers as text.
            pub fn render(&self, drivers_active: usize) -> String {
                let mut text = String::new();
                let mut last = "";
                $(
                    if last != $metric {
                        text.push_str(concat!(
                            "# HELP ", $metric, " ", $help, "\n# TYPE ", $metric, " counter\n"
                        ));
                        last = $metric;
                    }
                    let value = self.$name.0.load(Ordering::Relaxed);
                    // Writing to a String can't fail.
                    writeln!(text, concat!($metric, $labels, " {}"), value).ok();
                )*
                let _newest = last;
                text.push_str("# HELP longrein_gateway_drivers_active Programs that hold a robot here.\n");
                text.push_str("# TYPE longrein_gateway_drivers_active gauge\n");
                writeln!(text, "longrein_gateway_drivers_active {drivers_active}").ok();
                text
            }
        }
    };
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

counters! {
    /// Answers with 2xx or 3xx.
    good = "longrein_gateway_responses_total", "{{class=\"good\"}}", "Answers by class of status.";
    /// Answers with 4xx.
    refused = "longrein_gateway_responses_total", "{{class=\"refused\"}}", "Answers by class of status.";
    /// Answers with 5xx.
    failed = "longrein_gateway_responses_total", "{{class=\"failed\"}}", "Answers by class of status.";
    /// Requests passed to the fleet.
    proxied = "longrein_gateway_proxied_total", "", "Requests passed to the fleet.";
    /// Requests that the fleet did not answer.
    proxy_errors = "longrein_gateway_proxy_errors_total", "", "Requests that the fleet did not answer.";
    /// Sessions of browsers opened with robots.
    sessions = "longrein_gateway_sessions_total", "", "Sessions of browsers opened with robots.";
    /// Leases of programs opened with robots.
    leases = "longrein_gateway_leases_total", "", "Leases of programs opened with robots.";
    /// Drive packets sent for programs.
    packets = "longrein_gateway_packets_total", "", "Drive packets sent for programs.";
    /// Pictures given to programs.
    looks = "longrein_gateway_looks_total", "", "Pictures given to programs.";
    /// States of robots that did not verify.
    states_refused = "longrein_gateway_states_refused_total", "", "States of robots that did not verify.";
}

/// What the TURN server inside the gateway counted.
pub fn render_turn(text: &mut String, stats: &turn_relay::Stats) {
    let counters = [
        ("allocations", &stats.allocations, "Paths that were opened through the relay."),
        ("bytes", &stats.bytes, "Bytes that were relayed, both ways."),
        (
            "refused_credentials",
            &stats.refused_credentials,
            "Requests with bad or old credentials.",
        ),
        ("refused_peers", &stats.refused_peers, "Peers that may not be reached."),
        ("refused_full", &stats.refused_full, "Paths for which there was no room."),
        ("dropped", &stats.dropped, "Packets that were malformed, or too many."),
    ];
    for (name, count, help) in counters {
        let metric = format!("longrein_gateway_turn_{name}_total");
        let count = count.get();
        // Writing to a String can't fail.
        writeln!(text, "# HELP {metric} {help}\n# TYPE {metric} counter\n{metric} {count}").ok();
    }
}

/// What the server for spectators counted.
pub fn render_watch(text: &mut String, stats: &watch_relay::Stats) {
    let name = "longrein_gateway_watch_viewers";
    let viewers = stats.viewers.load(Ordering::Relaxed);
    // Writing to a String can't fail.
    writeln!(
        text,
        "# HELP {name} Spectators there are now.\n# TYPE {name} gauge\n{name} {viewers}"
    )
    .ok();
    for (name, count, help) in stats.all() {
        let name = format!("longrein_gateway_watch_{name}_total");
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {count}").ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_help_line_for_each_metric() {
        let metrics = Metrics::default();
        metrics.refused.add();
        let text = metrics.render(3);
        assert!(text.contains("longrein_gateway_responses_total{class=\"refused\"} 1\n"), "{text}");
        assert!(text.contains("longrein_gateway_drivers_active 3\n"), "{text}");
        assert_eq!(text.matches("# HELP longrein_gateway_responses_total").count(), 1);
    }
}
