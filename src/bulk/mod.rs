//! Work over existing rows: migrate, rotate, restore. Nothing is here yet but the room.
