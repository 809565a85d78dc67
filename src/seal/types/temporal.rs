//! DATE, DATETIME and TIME: what the servers read from strings and numbers, in the forms that all of
//! them read alike. Other forms are refused.

use super::calendar::{DateTime, Time, days_in};
use super::exact::is_space;
use super::{Fitting, Input, Problem, Rules};
use crate::catalog::ServerFlavor;

const DATE: Problem = Problem::IncorrectTime("date");
const DATETIME: Problem = Problem::IncorrectTime("datetime");
const TIME: Problem = Problem::IncorrectTime("time");
const FORM: &str = "a date or time of this form";

/// What was read from an input.
enum Read {
    Value(Moment),
    /// Followed by something that is not of it.
    Trailed(Moment),
    /// Not a date or time at all.
    Nothing,
    Unsure(&'static str),
}

/// A date with time, before rounding.
#[derive(Clone, Copy, Default)]
struct Moment {
    at: DateTime,
    /// The seventh digit of the fraction is 5 or more.
    up: bool,
}

pub fn date(input: &Input, rules: Rules) -> Fitting {
    fit(input, rules, DATE, 0, |at| at.date_text())
}

pub fn datetime(fraction: u8, input: &Input, rules: Rules) -> Fitting {
    fit(input, rules, DATETIME, fraction, |at| at.text(fraction))
}

fn fit(input: &Input, rules: Rules, bad: Problem, fraction: u8, text: impl Fn(DateTime) -> String) -> Fitting {
    let zero = || Fitting::bad(text(DateTime::default()), bad);
    let (moment, trailed) = match read(input) {
        Read::Value(moment) => (moment, false),
        Read::Trailed(moment) => (moment, true),
        Read::Nothing => return zero(),
        Read::Unsure(what) => return Fitting::uncertain(what),
    };
    let at = moment.at;
    if at.is_zero_date() && at.has_time() || at.year == 0 && !at.is_zero_date() {
        return Fitting::uncertain("a date in the year 0");
    }
    if at.month > 12 || at.day > 31 || at.hour > 23 || at.minute > 59 || at.second > 59 {
        return zero();
    }
    if at.is_zero_date() {
        if rules.no_zero_date {
            return zero();
        }
    } else if at.month == 0 || at.day == 0 {
        if rules.no_zero_in_date {
            return zero();
        }
    } else if !rules.allow_invalid_dates && days_in(at.year, at.month).is_none_or(|days| at.day > days) {
        return zero();
    }
    let Some(rounded) = round(moment, fraction, rules) else {
        return Fitting::uncertain("a time that would be rounded beyond its date");
    };
    match trailed {
        false => Fitting::good(text(rounded)),
        true => Fitting::bad(text(rounded), bad),
    }
}

/// Half up on MySQL, cut on MariaDB, unless sql_mode says otherwise.
fn rounds(rules: Rules) -> bool {
    (rules.flavor == ServerFlavor::MySql) != rules.fractions_otherwise
}

/// The unit of the last digit of such a fraction, in microseconds.
fn unit(fraction: u8) -> u32 {
    10u32.pow(6 - u32::from(fraction.min(6)))
}

fn round(moment: Moment, fraction: u8, rules: Rules) -> Option<DateTime> {
    let mut at = moment.at;
    let unit = unit(fraction);
    if rounds(rules) {
        // MySQL rounds to microseconds first.
        at.micros += u32::from(moment.up);
        if fraction < 6 {
            at.micros += unit / 2;
        }
        if at.micros >= 1_000_000 {
            let left = at.micros - 1_000_000;
            at = at.next_second()?;
            at.micros = left;
        }
    }
    at.micros -= at.micros % unit;
    Some(at)
}

fn read(input: &Input) -> Read {
    match input {
        Input::Date(at) | Input::DateTime(at) => Read::Value(Moment { at: *at, up: false }),
        Input::Integer(number) => read_number(*number),
        Input::Text(_) | Input::Bytes(_) | Input::Hex(_) => match input.as_text() {
            Some(text) => read_text(text),
            None => Read::Unsure("a string of other than ASCII characters for a date"),
        },
        Input::Decimal(_) | Input::Double(_) => Read::Unsure("a number with a fraction for a date"),
        Input::Time(_) => Read::Unsure("a TIME for a date"),
    }
}

/// As the servers' `number_to_datetime`.
fn read_number(number: i128) -> Read {
    let full = match number {
        0 => return Read::Value(Moment::default()),
        101..=691_231 => (number + 20_000_000) * 1_000_000,
        700_101..=991_231 => (number + 19_000_000) * 1_000_000,
        10_000_101..=99_991_231 => number * 1_000_000,
        101_000_000..=691_231_235_959 => number + 20_000_000_000_000,
        700_101_000_000..=991_231_235_959 => number + 19_000_000_000_000,
        10_000_101_000_000..=99_991_231_235_959 => number,
        // Years before 1000: MySQL 9.7 reads them, MariaDB does not.
        991_232..=10_000_100 => return Read::Unsure("a number with a year before 1000"),
        _ => return Read::Nothing,
    };
    let part = |divisor: i128, modulus: i128| u8::try_from(full / divisor % modulus).unwrap_or(u8::MAX);
    Read::Value(Moment {
        at: DateTime {
            year: u16::try_from(full / 10_000_000_000).unwrap_or(0),
            month: part(100_000_000, 100),
            day: part(1_000_000, 100),
            hour: part(10_000, 100),
            minute: part(100, 100),
            second: part(1, 100),
            micros: 0,
        },
        up: false,
    })
}

/// A place in a text that is read from left to right.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn digits(&mut self) -> &'a str {
        let end = self.0.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at_checked(end).unwrap_or_default();
        self.0 = rest;
        digits
    }

    /// One or two digits.
    fn pair(&mut self) -> Option<u8> {
        let digits = self.digits();
        (1..=2).contains(&digits.len()).then(|| digits.parse().ok()).flatten()
    }

    fn take(&mut self, separators: &[char]) -> bool {
        let rest = self.0.strip_prefix(separators);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// The fraction behind a point: microseconds, and whether the seventh digit rounds up.
    fn fraction(&mut self) -> (u32, bool) {
        if !self.take(&['.']) {
            return (0, false);
        }
        let digits = self.digits();
        let six: String = digits.chars().chain("000000".chars()).take(6).collect();
        (six.parse().unwrap_or(0), digits.as_bytes().get(6).is_some_and(|digit| *digit >= b'5'))
    }
}

