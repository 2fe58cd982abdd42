//! Time zones: Meta's numbers and the names that people write.

/// `timezone_id`, a tab, the IANA name; comment lines say where it comes from.
const TABLE: &str = include_str!("timezones.tsv");

fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t'))
}

/// The IANA name of a `timezone_id`, if it is in the table.
///
/// ```
/// use whatsapp_operator::engine::timezone;
/// assert_eq!(timezone::name("25"), Some("America/Sao_Paulo"));
/// assert_eq!(timezone::name("9999"), None);
/// ```
pub fn name(id: &str) -> Option<&'static str> {
    rows().find(|(row, _)| *row == id.trim()).map(|(_, name)| name)
}

/// Meta's `timezone_id` of an IANA name, if it is in the table.
///
/// ```
/// use whatsapp_operator::engine::timezone;
/// assert_eq!(timezone::id("America/Sao_Paulo"), Some("25"));
/// assert_eq!(timezone::id("Mars/Olympus"), None);
/// ```
pub fn id(name: &str) -> Option<&'static str> {
    rows().find(|(_, row)| row.eq_ignore_ascii_case(current(name))).map(|(id, _)| id)
}

/// Whether an account's `timezone_id` is this IANA zone; `None` when the table cannot tell.
///
/// ```
/// use whatsapp_operator::engine::timezone;
/// assert_eq!(timezone::matches("25", "America/Sao_Paulo"), Some(true));
/// assert_eq!(timezone::matches("25", "Europe/Berlin"), Some(false));
/// assert_eq!(timezone::matches("500", "Europe/Berlin"), None);
/// ```
pub fn matches(id: &str, zone: &str) -> Option<bool> {
    name(id).map(|row| current(row).eq_ignore_ascii_case(current(zone)))
}

/// Older and newer names of one zone (IANA, file "backward").
fn current(name: &str) -> &str {
    const ALIASES: &[(&str, &str)] = &[
        ("Asia/Calcutta", "Asia/Kolkata"),
        ("Asia/Saigon", "Asia/Ho_Chi_Minh"),
        ("America/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("Europe/Kyiv", "Europe/Kiev"),
        ("Asia/Katmandu", "Asia/Kathmandu"),
        ("Asia/Rangoon", "Asia/Yangon"),
        ("US/Pacific", "America/Los_Angeles"),
        ("US/Mountain", "America/Denver"),
        ("US/Central", "America/Chicago"),
        ("US/Eastern", "America/New_York"),
        ("Brazil/East", "America/Sao_Paulo"),
        ("America/Coral_Harbour", "America/Atikokan"),
        ("Asia/Tel_Aviv", "Asia/Jerusalem"),
    ];
    ALIASES.iter().find(|(old, _)| old.eq_ignore_ascii_case(name)).map_or(name, |(_, new)| new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_reads_back() {
        assert_eq!(rows().count(), 142);
        for (number, zone) in rows() {
            assert_eq!(name(number), Some(zone));
            assert_eq!(id(zone), Some(number));
            assert_eq!(matches(number, zone), Some(true));
        }
    }

    #[test]
    fn an_older_name_of_a_zone_is_the_same_zone() {
        assert_eq!(matches("71", "Asia/Calcutta"), Some(true));
        assert_eq!(matches("7", "US/Eastern"), Some(true));
    }

    #[test]
    fn an_unknown_number_is_not_compared() {
        assert_eq!(matches("0", "Europe/Berlin"), None);
        assert_eq!(matches("", "Europe/Berlin"), None);
    }
}
