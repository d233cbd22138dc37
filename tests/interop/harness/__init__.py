"""What the interop tests stand on: the server under test, and waiting for conditions."""
