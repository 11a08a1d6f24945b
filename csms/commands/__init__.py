"""We ask, the charge point answers: one table of requests, one registry of pending calls."""
