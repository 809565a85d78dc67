//! Why a value could not be sealed or opened: whose fault it is, whether trying again can help, and how
//! it is told to a MySQL client. No text here holds a value, a key or a password.

use super::provider::KmsError;
use crate::seal::SealError;
use crate::seal::direct::MAX_PLAINTEXT;

/// Where the cause is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The value itself, or the place it was found in.
    Value,
    /// The table of wrapped data keys.
    Vault,
    Kms,
    /// The configuration or the keyring file.
    Config,
    /// The proxy itself.
    Proxy,
}

/// The text names table and column as `schema.table.column`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error(
        "a value in {column} is not sealed; it was written around the proxy or before the column was protected; \
         seal existing rows before reading them through the proxy"
    )]
    NotSealed { column: String },
    #[error(
        "a value in {column} was sealed for another table, column or row or under another encryption context, or was \
         changed; restore the original value, or set sealed_as if the table or column was renamed"
    )]
    WrongPlace { column: String },
    #[error(
        "a value in {column} is not bound to its row: it was sealed before the column had `bind`, or put there by \
         somebody; write it anew, or take `bind` out of the configuration"
    )]
    NotBound { column: String },
    #[error(
        "a value in {column} is bound to its row, and the configuration does not say by which columns; set `bind` as it \
         was when the value was sealed"
    )]
    Bound { column: String },
    #[error(
        "a value in {table} is sealed with data key {id}, which the vault does not hold; \
         restore the vault's rows from a backup"
    )]
    NotInVault { table: String, id: u32 },
    #[error("a value in {table} is sealed with data key {id}, which belongs to another table")]
    OtherTable { table: String, id: u32 },
    #[error("a value in {column} begins like a sealed value but is not whole: it was cut or changed")]
    Malformed { column: String },
    #[error("a value in {column} was sealed by a newer version: {reason}; upgrade the proxy")]
    UnknownFormat { column: String, reason: SealError },
    #[error(
        "row {id} of the vault is not as it was written; restore it from a backup of the vault: no value is sealed or opened with it"
    )]
    VaultRow { id: u32 },
    #[error(
        "{table} already holds sealed values, but the vault holds no data key for it; \
         restore the vault's rows, or set sealed_as if the table was renamed: no new key is made"
    )]
    VaultLost { table: String },
    #[error("the vault cannot be used: {detail}")]
    Vault { detail: String, retryable: bool },
    #[error("the vault holds data keys for {table}, but none of them is active")]
    NoActiveKey { table: String },
    #[error(
        "a value in {table} is sealed with data key {id}, which was retired; if the value comes from an old backup, \
         bring the key back with `sealwire keys retire --undo`, otherwise it was put back by somebody"
    )]
    Retired { table: String, id: u32 },
    #[error("the data keys of {table} were shredded: its values are gone, and none is sealed under this name")]
    Shredded { table: String },
    #[error(
        "data key {id}, which sealed the values of {table} until now, is no longer in the vault of the server; sealing \
         stops, as nobody could open what it seals. Put the row back: the proxy's log has the statement. If the server \
         was restored and no value is sealed with that key, restart the proxies"
    )]
    KeyGone { table: String, id: u32 },
    #[error(
        "the vault was read on another server than the one that this connection is to, whichever way it was tried: \
         backend.address leads to several. If all of them take writes and none lags behind (Galera, Group Replication), \
         set backend.multi_primary: true"
    )]
    OtherServer,
    #[error("KMS: {0}")]
    Kms(#[from] KmsError),
    #[error(
        "a value for {column} has more than {MAX_PLAINTEXT} bytes, which KMS does not encrypt; \
         shorten it, or seal the column in envelope mode"
    )]
    TooLongForKms { column: String },
    #[error("the empty string for {column} cannot be encrypted by KMS; set `empty: as_is` or use envelope mode")]
    Empty { column: String },
    #[error("a value for {column} cannot be sealed: {reason}")]
    CannotSeal { column: String, reason: SealError },
    #[error(
        "version {version} of the data key of {table} has sealed as many values as aes-256-gcm may, and no newer version is \
         active; `sealwire keys rotate` makes one, and the proxy's log says why none began by itself"
    )]
    Spent { table: String, version: u32 },
    #[error("{0}")]
    Config(String),
    #[error("the proxy is shutting down")]
    ShuttingDown,
}

