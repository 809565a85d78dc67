"""Turns any SQL statement into one on this oracle's tables, mechanically: no grammar, only tokens.

Tables become t1, t2, t3 in order of appearance; other names become columns; string literals become values that
can be found again. Many results are not valid any more: the server says which, and those are counted apart.
"""
import hashlib
import random
import re

TOKEN = re.compile(
    r"""(?P<space>\s+|--(?=[\s]|$)[^\n]*|\#[^\n]*|/\*(?!!|M!|\+).*?\*/)
      | (?P<open>/\*M?!\d*|/\*\+) | (?P<close>\*/)
      | (?P<string>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
      | (?P<quoted>`(?:[^`]|``)*`)
      | (?P<hex>0x[0-9a-fA-F]+|[xXbB]'[0-9a-fA-F]*')
      | (?P<number>\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)
      | (?P<variable>@@?[\w.$]*)
      | (?P<word>[A-Za-z_\u0080-\uffff$][\w$\u0080-\uffff]*)
      | (?P<op><=>|<<|>>|<=|>=|<>|!=|:=|\|\||&&|->>|->|.)""",
    re.X | re.S,
)

TABLES = ["t1", "t2", "t3"]
NUMBERS = ["id", "n1", "n2", "n1", "n3"]
TIMES = ["d1"]
TEXTS = ["s1", "s2", "s3", "s2", "note", "b1"]
# Words that are not reserved, but never a column where these statements use them.
KEPT = set(
    """ANY SOME END BEGIN OFFSET QUICK DAY HOUR MINUTE SECOND MONTH YEAR WEEK QUARTER MICROSECOND SHARE MODE NOWAIT
    SKIP LOCKED ROLLUP DUPLICATE SQL_NO_CACHE SQL_CACHE SQL_BUFFER_RESULT UNKNOWN LANGUAGE EXPANSION QUERY ESCAPE
    PRECEDING FOLLOWING UNBOUNDED CURRENT BOOLEAN DATE TIME DATETIME TIMESTAMP SIGNED TEXT ENUM JSON JSON_TABLE PATH
    PARTITION AGAINST VALUE USE_FRM TRUE FALSE NULL GLOBAL SESSION LOCAL TABLES NESTED ORDINALITY RETURNING ONE ROWS
    NO FORMAT TRADITIONAL TREE ANALYZE EXTENDED PARTITIONS AVG_ROW_LENGTH TYPE IGNORE DUAL LATERAL RECURSIVE
    OJ FN D T TS MEMBER ARRAY NULLS LAST RESPECT EXCEPT INTERSECT OVER WINDOW ROW ROW_NUMBER RANK DENSE_RANK
    SOUNDS AT XML INTO OUTFILE DUMPFILE LOW_PRIORITY HIGH_PRIORITY DELAYED CHARSET BINARY DISTINCTROW STRAIGHT_JOIN
    UTF8MB4 UTF8 LATIN1 ASCII""".split()
)
BEFORE_TABLE = {"FROM", "JOIN", "INTO", "UPDATE", "TABLE", "STRAIGHT_JOIN"}
ENDS_FROM = {"WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "SET", "VALUES", "VALUE", "SELECT", "UNION", "ON", "USING",
             "WINDOW", "FOR", "PROCEDURE", "RETURNING"}


def tokens(sql):
    return [(m.lastgroup, m.group()) for m in TOKEN.finditer(sql)]


def pick(name, choices, salt):
    digest = hashlib.sha256(f"{salt}:{name.lower()}".encode()).digest()
    return choices[digest[0] % len(choices)]


class Values:
    """Literals: unique ones that can be searched for, and those of rows that are there."""

    def __init__(self, prefix, start):
        self.prefix, self.next, self.used = prefix, start, []

    def unique(self):
        self.next += 1
        value = f"{self.prefix}{self.next:08d}Z"
        self.used.append(value)
        return value


def unquoted(text):
    return text[1:-1].replace("``", "`")


