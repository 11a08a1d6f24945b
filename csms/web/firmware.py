"""How a file gets into the firmware library and out of it, for the API and the page alike."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, g, request

from csms import clock
from csms.commands.firmware_library import FirmwareDetails
from csms.domain.hosted_file import FirmwareImage, as_file_name
from csms.errors import FieldError
from csms.web.attachments import attachment
from csms.web.parts import parts
from csms.web.streamed_bodies import FORM_OVERHEAD_BYTES, be_patient, body_chunks, read_form


def take_body(said: Mapping[str, str]) -> FirmwareImage:
    """The file that is the body of this request. said: FirmwareDetails, the file's name as `name`.

    Raises FieldError, FirmwareLibraryFull, UploadTooLarge, StorageUnavailable.
    """
    library = parts().firmware_library
    be_patient()
    request.max_content_length = library.settings.firmware_max_bytes
    with library.incoming(request.content_length or 0) as file:
        for chunk in body_chunks():
            file.write(chunk)
        return library.add(file, _details(said), g.requested_by, clock.now_ms())


def take_form(load: Callable[[dict[str, str]], Mapping[str, Any]]) -> FirmwareImage:
    """The file of the form that is the body of this request. load: reads its fields, to which the
    name of the file belongs where they have none, as what take_body is given.

    Raises what take_body and load do, and MalformedBody.
    """
    library = parts().firmware_library
    be_patient()
    request.max_content_length = library.settings.firmware_max_bytes + FORM_OVERHEAD_BYTES
    with library.incoming() as file:
        form = read_form(file.write)
        said = load({"name": as_file_name(form.file_name or ""), **form.fields})
        if not form.file_name and not file.size_bytes:
            raise FieldError("file", "is required")
        return library.add(file, _details(said), g.requested_by, clock.now_ms())


def _details(said: Mapping[str, Any]) -> FirmwareDetails:
    more = {name: text for name, text in said.items() if name != "name"}
    return FirmwareDetails(file_name=said["name"], **more)


def download(image_id: str) -> Response:
    """Raises NotFound, StorageUnavailable."""
    image, file = parts().firmware_library.open(image_id)
    return attachment(file, image.file_name, image.size_bytes)
