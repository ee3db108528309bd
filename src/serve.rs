//! Wires the rooms: listeners, clock, shutdown.
