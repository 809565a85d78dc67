-- The tables of the scenario. What is protected stands in runner.py; the direct run has the same tables, plain.
CREATE TABLE users (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(60) NOT NULL,
    email VARCHAR(191),
    token VARBINARY(200),
    biography TEXT,
    visits INT NOT NULL DEFAULT 0,
    UNIQUE KEY name (name)
);
CREATE TABLE everything (
    id INT NOT NULL PRIMARY KEY,
    sealed_text VARCHAR(191),
    c_tinyint TINYINT,
    c_tinyint_unsigned TINYINT UNSIGNED,
    c_bool TINYINT(1),
    c_smallint SMALLINT,
    c_mediumint MEDIUMINT,
    c_int INT,
    c_bigint BIGINT,
    c_bigint_unsigned BIGINT UNSIGNED,
    c_float FLOAT,
    c_double DOUBLE,
    c_decimal DECIMAL(30, 10),
    c_bit BIT(9),
    sealed_bytes VARBINARY(255),
    c_date DATE,
    c_time TIME(3),
    c_datetime DATETIME(6),
    c_timestamp TIMESTAMP NULL,
    c_year YEAR,
    c_char CHAR(10),
    c_varchar VARCHAR(100) CHARACTER SET latin1,
    c_binary BINARY(8),
    c_varbinary VARBINARY(50),
    c_text TEXT,
    c_blob BLOB,
    c_enum ENUM('small', 'large'),
    c_set SET('a', 'b', 'c'),
    c_json JSON,
    sealed_last TINYTEXT
);
CREATE TABLE large (
    id INT NOT NULL PRIMARY KEY,
    body LONGTEXT,
    data LONGBLOB
);
CREATE TABLE plain (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(60) UNIQUE,
    amount DECIMAL(10, 2),
    data LONGBLOB
);
CREATE PROCEDURE numbers()
BEGIN
    SELECT 1 AS one, 'eins' AS word;
    SELECT name, amount FROM plain ORDER BY id LIMIT 2;
END;
CREATE TABLE accounts (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(100) NOT NULL,
    password VARCHAR(255) NOT NULL,
    client_secret VARCHAR(255) NULL,
    settings JSON NULL,
    created_at TIMESTAMP NULL,
    updated_at TIMESTAMP NULL
);
