INSERT INTO users (id, email, name, tax, note, age) VALUES (1, 'ada@example.org', 'Ada', 'DE1', 'first', 36), (2, NULL, 'Bob', 'DE2', 'second', 20), (3, 'eve@example.org', '', NULL, NULL, 17), (4, 'ünï@example.org', 'Ünï ☃ 𝄞', 'DE4', 'it''s', NULL)
INSERT INTO orders (id, user_id, code, total, placed) VALUES (1, 1, 'A-1', 10, '2024-01-01'), (2, 1, 'A-2', 20, '2024-02-01'), (3, 2, 'A-1', 30, NULL), (4, NULL, NULL, 40, '2024-04-01')
INSERT INTO plain (id, email, note) VALUES (1, 'plain@example.org', 'p1'), (2, NULL, 'p2'), (5, 'x', 'p5')
INSERT INTO blobs (id, data, size) VALUES (1, x'00FF10', 3), (2, '', 0), (3, NULL, NULL)
