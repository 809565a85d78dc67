"""Plain reading and writing of rows, as hand-written applications do it: text and prepared, one table and two."""
import os

import mysql.connector
import pymysql

options = dict(host="127.0.0.1", port=int(os.environ["GOAL_PORT"]), user="root", database=os.environ["GOAL_SCHEMA"])
text = pymysql.connect(**options, charset="utf8mb4")
prepared = mysql.connector.connect(**options, use_pure=True)
with text.cursor() as cursor:
    cursor.execute("CREATE TABLE people (id int unsigned AUTO_INCREMENT PRIMARY KEY, login varchar(50) NOT NULL UNIQUE, "
                   "name varchar(200), phone varchar(200), notes text, created timestamp DEFAULT CURRENT_TIMESTAMP)")
    cursor.execute("CREATE TABLE visits (id int AUTO_INCREMENT PRIMARY KEY, person_id int unsigned, page varchar(100), "
                   "FOREIGN KEY (person_id) REFERENCES people (id))")
STATEMENTS = [
    ("INSERT INTO people (login, name, phone) VALUES (%s, %s, %s)", ("ada{n}", "Ada Lovelace", "+44 1")),
    ("INSERT INTO people (login, name, phone) VALUES (%s, %s, %s), (%s, %s, NULL)", ("bob{n}", "Bob", "2", "cyd{n}", "Cyd")),
    ("INSERT IGNORE INTO people SET login = %s, name = %s", ("ada{n}", "Again")),
    ("REPLACE INTO people (login, name, notes) VALUES (%s, %s, %s)", ("dan{n}", "Dan", "it's new\n")),
    ("INSERT INTO people (login, name) VALUES (%s, %s) ON DUPLICATE KEY UPDATE name = VALUES(name)", ("dan{n}", "Daniel")),
    ("INSERT INTO visits (person_id, page) SELECT id, %s FROM people WHERE login = %s", ("/home", "ada{n}")),
    ("SELECT * FROM people WHERE login = %s", ("ada{n}",)),
    ("SELECT id, name, phone FROM people WHERE id = %s", (1,)),
    ("SELECT p.* FROM people p WHERE p.id IN (%s, %s, %s) ORDER BY p.id", (1, 2, 3)),
    ("SELECT id, login, name FROM people ORDER BY created DESC, id DESC LIMIT 20 OFFSET 0", ()),
    ("SELECT COUNT(*) FROM people", ()),
    ("SELECT COUNT(phone) FROM people WHERE notes IS NOT NULL AND login LIKE %s", ("a%",)),
    ("SELECT v.page, p.name FROM visits v INNER JOIN people p ON p.id = v.person_id WHERE p.login = %s", ("ada{n}",)),
    ("SELECT p.id, p.name, COUNT(v.id) AS visits FROM people p LEFT JOIN visits v ON v.person_id = p.id GROUP BY p.id", ()),
    ("SELECT name FROM people WHERE EXISTS (SELECT 1 FROM visits WHERE visits.person_id = people.id) LIMIT 5", ()),
    ("UPDATE people SET name = %s, phone = %s WHERE id = %s", ("Ada King", None, 1)),
    ("UPDATE people SET notes = NULL, created = created WHERE login = %s LIMIT 1", ("bob{n}",)),
    ("UPDATE people p JOIN visits v ON v.person_id = p.id SET p.phone = %s WHERE v.page = %s", ("+44 3", "/home")),
    ("SELECT name, notes FROM people WHERE login = %s FOR UPDATE", ("ada{n}",)),
    ("DELETE FROM people WHERE login = %s", ("cyd{n}",)),
    ("DELETE v FROM visits v JOIN people p ON p.id = v.person_id WHERE p.login = %s", ("ada{n}",)),
]
for n in range(20):
    for statement, values in STATEMENTS:
        values = tuple(value.format(n=n) if isinstance(value, str) else value for value in values)
        for connection, arguments in ((text, {}), (prepared, {"prepared": True})):
            cursor = connection.cursor(**arguments)
            try:
                cursor.execute(statement, values)
                cursor.fetchall() if cursor.description else None
            except (pymysql.err.IntegrityError, mysql.connector.errors.IntegrityError):
                pass  # The row is there from the other connection.
            connection.commit()
            cursor.close()
