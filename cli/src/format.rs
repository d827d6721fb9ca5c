//! Figures as people read them.

use std::time::Duration;

use bytesize::ByteSize;

pub(crate) use sluice_runtime::format::thousands;

/// `1,234 rows`, `1 row`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", thousands(number))
}

/// `12.3 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// `0.42 s`, `12.3 s`, `4 min 05 s`, `2 h 10 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    match whole {
        0..10 => format!("{seconds:.2} s"),
        10..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", thousands(whole / 3600), whole % 3600 / 60),
    }
}

/// `$0.0026`, `$12.34`.
pub(crate) fn dollars(amount: f64) -> String {
    if amount < 0.1 { format!("${amount:.4}") } else { format!("${amount:.2}") }
}

/// Characters of the longest text.
pub(crate) fn width<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or_default()
}

/// A share of `whole` in eighths of a character.
pub(crate) fn bar(part: f64, whole: f64, width: usize) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    if whole <= 0.0 || part <= 0.0 {
        return String::new();
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a terminal's width"
    )]
    let eighths = ((part / whole).min(1.0) * width as f64 * 8.0).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    match eighths % 8 {
        0 if bar.is_empty() => bar.push(EIGHTHS[1]),
        0 => {}
        rest => bar.push(EIGHTHS[rest]),
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_counted() {
        assert_eq!(count(1, "row"), "1 row");
        assert_eq!(count(0, "row"), "0 rows");
    }

    #[test]
    fn durations_grow_coarser() {
        assert_eq!(duration(0.424), "0.42 s");
        assert_eq!(duration(12.34), "12.3 s");
        assert_eq!(duration(245.0), "4 min 05 s");
        assert_eq!(duration(7800.0), "2 h 10 min");
        assert_eq!(duration(f64::NAN), "NaN s");
    }

    #[test]
    fn sizes_and_prices_are_short() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(12_897_485), "12.3 MiB");
        assert_eq!(dollars(0.002_64), "$0.0026");
        assert_eq!(dollars(12.345), "$12.35");
    }

    #[test]
    fn a_bar_is_never_wider_than_asked_and_never_invisible() {
        assert_eq!(bar(10.0, 10.0, 4), "████");
        assert_eq!(bar(99.0, 10.0, 4), "████");
        assert_eq!(bar(5.0, 10.0, 1), "▌");
        assert_eq!(bar(0.001, 10.0, 4), "▏");
        assert_eq!(bar(0.0, 10.0, 4), "");
    }
}
