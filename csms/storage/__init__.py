"""Where the bytes of hosted files are kept: a directory, or a bucket of an S3-compatible store."""
