//! BIT(n): a number kept as its bytes, most significant first.

use super::exact::Exact;
use super::integer::double_to_integer;
use super::{Fitting, Input, Problem};

fn length(bits: u8) -> usize {
    usize::from(bits.div_ceil(8))
}

fn most(bits: u8) -> u64 {
    u64::MAX >> (64 - u32::from(bits.clamp(1, 64)))
}

pub fn holds(bits: u8, plain: &[u8]) -> bool {
    plain.len() == length(bits) && Input::hex_number(plain).is_some_and(|number| number <= most(bits))
}

fn put(bits: u8, number: Option<u64>) -> Fitting {
    let bytes = |number: u64| number.to_be_bytes().get(8 - length(bits)..).unwrap_or_default().to_vec();
    match number.filter(|number| *number <= most(bits)) {
        Some(number) => Fitting::good(bytes(number)),
        None => Fitting::bad(bytes(most(bits)), Problem::TooLong),
    }
}

pub fn bit(bits: u8, input: &Input) -> Fitting {
    match input {
        Input::Integer(number) => match u64::try_from(*number) {
            Ok(number) => put(bits, Some(number)),
            // A negative number is its 64 bits.
            Err(_) if bits == 64 => Fitting::uncertain("a negative number for BIT(64)"),
            Err(_) => put(bits, None),
        },
        Input::Decimal(text) => match Exact::whole(text).and_then(|number| number.to_integer()) {
            Some(number) if number >= 0 => match u64::try_from(number) {
                Ok(number) => put(bits, Some(number)),
                Err(_) => Fitting { problem: Some(Problem::OutOfRange), ..put(bits, None) },
            },
            None => Fitting { problem: Some(Problem::OutOfRange), ..put(bits, None) },
            Some(_) => Fitting::uncertain("a negative number for a BIT"),
        },
        Input::Double(number) => match double_to_integer(*number) {
            Some(integer) if integer >= 0 && number.fract() == 0.0 => put(bits, u64::try_from(integer).ok()),
            _ => Fitting::uncertain("a number of this form for a BIT"),
        },
        Input::Bytes(bytes) | Input::Hex(bytes) => put(bits, Input::hex_number(bytes)),
        Input::Text(text) if text.is_ascii() => put(bits, Input::hex_number(text.as_bytes())),
        _ => Fitting::uncertain("this kind of value for a BIT"),
    }
}
