//! Dates and times as the servers keep them, and their one text form.

/// Zeros where a part is absent: the zero date is a date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DateTime {
    pub year: u16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub micros: u32,
}

/// A TIME: up to 838 hours to either side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    pub negative: bool,
    pub hours: u32,
    pub minutes: u8,
    pub seconds: u8,
    pub micros: u32,
}

impl DateTime {
    pub fn is_zero_date(self) -> bool {
        (self.year, self.month, self.day) == (0, 0, 0)
    }

    pub fn has_time(self) -> bool {
        (self.hour, self.minute, self.second, self.micros) != (0, 0, 0, 0)
    }

    pub fn date_text(self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    pub fn text(self, fraction: u8) -> String {
        let Self { hour, minute, second, .. } = self;
        format!("{} {hour:02}:{minute:02}:{second:02}{}", self.date_text(), fraction_text(self.micros, fraction))
    }

    pub fn parse_date(text: &str) -> Option<Self> {
        let [year, month, day] = split::<3>(text, '-')?;
        let date = Self {
            year: digits(year, 4)?,
            month: digits(month, 2)?.try_into().ok()?,
            day: digits(day, 2)?.try_into().ok()?,
            ..Self::default()
        };
        (date.month <= 12 && date.day <= 31).then_some(date)
    }

    /// A plaintext in its one form.
    pub fn parse(text: &str, fraction: u8) -> Option<Self> {
        let (date, clock) = text.split_once(' ')?;
        let (hour, minute, second, micros) = clock_of(clock, fraction, 2)?;
        let hour = u8::try_from(hour).ok().filter(|hour| *hour < 24)?;
        Some(Self { hour, minute, second, micros, ..Self::parse_date(date)? })
    }

    /// The day after; `None` beyond 9999, or where the date is not whole.
    pub fn next_day(self) -> Option<Self> {
        let length = days_in(self.year, self.month)?;
        let date = match (self.month, self.day) {
            (_, 0) => return None,
            (_, day) if day < length => Self { day: day + 1, ..self },
            (12, _) => Self { year: self.year.checked_add(1).filter(|year| *year <= 9999)?, month: 1, day: 1, ..self },
            (month, _) => Self { month: month + 1, day: 1, ..self },
        };
        Some(Self { hour: 0, minute: 0, second: 0, micros: 0, ..date })
    }

    /// One second later.
    pub fn next_second(self) -> Option<Self> {
        let next = Self { micros: 0, ..self };
        Some(match (self.hour, self.minute, self.second) {
            (23, 59, 59) => return self.next_day(),
            (hour, 59, 59) => Self { hour: hour + 1, minute: 0, second: 0, ..next },
            (_, minute, 59) => Self { minute: minute + 1, second: 0, ..next },
            (_, _, second) => Self { second: second + 1, ..next },
        })
    }
}

impl Time {
    pub fn is_zero(self) -> bool {
        Self { negative: false, ..self } == Self::default()
    }

    pub fn text(self, fraction: u8) -> String {
        let Self { hours, minutes, seconds, .. } = self;
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{}", fraction_text(self.micros, fraction))
    }

    /// A plaintext in its one form.
    pub fn parse(text: &str, fraction: u8) -> Option<Self> {
        let (negative, clock) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (hours, minutes, seconds, micros) = clock_of(clock, fraction, 3)?;
        let time = Self { negative, hours, minutes, seconds, micros };
        (time.hours <= 838 && time.text(fraction) == text && !(negative && time.is_zero())).then_some(time)
    }

    pub fn next_second(self) -> Self {
        let next = Self { micros: 0, ..self };
        match (self.minutes, self.seconds) {
            (59, 59) => Self { hours: self.hours + 1, minutes: 0, seconds: 0, ..next },
            (minutes, 59) => Self { minutes: minutes + 1, seconds: 0, ..next },
            (_, seconds) => Self { seconds: seconds + 1, ..next },
        }
    }
}

/// Of the proleptic Gregorian calendar; `None` for a month that is none.
pub fn days_in(year: u16, month: u8) -> Option<u8> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) && year != 0;
    Some(match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    })
}

/// `micros` with so many digits; what is beyond them has been rounded or cut before.
fn fraction_text(micros: u32, fraction: u8) -> String {
    let digits = format!(".{micros:06}");
    match fraction {
        0 => String::new(),
        fraction => digits.get(..=usize::from(fraction)).unwrap_or(&digits).to_owned(),
    }
}

fn split<const N: usize>(text: &str, at: char) -> Option<[&str; N]> {
    text.split(at).collect::<Vec<_>>().try_into().ok()
}

fn digits(text: &str, length: usize) -> Option<u16> {
    (text.len() == length && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// `hh:mm:ss.ffffff` with exactly so many digits of a fraction.
fn clock_of(text: &str, fraction: u8, most_hour_digits: usize) -> Option<(u32, u8, u8, u32)> {
    let (clock, micros) = match fraction {
        0 => (text, 0),
        fraction => {
            let (clock, digits) = text.split_once('.')?;
            if digits.len() != usize::from(fraction) || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            (clock, format!("{digits:0<6}").parse().ok()?)
        }
    };
    let [hours, minutes, seconds] = split::<3>(clock, ':')?;
    if !(2..=most_hour_digits).contains(&hours.len()) {
        return None;
    }
    let hours = u32::from(digits(hours, hours.len())?);
    let minutes: u8 = digits(minutes, 2)?.try_into().ok()?;
    let seconds: u8 = digits(seconds, 2)?.try_into().ok()?;
    (minutes < 60 && seconds < 60).then_some((hours, minutes, seconds, micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_round_trip_in_their_one_form_only() {
        for (text, fraction) in
            [("2026-01-02 03:04:05", 0), ("0000-00-00 00:00:00.00", 2), ("9999-12-31 23:59:59.999999", 6)]
        {
            assert_eq!(DateTime::parse(text, fraction).unwrap().text(fraction), text);
        }
        for (text, fraction) in [("838:59:59", 0), ("-00:00:01.5", 1), ("00:00:00.000000", 6)] {
            assert_eq!(Time::parse(text, fraction).unwrap().text(fraction), text);
        }
        for text in ["2026-1-2", "2026-01-02 ", "2026-13-01", "26-01-02", "+026-01-02", ""] {
            assert!(DateTime::parse_date(text).is_none(), "{text}");
        }
        for text in ["2026-01-02", "2026-01-02 24:00:00", "2026-01-02 03:04:05.1"] {
            assert!(DateTime::parse(text, 0).is_none(), "{text}");
        }
        for text in ["839:00:00", "1:02:03", "-00:00:00", "0012:00:00", "012:00:00", "12:60:00"] {
            assert!(Time::parse(text, 0).is_none(), "{text}");
        }
    }

    #[test]
    fn a_second_later_carries() {
        let last = |text| DateTime::parse(text, 0).unwrap().next_second().map(|next| next.text(0));
        assert_eq!(last("2026-12-31 23:59:59").as_deref(), Some("2027-01-01 00:00:00"));
        assert_eq!(last("2024-02-28 23:59:59").as_deref(), Some("2024-02-29 00:00:00"));
        assert_eq!(last("2026-01-02 03:59:59").as_deref(), Some("2026-01-02 04:00:00"));
        assert_eq!(last("9999-12-31 23:59:59"), None);
        assert_eq!(last("2026-00-31 23:59:59"), None);
    }
}
