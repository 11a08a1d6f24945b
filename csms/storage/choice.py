"""Which storage the settings ask for."""

from csms.config import Settings
from csms.storage.directory import Aside, DirectoryStorage, at_once
from csms.storage.interface import Storage


def storage_of(settings: Settings, aside: Aside = at_once) -> Storage:
    """A bucket where one is named, else the directory. Contacts nobody. aside: see
    DirectoryStorage; the sockets of a bucket are those of the process. Raises ConfigurationError.
    """
    if settings.files_s3_bucket is None:
        return DirectoryStorage(settings.files_directory, aside)
    # Imported here alone: boto3 costs every process that has no bucket memory and time at its
    # start.
    from csms.storage.s3 import S3Storage  # noqa: PLC0415

    return S3Storage(settings.files_s3_bucket, settings.files_s3_endpoint, settings.files_s3_prefix)