/// Whether a rest is nothing, or begins with a letter that no form of a date goes on with.
fn end(rest: &str) -> Option<bool> {
    let rest = rest.trim_matches(is_space);
    match rest.chars().next() {
        None => Some(false),
        Some(c) if c.is_ascii_alphabetic() => Some(true),
        Some(_) => None,
    }
}

fn ended(rest: &str, moment: Moment) -> Read {
    if rest.starts_with(['e', 'E']) {
        return Read::Unsure(FORM);
    }
    match end(rest) {
        Some(false) => Read::Value(moment),
        Some(true) => Read::Trailed(moment),
        None => Read::Unsure(FORM),
    }
}

fn two_digit_year(year: u16) -> u16 {
    if year < 70 { year + 2000 } else { year + 1900 }
}

fn read_text(text: &str) -> Read {
    let mut cursor = Cursor(text.trim_start_matches(is_space));
    match cursor.0.chars().next() {
        None => return Read::Nothing,
        Some(c) if c.is_ascii_alphabetic() => return Read::Nothing,
        Some(c) if !c.is_ascii_digit() => return Read::Unsure(FORM),
        Some(_) => {}
    }
    let first = cursor.digits();
    let mut at = DateTime::default();
    match first.len() {
        2 | 4 => {
            let Ok(year) = first.parse() else { return Read::Unsure(FORM) };
            at.year = if first.len() == 2 { two_digit_year(year) } else { year };
            if !cursor.take(&['-', '/', '.']) {
                return Read::Unsure(FORM);
            }
            let Some(month) = cursor.pair() else { return Read::Unsure(FORM) };
            if !cursor.take(&['-', '/', '.']) {
                return Read::Unsure(FORM);
            }
            let Some(day) = cursor.pair() else { return Read::Unsure(FORM) };
            (at.month, at.day) = (month, day);
            // '00-00-00' is the zero date, other short years are not.
            if first == "00" && (month, day) == (0, 0) {
                return Read::Unsure(FORM);
            }
        }
        6 | 8 | 12 | 14 => {
            let short = first.len() == 6 || first.len() == 12;
            let (year, rest) = first.split_at_checked(if short { 2 } else { 4 }).unwrap_or_default();
            let Ok(year) = year.parse() else { return Read::Unsure(FORM) };
            at.year = if short { two_digit_year(year) } else { year };
            let parts: Vec<u8> =
                rest.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok()?.parse().ok()).collect();
            let part = |n: usize| parts.get(n).copied().unwrap_or(0);
            (at.month, at.day, at.hour, at.minute, at.second) = (part(0), part(1), part(2), part(3), part(4));
            let mut up = false;
            if parts.len() == 5 {
                (at.micros, up) = cursor.fraction();
            }
            if short && at.month == 0 {
                return Read::Unsure(FORM);
            }
            return ended(cursor.0, Moment { at, up });
        }
        _ => return Read::Unsure(FORM),
    }
    let spaced = cursor.0.trim_start_matches(is_space);
    let begins_time = spaced.starts_with(|c: char| c.is_ascii_digit()) && spaced.len() < cursor.0.len()
        || cursor.0.strip_prefix('T').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if !begins_time {
        return ended(cursor.0, Moment { at, up: false });
    }
    cursor.0 = spaced.strip_prefix('T').unwrap_or(spaced);
    let Some(hour) = cursor.pair() else { return Read::Unsure(FORM) };
    if !cursor.take(&[':']) {
        return Read::Unsure(FORM);
    }
    let Some(minute) = cursor.pair() else { return Read::Unsure(FORM) };
    (at.hour, at.minute) = (hour, minute);
    let mut up = false;
    if cursor.take(&[':']) {
        let Some(second) = cursor.pair() else { return Read::Unsure(FORM) };
        at.second = second;
        (at.micros, up) = cursor.fraction();
    }
    ended(cursor.0, Moment { at, up })
}

