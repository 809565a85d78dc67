-- The tables of the corpus. Protected: users.email, users.name, users.tax (search: exact), orders.code
-- (search: exact), blobs.data, letters.body (bind: code), letters.topic (bind: office and number, cipher: aes-256-gcm).
CREATE TABLE users (
  id int NOT NULL AUTO_INCREMENT,
  email varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  name varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  tax varchar(120) CHARACTER SET ascii COLLATE ascii_bin,
  note varchar(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  age int DEFAULT 18,
  PRIMARY KEY (id),
  UNIQUE KEY tax (tax)
) ENGINE=InnoDB;
CREATE TABLE orders (
  id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
  user_id int,
  code varchar(120) CHARACTER SET ascii COLLATE ascii_bin,
  total int NOT NULL DEFAULT 0,
  placed date,
  KEY code (code)
) ENGINE=InnoDB;
CREATE TABLE plain (
  id int NOT NULL PRIMARY KEY,
  email varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  note text CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
) ENGINE=InnoDB;
CREATE TABLE blobs (
  id int NOT NULL PRIMARY KEY,
  data varbinary(300),
  size int
) ENGINE=InnoDB;
CREATE TABLE letters (
  code varchar(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  office smallint unsigned NOT NULL,
  number bigint NOT NULL,
  body text CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  topic varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  seen int NOT NULL DEFAULT 0,
  PRIMARY KEY (code),
  UNIQUE KEY filed (office, number)
) ENGINE=InnoDB;
CREATE TABLE parcels (
  code char(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  content varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  weight int
) ENGINE=InnoDB;
CREATE VIEW v_letters AS SELECT code, body FROM letters;
CREATE VIEW v_users AS SELECT id, email AS mail, age FROM users;
CREATE VIEW v_adults AS SELECT id, mail FROM v_users WHERE age >= 18;
CREATE VIEW v_totals AS SELECT user_id, SUM(total) AS total FROM orders GROUP BY user_id;
