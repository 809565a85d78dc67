<?php
// Runs the scenario with one of PHP's drivers: mysqli, pdo (server-side prepares), pdo-emulated.

$driver = $argv[1];

function value($encoded) {
    if (!is_array($encoded)) return $encoded;
    $kind = array_key_first($encoded);
    $text = $encoded[$kind];
    return match ($kind) {
        'bytes' => hex2bin($text),
        'repeat' => str_repeat($text, $encoded['times']),
        'repeat_bytes' => str_repeat(hex2bin($text), $encoded['times']),
        default => $text,
    };
}

function show($item) {
    if (is_string($item) && strlen($item) > 400) return 'string of ' . strlen($item) . ': sha256 ' . hash('sha256', $item);
    if (is_string($item) && !mb_check_encoding($item, 'UTF-8')) return 'hex ' . bin2hex($item);
    return json_encode($item, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PRESERVE_ZERO_FRACTION) . (is_string($item) ? '' : ' ' . gettype($item));
}

function row($row) {
    echo '  row ', implode(', ', array_map('show', $row)), "\n";
}

interface Driver {
    function connect(bool $tls): string;
    function query(string $sql): void;
    function prepared(string $sql, array $runs): void;
    function text(string $sql, array $runs): void;
    function begin(): void;
    function commit(): void;
    function rollback(): void;
    function ping(): void;
}

class Mysqli_ implements Driver {
    public mysqli $link;
    function connect(bool $tls): string {
        mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
        if (isset($this->link)) $this->link->close();
        $this->link = mysqli_init();
        if ($tls) $this->link->ssl_set(null, null, getenv('CLIENT_CA'), null, null);
        $this->link->real_connect(getenv('CLIENT_HOST'), getenv('CLIENT_USER'), getenv('CLIENT_PASSWORD'), getenv('CLIENT_SCHEMA'),
            (int) getenv('CLIENT_PORT'), null, $tls ? MYSQLI_CLIENT_SSL : 0);
        $this->link->set_charset('utf8mb4');
        return $this->link->server_info . ' protocol ' . $this->link->protocol_version . ' ' . $this->link->character_set_name();
    }
    private function answer($result) {
        if ($result instanceof mysqli_result) {
            foreach ($result->fetch_fields() as $field) {
                unset($field->max_length);
                echo '  column ', json_encode($field), "\n";
            }
            foreach ($result->fetch_all(MYSQLI_NUM) as $row) row($row);
        }
    }
    function query(string $sql): void {
        $this->link->multi_query($sql);
        do {
            $this->answer($this->link->store_result());
            echo '  affected ', $this->link->affected_rows, ' id ', $this->link->insert_id, ' warnings ', $this->link->warning_count, ' info ', $this->link->info, "\n";
        } while ($this->link->more_results() && $this->link->next_result());
    }
    function prepared(string $sql, array $runs): void {
        $statement = $this->link->prepare($sql);
        foreach ($runs as $run) {
            $types = '';
            foreach ($run as $value) $types .= is_int($value) || is_bool($value) ? 'i' : (is_float($value) ? 'd' : 's');
            if ($run) $statement->bind_param($types, ...$run);
            $statement->execute();
            $this->answer($statement->get_result());
            echo '  affected ', $statement->affected_rows, ' id ', $statement->insert_id, "\n";
        }
        $statement->close();
    }
    function text(string $sql, array $runs): void {
        foreach ($runs as $run) {
            $parts = explode('?', $sql);
            $text = array_shift($parts);
            foreach ($parts as $i => $part) {
                $text .= ($run[$i] === null ? 'NULL' : "'" . $this->link->real_escape_string((string) $run[$i]) . "'") . $part;
            }
            $this->query($text);
        }
    }
    function begin(): void { $this->link->begin_transaction(); }
    function commit(): void { $this->link->commit(); }
    function rollback(): void { $this->link->rollback(); }
    function ping(): void { $this->query('DO 1'); echo '  stat ', preg_match('/^Uptime/', $this->link->stat()), ' reset ', json_encode($this->link->change_user(getenv('CLIENT_USER'), getenv('CLIENT_PASSWORD'), getenv('CLIENT_SCHEMA'))), "\n"; $this->link->set_charset('utf8mb4'); }
}