impl KeyError {
    pub fn fault(&self) -> Fault {
        match self {
            Self::NotSealed { .. }
            | Self::WrongPlace { .. }
            | Self::NotBound { .. }
            | Self::Bound { .. }
            | Self::OtherTable { .. }
            | Self::Malformed { .. }
            | Self::UnknownFormat { .. }
            | Self::TooLongForKms { .. }
            | Self::Empty { .. } => Fault::Value,
            Self::NotInVault { .. }
            | Self::VaultRow { .. }
            | Self::VaultLost { .. }
            | Self::Vault { .. }
            | Self::NoActiveKey { .. }
            | Self::Retired { .. }
            | Self::Shredded { .. }
            | Self::Spent { .. }
            | Self::KeyGone { .. }
            | Self::OtherServer => Fault::Vault,
            Self::Kms(KmsError::Keyring(_) | KmsError::Unsuitable(_) | KmsError::Config(_)) | Self::Config(_) => {
                Fault::Config
            }
            Self::Kms(_) => Fault::Kms,
            Self::CannotSeal { .. } | Self::ShuttingDown => Fault::Proxy,
        }
    }

    /// Whether the same call may succeed later without anybody's doing.
    pub fn retryable(&self) -> bool {
        matches!(
            self,
            Self::Kms(KmsError::Unavailable(_))
                | Self::Vault { retryable: true, .. }
                | Self::OtherServer
                | Self::ShuttingDown
        )
    }

    /// Whether a cached key must not be used any longer. Everything else may pass by itself, and the
    /// cached key serves up to its `max_stale`.
    pub fn purges(&self) -> bool {
        match self {
            Self::Kms(error) => !matches!(error, KmsError::Unavailable(_)),
            Self::Vault { .. } | Self::OtherServer | Self::ShuttingDown => false,
            _ => true,
        }
    }

