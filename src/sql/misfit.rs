//! How values are converted to the declared type of their column, and the refusal of a value that does not fit the declared type of its column: the server's own error,
//! without the value that the server would quote.

use crate::catalog::{ProtectedColumn, ServerFlavor};
use crate::seal::types::{BadValue, Problem, Rules};
use crate::sql::{Refusal, RefusalCode as Code, SqlMode};

/// The rules of conversion under this `sql_mode`.
pub fn rules(flavor: ServerFlavor, mode: SqlMode, bad: BadValue) -> Rules {
    Rules {
        flavor,
        bad,
        no_zero_date: mode.no_zero_date,
        no_zero_in_date: mode.no_zero_in_date,
        allow_invalid_dates: mode.allow_invalid_dates,
        fractions_otherwise: match flavor {
            ServerFlavor::MySql => mode.time_truncate_fractional,
            ServerFlavor::MariaDb => mode.time_round_fractional,
        },
    }
}

/// What a client is told of `problem`, found in a value for `column` in this row of the statement.
pub fn misfit(column: &ProtectedColumn, problem: Problem, row: u32) -> Refusal {
    let name = &column.name;
    let (code, message) = match problem {
        Problem::OutOfRange => (Code::OutOfRange, format!("Out of range value for column '{name}' at row {row}")),
        Problem::Incorrect(kind) => {
            (Code::IncorrectValue, format!("Incorrect {kind} value for column '{name}' at row {row}"))
        }
        Problem::Truncated => (Code::DataTruncated, format!("Data truncated for column '{name}' at row {row}")),
        Problem::IncorrectTime(kind) => {
            (Code::IncorrectTime, format!("Incorrect {kind} value for column '{name}' at row {row}"))
        }
        Problem::TooLong => (Code::TooLongForType, format!("Data too long for column '{name}' at row {row}")),
        Problem::InvalidJson => {
            (Code::InvalidJson, format!("Invalid JSON text in value for column '{name}' at row {row}"))
        }
        Problem::JsonConstraint => {
            (Code::JsonConstraint, format!("CONSTRAINT `{}.{name}` failed for {}", column.table.table, column.table))
        }
        Problem::Uncertain(what) => {
            let declared = column.logical.as_ref().map_or_else(|| "its type".to_owned(), ToString::to_string);
            (Code::UncertainConversion, format!("{what}, given to {}.{name} ({declared}) at row {row}", column.table))
        }
    };
    Refusal::new(code, message, None)
}