def rewrite(sql, reserved, salt, values, parameters):
    """The statement on this oracle's tables, and the parameters for the placeholders put in (if wanted)."""
    rng = random.Random(f"{salt}:{sql}")
    found = tokens(sql)
    live = [i for i, (kind, _) in enumerate(found) if kind != "space"]
    after = {a: b for a, b in zip(live, live[1:])}
    before = {b: a for a, b in zip(live, live[1:])}
    is_name = lambda i: i is not None and (
        found[i][0] == "quoted"
        or (found[i][0] == "word" and found[i][1].upper() not in reserved and found[i][1].upper() not in KEPT))
    text = lambda i: found[i][1].upper() if i is not None else ""
    tables, aliases, ctes, out, bound = {}, {}, set(), [None] * len(found), []
    # Names of common table expressions and aliases of derived tables stay what they are.
    for i in live:
        if is_name(i) and text(after.get(i)) == "AS" and text(after.get(after.get(i))) == "(" and (
            text(before.get(i)) in ("WITH", ",", "RECURSIVE")):
            ctes.add(found[i][1].strip("`").lower())
        if is_name(i) and text(before.get(i)) == ")" and text(after.get(i)) not in ("(", "."):
            ctes.add(found[i][1].strip("`").lower())
        if is_name(i) and text(before.get(i)) == "AS" and text(before.get(before.get(i))) == ")":
            ctes.add(found[i][1].strip("`").lower())
    in_from = False
    i = live[0] if live else None
    while i is not None:
        kind, raw = found[i]
        upper = raw.upper()
        if kind == "word" and upper in BEFORE_TABLE or (in_from and raw == ","):
            in_from = in_from or upper in ("FROM", "JOIN", "UPDATE", "INTO", "STRAIGHT_JOIN")
            j = after.get(i)
            while text(j) in ("IGNORE", "LOW_PRIORITY", "QUICK", "DELAYED", "HIGH_PRIORITY", "INTO"):
                j = after.get(j)
            if is_name(j):
                parts = [j]
                while text(after.get(parts[-1])) == "." and is_name(after.get(after.get(parts[-1]))):
                    parts.append(after[after[parts[-1]]])
                name = found[parts[-1]][1].strip("`").lower()
                if text(after.get(parts[-1])) != "(" or text(i) == "INTO":
                    if name not in ctes:
                        table = tables.setdefault(name, TABLES[len(tables) % len(TABLES)])
                        for p in range(parts[0], parts[-1]):
                            out[p] = "" if found[p][0] != "space" else found[p][1]
                        out[parts[-1]] = table
                        k = after.get(parts[-1])
                        if text(k) == "AS":
                            k = after.get(k)
                        if is_name(k):
                            aliases[found[k][1].strip("`").lower()] = table
                            out[k] = found[k][1]
                    else:
                        out[j] = found[j][1]
        elif kind == "word" and upper in ENDS_FROM:
            in_from = False
        i = after.get(i)
    for i in live:
        kind, raw = found[i]
        if out[i] is not None:
            continue
        nxt, prev = text(after.get(i)), text(before.get(i))
        if kind == "string":
            out[i] = literal(i, found, prev, nxt, raw, rng, values, parameters, bound)
        elif is_name(i):
            name = raw.strip("`").lower()
            if nxt == "." and prev != ".":
                out[i] = tables.get(name, raw) if name not in aliases and name not in ctes else raw
            elif kind == "word" and nxt == "(" and prev != ".":
                out[i] = raw
            elif prev == "AS" or name in ctes or name in aliases:
                out[i] = raw
            else:
                moment = re.search(r"date|time|_at$|_on$|created|updated|^dt", name)
                number = re.search(r"(^|_)(id|pk|count|num|n|i|a|x|c\d|age|total|size|len)$", name)
                out[i] = pick(name, TIMES if moment else NUMBERS if number else TEXTS, salt)
        else:
            out[i] = raw
    return "".join(o if o is not None else found[k][1] for k, o in enumerate(out)), bound


def with_values(sql, reserved, salt, values, parameters):
    """As [`rewrite`], for a statement that is on this oracle's tables already: every literal 'v' becomes a value."""
    rng = random.Random(f"{salt}:{sql}")
    found, bound, out = tokens(sql), [], []
    for i, (kind, raw) in enumerate(found):
        if kind != "string" or "v" not in raw:
            out.append(raw)
            continue
        value = values.unique() if rng.random() < 0.5 else f"seed{rng.randrange(6)}"
        behind = [text for kind, text in found[:i] if kind != "space"][-1:]
        alone = raw == "'v'" and not (found[i - 1][0] == "word" or found[i - 2][0] == "string" or found[i + 1 : i + 3]
                                      and found[i + 1 : i + 3][-1][0] == "string")
        if parameters and alone and behind and behind[0] != "SELECT" and rng.random() < 0.7:
            bound.append(value)
            out.append("?")
        else:
            out.append(raw.replace("v", value))
    return "".join(out), bound


def literal(i, found, prev, nxt, raw, rng, values, parameters, bound):
    # An alias, a separator, a path, a format and the like stay: they are no values.
    if prev in ("AS", "SEPARATOR", "ESCAPE", "DATE", "TIME", "TIMESTAMP", "INTERVAL", "COLLATE", "PATH", "COLUMNS", "BY",
                "OUTFILE", "DUMPFILE", "XML", "->", "->>") or raw[1:2] in ("$", "%"):
        return raw
    chance = rng.random()
    if chance < 0.12:
        return raw
    value = values.unique() if chance < 0.55 else f"seed{rng.randrange(6)}"
    if parameters and chance > 0.3 and not (prev.startswith("_") or prev == "N") and found[i + 1 : i + 2] != []:
        bound.append(value)
        return "?"
    quote = raw[0]
    return f"{quote}{value}{quote}"
