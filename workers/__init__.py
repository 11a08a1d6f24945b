"""What RQ runs: load, decide, store; every job is safe to run twice."""
