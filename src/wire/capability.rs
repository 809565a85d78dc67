//! Capability flags of the connection phase, and which of them the proxy lets through.

pub const CLIENT_MYSQL: u32 = 1;
pub const CLIENT_CONNECT_WITH_DB: u32 = 1 << 3;
pub const CLIENT_COMPRESS: u32 = 1 << 5;
pub const CLIENT_LOCAL_FILES: u32 = 1 << 7;
pub const CLIENT_PROTOCOL_41: u32 = 1 << 9;
pub const CLIENT_SSL: u32 = 1 << 11;
pub const CLIENT_SECURE_CONNECTION: u32 = 1 << 15;
pub const CLIENT_MULTI_STATEMENTS: u32 = 1 << 16;
pub const CLIENT_PLUGIN_AUTH: u32 = 1 << 19;
pub const CLIENT_CONNECT_ATTRS: u32 = 1 << 20;
pub const CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA: u32 = 1 << 21;
pub const CLIENT_SESSION_TRACK: u32 = 1 << 23;
pub const CLIENT_DEPRECATE_EOF: u32 = 1 << 24;
pub const CLIENT_OPTIONAL_RESULTSET_METADATA: u32 = 1 << 25;
pub const CLIENT_ZSTD_COMPRESSION_ALGORITHM: u32 = 1 << 26;
pub const CLIENT_QUERY_ATTRIBUTES: u32 = 1 << 27;
pub const MULTI_FACTOR_AUTHENTICATION: u32 = 1 << 28;

/// One of MariaDB's extended capabilities, which are valid only without [`CLIENT_MYSQL`]: column definitions
/// have a further field with the name of a data type or format.
pub const MARIADB_CLIENT_EXTENDED_METADATA: u32 = 1 << 3;

/// MariaDB's extended capabilities that pass when both sides have them. Missing, on purpose: PROGRESS, bulk
/// operations and their results, and cached metadata, which leaves column definitions out.
pub const PASSED_EXTENDED: u32 = MARIADB_CLIENT_EXTENDED_METADATA;

/// Flags that pass between client and server when both have them. Missing from the list, on purpose:
/// both compressions, OPTIONAL_RESULTSET_METADATA (it drops column definitions), and every bit without
/// a name here.
pub const PASSED: u32 = CLIENT_MYSQL
    | 1 << 1 // FOUND_ROWS
    | 1 << 2 // LONG_FLAG
    | CLIENT_CONNECT_WITH_DB
    | 1 << 4 // NO_SCHEMA
    | 1 << 6 // ODBC
    | CLIENT_LOCAL_FILES
    | 1 << 8 // IGNORE_SPACE
    | CLIENT_PROTOCOL_41
    | 1 << 10 // INTERACTIVE
    | 1 << 12 // IGNORE_SIGPIPE
    | 1 << 13 // TRANSACTIONS
    | 1 << 14 // RESERVED, set by every server
    | CLIENT_SECURE_CONNECTION
    | CLIENT_MULTI_STATEMENTS
    | 1 << 17 // MULTI_RESULTS
    | 1 << 18 // PS_MULTI_RESULTS
    | CLIENT_PLUGIN_AUTH
    | CLIENT_CONNECT_ATTRS
    | CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA
    | 1 << 22 // CAN_HANDLE_EXPIRED_PASSWORDS
    | CLIENT_SESSION_TRACK
    | CLIENT_DEPRECATE_EOF
    | CLIENT_QUERY_ATTRIBUTES
    | MULTI_FACTOR_AUTHENTICATION;
