//! Real networks, one file for each way to connect guests.
