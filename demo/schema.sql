-- A table as an old application has it: utf8mb4, varchar(191), and a server that is not strict.
CREATE SCHEMA shop DEFAULT CHARACTER SET utf8mb4;
USE shop;
CREATE TABLE users (
  id    int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name  varchar(100) NOT NULL,
  email varchar(191) DEFAULT NULL,
  phone varchar(191) DEFAULT NULL,
  note  varchar(191) DEFAULT NULL
) ENGINE=InnoDB;
CREATE USER shop@'%' IDENTIFIED BY 'shop';
GRANT ALL ON shop.* TO shop@'%';
SET GLOBAL sql_mode = '';
