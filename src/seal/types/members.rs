//! ENUM and SET, with the default collations of the servers: upper and lower case are the same. What
//! those collations make equal beyond ASCII is refused.

use super::{Fitting, Input, Problem, Rules};
use crate::catalog::ServerFlavor;

/// `'a','b'`, as in a declaration.
pub fn list(members: &[String]) -> String {
    members.iter().map(|member| format!("'{}'", member.replace('\'', "''"))).collect::<Vec<_>>().join(",")
}

/// The member that a text names. `Err`: a collation might find one where this does not.
fn find<'a>(members: &'a [String], text: &str) -> Result<Option<(usize, &'a str)>, ()> {
    let all = || members.iter().enumerate();
    let same = all().find(|(_, member)| *member == text).or_else(|| all().find(|(_, m)| m.eq_ignore_ascii_case(text)));
    let plain = |text: &str| text.bytes().all(|b| (b' '..0x7f).contains(&b));
    match same {
        Some((at, member)) => Ok(Some((at, member))),
        None if plain(text) && members.iter().all(|member| plain(member)) => Ok(None),
        None => Err(()),
    }
}

const COLLATION: &str = "a string that a collation might take for a member";

pub fn one(members: &[String], input: &Input, rules: Rules) -> Fitting {
    let nothing = || Fitting::bad("", Problem::Truncated);
    let by_number = |number: i128| {
        let at = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        match at.and_then(|at| members.get(at)) {
            Some(member) => Fitting::good(member.as_bytes()),
            None => nothing(),
        }
    };
    match input {
        Input::Integer(number) => by_number(*number),
        Input::Text(_) | Input::Bytes(_) | Input::Hex(_) => {
            let text = match input {
                Input::Text(text) => text.as_str(),
                _ => match input.as_text() {
                    Some(text) => text,
                    None => return Fitting::uncertain(COLLATION),
                },
            };
            let text = text.trim_end_matches(' ');
            match find(members, text) {
                Err(()) => Fitting::uncertain(COLLATION),
                Ok(Some((_, member))) => Fitting::good(member.as_bytes()),
                // A number in a string counts where no member has that name.
                Ok(None) if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() && text.len() < 10 => {
                    match text.parse::<i128>() {
                        Ok(0) if rules.flavor == ServerFlavor::MySql => Fitting::good(""),
                        Ok(number) => by_number(number),
                        Err(_) => nothing(),
                    }
                }
                Ok(None) if text.starts_with(['+', '-']) => {
                    Fitting::uncertain("a signed number in a string for an ENUM")
                }
                Ok(None) if text.starts_with(|c: char| c.is_ascii_digit() || ". \t".contains(c)) => {
                    Fitting::error(Problem::Truncated)
                }
                Ok(None) => nothing(),
            }
        }
        _ => Fitting::uncertain("this kind of value for an ENUM"),
    }
}

fn of_bits(members: &[String], bits: u64) -> String {
    let named = members.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0);
    named.map(|(_, member)| member.as_str()).collect::<Vec<_>>().join(",")
}

fn all_bits(members: &[String]) -> u64 {
    members.iter().enumerate().fold(0, |bits, (at, _)| bits | 1 << at)
}

/// Whether a plaintext names members once each, in their order.
pub fn is_set(members: &[String], text: &str) -> bool {
    let mut at = 0;
    text.is_empty()
        || text.split(',').all(|part| {
            let found = members.iter().skip(at).position(|member| member == part);
            at += found.map_or(0, |found| found + 1);
            found.is_some()
        })
}

pub fn some(members: &[String], input: &Input) -> Fitting {
    match input {
        Input::Integer(number) => match u64::try_from(*number) {
            Ok(bits) if bits & !all_bits(members) == 0 => Fitting::good(of_bits(members, bits)),
            _ => Fitting::error(Problem::Truncated),
        },
        Input::Text(_) | Input::Bytes(_) | Input::Hex(_) => {
            let text = match input {
                Input::Text(text) => text.as_str(),
                _ => match input.as_text() {
                    Some(text) => text,
                    None => return Fitting::uncertain(COLLATION),
                },
            };
            if text.is_empty() {
                return Fitting::good("");
            }
            let (mut bits, mut unknown) = (0u64, false);
            for part in text.split(',') {
                match find(members, part) {
                    Err(()) => return Fitting::uncertain(COLLATION),
                    Ok(Some((at, _))) => bits |= 1 << at,
                    Ok(None) if text.starts_with(['+', '-']) => {
                        return Fitting::uncertain("a signed number in a string for a SET");
                    }
                    Ok(None) if part.trim() != part => return Fitting::error(Problem::Truncated),
                    Ok(None) => unknown = true,
                }
            }
            if !unknown {
                return Fitting::good(of_bits(members, bits));
            }
            if text.bytes().all(|b| b.is_ascii_digit()) {
                return match text.parse::<u64>() {
                    Ok(bits) if bits & !all_bits(members) == 0 => Fitting::good(of_bits(members, bits)),
                    _ => Fitting::error(Problem::Truncated),
                };
            }
            Fitting::bad(of_bits(members, bits), Problem::Truncated)
        }
        _ => Fitting::uncertain("this kind of value for a SET"),
    }
}
