//! Metrics, health, audit log and status page. Nothing is here yet but the room.
