// Runs the scenario with one of Node's drivers: mysql2 (promises) or mariadb.
'use strict';
const fs = require('fs');
const crypto = require('crypto');
const util = require('util');

const name = process.argv[2];
const env = process.env;
const print = (...parts) => console.log(parts.join(' '));

function value(encoded) {
    if (encoded === null || typeof encoded !== 'object') return encoded;
    const [kind] = Object.keys(encoded);
    const text = encoded[kind];
    switch (kind) {
        case 'bytes': return Buffer.from(text, 'hex');
        case 'repeat': return text.repeat(encoded.times);
        case 'repeat_bytes': return Buffer.from(text.repeat(encoded.times), 'hex');
        case 'datetime': return new Date(text.replace(' ', 'T') + 'Z');
        default: return text;
    }
}

function show(item) {
    if ((typeof item === 'string' || Buffer.isBuffer(item)) && item.length > 400) {
        return `${typeof item} of ${item.length}: sha256 ${crypto.createHash('sha256').update(item).digest('hex')}`;
    }
    if (item instanceof Date) return isNaN(item) ? 'Invalid Date' : item.toISOString();
    return util.inspect(item, { breakLength: Infinity, maxArrayLength: null });
}

// What both drivers tell of a column; functions and buffers behind it differ from run to run.
function column(c) {
    const call = (f) => { try { return typeof c[f] === 'function' ? c[f]() : c[f]; } catch { return undefined; } };
    return JSON.stringify(['db', 'schema', 'table', 'orgTable', 'name', 'orgName', 'characterSet', 'encoding', 'collation', 'columnLength',
        'columnType', 'type', 'flags', 'decimals', 'scale'].map((f) => { const v = call(f); return v && typeof v === 'object' ? v.name ?? v.index : v; }));
}

function answer(rows, fields) {
    if (Array.isArray(fields) && Array.isArray(fields[0] ?? null)) {
        fields.forEach((f, i) => answer(rows[i], f));
        return;
    }
    if (!Array.isArray(rows)) {
        print('  ok', JSON.stringify(rows, (key, v) => (key === 'meta' ? undefined : typeof v === 'bigint' ? `${v}n` : v)));
        return;
    }
    for (const field of fields ?? []) if (field) print('  column', column(field));
    for (const row of rows) print('  row', (Array.isArray(row) ? row : Object.values(row)).map(show).join(', '));
}

const common = { host: env.CLIENT_HOST, port: Number(env.CLIENT_PORT), user: env.CLIENT_USER, password: env.CLIENT_PASSWORD, database: env.CLIENT_SCHEMA };
const ssl = (tls) => (tls ? { ca: fs.readFileSync(env.CLIENT_CA) } : undefined);

const drivers = {
    mysql2: {
        connect: (tls) => require('mysql2/promise').createConnection({ ...common, ssl: ssl(tls), charset: 'utf8mb4', timezone: 'Z', supportBigNumbers: true, bigNumberStrings: true, rowsAsArray: true, multipleStatements: true }),
        server: (conn) => conn.connection._handshakePacket.serverVersion,
        async query(conn, sql, params) {
            const [rows, fields] = await conn.query(sql, params);
            answer(rows, fields);
        },
        async prepared(conn, sql, runs) {
            const statement = await conn.prepare(sql);
            for (const run of runs) {
                const [rows, fields] = await statement.execute(run);
                answer(rows, fields);
            }
            // statement.close() would leave it in the driver's cache, and the next one of this text without an id.
            conn.unprepare(sql);
        },
        async batch(conn, sql, runs) {
            for (const run of runs) {
                const [rows, fields] = await conn.execute(sql, run);
                answer(rows, fields);
            }
        },
        close: (conn) => conn.end(),
        reset: (conn) => conn.changeUser({ user: env.CLIENT_USER, password: env.CLIENT_PASSWORD, database: env.CLIENT_SCHEMA, charset: 'utf8mb4' }),
    },
    mariadb: {
        connect: (tls) => require('mariadb').createConnection({ ...common, ssl: ssl(tls), charset: 'utf8mb4', timezone: 'Z', rowsAsArray: true, metaAsArray: true, bigIntAsNumber: false, multipleStatements: true, maxAllowedPacket: 64 << 20, allowPublicKeyRetrieval: true }),
        server: (conn) => conn.serverVersion(),
        async query(conn, sql, params) { this.answer(await conn.query(sql, params)); },
        answer(result) {
            // CALL answers pairs of rows and columns, then an OK.
            if (Array.isArray(result) && result.length === 2 && Array.isArray(result[1]) && result[1][0]?.name) answer(result[0], result[1]);
            else if (Array.isArray(result)) for (const part of result) this.answer(part);
            else answer(result);
        },
        async prepared(conn, sql, runs) {
            const statement = await conn.prepare(sql);
            for (const run of runs) this.answer(await statement.execute(run));
            statement.close();
        },
        async batch(conn, sql, runs) {
            const result = await conn.batch(sql, runs);
            print('  ok', JSON.stringify(result, (key, v) => (typeof v === 'bigint' ? `${v}n` : v)));
        },
        close: (conn) => conn.end(),
        reset: (conn) => conn.reset(),
    },
};

async function main() {
    const driver = drivers[name];
    let conn = await driver.connect(false);
    print('server', driver.server(conn));
    for (const step of JSON.parse(fs.readFileSync(env.CLIENT_SCENARIO))) {
        const sql = step.sql ?? '';
        print(step.do, (step.name ?? sql).slice(0, 100));
        const runs = Array.isArray(step.params?.[0]) ? step.params.map((run) => run.map(value)) : [];
        try {
            switch (step.do) {
                case 'section': break;
                case 'connect':
                    await driver.close(conn);
                    conn = await driver.connect(step.tls);
                    print('  server', driver.server(conn));
                    break;
                case 'query': case 'call': await driver.query(conn, sql); break;
                case 'text': case 'too_long': for (const run of runs) await driver.query(conn, sql, run); break;
                case 'prepared': await driver.prepared(conn, sql, runs); break;
                case 'batch':
                    for (let i = 0; i < step.count; i++) runs.push(step.params.map((p) => (typeof p === 'string' ? p.replace('{i}', i) : p)));
                    await driver.batch(conn, sql, runs);
                    break;
                case 'begin': await conn.beginTransaction(); break;
                case 'commit': await conn.commit(); break;
                case 'rollback': await conn.rollback(); break;
                case 'ping': await conn.ping(); await driver.reset(conn).catch((e) => print('  reset', e.errno, e.message)); break;
                default: throw new Error(`unknown step ${step.do}`);
            }
        } catch (error) {
            if (!error.errno) throw error;
            print('  error', error.code, error.errno, error.sqlState, error.sqlMessage ?? error.message);
        }
    }
    await driver.close(conn);
    print('end');
}

main().catch((error) => { console.error(error); process.exit(1); });
