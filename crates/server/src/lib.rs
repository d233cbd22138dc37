//! robust-server: sockets, workers, configuration, HTTP and main.
