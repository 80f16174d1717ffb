//! What a real PowerDNS does not do on demand.
