"""What the tests stand on: our engine behind its JSON-RPC shim, libtorrent, a tracker,
payloads, and waiting for conditions."""
