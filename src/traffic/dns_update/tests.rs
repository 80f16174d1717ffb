//! What a real name server does not do on demand.
