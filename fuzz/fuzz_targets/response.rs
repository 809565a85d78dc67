//! A response is read alike however it is cut, never past its input, and always to an end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire::wire::Malformed;
use sealwire::wire::command::Answer;
use sealwire::wire::response::{Kind, Response, Step};

#[derive(Debug, PartialEq)]
struct Walk {
    kinds: Vec<Kind>,
    passed: usize,
    rows: usize,
    consumed: usize,
    end: Result<bool, Malformed>,
}

fn walk(mut response: Response, input: &[u8], piece: usize) -> Walk {
    let mut walk = Walk { kinds: Vec::new(), passed: 0, rows: 0, consumed: 0, end: Ok(false) };
    let mut available = 0;
    loop {
        match response.step(&input[walk.consumed..available]) {
            Ok(Step::Pass(count)) => {
                assert!(count > 0);
                walk.passed += count;
                walk.consumed += count;
            }
            Ok(Step::Packet(count, kind)) => {
                assert!(count >= 4);
                walk.kinds.push(kind);
                walk.consumed += count;
            }
            Ok(Step::Row { bytes, packets }) => {
                assert!(bytes >= 4 * packets && packets > 0);
                walk.rows += 1;
                walk.consumed += bytes;
            }
            Ok(Step::NeedMore) if available < input.len() => available = (available + piece).min(input.len()),
            Ok(Step::NeedMore) => return walk,
            Ok(Step::Done) => {
                walk.end = Ok(true);
                return walk;
            }
            Err(malformed) => {
                walk.end = Err(malformed);
                return walk;
            }
        }
        assert!(walk.consumed <= available);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, input)) = data.split_first() else { return };
    let answer = match choice & 7 {
        0 => Answer::Short,
        1 => Answer::Prepare,
        2 => Answer::Definitions,
        3 => Answer::Rows,
        4 => Answer::String,
        5 => Answer::Nothing,
        _ => Answer::Results,
    };
    let make = || {
        let mut response = Response::new(answer, choice & 8 != 0, choice & 16 != 0);
        response.whole_rows = choice & 32 != 0;
        response
    };
    let whole = walk(make(), input, input.len().max(1));
    let bytewise = walk(make(), input, 1);
    // Of a malformed response as much may have passed as had been read when it showed.
    match whole.end {
        Ok(_) => assert_eq!(whole, bytewise),
        Err(_) => assert_eq!(whole.end, bytewise.end),
    }
});
