//! Tidelog, the server.
