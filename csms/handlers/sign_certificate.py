"""SignCertificate.req: a charge point asks for its certificate (security white paper, A02, A03).

What is answered Accepted is kept first; it is signed when the answer is out (commands/).
"""

from csms.domain.certificate_request import (
    CSR_MAX,
    UnacceptableRequest,
    expected_subject,
    judge_request,
)
from csms.domain.security_event import own_event
from csms.errors import StaleEpoch
from csms.handlers.context import CallContext
from csms.logs import get_logger
from csms.protocol import confirmations, requests

log = get_logger(__name__)

TOO_MANY = "too many requests within an hour"


def handle(
    request: requests.SignCertificate, context: CallContext
) -> confirmations.SignCertificate:
    stores, settings, charge_point_id = context.stores, context.settings, context.charge_point_id
    # Read anew: its serial number may have come with a boot, or from an operator, since.
    record = stores.charge_points.find(charge_point_id)
    if record is None:
        raise StaleEpoch(charge_point_id)  # it was deleted since
    organisation = settings.cpo_name or stores.configurations.find(charge_point_id).text("CpoName")
    expected = expected_subject(record, settings.client_certificate_cn, organisation)
    refused, facts = "", {}
    try:
        judged = judge_request(request.csr, expected, settings.certificate_subject)
        facts = {
            "key": judged.key,
            "common_name": judged.common_name,
            "organisation": judged.organisation,
        }
    except UnacceptableRequest as problem:
        refused = str(problem)

    kept = stores.certificate_requests.receive(
        charge_point_id,
        context.owned.epoch,
        request.csr[:CSR_MAX],
        context.now_ms,
        refused=refused,
        to_be_signed=settings.chosen_authority != "manual",
        **facts,
    )
    if kept is None:
        refused = TOO_MANY
    stores.changed.add(charge_point_id)
    if refused:
        event = own_event("CertificateRequestRefused", context.now_ms, refused)
        stores.security_events.record(charge_point_id, event)
        stores.refusals.record(
            charge_point_id, f"certificate request refused: {refused}", "", context.now_ms
        )
        return confirmations.SignCertificate("Rejected")
    log.info("certificate requested", request_id=kept, **facts)
    return confirmations.SignCertificate("Accepted")