/// The longest TIME of a server with this fraction.
fn longest(fraction: u8, negative: bool, rules: Rules) -> Time {
    let micros = match rules.flavor {
        ServerFlavor::MariaDb => 999_999 - 999_999 % unit(fraction),
        ServerFlavor::MySql => 0,
    };
    Time { negative, hours: 838, minutes: 59, seconds: 59, micros }
}

pub fn time(fraction: u8, input: &Input, rules: Rules) -> Fitting {
    let zero = || Fitting::bad(Time::default().text(fraction), TIME);
    let (time, up, trailed) = match read_time(input, rules) {
        Ok(Some(read)) => read,
        Ok(None) => return zero(),
        Err(what) => return Fitting::uncertain(what),
    };
    if time.minutes > 59 || time.seconds > 59 {
        return zero();
    }
    let mut rounded = time;
    if rounds(rules) {
        rounded.micros += u32::from(up) + if fraction < 6 { unit(fraction) / 2 } else { 0 };
        if rounded.micros >= 1_000_000 {
            let left = rounded.micros - 1_000_000;
            rounded = Time { micros: left, ..rounded.next_second() };
        }
    }
    rounded.micros -= rounded.micros % unit(fraction);
    let longest = longest(fraction, rounded.negative, rules);
    let order = |time: Time| (time.hours, time.minutes, time.seconds, time.micros);
    if order(rounded) > order(longest) {
        return Fitting::bad(longest.text(fraction), TIME);
    }
    if rounded.is_zero() && rounded.negative {
        if !time.is_zero() {
            return Fitting::uncertain("a negative time that is rounded to zero");
        }
        rounded.negative = false;
    }
    match trailed {
        false => Fitting::good(rounded.text(fraction)),
        true => Fitting::bad(rounded.text(fraction), TIME),
    }
}

type ReadTime = Result<Option<(Time, bool, bool)>, &'static str>;

