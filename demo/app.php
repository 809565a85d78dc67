<?php
// An application that knows nothing of Sealwire: only the port of its connection string changed.
$pdo = new PDO("mysql:host=127.0.0.1;port={$argv[1]};dbname=shop;charset=utf8mb4", 'shop', 'shop', [
    PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
    PDO::ATTR_EMULATE_PREPARES => false,
]);
$insert = $pdo->prepare('INSERT INTO users (name, email) VALUES (?, ?)');
$insert->execute(['Grace', 'grace@example.org']);

$select = $pdo->prepare('SELECT id, name, email FROM users WHERE id = ?');
$select->execute([$pdo->lastInsertId()]);
$row = $select->fetch(PDO::FETCH_ASSOC);
$column = $select->getColumnMeta(2);
echo "prepared INSERT, prepared SELECT: {$row['id']}, {$row['name']}, {$row['email']}\n";
echo "the email column, as the driver sees it: {$column['native_type']}, length {$column['len']}\n";
