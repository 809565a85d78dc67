import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.sql.*;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Runs the scenario with MariaDB Connector/J. */
public class Client {
    /** Just enough JSON for scenario.json: the JDK has no reader of its own. */
    static final class Json {
        private final String text;
        private int at;

        Json(String text) { this.text = text; }

        private char next() {
            while (Character.isWhitespace(text.charAt(at))) at++;
            return text.charAt(at);
        }

        Object read() {
            char c = next();
            if (c == '{') {
                Map<String, Object> object = new LinkedHashMap<>();
                at++;
                while (next() != '}') {
                    if (text.charAt(at) == ',') { at++; continue; }
                    String key = (String) read();
                    next();
                    at++;
                    object.put(key, read());
                }
                at++;
                return object;
            }
            if (c == '[') {
                List<Object> list = new ArrayList<>();
                at++;
                while (next() != ']') {
                    if (text.charAt(at) == ',') { at++; continue; }
                    list.add(read());
                }
                at++;
                return list;
            }
            if (c == '"') {
                StringBuilder string = new StringBuilder();
                for (at++; text.charAt(at) != '"'; at++) {
                    char d = text.charAt(at);
                    if (d == '\\') {
                        d = text.charAt(++at);
                        if (d == 'n') d = '\n';
                    }
                    string.append(d);
                }
                at++;
                return string.toString();
            }
            int start = at;
            while (",]} \n".indexOf(text.charAt(at)) < 0) at++;
            String word = text.substring(start, at);
            return switch (word) {
                case "null" -> null;
                case "true" -> true;
                case "false" -> false;
                default -> word.contains(".") ? (Object) Double.valueOf(word) : (Object) Long.valueOf(word);
            };
        }
    }

    static Object value(Object encoded) {
        if (!(encoded instanceof Map<?, ?> object)) return encoded;
        String kind = (String) object.keySet().iterator().next();
        String text = (String) object.get(kind);
        int times = object.containsKey("times") ? ((Long) object.get("times")).intValue() : 1;
        return switch (kind) {
            case "bytes", "repeat_bytes" -> HexFormat.of().parseHex(text.repeat(times));
            case "decimal" -> new BigDecimal(text);
            case "date" -> java.sql.Date.valueOf(text);
            case "time" -> Time.valueOf(text);
            case "datetime" -> Timestamp.valueOf(text);
            default -> text.repeat(times);
        };
    }

    static String show(Object item) throws Exception {
        if (item instanceof byte[] bytes) {
            return bytes.length > 400 ? "bytes of " + bytes.length + ": " + digest(bytes) : "hex " + HexFormat.of().formatHex(bytes);
        }
        if (item instanceof String string && string.length() > 400) {
            return "String of " + string.length() + ": " + digest(string.getBytes(StandardCharsets.UTF_8));
        }
        return item == null ? "null" : item.getClass().getSimpleName() + " " + item;
    }

