// Runs the scenario with go-sql-driver/mysql; "text" interpolates parameters in the client.
package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/ioutil"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

type step struct {
	Do     string
	Name   string
	SQL    string `json:"sql"`
	Params json.RawMessage
	Count  int
	TLS    bool `json:"tls"`
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func value(encoded interface{}) interface{} {
	object, ok := encoded.(map[string]interface{})
	if !ok {
		if number, ok := encoded.(json.Number); ok {
			if whole, err := number.Int64(); err == nil {
				return whole
			}
			float, err := number.Float64()
			check(err)
			return float
		}
		return encoded
	}
	times := 1
	if n, ok := object["times"].(json.Number); ok {
		n64, _ := n.Int64()
		times = int(n64)
	}
	for kind, text := range object {
		switch kind {
		case "bytes", "repeat_bytes":
			raw, err := hex.DecodeString(text.(string))
			check(err)
			return []byte(strings.Repeat(string(raw), times))
		case "repeat":
			return strings.Repeat(text.(string), times)
		case "datetime":
			parsed, err := time.Parse("2006-01-02 15:04:05", text.(string))
			check(err)
			return parsed
		case "times":
		default:
			return text
		}
	}
	return nil
}

func show(item interface{}) string {
	switch typed := item.(type) {
	case []byte:
		if len(typed) > 400 {
			return fmt.Sprintf("bytes of %d: sha256 %x", len(typed), sha256.Sum256(typed))
		}
		return fmt.Sprintf("%q", typed)
	default:
		return fmt.Sprintf("%T %v", item, item)
	}
}

func failed(err error) bool {
	if err == nil {
		return false
	}
	if server, ok := err.(*mysql.MySQLError); ok {
		fmt.Println("  error", server.Number, server.Message)
	} else {
		fmt.Println("  error", err)
	}
	return true
}

func rows(found *sql.Rows) {
	defer found.Close()
	for {
		types, err := found.ColumnTypes()
		if failed(err) {
			return
		}
		for _, column := range types {
			nullable, _ := column.Nullable()
			length, hasLength := column.Length()
			precision, scale, decimal := column.DecimalSize()
			fmt.Println("  column", column.Name(), column.DatabaseTypeName(), nullable, length, hasLength, precision, scale, decimal, column.ScanType())
		}
		for found.Next() {
			values := make([]interface{}, len(types))
			places := make([]interface{}, len(types))
			for i := range values {
				places[i] = &values[i]
			}
			if failed(found.Scan(places...)) {
				return
			}
			shown := make([]string, len(values))
			for i := range values {
				shown[i] = show(values[i])
			}
			fmt.Println("  row", strings.Join(shown, ", "))
		}
		if failed(found.Err()) || !found.NextResultSet() {
			return
		}
	}
}

func dial(secure bool, interpolate bool) *sql.Conn {
	config := mysql.NewConfig()
	config.User, config.Passwd = os.Getenv("CLIENT_USER"), os.Getenv("CLIENT_PASSWORD")
	config.Net, config.Addr = "tcp", os.Getenv("CLIENT_HOST")+":"+os.Getenv("CLIENT_PORT")
	config.DBName, config.Collation = os.Getenv("CLIENT_SCHEMA"), "utf8mb4_general_ci"
	config.MaxAllowedPacket, config.InterpolateParams, config.MultiStatements = 64<<20, interpolate, true
	if secure {
		pem, err := ioutil.ReadFile(os.Getenv("CLIENT_CA"))
		check(err)
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		check(mysql.RegisterTLSConfig("test", &tls.Config{RootCAs: pool, ServerName: "localhost"}))
		config.TLSConfig = "test"
	}
	db, err := sql.Open("mysql", config.FormatDSN())
	check(err)
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(context.Background())
	check(err)
	return conn
}

func isQuery(text string) bool {
	for _, word := range []string{"SELECT", "SHOW", "EXPLAIN", "CALL"} {
		if strings.HasPrefix(text, word) {
			return true
		}
	}
	return false
}

func done(result sql.Result) {
	affected, _ := result.RowsAffected()
	id, _ := result.LastInsertId()
	fmt.Println("  affected", affected, "id", id)
}

func main() {
	interpolate := os.Args[1] == "text"
	ctx := context.Background()
	raw, err := ioutil.ReadFile(os.Getenv("CLIENT_SCENARIO"))
	check(err)
	var steps []step
	check(json.Unmarshal(raw, &steps))
	conn := dial(false, interpolate)
	var transaction *sql.Tx
	for _, s := range steps {
		head := s.Name
		if head == "" {
			head = s.SQL
		}
		fmt.Println(s.Do, head)
		var runs [][]interface{}
		if s.Do != "batch" && s.Params != nil {
			decoder := json.NewDecoder(strings.NewReader(string(s.Params)))
			decoder.UseNumber()
			check(decoder.Decode(&runs))
			for _, run := range runs {
				for i := range run {
					run[i] = value(run[i])
				}
			}
		}
		switch s.Do {
		case "section":
		case "connect":
			check(conn.Close())
			conn = dial(s.TLS, interpolate)
		case "query", "call":
			if isQuery(s.SQL) {
				found, err := conn.QueryContext(ctx, s.SQL)
				if !failed(err) {
					rows(found)
				}
			} else if result, err := conn.ExecContext(ctx, s.SQL); !failed(err) {
				done(result)
			}
		case "prepared", "too_long", "text":
			if s.Do == "prepared" && !interpolate {
				statement, err := conn.PrepareContext(ctx, s.SQL)
				if failed(err) {
					continue
				}
				for _, run := range runs {
					if isQuery(s.SQL) {
						if found, err := statement.QueryContext(ctx, run...); !failed(err) {
							rows(found)
						}
					} else if result, err := statement.ExecContext(ctx, run...); !failed(err) {
						done(result)
					}
				}
				check(statement.Close())
				continue
			}
			for _, run := range runs {
				if isQuery(s.SQL) {
					if found, err := conn.QueryContext(ctx, s.SQL, run...); !failed(err) {
						rows(found)
					}
				} else if result, err := conn.ExecContext(ctx, s.SQL, run...); !failed(err) {
					done(result)
				}
			}
		case "batch":
			var params []interface{}
			check(json.Unmarshal(s.Params, &params))
			statement, err := conn.PrepareContext(ctx, s.SQL)
			if failed(err) {
				continue
			}
			for i := 0; i < s.Count; i++ {
				run := make([]interface{}, len(params))
				for j, param := range params {
					if text, ok := param.(string); ok {
						run[j] = strings.Replace(text, "{i}", fmt.Sprint(i), 1)
					} else {
						run[j] = int64(param.(float64))
					}
				}
				if result, err := statement.ExecContext(ctx, run...); !failed(err) && i == s.Count-1 {
					done(result)
				}
			}
			check(statement.Close())
		case "begin":
			transaction, err = conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
			failed(err)
		case "commit":
			failed(transaction.Commit())
		case "rollback":
			failed(transaction.Rollback())
		case "ping":
			failed(conn.PingContext(ctx))
		default:
			check(fmt.Errorf("unknown step %s", s.Do))
		}
	}
	check(conn.Close())
	fmt.Println("end")
}
