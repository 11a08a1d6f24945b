"""gevent and WebSocket, and only here."""