fn read_time(input: &Input, rules: Rules) -> ReadTime {
    match input {
        Input::Time(time) => Ok(Some((*time, false, false))),
        Input::Date(at) | Input::DateTime(at) => Ok(Some((clock(*at), false, false))),
        Input::Integer(number) => {
            let magnitude = u64::try_from(number.unsigned_abs()).unwrap_or(u64::MAX);
            match magnitude {
                0..=9_999_999 => Ok(Some((of_number(magnitude, *number < 0), false, false))),
                _ => Err("a number of more than seven digits for a TIME"),
            }
        }
        Input::Text(_) | Input::Bytes(_) | Input::Hex(_) => match input.as_text() {
            Some(text) => read_time_text(text, rules),
            None => Err("a string of other than ASCII characters for a TIME"),
        },
        Input::Decimal(_) | Input::Double(_) => Err("a number with a fraction for a TIME"),
    }
}

fn clock(at: DateTime) -> Time {
    Time { negative: false, hours: at.hour.into(), minutes: at.minute, seconds: at.second, micros: at.micros }
}

/// hhmmss.
fn of_number(number: u64, negative: bool) -> Time {
    let part = |divisor: u64| u8::try_from(number / divisor % 100).unwrap_or(u8::MAX);
    Time {
        negative,
        hours: u32::try_from(number / 10_000).unwrap_or(u32::MAX),
        minutes: part(100),
        seconds: part(1),
        micros: 0,
    }
}

fn read_time_text(text: &str, rules: Rules) -> ReadTime {
    let text = text.trim_start_matches(is_space);
    let negative = text.starts_with('-');
    let mut cursor = Cursor(text.strip_prefix('-').unwrap_or(text));
    match cursor.0.chars().next() {
        // MySQL 9.7 takes an empty string for no time at all.
        None if text.is_empty() && rules.flavor == ServerFlavor::MySql => {
            return Ok(Some((Time::default(), false, false)));
        }
        None if text.is_empty() => return Ok(None),
        Some(c) if c.is_ascii_alphabetic() && !negative => return Ok(None),
        Some(c) if c.is_ascii_digit() => {}
        _ => return Err(FORM),
    }
    let first = cursor.digits();
    if !negative && first.len() == 4 && cursor.0.starts_with('-') {
        // MySQL 9.7 does not read `T` in a TIME.
        if text.contains('T') {
            return Err(FORM);
        }
        return match read_text(text) {
            Read::Value(moment) if text.contains(':') && moment.at.hour > 23 => Ok(None),
            Read::Value(moment) if text.contains(':') && !moment.at.is_zero_date() => {
                Ok(Some((clock(moment.at), moment.up, false)))
            }
            _ => Err(FORM),
        };
    }
    let Ok(number) = first.parse::<u64>() else { return Err(FORM) };
    let mut days = 0;
    let mut time = Time { negative, ..Time::default() };
    if cursor.0.starts_with(' ') && cursor.0.trim_start_matches(' ').starts_with(|c: char| c.is_ascii_digit()) {
        days = u32::try_from(number).ok().filter(|days| *days <= 34).ok_or(FORM)?;
        cursor.0 = cursor.0.trim_start_matches(' ');
        time.hours = u32::from(cursor.pair().filter(|hours| *hours < 24).ok_or(FORM)?);
        if !cursor.0.starts_with(':') {
            return Err(FORM);
        }
    } else if cursor.0.starts_with(':') {
        if first.len() > 3 {
            return Err(FORM);
        }
        time.hours = u32::try_from(number).map_err(|_| FORM)?;
    } else {
        if first.len() > 7 {
            return Err(FORM);
        }
        time = of_number(number, negative);
        if cursor.0.starts_with(['e', 'E']) {
            return Err("a number with an exponent for a TIME");
        }
    }
    if cursor.take(&[':']) {
        time.minutes = cursor.pair().ok_or(FORM)?;
        if cursor.take(&[':']) {
            time.seconds = cursor.pair().ok_or(FORM)?;
        }
    }
    let (micros, up) = cursor.fraction();
    time.micros = micros;
    if cursor.0.starts_with(['e', 'E']) {
        return Err("a number with an exponent for a TIME");
    }
    time.hours += days * 24;
    match end(cursor.0) {
        Some(trailed) => Ok(Some((time, up, trailed))),
        None => Err(FORM),
    }
}