    static String digest(byte[] bytes) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    }

    static Connection dial(boolean tls, boolean prepared) throws Exception {
        String url = "jdbc:mariadb://" + System.getenv("CLIENT_HOST") + ":" + System.getenv("CLIENT_PORT") + "/" + System.getenv("CLIENT_SCHEMA")
            + "?useServerPrepStmts=" + prepared + "&allowMultiQueries=true&allowPublicKeyRetrieval=true&connectionTimeZone=UTC"
            + (tls ? "&useSsl=true&serverSslCert=" + System.getenv("CLIENT_CA") : "");
        Connection connection = DriverManager.getConnection(url, System.getenv("CLIENT_USER"), System.getenv("CLIENT_PASSWORD"));
        DatabaseMetaData facts = connection.getMetaData();
        System.out.println("  server " + facts.getDatabaseProductName() + " " + facts.getDatabaseProductVersion());
        return connection;
    }

    static void answers(Statement statement, boolean rows) throws Exception {
        while (true) {
            if (rows) {
                try (ResultSet found = statement.getResultSet()) {
                    ResultSetMetaData columns = found.getMetaData();
                    int count = columns.getColumnCount();
                    for (int i = 1; i <= count; i++) {
                        System.out.println("  column " + columns.getColumnLabel(i) + " " + columns.getColumnName(i) + " " + columns.getTableName(i) + " "
                            + columns.getCatalogName(i) + " " + columns.getColumnTypeName(i) + " " + columns.getColumnClassName(i) + " " + columns.getPrecision(i)
                            + " " + columns.getScale(i) + " " + columns.getColumnDisplaySize(i) + " " + columns.isNullable(i) + " " + columns.isSigned(i)
                            + " " + columns.isAutoIncrement(i));
                    }
                    while (found.next()) {
                        StringBuilder row = new StringBuilder("  row ");
                        for (int i = 1; i <= count; i++) row.append(i > 1 ? ", " : "").append(show(found.getObject(i)));
                        System.out.println(row);
                    }
                }
            } else {
                int affected = statement.getUpdateCount();
                if (affected < 0) return;
                System.out.println("  affected " + affected);
            }
            // The driver asks the server anew each time.
            SQLWarning warning = statement.getWarnings();
            if (warning != null) System.out.println("  warning " + warning.getErrorCode() + " " + warning.getMessage());
            rows = statement.getMoreResults();
        }
    }

    @SuppressWarnings("unchecked")
    public static void main(String[] arguments) throws Exception {
        java.util.TimeZone.setDefault(java.util.TimeZone.getTimeZone("UTC"));
        boolean prepared = arguments[0].equals("prepared");
        List<Object> steps = (List<Object>) new Json(Files.readString(Path.of(System.getenv("CLIENT_SCENARIO")))).read();
        Connection connection = dial(false, prepared);
        for (Object item : steps) {
            Map<String, Object> step = (Map<String, Object>) item;
            String does = (String) step.get("do"), sql = (String) step.getOrDefault("sql", "");
            String head = (String) step.getOrDefault("name", sql);
            System.out.println(does + " " + head.substring(0, Math.min(100, head.length())));
            List<Object> params = (List<Object>) step.get("params");
            try {
                switch (does) {
                    case "section": break;
                    case "connect":
                        connection.close();
                        connection = dial((Boolean) step.get("tls"), prepared);
                        break;
                    case "query":
                        try (Statement statement = connection.createStatement()) { answers(statement, statement.execute(sql)); }
                        break;
                    case "call":
                        try (CallableStatement statement = connection.prepareCall("{" + sql + "}")) { answers(statement, statement.execute()); }
                        break;
                    case "prepared": case "text": case "too_long":
                        try (PreparedStatement statement = connection.prepareStatement(sql, Statement.RETURN_GENERATED_KEYS)) {
                            for (Object run : params) {
                                List<Object> values = (List<Object>) run;
                                for (int i = 0; i < values.size(); i++) statement.setObject(i + 1, value(values.get(i)));
                                boolean rows = statement.execute();
                                answers(statement, rows);
                                if (!rows) {
                                    ResultSet keys = statement.getGeneratedKeys();
                                    while (keys.next()) System.out.println("  key " + keys.getLong(1));
                                }
                            }
                        }
                        break;
                    case "batch":
                        try (PreparedStatement statement = connection.prepareStatement(sql)) {
                            long count = (Long) step.get("count");
                            for (int n = 0; n < count; n++) {
                                for (int i = 0; i < params.size(); i++) {
                                    Object param = params.get(i);
                                    statement.setObject(i + 1, param instanceof String text ? text.replace("{i}", "" + n) : param);
                                }
                                statement.addBatch();
                            }
                            System.out.println("  counts " + java.util.Arrays.toString(statement.executeBatch()));
                        }
                        break;
                    case "begin": connection.setAutoCommit(false); break;
                    case "commit": connection.commit(); connection.setAutoCommit(true); break;
                    case "rollback": connection.rollback(); connection.setAutoCommit(true); break;
                    case "ping":
                        System.out.println("  valid " + connection.isValid(5));
                        try (ResultSet columns = connection.getMetaData().getColumns(null, null, "users", null)) {
                            while (columns.next()) {
                                System.out.println("  column " + columns.getString("COLUMN_NAME") + " " + columns.getString("TYPE_NAME") + " " + columns.getInt("COLUMN_SIZE")
                                    + " " + columns.getString("IS_NULLABLE"));
                            }
                        }
                        break;
                    default: throw new IllegalStateException("unknown step " + does);
                }
            } catch (SQLException error) {
                String message = error.getMessage().replaceAll("\\(conn=\\d+\\) ", "");
                System.out.println("  error " + error.getErrorCode() + " " + error.getSQLState() + " " + error.getClass().getSimpleName() + " " + message);
            }
        }
        connection.close();
        System.out.println("end");
    }
}
