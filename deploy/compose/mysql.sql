-- What the development database starts with: the application's schema and account, and the proxy's.
CREATE SCHEMA shop DEFAULT CHARACTER SET utf8mb4;
CREATE TABLE shop.users (
  id    int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name  varchar(100) NOT NULL,
  email varchar(191) DEFAULT NULL,
  phone varchar(191) DEFAULT NULL
);
CREATE USER shop@'%' IDENTIFIED BY 'shop';
GRANT ALL ON shop.* TO shop@'%';
-- For development only; docs/ says which privileges the proxy needs in production.
CREATE USER sealwire@'%' IDENTIFIED BY 'sealwire';
GRANT ALL ON *.* TO sealwire@'%';
