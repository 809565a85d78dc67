//! Why a statement must not run: stable codes, the MySQL error a driver sees, and the text of
//! `docs/errors.md`. No message ever holds a value of a statement.

use std::fmt;
use std::fmt::Write as _;
use std::ops::Range;

/// A statement that must not run, and why.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub code: RefusalCode,
    /// What was found, where and why; never a value of the statement.
    pub message: String,
    /// The offending part of the text.
    pub span: Option<Range<usize>>,
}

impl Refusal {
    /// `message` says what and where ("`ORDER BY` over the protected column shop.users.email"); the
    /// advice of the code is appended by `Display`.
    pub fn new(code: RefusalCode, message: impl Into<String>, span: Option<Range<usize>>) -> Self {
        Self { code, message: message.into(), span }
    }
}

/// The message for the client, without errno and SQLSTATE.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.code.is_servers_own() {
            return write!(f, "{} (sealwire {})", self.message, self.code);
        }
        write!(f, "sealwire {}: {}; {}", self.code, self.message.trim_end_matches('.'), self.code.entry().advice)
    }
}

impl std::error::Error for Refusal {}

/// What `docs/errors.md` says of a code.
pub struct Entry {
    /// The number in `SW-nnnn`.
    pub number: u16,
    /// MySQL's error number and SQLSTATE, for drivers to classify.
    pub errno: u16,
    pub sqlstate: &'static str,
    pub title: &'static str,
    pub explanation: &'static str,
    pub advice: &'static str,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $errno:literal, $state:literal, $title:literal, $explanation:literal, $advice:literal;)*) => {
        /// A reason for refusing, stable across versions.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum RefusalCode { $($(#[$doc])* $name,)* }

        impl RefusalCode {
            pub const ALL: &'static [RefusalCode] = &[$(RefusalCode::$name,)*];

            pub fn entry(self) -> Entry {
                match self {
                    $(RefusalCode::$name => Entry {
                        number: $number, errno: $errno, sqlstate: $state,
                        title: $title, explanation: $explanation, advice: $advice,
                    },)*
                }
            }
        }
    };
}

