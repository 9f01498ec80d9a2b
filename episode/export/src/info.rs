//! What `episode info` prints.

use episode::{Intervention, Report};
use protocol::units::WallMs;
use std::fmt::Write;

/// An episode on one screen.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    render(&mut out, report).ok();
    out
}

fn render(out: &mut String, report: &Report) -> std::fmt::Result {
    let Some(facts) = &report.episode else {
        return writeln!(out, "not an episode that can be trusted\n\n{report}");
    };
    writeln!(out, "{}", facts.id)?;
    let mut line = |name: &str, value: String| writeln!(out, "  {name:<10} {value}");
    line("robot", format!("{}  {}", facts.robot, facts.robot_did))?;
    let kind = match facts.driver.kind {
        protocol::lease::DriverKind::Pilot => "person",
        protocol::lease::DriverKind::Agent => "program",
    };
    let word = if facts.driver_signed { "signed by the driver" } else { "attested by the relay" };
    line("driver", format!("{}  ({kind}, {word})", facts.driver.did))?;
    if let Some(proof) = &report.proof {
        line("proof", proof.words.clone())?;
    }
    match &facts.mission {
        Some(mission) => line("mission", format!("{}  {}", mission.name, mission.id))?,
        None => line("mission", "none".into())?,
    }
    line("recorded", recorded(facts))?;
    line("ended", format!("{}, epoch {}", facts.ended_why, facts.epoch))?;
    if let Some(summary) = &report.summary {
        let minutes = (summary.duration_s / 60.0).floor();
        let seconds = summary.duration_s - minutes * 60.0;
        line("duration", format!("{minutes:.0} min {seconds:.1} s"))?;
        line("distance", format!("{:.1} m", summary.distance_m))?;
        line("latency", latency(summary.loop_latency_ms_p50, summary.loop_latency_ms_p99))?;
        interventions(&mut line, &summary.interventions)?;
        line("messages", format!("{}, {} dropped", summary.messages, summary.dropped))?;
    }
    if let Some(receipts) = &report.receipts {
        line(
            "receipts",
            format!(
                "{} cover {} of {} drive packets, {} of {} that move",
                receipts.summary.receipts,
                receipts.summary.packets_covered,
                receipts.summary.packets_recorded,
                receipts.moving_covered,
                receipts.moving_recorded,
            ),
        )?;
    }
    if let Some(loss) = &facts.loss {
        line("LOSS", loss.why.clone())?;
        for file in &loss.files {
            let lost = file.messages_lost.map_or("unknown".to_owned(), |lost| lost.to_string());
            line("", format!("{}: {} bytes, messages: {lost}", file.name, file.bytes_lost))?;
        }
    }
    writeln!(out)?;
    for file in &report.files {
        channels(out, file, report)?;
    }
    writeln!(out, "\n{report}")
}

fn interventions(
    line: &mut impl FnMut(&str, String) -> std::fmt::Result,
    all: &[Intervention],
) -> std::fmt::Result {
    for (n, one) in all.iter().enumerate() {
        let name = if n == 0 { "person" } else { "" };
        let end = match (one.ended_at, &one.ended_why) {
            (Some(at), Some(why)) => format!("to {} ({why})", utc(at)),
            _ => "to the end of the recording".to_owned(),
        };
        line(name, format!("from {} {end}: {}, by {}", utc(one.started_at), one.cause, one.by))?;
    }
    Ok(())
}

fn latency(p50: Option<f64>, p99: Option<f64>) -> String {
    match (p50, p99) {
        (Some(p50), Some(p99)) => format!("p50 {p50:.0} ms, p99 {p99:.0} ms while driving"),
        _ => "not measured".into(),
    }
}

fn channels(
    out: &mut String,
    file: &episode::report::FileFacts,
    report: &Report,
) -> std::fmt::Result {
    let duration_s = report.summary.as_ref().map_or(0.0, |summary| summary.duration_s);
    let megabytes = u32::try_from(file.size / 1000).map_or(f64::MAX, f64::from) / 1e3;
    writeln!(out, "  {}  {megabytes:.2} MB", file.name)?;
    for channel in &file.channels {
        let count = u32::try_from(channel.messages).map_or(f64::MAX, f64::from);
        let rate = if duration_s > 0.0 { count / duration_s } else { 0.0 };
        let drops = match channel.dropped {
            0 => String::new(),
            dropped => format!("  {dropped} dropped"),
        };
        let (topic, schema, messages) = (&channel.topic, &channel.schema, channel.messages);
        writeln!(out, "    {topic:<24} {messages:>8}  {rate:>6.1} Hz  {schema}{drops}")?;
    }
    Ok(())
}

/// When the drive was, in UTC.
fn recorded(facts: &episode::report::EpisodeFacts) -> String {
    utc(facts.started_at)
}

fn utc(at: WallMs) -> String {
    let seconds = at.0 / 1000;
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Year, month and day of a count of days since 1970: a year begins with March here, so that the leap day is its last.
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, (month + 2) % 12 + 1);
    let turned = if month <= 2 { 1 } else { 0 };
    (era * 400 + year + turned, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(11_017), (2000, 3, 1));
        assert_eq!(civil(20_819), (2027, 1, 1));
    }
}