    /// The stable code, `SW-19nn`; `docs/errors.md` explains each.
    pub fn sw_code(&self) -> &'static str {
        match self {
            Self::NotSealed { .. } => "SW-1901",
            Self::WrongPlace { .. } | Self::OtherTable { .. } => "SW-1902",
            Self::NotInVault { .. } => "SW-1903",
            Self::Malformed { .. } => "SW-1904",
            Self::UnknownFormat { .. } => "SW-1905",
            Self::VaultRow { .. } => "SW-1906",
            Self::VaultLost { .. } => "SW-1907",
            Self::Vault { .. } => "SW-1908",
            Self::NoActiveKey { .. } => "SW-1909",
            Self::Kms(KmsError::Denied { .. }) => "SW-1910",
            Self::Kms(KmsError::Unavailable(_)) => "SW-1911",
            Self::Kms(KmsError::WrongKey | KmsError::InvalidCiphertext) => "SW-1912",
            Self::Kms(KmsError::Unsuitable(_)) => "SW-1913",
            Self::Kms(KmsError::Config(_)) | Self::Config(_) => "SW-1914",
            Self::Kms(KmsError::Keyring(_)) => "SW-1915",
            Self::Kms(KmsError::Rejected { .. }) => "SW-1916",
            Self::Retired { .. } => "SW-1917",
            Self::Shredded { .. } => "SW-1918",
            Self::KeyGone { .. } => "SW-1919",
            Self::TooLongForKms { .. } => "SW-1920",
            Self::Empty { .. } => "SW-1921",
            Self::CannotSeal { .. } => "SW-1922",
            Self::Spent { .. } => "SW-1923",
            Self::OtherServer => "SW-1924",
            Self::NotBound { .. } => "SW-1925",
            Self::Bound { .. } => "SW-1926",
            Self::ShuttingDown => "SW-1930",
        }
    }

    /// The MySQL error number and SQLSTATE that fit best, so that drivers classify the error.
    pub fn mysql_error(&self) -> (u16, &'static str) {
        match self {
            // ER_DATA_TOO_LONG
            Self::TooLongForKms { .. } => (1406, "22001"),
            // ER_NOT_SUPPORTED_YET
            Self::Empty { .. } => (1235, "42000"),
            // ER_TABLEACCESS_DENIED_ERROR
            Self::Kms(KmsError::Denied { .. }) => (1142, "42000"),
            // ER_LOCK_WAIT_TIMEOUT: drivers and frameworks take it for worth another try
            Self::Kms(KmsError::Unavailable(_)) | Self::Vault { .. } | Self::OtherServer => (1205, "HY000"),
            // ER_SERVER_SHUTDOWN
            Self::ShuttingDown => (1053, "08S01"),
            // ER_INTERNAL_ERROR
            _ => (1815, "HY000"),
        }
    }

    pub fn errno(&self) -> u16 {
        self.mysql_error().0
    }

    pub fn sqlstate(&self) -> &'static str {
        self.mysql_error().1
    }

    /// What went wrong while opening a value of `column`.
    pub(super) fn opening(column: String, error: SealError) -> Self {
        match error {
            SealError::NotSealed => Self::NotSealed { column },
            SealError::Authentication => Self::WrongPlace { column },
            SealError::NotBound => Self::NotBound { column },
            SealError::Bound => Self::Bound { column },
            SealError::UnknownAlgorithm(_) | SealError::UnknownSearchVersion(_) => {
                Self::UnknownFormat { column, reason: error }
            }
            SealError::Library => Self::CannotSeal { column, reason: error },
            SealError::Malformed | SealError::Pad | SealError::TooLong => Self::Malformed { column },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::refusal::RefusalCode;

    #[test]
    fn every_error_is_documented_under_its_code_number_and_state() {
        let (column, table) = (String::new, String::new);
        let reason = SealError::Library;
        let kms = [
            KmsError::Denied { code: String::new(), detail: String::new() },
            KmsError::Unavailable(String::new()),
            KmsError::WrongKey,
            KmsError::InvalidCiphertext,
            KmsError::Unsuitable(String::new()),
            KmsError::Config(String::new()),
            KmsError::Keyring(String::new()),
            KmsError::Rejected { code: String::new() },
        ];
        let errors = [
            KeyError::NotSealed { column: column() },
            KeyError::WrongPlace { column: column() },
            KeyError::NotInVault { table: table(), id: 1 },
            KeyError::OtherTable { table: table(), id: 1 },
            KeyError::Malformed { column: column() },
            KeyError::UnknownFormat { column: column(), reason },
            KeyError::VaultRow { id: 1 },
            KeyError::VaultLost { table: table() },
            KeyError::Vault { detail: String::new(), retryable: false },
            KeyError::NoActiveKey { table: table() },
            KeyError::Retired { table: table(), id: 1 },
            KeyError::Shredded { table: table() },
            KeyError::KeyGone { table: table(), id: 1 },
            KeyError::OtherServer,
            KeyError::NotBound { column: column() },
            KeyError::Bound { column: column() },
            KeyError::TooLongForKms { column: column() },
            KeyError::Empty { column: column() },
            KeyError::CannotSeal { column: column(), reason },
            KeyError::Spent { table: table(), version: 1 },
            KeyError::Config(String::new()),
            KeyError::ShuttingDown,
        ];
        for error in errors.into_iter().chain(kms.map(KeyError::Kms)) {
            let code = RefusalCode::ALL.iter().find(|code| code.to_string() == error.sw_code());
            let code = code.unwrap_or_else(|| panic!("{} is not documented", error.sw_code()));
            assert_eq!((code.errno(), code.sqlstate()), (error.errno(), error.sqlstate()), "{code}");
        }
    }
}
