"""Makes statements out of a grammar, on this oracle's tables: forms that no collected statement has.

Literals are written as 'v'; rewrite.py puts values in their place. Every statement is meant to be valid; what a
server does not take counts as such.
"""
import random

RANDOM = ["s1", "b1", "n2"]
SEARCHED = ["s2", "s3", "n3", "d1"]
PLAIN = ["id", "n1", "note"]
TEXTS = ["s1", "s2", "s3", "b1", "note"]
TABLES = ["t1", "t2", "t3"]
ALL = ["id", "n1", "s1", "s2", "s3", "b1", "note", "n2", "n3", "d1"]


class Generator:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.home = TABLES[0]

    def one(self, *choices):
        chosen = self.rng.choice(choices)
        return chosen() if callable(chosen) else chosen

    def chance(self, p):
        return self.rng.random() < p

    def some(self, choices, least=1, most=3):
        return self.rng.sample(choices, min(len(choices), self.rng.randint(least, most)))

    def any_table(self):
        """Mostly one a statement: values of two tables are not compared with each other."""
        return self.home if self.chance(0.75) else self.one(*TABLES)

    # Names

    def alias(self):
        return self.one("a", "b", "c", "`x y`", "T1", "t2", "note", "s2", "id", "`s1`", "q")

    def table(self, used):
        """A table reference with a name that is free, and the columns it has."""
        name = self.any_table()
        shape = self.rng.random()
        if shape < 0.25 and name not in used:
            used.append(name)
            return name, name, ALL
        for _ in range(9):
            alias = self.alias()
            if alias.strip("`").lower() not in [u.strip("`").lower() for u in used]:
                break
        else:
            return self.table_named(f"z{len(used)}", name, used)
        return self.table_named(alias, name, used)

    def table_named(self, alias, name, used):
        used.append(alias)
        if self.chance(0.25):
            query, columns = self.derived()
            return f"({query}) {self.one('AS ', '')}{alias}", alias, columns
        return f"{name} {self.one('AS ', '')}{alias}", alias, ALL

    def derived(self):
        columns = self.some([c for c in ALL if c != "b1"], 2, 5)
        if "id" not in columns:
            columns.append("id")
        kind = self.rng.random()
        if kind < 0.2:
            return f"SELECT * FROM {self.any_table()}", ALL
        if kind < 0.35:
            table = self.any_table()
            return (f"SELECT {', '.join(columns)} FROM {table} WHERE {self.condition([(table, ALL)], 1)} "
                    f"{self.one('UNION ALL', 'UNION ALL', 'UNION')} SELECT {', '.join(columns)} FROM {self.any_table()}",
                    columns)
        if kind < 0.5:
            renamed = [f"{c} AS {c}x" for c in columns]
            return f"SELECT {', '.join(renamed)} FROM {self.any_table()}", [c + "x" for c in columns]
        if kind < 0.6:
            key = self.one(*SEARCHED)
            return (f"SELECT {key}, COUNT(*) AS id, MAX(n1) AS n1 FROM {self.any_table()} GROUP BY {key}",
                    [key, "id", "n1"])
        table = self.any_table()
        return f"SELECT {', '.join(columns)} FROM {table} WHERE {self.condition([(table, ALL)], 1)}", columns

    def column(self, scope, among):
        """A column of the kind, qualified or not."""
        places = [(a, c) for a, columns in scope for c in columns if c.rstrip("x") in among]
        if not places:
            alias, columns = self.rng.choice(scope)
            places = [(alias, self.rng.choice(columns))]
        alias, name = self.rng.choice(places)
        unique = sum(name in columns for _, columns in scope) == 1
        return name if unique and self.chance(0.4) else f"{alias}.{name}"

    # Conditions

    def literal(self, column):
        bare = column.split(".")[-1].rstrip("x")
        if bare in ("id", "n1"):
            return str(self.rng.randint(0, 6))
        if bare in ("n2", "n3"):
            return str(self.rng.randint(0, 8))
        if bare == "d1":
            return f"'2024-01-0{self.rng.randint(1, 7)} 10:00:00'"
        return "'v'"

    def condition(self, scope, depth):
        if depth > 0 and self.chance(0.45):
            left, right = self.condition(scope, depth - 1), self.condition(scope, depth - 1)
            return self.one(
                f"{left} AND {right}", f"{left} OR {right}", f"({left}) AND NOT ({right})", f"({left} OR {right})",
                f"NOT {left}", f"({left}) IS TRUE", f"({left}) XOR ({right})", f"{left} && {right}")
        kind = self.rng.random()
        searched, plain, anything = (self.column(scope, k) for k in (SEARCHED, PLAIN, ALL))
        value = self.literal(searched)
        if kind < 0.3:
            operator = self.one("=", "=", "=", "<=>", "<>", "!=")
            return self.one(f"{searched} {operator} {value}", f"{value} {operator} {searched}",
                            f"({searched}) {operator} ({value})")
        if kind < 0.42:
            values = ", ".join(self.literal(searched) for _ in range(self.rng.randint(1, 4)))
            return f"{searched} {self.one('', 'NOT ')}IN ({values})"
        if kind < 0.52:
            return f"{anything} IS {self.one('', 'NOT ')}NULL"
        if kind < 0.6:
            other = self.column(scope, [searched.split(".")[-1].rstrip("x")])
            return f"{searched} {self.one('=', '<=>', '<>')} {other}"
        if kind < 0.66:
            return f"({searched}, {plain}) = ({value}, {self.literal(plain)})"
        if kind < 0.7:
            return (f"({plain}, {searched}) IN (({self.literal(plain)}, {value}), ({self.literal(plain)}, "
                    f"{self.literal(searched)}))")
        if kind < 0.78 and depth >= 0:
            inner = self.any_table()
            name = searched.split(".")[-1].rstrip("x")
            if name not in ALL:
                name = "s2"
            return self.one(
                f"{searched} {self.one('IN', 'NOT IN', '= ANY', '= SOME', '<> ALL')} (SELECT {name} FROM {inner} WHERE n1 < 2)",
                f"EXISTS (SELECT 1 FROM {inner} AS zz WHERE zz.{name} = {searched})",
                f"EXISTS (SELECT * FROM {inner} AS zz WHERE zz.id = {plain} AND zz.{name} = {value})",
                f"{plain} IN (SELECT id FROM {inner} WHERE {name} = {value})",
                f"{searched} = (SELECT {name} FROM {inner} WHERE id = {self.rng.randint(1, 6)})",
                f"(SELECT COUNT({name}) FROM {inner} AS zz WHERE zz.{name} = {searched}) > 0")
        if kind < 0.82:
            return f"CASE {searched} WHEN {value} THEN 1 ELSE 0 END = 1"
        if kind < 0.86:
            return f"CASE WHEN {searched} = {value} THEN {plain} WHEN {anything} IS NULL THEN 1 END IS NOT NULL"
        return self.one(f"{plain} = {self.literal(plain)}", f"{plain} IS NOT NULL", f"COALESCE({searched}, NULL) = {value}",
                        f"{searched} = {value} IS TRUE")

    # Queries

    def item(self, scope):
        kind = self.rng.random()
        column = self.column(scope, ALL)
        if kind < 0.55:
            return column + self.one("", "", "", " AS e", " f", " `g h`")
        same = column
        if kind < 0.62:
            return f"COALESCE({same}, NULL) AS e{self.rng.randint(0, 9)}"
        if kind < 0.68:
            return f"IF({self.condition(scope, 0)}, {same}, NULL) AS e{self.rng.randint(0, 9)}"
        if kind < 0.74:
            return f"CASE WHEN {self.condition(scope, 0)} THEN {same} ELSE {same} END AS e{self.rng.randint(0, 9)}"
        if kind < 0.8:
            inner = self.any_table()
            return (f"(SELECT {self.one(*ALL)} FROM {inner} AS zz WHERE zz.id = {self.column(scope, ['id'])} LIMIT 1) "
                    f"AS e{self.rng.randint(0, 9)}")
        if kind < 0.86:
            return f"{column} IS NULL AS e{self.rng.randint(0, 9)}"
        if kind < 0.92:
            return f"({self.condition(scope, 0)}) AS e{self.rng.randint(0, 9)}"
        return self.one("'v' AS k", "1", "NULL AS nul", f"ROW_NUMBER() OVER (ORDER BY {self.column(scope, ['id'])}) AS rn")

    def source(self):
        used, scope = [], []
        text, alias, columns = self.table(used)
        scope.append((alias, columns))
        for _ in range(self.one(0, 0, 0, 1, 1, 2)):
            more, alias, columns = self.table(used)
            before = list(scope)
            scope.append((alias, columns))
            kind = self.rng.random()
            shared = [c for c in columns if sum(c in have for _, have in before) == 1]
            if kind < 0.15:
                text = f"{text}, {more}" if " JOIN " not in text else f"{text} CROSS JOIN {more}"
            elif kind < 0.3 and shared:
                names = ", ".join(self.some([c for c in shared if c not in ("b1", "s1", "n2")] or shared, 1, 2))
                text = f"{text} {self.one('JOIN', 'LEFT JOIN', 'INNER JOIN', 'RIGHT JOIN')} {more} USING ({names})"
            else:
                left, right = self.column(before, SEARCHED + ["id"]), None
                name = left.split(".")[-1]
                right = f"{alias}.{name}" if name in columns else f"{alias}.{columns[0]}"
                on = self.one(f"{left} = {right}", f"{right} = {left}", self.condition(scope, 1))
                text = f"{text} {self.one('JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'STRAIGHT_JOIN')} {more} ON {on}"
        return text, scope

    def select(self):
        text, scope = self.source()
        kind = self.rng.random()
        where = f" WHERE {self.condition(scope, 2)}" if self.chance(0.7) else ""
        if kind < 0.2:
            keys = [self.column(scope, SEARCHED + PLAIN) for _ in range(self.one(1, 1, 2))]
            aggregates = [self.one("COUNT(*)", f"COUNT({self.column(scope, ALL)})",
                                   f"COUNT(DISTINCT {self.column(scope, SEARCHED)})", f"SUM({self.column(scope, ['n1'])})",
                                   f"MAX({self.column(scope, ['id'])})") + f" AS m{n}" for n in range(self.one(1, 2))]
            having = self.one("", "", f" HAVING COUNT(*) > {self.rng.randint(0, 2)}",
                              f" HAVING {keys[0]} = {self.literal(keys[0])}", f" HAVING {keys[0]} IS NOT NULL")
            return f"SELECT {', '.join(keys + aggregates)} FROM {text}{where} GROUP BY {', '.join(keys)}{having}"
        if kind < 0.3:
            columns = [self.column(scope, SEARCHED + PLAIN) for _ in range(self.one(1, 2, 3))]
            if self.chance(0.5):
                # The key beside it, of this table or of another.
                columns += [f"{scope[0][0]}.id", f"{self.rng.choice(scope)[0]}.{self.one('s1', 'b1', 'n2', 'id')}"]
                if self.chance(0.4):
                    return f"SELECT {', '.join(columns)}, COUNT(*) AS m FROM {text}{where} GROUP BY {', '.join(columns)}"
            star = self.one("", "", f"{scope[0][0]}.*, ")
            return f"SELECT DISTINCT {star}{', '.join(columns)} FROM {text}{where}"
        if kind < 0.42:
            star = self.one("*", f"{scope[0][0]}.*", f"{scope[-1][0]}.*, {self.item(scope)}")
            return f"SELECT {star} FROM {text}{where}"
        items = ", ".join(self.item(scope) for _ in range(self.one(1, 2, 3, 4)))
        order = f" ORDER BY {self.column(scope, ['id', 'n1', 'note'])}{self.one('', ' DESC')}" if self.chance(0.2) else ""
        lock = self.one("", "", "", "", " FOR UPDATE")
        return f"SELECT {items} FROM {text}{where}{order}{lock}"

    def compound(self):
        names = self.some(SEARCHED + PLAIN, 1, 3)
        parts = []
        for _ in range(self.one(2, 2, 3)):
            table = self.any_table()
            where = f" WHERE {self.condition([(table, ALL)], 1)}" if self.chance(0.6) else ""
            parts.append(f"SELECT {', '.join(names)} FROM {table}{where}")
        operators = ["UNION", "UNION ALL", "UNION DISTINCT", "INTERSECT", "EXCEPT"]
        text = parts[0]
        for part in parts[1:]:
            text += f" {self.one(*operators)} {part}"
        return text + self.one("", "", " ORDER BY 1", " LIMIT 50")

    def cte(self):
        query, columns = self.derived()
        where = self.condition([("w", columns)], 1)
        kind = self.rng.random()
        if kind < 0.3:
            return f"WITH w AS ({query}) SELECT * FROM w WHERE {where}"
        if kind < 0.6:
            names = [f"k{n}" for n in range(len(columns))]
            return f"WITH w ({', '.join(names)}) AS ({query}) SELECT {', '.join(self.some(names))} FROM w"
        if kind < 0.8:
            return (f"WITH w AS ({query}), v AS (SELECT * FROM w WHERE {where}) SELECT v.* FROM v "
                    f"JOIN {self.any_table()} AS t ON t.id = v.{columns[0] if columns[0] == 'id' else columns[-1]}")
        return ("WITH RECURSIVE w (id, s2) AS (SELECT id, s2 FROM t1 WHERE id = 1 UNION ALL SELECT t1.id, t1.s2 FROM t1 "
                f"JOIN w ON t1.id = w.id + 1) SELECT {self.one('*', 's2', 'id, s2')} FROM w")

    # Writes

    def value(self, column):
        if self.chance(0.12):
            return "NULL" if column not in ("s3", "id") else self.literal(column)
        if column not in ("id",) and self.chance(0.08):
            return "DEFAULT"
        if column in TEXTS and self.chance(0.25):
            return self.one("_utf8mb4'v'", "N'v'", "'v' 'v'", "x'41'", "''", "' v '", "0x4142", "('v')", "'it''s \\\\ v'")
        return self.literal(column)

    def assignment(self, scope, column):
        name = column.split(".")[-1]
        kind = self.rng.random()
        if kind < 0.6:
            return f"{column} = {self.value(name)}"
        if kind < 0.7:
            return f"{column} = {column}"
        if kind < 0.85 and name not in ("id",):
            return (f"{column} = CASE WHEN {self.condition(scope, 0)} THEN {self.literal(name)} ELSE "
                    f"{self.one(self.literal(name), column)} END")
        if kind < 0.9 and name not in ("id", "s3"):
            return f"{column} = IF({self.condition(scope, 0)}, {self.literal(name)}, NULL)"
        return f"{column} = {self.literal(name)}"

    def insert(self):
        table = self.any_table()
        columns = self.some(ALL[1:], 1, 6)
        if self.chance(0.3):
            columns.append("id")
        verb = self.one("INSERT INTO", "INSERT", "INSERT IGNORE INTO", "REPLACE INTO")
        row = lambda: "(" + ", ".join(
            str(self.rng.randint(1, 9)) if c == "id" else self.value(c) for c in columns) + ")"
        kind = self.rng.random()
        if kind < 0.12:
            sets = ", ".join(f"{c} = {self.rng.randint(1, 9) if c == 'id' else self.value(c)}" for c in columns)
            text = f"{verb} {table} SET {sets}"
        elif kind < 0.3:
            copied = [c for c in columns if c != "id"] or ["n1"]
            other = self.any_table()
            where = f" WHERE {self.condition([(other, ALL)], 1)}"
            return f"{verb} {table} ({', '.join(copied)}) SELECT {', '.join(copied)} FROM {other}{where}"
        elif kind < 0.36:
            text = f"{verb} {table} VALUES ({self.rng.randint(1, 12)}, " + ", ".join(
                self.value(c) for c in ("n1", "n2", "n3", "d1", "s1", "s2", "s3", "b1", "note")) + ")"
        else:
            rows = ", ".join(row() for _ in range(self.one(1, 1, 2, 3)))
            text = f"{verb} {table} ({', '.join(columns)}) {self.one('VALUES', 'VALUE')} {rows}"
        if verb != "REPLACE INTO" and self.chance(0.3):
            target = self.one(*ALL[1:])
            given = self.one(*columns)
            text += " ON DUPLICATE KEY UPDATE " + self.one(
                f"{target} = {self.literal(target)}", f"{given} = VALUES({given})", f"{target} = {target}",
                f"{given} = VALUES({given}), n1 = n1 + 1", f"{target} = VALUES({target})")
        return text

    def update(self):
        if self.chance(0.25):
            text, scope = self.source()
            column = self.column(scope, ALL[1:])
            return f"UPDATE {text} SET {self.assignment(scope, column)} WHERE {self.condition(scope, 1)}"
        table = self.any_table()
        scope = [(table, ALL)]
        sets = ", ".join(self.assignment(scope, c) for c in self.some(ALL[1:]))
        return f"UPDATE {self.one('', 'IGNORE ')}{table} SET {sets} WHERE {self.condition(scope, 2)}"

    def delete(self):
        if self.chance(0.3):
            text, scope = self.source()
            return f"DELETE {scope[0][0]} FROM {text} WHERE {self.condition(scope, 1)}"
        table = self.any_table()
        return f"DELETE FROM {table} WHERE {self.condition([(table, ALL)], 2)}"

    def statement(self):
        self.home = self.one(*TABLES)
        return self.one(self.select, self.select, self.select, self.compound, self.cte, self.insert, self.insert,
                        self.update, self.update, self.delete)


def statements(count, seed):
    generator = Generator(seed)
    for _ in range(count):
        yield "generated", generator.statement()
