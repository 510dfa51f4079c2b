//! What this server's clients wait for.