codes! {
    // 10xx: the text is not understood.
    NotUnderstood = 1001, 1235, "42000", "The statement is not understood",
        "It names something protected and its syntax is not one Sealwire can analyse, so it cannot tell whether a value would be stored unsealed.",
        "rewrite it in plainer SQL, or split it";
    MalformedText = 1002, 1064, "42000", "The text cannot be split into tokens",
        "An unterminated string, identifier or comment, a NUL byte, bytes that form no character outside of strings, or an executable comment whose meaning depends on the server's exact version, in a text that names something protected.",
        "correct the text, and use no executable comments around protected tables";
    TooComplex = 1003, 1235, "42000", "The statement is too complex",
        "More joins, set operations, chained operators or nested parentheses than Sealwire analyses.",
        "split the statement";
    CharacterSet = 1004, 1235, "42000", "The session's character set is not supported on protected tables",
        "character_set_results or character_set_connection is ucs2, utf16 or utf32, or a character set is unknown.",
        "use SET NAMES utf8mb4";
    UnsupportedSqlMode = 1005, 1235, "42000", "The session's sql_mode is not supported on protected tables",
        "A mode such as ORACLE or EMPTY_STRING_IS_NULL changes what statements and values mean.",
        "use another sql_mode for sessions that touch protected tables";
    InvalidString = 1006, 1300, "HY000", "A value is not valid in its character set",
        "The bytes of a string for a protected column are not valid in the session's character set or in that of the introducer.",
        "correct the connection's character set";
    MixedPacket = 1007, 1235, "42000", "A protected statement shares its packet with one that changes session state",
        "SET, USE, CALL, PREPARE, DDL and the like in the same multi-statement packet change what the statements after them mean.",
        "send the statements one by one";
    GuardFailed = 1008, 1235, "42000", "The literals of the statement cannot be located with certainty",
        "What the parser reports and what the text holds disagree, so nothing can be replaced safely.",
        "simplify the statement, and report it";
    UnsupportedClause = 1009, 1235, "42000", "A clause is not supported on protected tables",
        "The clause is understood, but not how it acts on protected columns.",
        "leave the clause out, or do without it in a statement of its own";
    OptimizerHint = 1010, 1235, "42000", "An optimizer hint changes what the statement means",
        "SET_VAR in a hint changes sql_mode and the like for one statement; hints with quotes cannot be delimited with certainty.",
        "set the variable for the session, or leave the hint out";

    // 12xx: expressions over protected columns.
    Expression = 1201, 1235, "42000", "An expression over a protected column",
        "The database holds sealed values: functions, operators and casts would work on those.",
        "select the column itself and compute in the application";
    Comparison = 1202, 1235, "42000", "A search over a protected column",
        "Without `search: exact` a value is sealed differently each time, so comparing finds nothing; with it the server can tell whether two values are equal (=, <=>, <>, IN), and nothing else: not LIKE, <, BETWEEN, REGEXP.",
        "search by another column, or for equality with search: exact; IS [NOT] NULL is allowed";
    Grouping = 1203, 1235, "42000", "Grouping, DISTINCT or a set operation over a protected column",
        "Without `search: exact` equal values have different sealed forms, so the server would keep them apart.",
        "group by another column, use UNION ALL, or give the column search: exact";
    Ordering = 1204, 1235, "42000", "ORDER BY over a protected column",
        "The order of sealed values says nothing about the values.",
        "order by another column, or sort in the application";
    Aggregate = 1205, 1235, "42000", "An aggregate over a protected column",
        "Only COUNT(column) gives the right answer over sealed values.",
        "aggregate in the application";
    MixedBranches = 1206, 1235, "42000", "Branches of an expression hold different columns or constants",
        "COALESCE, IF, CASE and UNION ALL may pass a protected column through only if every branch is that column or NULL.",
        "select the columns apart";
    AmbiguousName = 1207, 1052, "23000", "A name is ambiguous or cannot be resolved with certainty",
        "The name could mean a protected column or another one.",
        "qualify the column with its table";
    UnknownColumn = 1208, 1054, "42S22", "A column is not known",
        "The catalog has no such column in any table that the statement names.",
        "correct the name; after DDL made around the proxy try again";
    WindowFunction = 1209, 1235, "42000", "A window over a protected column",
        "The order of sealed values says nothing about the values, and without `search: exact` partitions do not either.",
        "use other columns in the window";
    ComparedWith = 1210, 1235, "42000", "A searchable column is compared with something that cannot be sealed",
        "Only string literals, placeholders, NULL and the same column are compared as the column's values are stored. A number would make the server compare numbers, and an expression is only known to it.",
        "compare with a string literal or a string parameter";
    Rotating = 1211, 1235, "42000", "A data key is being rotated, and this needs whole values",
        "While several versions of a table's data key are live, equal values of a searchable column have different stored forms and share only their first characters. =, <=>, <>, IN and CASE over the column itself compare these; GROUP BY, DISTINCT, set operations, COUNT(DISTINCT), USING, subqueries, views and unique keys do not.",
        "wait until the version before is retired (`sealwire keys list --count`, `sealwire keys retire`), or write the comparison with = over the columns themselves";
    VersionsUnknown = 1212, 1205, "HY000", "Nobody knows whether a data key is being rotated",
        "The vault could not be read for half of `kms.cache.ttl`, so that a search might miss rows.",
        "look for the reason in the proxy's log; try again when the vault can be read";

    // 13xx: data flows.
    FlowToColumn = 1301, 1235, "42000", "A protected column flows into another column",
        "A sealed value opens only in its own table and column; anywhere else it is lost.",
        "read the value and write it back through the application";
    FlowToVariable = 1302, 1235, "42000", "A protected column flows into a variable",
        "What becomes of the variable's value cannot be followed.",
        "read the value in the application";
    FlowToFile = 1303, 1235, "42000", "A protected column flows into a file",
        "INTO OUTFILE and INTO DUMPFILE would write sealed values.",
        "export through the application";
    FlowToTable = 1304, 1235, "42000", "INSERT … SELECT between protected columns and others",
        "The rows never pass the proxy, so values can neither be sealed nor opened on the way.",
        "read and write through the application";
    AssignedExpression = 1305, 1235, "42000", "A protected column is assigned an expression",
        "Only literals, placeholders, NULL, DEFAULT and the column itself can be sealed before the statement runs.",
        "compute the value in the application and pass it as a literal or parameter";
    RawDefault = 1306, 1235, "42000", "The server would store a default unsealed",
        "The column's default is an expression, or the place where it acts cannot be replaced.",
        "name the column and its value in the statement";
    ViewWrite = 1307, 1235, "42000", "A write through a view over a protected table",
        "Which column of which table a view's column is written to is the server's decision.",
        "write to the table itself";
    ViewDefinition = 1308, 1235, "42000", "A view over a protected table is not understood",
        "Its definition cannot be read by the control user, or is beyond what Sealwire analyses.",
        "select from the tables, or grant SHOW VIEW to the control user";
    Trigger = 1309, 1235, "42000", "A protected table has triggers",
        "A trigger could copy or change values out of Sealwire's sight.",
        "drop the trigger, do its work in the application, or name it in allow_routines if it leaves protected columns alone";
    Carrier = 1310, 1235, "42000", "The statement reaches a protected table without naming it",
        "A trigger, a cascading foreign key or a MERGE or FEDERATED table carries values to or from a protected table.",
        "work on the protected table itself";
    LiteralKind = 1311, 1235, "42000", "A literal whose stored text is not certain",
        "What the server would store for this kind of literal in a string column cannot be told for sure.",
        "write the value as a string literal or pass it as a parameter";
    StoredFunction = 1312, 1235, "42000", "A stored function that touches protected tables",
        "What the function reads and writes does not pass the proxy.",
        "use the tables themselves";

    RowUnknown = 1313, 1235, "42000", "The row that a value is bound to is not known",
        "The column has `bind:`, so that a value is sealed for one row and opens in no other. An INSERT has to give the bound columns literals or parameters, written as the column stores them (ASCII where it is text), an UPDATE has to name one row, by `column = value` for each of them, joined with AND. ON DUPLICATE KEY UPDATE may write such a column where every unique key of the table holds the bound columns.",
        "give the bound columns as literals or parameters: beside the value in an INSERT, as WHERE column = value in an UPDATE";
    RowNotRead = 1314, 1235, "42000", "A value is read without what it is bound to",
        "The column has `bind:`, so that a value opens only beside the bound columns of its row. They have to stand in the same select list, and that has to be the statement's outermost: not one of a derived table, a view, a common table expression or a UNION.",
        "select the bound columns of the same table beside it";
    BoundColumn = 1315, 1235, "42000", "A column that values are bound to would change",
        "The protected values of the row are bound to what the column holds, and would not open any longer.",
        "insert the row anew and delete the old one, or set the column by INSERT only";

    // 14xx: DDL.
    NarrowsColumn = 1401, 1235, "42000", "A protected column would become narrower",
        "Sealed values would be cut, and a cut sealed value is lost.",
        "keep the width, or set allow_ddl for the table";
    RetypesColumn = 1402, 1235, "42000", "A protected column would change its type or character set",
        "Only wider types of the same family are known to keep sealed values whole.",
        "keep the type, or set allow_ddl for the table";
    RenamesColumn = 1403, 1235, "42000", "A protected column would be renamed",
        "The configuration names the column, and values are bound to its name.",
        "use sealed_as in the configuration and allow_ddl for the table";
    DropsColumn = 1404, 1235, "42000", "A protected column would be dropped",
        "The sealed values would be lost.",
        "take the column out of the configuration first, or set allow_ddl for the table";
    ReplacesTable = 1405, 1235, "42000", "A protected table would be dropped, renamed or exchanged",
        "The configuration names the table, and values are bound to its name.",
        "take the table out of the configuration first, or set allow_ddl for the table";
    DropsSchema = 1406, 1235, "42000", "A schema with protected tables would be dropped",
        "The sealed values would be lost.",
        "set allow_ddl for its protected tables";
    KeyOverProtected = 1407, 1235, "42000", "An index or constraint over a protected column",
        "Without `search: exact` equal values have different sealed forms: UNIQUE, PRIMARY and FOREIGN KEY would not mean what they say, and an index finds nothing. With it FULLTEXT, SPATIAL and FOREIGN KEY and keys over expressions still do not.",
        "leave the column out";
    ProtectedDefault = 1408, 1235, "42000", "A default or generated value of a protected column would be raw",
        "The server would store the default unsealed.",
        "leave the default to the application";
    ViewOverProtected = 1409, 1235, "42000", "A view over a protected table",
        "A view may compute over sealed values and bring them to the application under other names.",
        "create the view around the proxy if it only passes columns through";
    RoutineOverProtected = 1410, 1235, "42000", "A routine, trigger or event over a protected table",
        "Its statements never pass the proxy.",
        "do the work in the application";
    TableCopy = 1411, 1235, "42000", "A table made from a protected one",
        "Sealed values open only in their own table and column.",
        "create the table with its own definition and copy through the application";
    DependsOnProtected = 1412, 1235, "42000", "A definition that depends on a protected column or table",
        "Generated columns, CHECK constraints, partitions and foreign keys would work on sealed values.",
        "leave the protected column out of it";
    DdlNotUnderstood = 1413, 1235, "42000", "DDL over a protected table that is not understood",
        "Sealwire cannot tell what it does to the protected columns.",
        "split it into single changes, or set allow_ddl for the table";

    // 15xx: dynamic SQL and side doors.
    DynamicSql = 1501, 1235, "42000", "Dynamic SQL that cannot be analysed",
        "The text that will run is in a variable, or names something protected.",
        "send the statement itself, or prepare it with the driver";
    Call = 1502, 1235, "42000", "A stored procedure that touches protected tables or is not known",
        "Its statements never pass the proxy.",
        "do the work in the application, let the control user read the routine, or name it in allow_routines";
    Handler = 1503, 1235, "42000", "HANDLER over a protected table",
        "HANDLER reads rows without naming columns.",
        "use SELECT";
    Binlog = 1504, 1142, "42000", "BINLOG statements",
        "They write rows that cannot be analysed.",
        "apply binary logs around the proxy";
    LoadData = 1505, 1235, "42000", "LOAD DATA into a protected table",
        "The rows of a file on the server do not pass the proxy. Those of LOAD DATA LOCAL are sealed on their way, unless its options leave open how the file is read: LINES STARTING BY, SET, user variables, PARTITION, empty or overlapping delimiters, delimiters that sealed values hold.",
        "use LOAD DATA LOCAL with plain FIELDS, LINES and CHARACTER SET options, or INSERT";
    CompoundBlock = 1506, 1235, "42000", "A compound statement over protected tables",
        "The statements of BEGIN NOT ATOMIC and its like are not analysed.",
        "send the statements one by one";
    SetStatement = 1507, 1235, "42000", "SET STATEMENT … FOR over protected tables",
        "It changes the meaning of one statement.",
        "set the variable for the session";
    SideDoor = 1508, 1235, "42000", "A statement that names something protected in a way that is not analysed",
        "The statement is neither DML nor one of those known to be harmless.",
        "reach the table with SELECT, INSERT, UPDATE or DELETE";
    CommandNotSupported = 1509, 1047, "08S01", "A protocol command that is not supported",
        "The command could carry values past the analysis.",
        "use COM_QUERY or prepared statements";
    LocalInfile = 1510, 1366, "HY000", "A row of LOAD DATA LOCAL cannot be sealed",
        "The row lacks fields, holds NULL for a NOT NULL column, is quoted in a way that servers repair, holds a value that a declared type does not take, or is not valid in the file's character set. Up to 16 MiB of rows are looked at before the server gets any; behind that the connection is closed, and rows before may have been stored.",
        "correct the file; give CHARACTER SET if it holds more than ASCII";
    SetSubquery = 1511, 1235, "42000", "SET from a protected table",
        "What becomes of a variable's value cannot be followed.",
        "read the value in the application";

    // 16xx: session state.
    SessionTracking = 1601, 1227, "42000", "Session tracking must stay on",
        "Sealwire learns the current schema, character sets and sql_mode from it.",
        "leave session_track_schema and session_track_system_variables alone";
    UnknownSessionState = 1602, 1235, "42000", "The session's state is not known",
        "The current schema, character set or sql_mode could not be learnt from the server.",
        "reconnect, or qualify names with their schema";

    // 17xx: catalog.
    MissingColumn = 1701, 1054, "42S22", "A configured column is missing",
        "The configuration names a table or column that the server does not have; everything on that table is refused.",
        "correct the configuration or the table";
    CatalogUnavailable = 1702, 1205, "HY000", "The catalog cannot be read",
        "The control connection failed, so widths and columns are not known.",
        "try again; check the control user";
    CatalogStale = 1703, 1412, "HY000", "The table changed while the statement ran",
        "The server's answer does not fit the analysed definition.",
        "try again";
    NeedsReprepare = 1704, 1615, "HY000", "A prepared statement is out of date",
        "The schema, sql_mode or character set changed since it was prepared, so the text that the server holds may no longer be right; or its literals are sealed with a version of the data key that seals no longer.",
        "prepare it again";

    // 18xx: sealing and opening.
    TooWide = 1801, 1406, "22001", "The sealed value is too wide for the column",
        "The server would cut it, and a cut sealed value is lost.",
        "widen the column";
    ParameterType = 1806, 1235, "42000", "A parameter whose stored text is not certain",
        "What the server would store for a parameter of this type in a string column cannot be told for sure.",
        "bind the parameter as a string";
    OutOfRange = 1807, 1264, "22003", "A value out of range for the declared type",
        "The server's own error for the column's `type:`; in non-strict mode the nearest value is sealed.",
        "give a value that the type holds";
    IncorrectValue = 1808, 1366, "HY000", "A value that is none of the declared type",
        "The server's own error for the column's `type:`; the value itself is not quoted.",
        "give a value of the type";
    DataTruncated = 1809, 1265, "01000", "A value of which the declared type takes only a part",
        "The server's own error for the column's `type:`; in non-strict mode the part is sealed.",
        "give a value of the type";
    IncorrectTime = 1810, 1292, "22007", "A date or time that is none",
        "The server's own error for the column's `type:`; the value itself is not quoted.",
        "give a date or time that exists, as YYYY-MM-DD hh:mm:ss";
    TooLongForType = 1811, 1406, "22001", "A value too long for the declared type",
        "The server's own error for the column's `type:`; in non-strict mode the value is cut before it is sealed.",
        "shorten the value, or declare a longer type";
    UncertainConversion = 1812, 1235, "42000", "A value whose conversion to the declared type is not certain",
        "The servers convert it, but Sealwire does not know for sure to what.",
        "write the value in the form that the server prints for the column's type";
    NotOfType = 1813, 1815, "HY000", "An opened value is not of the column's declared type",
        "It was sealed before the column had its `type:`, or under another one.",
        "correct `type:`, or write the value anew";
    InvalidJson = 1814, 3140, "22032", "A value that is not JSON",
        "MySQL's own error for `type: json`; the value itself is not quoted.",
        "give a valid JSON text";
    JsonConstraint = 1815, 4025, "23000", "A value that is not JSON, on MariaDB",
        "MariaDB's own error for `type: json`, which is a CHECK there.",
        "give a valid JSON text";
    SealedInResult = 1816, 1235, "42000", "A procedure's result holds a sealed value",
        "`allow_routines` lets the procedure run, but what it selects cannot be traced to a column and opened.",
        "let the procedure write only, and select the value in a statement of its own";

    // 19xx: keys, and values that do not open; `keys::KeyError` says them.
    NotSealed = 1901, 1815, "HY000", "A value in a protected column is not sealed",
        "It was written around the proxy or before the column was protected, and is never handed out silently.",
        "seal existing rows before reading them through the proxy";
    OpenFailed = 1902, 1815, "HY000", "A sealed value does not open here",
        "It was sealed for another table, column or row or under another encryption context, or was changed.",
        "restore the original value, or set sealed_as if the table or column was renamed";
    KeyMissing = 1903, 1815, "HY000", "A data key is missing",
        "A sealed value names a data key that the vault does not hold.",
        "restore the vault's rows from a backup";
    Malformed = 1904, 1815, "HY000", "A sealed value is not whole",
        "It begins like a sealed value but was cut or changed.",
        "restore the value from a backup";
    UnknownFormat = 1905, 1815, "HY000", "A value was sealed by a newer version",
        "Its algorithm or search version is not known here.",
        "upgrade the proxy";
    VaultRow = 1906, 1815, "HY000", "A row of the vault was changed",
        "Its fields are not those that its data key authenticates, so nothing is sealed or opened with it.",
        "restore the vault's row from a backup";
    VaultLost = 1907, 1815, "HY000", "The vault's keys are missing",
        "The table already holds sealed values, but the vault holds no data key for it; no new key is made.",
        "restore the vault's rows, or set sealed_as if the table was renamed";
    VaultUnavailable = 1908, 1205, "HY000", "The vault cannot be used",
        "The control connection failed, or its user lacks a privilege on the vault or the table.",
        "try again; check the control user's privileges";
    NoActiveKey = 1909, 1815, "HY000", "No data key is active",
        "The vault holds data keys of the table, but none that may seal.",
        "make one active with rotate";
    KeyDenied = 1910, 1142, "42000", "KMS denies the key",
        "The key is disabled, deleted or unknown, or its use is not allowed.",
        "check the KMS key and its policy";
    KeyUnavailable = 1911, 1205, "HY000", "KMS is not available",
        "It was not reached, timed out, throttled the call or failed.",
        "try again";
    WrongKmsKey = 1912, 1815, "HY000", "Another KMS key wrapped this",
        "Neither kms.key nor a key of kms.previous decrypts it.",
        "list the earlier KMS key under kms.previous";
    UnsuitableKmsKey = 1913, 1815, "HY000", "The KMS key cannot be used",
        "It is not a symmetric encryption key: asymmetric and HMAC keys take no encryption context, which binds what is sealed to its table. `run` does not start with it.",
        "configure a symmetric encryption key";
    KeyConfiguration = 1914, 1815, "HY000", "The configuration of the keys is wrong",
        "The message names the setting.",
        "correct the configuration";
    Keyring = 1915, 1815, "HY000", "The keyring file cannot be used",
        "It cannot be read or made, is damaged, or others may read it.",
        "correct the file and its permissions";
    KmsRejected = 1916, 1815, "HY000", "KMS rejects the call",
        "The request was not valid; the message names the error of KMS.",
        "check kms.key and kms.encryption_context";
    KeyRetired = 1917, 1815, "HY000", "A data key is retired",
        "No value was sealed with it when it was retired, so one that is comes from an old backup, or was put back.",
        "bring the key back with `sealwire keys retire --undo` for an old backup; otherwise find out who wrote the value";
    KeyShredded = 1918, 1815, "HY000", "The data keys were shredded",
        "`sealwire keys shred` destroyed them on purpose. Backups of the vault still hold them.",
        "restore the vault's rows if it was a mistake";
    KeyGone = 1919, 1815, "HY000", "The data key that sealed until now is no longer in the vault",
        "After a failover to a server that had not received the vault's newest row, or a restore from a backup, the key exists nowhere but in the proxies' memory: what it seals could be opened by nobody, so sealing stops until the row is back.",
        "run the INSERT that the proxy's log shows, or restore the vault's rows; if no value is sealed with that key any longer, restart the proxies";
    DirectLimit = 1920, 1406, "22001", "The value is longer than KMS encrypts",
        "KMS Encrypt takes 4,096 bytes at most.",
        "shorten the value, or use envelope mode for the column";
    EmptyValue = 1921, 1235, "42000", "The empty string cannot be sealed in direct mode",
        "KMS refuses an empty plaintext.",
        "use NULL, or empty: as_is for the column";
    CannotSeal = 1922, 1815, "HY000", "A value could not be sealed",
        "The cryptographic library failed, or the column's pad is out of range.",
        "try again; check the column's pad";
    SealsSpent = 1923, 1815, "HY000", "A data key has sealed as many values as it may",
        "AES-256-GCM takes random nonces, so that one key must not seal too many values; the next version did not begin in time.",
        "read the proxy's log for the reason; `sealwire keys rotate` begins a version";
    OtherServer = 1924, 1205, "HY000", "The vault was read on another server",
        "Before a connection seals its first value, the vault's row is read on the server that the connection is to; backend.address leads to several servers, or a failover is under way.",
        "try again; if all servers behind backend.address take writes and none lags behind, set `backend.multi_primary: true`";
    NotBound = 1925, 1815, "HY000", "A value is not bound to its row",
        "The column has `bind:`, and the value was sealed before, or was put there by somebody.",
        "write it anew, or take `bind` out of the configuration";
    Bound = 1926, 1815, "HY000", "A value is bound to its row, and the column has no `bind`",
        "It was sealed while the column had `bind:`; it opens beside the columns that were named there.",
        "set `bind` as it was";
    ShuttingDown = 1930, 1053, "08S01", "The proxy is shutting down",
        "It takes no further work.",
        "connect again";

    // 20xx: the connection itself.
    DatabaseUnreachable = 2001, 2003, "HY000", "The database cannot be reached",
        "The proxy could not connect to the server behind it, or the server did not greet it in time.",
        "check `backend.address` and the server";
    TlsRequired = 2002, 3159, "HY000", "Connections without TLS are not allowed",
        "`tls.mode: required` refuses clients that do not ask for TLS over TCP.",
        "switch TLS on in the client";
    BackendTls = 2003, 2026, "HY000", "TLS towards the database failed",
        "`backend.tls` asks for TLS, and the server does not offer it or its certificate does not pass.",
        "check `backend.tls` and the server's certificate";
    PasswordInClear = 2004, 3159, "HY000", "A password would travel unencrypted",
        "The account's plugin, mysql_clear_password for example, sends the password itself, and the connection to the database is neither TLS nor a unix socket.",
        "set `backend.tls` to `required` or better, or give the account another plugin";
    PasswordExchange = 2006, 1045, "28000", "The password exchange failed",
        "The client encrypted its password for another RSA key than the proxy's, or the server's key could not be used.",
        "let the client ask for the key (get-server-public-key), or use TLS";
    UnknownCommand = 2007, 1047, "08S01", "A command is not relayed",
        "The command could reach protected data unseen, or is not one of the protocol.",
        "use SQL statements and prepared statements";
    ReplicationRefused = 2020, 1227, "42000", "Replication through the proxy is not allowed",
        "A replica or a binary log reader would receive sealed values as they are stored.",
        "set `replication: allow` if that is what it is meant to receive";
    MalformedPacket = 2021, 1835, "HY000", "A malformed packet",
        "The packet cannot be read with certainty, so nothing of it was sent to the database.",
        "check the client library";
}