class Pdo_ implements Driver {
    public ?PDO $link = null;
    function __construct(private bool $emulated) {}
    function connect(bool $tls): string {
        $this->link = null;
        $options = [PDO::ATTR_EMULATE_PREPARES => $this->emulated, PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION];
        if ($tls) $options[PDO::MYSQL_ATTR_SSL_CA] = getenv('CLIENT_CA');
        $dsn = sprintf('mysql:host=%s;port=%s;dbname=%s;charset=utf8mb4', getenv('CLIENT_HOST'), getenv('CLIENT_PORT'), getenv('CLIENT_SCHEMA'));
        $this->link = new PDO($dsn, getenv('CLIENT_USER'), getenv('CLIENT_PASSWORD'), $options);
        return $this->link->getAttribute(PDO::ATTR_SERVER_VERSION);
    }
    private function answer(PDOStatement $statement) {
        do {
            for ($i = 0; $i < $statement->columnCount(); $i++) {
                $column = $statement->getColumnMeta($i);
                echo '  column ', json_encode($column), "\n";
            }
            if ($statement->columnCount()) foreach ($statement->fetchAll(PDO::FETCH_NUM) as $row) row($row);
            echo '  affected ', $statement->rowCount(), ' id ', $this->link->lastInsertId(), "\n";
        } while ($statement->nextRowset());
    }
    function query(string $sql): void { $this->answer($this->link->query($sql)); }
    function prepared(string $sql, array $runs): void {
        $statement = $this->link->prepare($sql);
        foreach ($runs as $run) {
            foreach (array_values($run) as $i => $value) {
                $type = match (true) { $value === null => PDO::PARAM_NULL, is_int($value) => PDO::PARAM_INT, is_bool($value) => PDO::PARAM_BOOL, default => PDO::PARAM_STR };
                $statement->bindValue($i + 1, $value, $type);
            }
            $statement->execute();
            $this->answer($statement);
        }
    }
    function text(string $sql, array $runs): void {
        foreach ($runs as $run) {
            $parts = explode('?', $sql);
            $text = array_shift($parts);
            foreach ($parts as $i => $part) $text .= ($run[$i] === null ? 'NULL' : $this->link->quote((string) $run[$i])) . $part;
            $this->query($text);
        }
    }
    function begin(): void { $this->link->beginTransaction(); }
    function commit(): void { $this->link->commit(); }
    function rollback(): void { $this->link->rollBack(); }
    function ping(): void { echo '  status ', $this->link->getAttribute(PDO::ATTR_CONNECTION_STATUS), "\n"; }
}

$client = match ($driver) {
    'mysqli' => new Mysqli_(),
    'pdo' => new Pdo_(false),
    'pdo-emulated' => new Pdo_(true),
};
echo 'server ', $client->connect(false), "\n";
foreach (json_decode(file_get_contents(getenv('CLIENT_SCENARIO')), true) as $step) {
    $sql = $step['sql'] ?? '';
    echo $step['do'], ' ', mb_substr($step['name'] ?? $sql, 0, 100), "\n";
    $runs = array_map(fn ($run) => array_map('value', $run), is_array($step['params'][0] ?? null) ? $step['params'] : []);
    try {
        switch ($step['do']) {
            case 'section': break;
            case 'connect':
                echo '  server ', $client->connect($step['tls']), "\n";
                break;
            case 'query': case 'call': $client->query($sql); break;
            case 'prepared': case 'too_long': $client->prepared($sql, $runs); break;
            case 'text': $client->text($sql, $runs); break;
            case 'batch':
                for ($i = 0; $i < $step['count']; $i++) $runs[] = array_map(fn ($p) => is_string($p) ? str_replace('{i}', $i, $p) : $p, $step['params']);
                $client->prepared($sql, $runs);
                break;
            case 'begin': $client->begin(); break;
            case 'commit': $client->commit(); break;
            case 'rollback': $client->rollback(); break;
            case 'ping': $client->ping(); break;
            default: throw new LogicException("unknown step {$step['do']}");
        }
    } catch (mysqli_sql_exception $error) {
        echo '  error ', $error->getCode(), ' ', $error->getSqlState(), ' ', $error->getMessage(), "\n";
    } catch (PDOException $error) {
        echo '  error ', json_encode($error->errorInfo, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES), ' ', $error->getMessage(), "\n";
    }
}
echo "end\n";
