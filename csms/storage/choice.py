"""Which storage the settings ask for."""

from csms.config import Settings
from csms.storage.directory import DirectoryStorage
from csms.storage.interface import Storage


def storage_of(settings: Settings) -> Storage:
    """A bucket where one is named, else the directory. Contacts nobody. Raises
    ConfigurationError."""
    if settings.files_s3_bucket is None:
        return DirectoryStorage(settings.files_directory)
    # Imported here alone: boto3 costs every process that has no bucket memory and time at its
    # start.
    from csms.storage.s3 import S3Storage  # noqa: PLC0415

    return S3Storage(settings.files_s3_bucket, settings.files_s3_endpoint, settings.files_s3_prefix)