impl RefusalCode {
    /// Errors that the server would answer too, in its own words.
    fn is_servers_own(self) -> bool {
        matches!(
            self,
            Self::OutOfRange
                | Self::IncorrectValue
                | Self::DataTruncated
                | Self::IncorrectTime
                | Self::TooLongForType
                | Self::InvalidJson
                | Self::JsonConstraint
        )
    }

    pub fn errno(self) -> u16 {
        self.entry().errno
    }

    pub fn sqlstate(self) -> &'static str {
        self.entry().sqlstate
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SW-{:04}", self.entry().number)
    }
}

/// The text of `docs/errors.md`.
pub fn errors_page() -> String {
    let mut page = String::from(
        "# Errors\n\nWhat Sealwire itself says. Each message reads `sealwire SW-nnnn: what and where; what to do`; \
         the error number and SQLSTATE are MySQL's own, so that drivers classify them.\n",
    );
    let mut group = 0;
    for code in RefusalCode::ALL {
        let entry = code.entry();
        if entry.number / 100 != group {
            group = entry.number / 100;
            let heading = match group {
                10 => "Text",
                12 => "Expressions over protected columns",
                13 => "Where values flow",
                14 => "DDL",
                15 => "Dynamic SQL and side doors",
                16 => "Session state",
                17 => "Catalog",
                18 => "Sealing and opening",
                19 => "Keys",
                _ => "Connections",
            };
            let _ = write!(page, "\n## {heading}\n");
        }
        let _ = write!(
            page,
            "\n### {code}: {}\n\nMySQL error {}, SQLSTATE {}. {} What to do: {}.\n",
            entry.title, entry.errno, entry.sqlstate, entry.explanation, entry.advice
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_ascend() {
        let numbers: Vec<u16> = RefusalCode::ALL.iter().map(|c| c.entry().number).collect();
        assert!(numbers.windows(2).all(|w| w[0] < w[1]), "{numbers:?}");
        assert!(RefusalCode::ALL.iter().all(|c| c.sqlstate().len() == 5));
    }

    #[test]
    fn the_message_names_code_cause_and_advice() {
        let refusal = Refusal::new(RefusalCode::Ordering, "ORDER BY over shop.users.email.", None);
        assert_eq!(
            refusal.to_string(),
            "sealwire SW-1204: ORDER BY over shop.users.email; order by another column, or sort in the application"
        );
    }

    /// `SEALWIRE_WRITE_DOCS=1 cargo test errors_page` writes the page anew.
    #[test]
    fn the_errors_page_is_what_the_codes_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md");
        if std::env::var_os("SEALWIRE_WRITE_DOCS").is_some() {
            std::fs::write(path, errors_page()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), errors_page());
    }
}
