"""The one home of every key in the store; docs/redis.md says what each holds and for how long.

Every key of a charge point carries the hash tag `{charge_point_id}`, so that one charge point
lives in one cluster slot; the rest are facts across charge points: separate, idempotent steps,
repaired by the sweep. Charge point ids are checked before they come here (domain/charge_point.py);
idTags are any text, so that they are hashed.
"""

import hashlib

PREFIX = "csms:"


def charge_point(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}"


def live(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:live"


def charging_profiles_of(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:charging-profiles"


def charging_profile(charge_point_id: str, command_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:charging-profile:{command_id}"


def charging_profile_ids(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:charging-profile-ids"


def composite_schedules(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:composite-schedules"


def connectors(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:connectors"


def configuration(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:configuration"


def readings(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:readings"


def open_transactions_of(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:open"


def starts(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:starts"


def transactions_of(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:transactions"


def transaction(charge_point_id: str, transaction_id: int | str) -> str:
    return f"csms:{{{charge_point_id}}}:transaction:{transaction_id}"


def meter_values(charge_point_id: str, transaction_id: int | str) -> str:
    return f"csms:{{{charge_point_id}}}:meter-values:{transaction_id}"


def packed_meter_values(charge_point_id: str, transaction_id: int | str) -> str:
    return f"csms:{{{charge_point_id}}}:packed-meter-values:{transaction_id}"


def loose_meter_values(charge_point_id: str) -> str:
    """Meter values outside any transaction this system knows."""
    return f"csms:{{{charge_point_id}}}:loose-meter-values"


def orphans(charge_point_id: str) -> str:
    """StopTransactions that fit no transaction of the charge point."""
    return f"csms:{{{charge_point_id}}}:orphans"


def messages(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:messages"


def commands_of(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:commands"


def command(charge_point_id: str, command_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:command:{command_id}"


def outbox(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:outbox"


def in_flight(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:in-flight"


def transfers_of(charge_point_id: str, subject: str) -> str:
    """subject: `firmware` or `logs`."""
    return f"csms:{{{charge_point_id}}}:transfers:{subject}"


def open_transfers(charge_point_id: str) -> str:
    """Transfers that have not come to an end."""
    return f"csms:{{{charge_point_id}}}:open-transfers"


def transfer(charge_point_id: str, transfer_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:transfer:{transfer_id}"


def transfer_history(charge_point_id: str, transfer_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:transfer-history:{transfer_id}"


def request_ids(charge_point_id: str) -> str:
    """The last id handed out for a GetLog or SignedUpdateFirmware."""
    return f"csms:{{{charge_point_id}}}:request-ids"


def idempotency(charge_point_id: str, principal: str, key: str) -> str:
    return f"csms:{{{charge_point_id}}}:idempotency:{_digest(f'{principal} {key}')}"


def security_events_of(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:security-events"


def security_event(charge_point_id: str, event_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:security-event:{event_id}"


def campaign_at(charge_point_id: str) -> str:
    """The campaign that works on it."""
    return f"csms:{{{charge_point_id}}}:campaign"


def reservations_of(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:reservations"


def active_reservations(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:active-reservations"


def reservation(charge_point_id: str, reservation_id: int | str) -> str:
    return f"csms:{{{charge_point_id}}}:reservation:{reservation_id}"


def local_list(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:local-list"


def local_list_entries(charge_point_id: str) -> str:
    """What it has acknowledged."""
    return f"csms:{{{charge_point_id}}}:local-list-entries"


def local_list_target(charge_point_id: str) -> str:
    """What the sync that runs is to bring it to."""
    return f"csms:{{{charge_point_id}}}:local-list-target"


def certificate_requests_of(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:certificate-requests"


def certificate_request(charge_point_id: str, request_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:certificate-request:{request_id}"


def open_certificate_request(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:open-certificate-request"


def certificates_of(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:certificates"


def certificate(charge_point_id: str, fingerprint: str) -> str:
    return f"csms:{{{charge_point_id}}}:certificate:{fingerprint}"


def installed_certificates(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:installed-certificates"


def certificate_installations(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:certificate-installations"


def failures(charge_point_id: str, remote_address: str) -> str:
    """Failed attempts to log in, as a bucket."""
    return f"csms:{{{charge_point_id}}}:failures:{_digest(remote_address)}"


def failures_of(charge_point_id: str) -> str:
    return f"csms:{{{charge_point_id}}}:failures"


CHARGE_POINTS = "csms:charge-points"
CHARGE_POINT_IDS = "csms:charge-point-ids"
CHARGING_PROFILE_TEMPLATES = "csms:charging-profile-templates"
ID_TAGS = "csms:id-tags"
TAG_VERSIONS = "csms:tag-versions"
LOCAL_LIST_SYNCS = "csms:local-list-syncs"
LOCAL_LISTS_WATCHED = "csms:local-lists-watched"
TRANSACTIONS = "csms:transactions"
OPEN_TRANSACTIONS = "csms:open-transactions"
UNPACKED_TRANSACTIONS = "csms:unpacked-transactions"
TRANSACTION_OWNERS = "csms:transaction-owners"
TRANSACTION_IDS = "csms:transaction-ids"
COMMANDS = "csms:commands"
COMMANDS_DUE = "csms:commands-due"
WAITING_OUTBOXES = "csms:waiting-outboxes"
COMMAND_OWNERS = "csms:command-owners"
REFUSALS = "csms:refusals"
CERTIFICATE_REQUESTS = "csms:certificate-requests"
CERTIFICATE_REQUESTS_DUE = "csms:certificate-requests-due"
CERTIFICATE_REQUEST_OWNERS = "csms:certificate-request-owners"
CERTIFICATE_OWNERS = "csms:certificate-owners"
CERTIFICATES_IN_FORCE = "csms:certificates-in-force"
SECURITY_EVENTS = "csms:security-events"
OPEN_SECURITY_EVENTS = "csms:open-security-events"
SECURITY_EVENT_OWNERS = "csms:security-event-owners"
RESERVATIONS = "csms:reservations"
RESERVATIONS_DUE = "csms:reservations-due"
RESERVATION_IDS = "csms:reservation-ids"
CAMPAIGNS = "csms:campaigns"
CAMPAIGNS_DUE = "csms:campaigns-due"
TRANSFERS_DUE = "csms:transfers-due"
PROCESSES = "csms:processes"
EVENTS = "csms:events"
USERS = "csms:users"
API_KEYS = "csms:api-keys"
SIGNING_KEYS = "csms:signing-keys"
# One tag for what one script must change together: grants, uploads and what they take.
FIRMWARE_IMAGES = "csms:firmware-images:{files}"
FIRMWARE_BYTES = "csms:firmware-bytes:{files}"
UPLOADED_FILES = "csms:uploaded-files:{files}"
UPLOADED_BYTES = "csms:uploaded-bytes:{files}"
UNCLAIMED_FILES = "csms:unclaimed-files:{files}"
UNFINISHED_FILES = "csms:unfinished-files:{files}"
SWEEPER = "csms:sweeper"
DUTIES = "csms:duties"
READY = "csms:ready"
REPAIR = "csms:repair"


def id_tag(folded: str) -> str:
    return f"csms:id-tag:{{{_digest(folded)}}}"


def tag_group(name: str) -> str:
    return f"csms:tag-group:{_digest(name)}"


def active_transactions(folded: str) -> str:
    return f"csms:id-tag:{{{_digest(folded)}}}:active"


def campaign(campaign_id: str) -> str:
    return f"csms:campaign:{{{campaign_id}}}"


def campaign_listed(campaign_id: str) -> str:
    """The charge points of a selection by list."""
    return f"csms:campaign:{{{campaign_id}}}:listed"


def campaign_trail(campaign_id: str) -> str:
    return f"csms:campaign:{{{campaign_id}}}:trail"


def campaign_targets(campaign_id: str) -> str:
    return f"csms:campaign:{{{campaign_id}}}:targets"


def campaign_order(campaign_id: str) -> str:
    """All its targets in the order of their ids."""
    return f"csms:campaign:{{{campaign_id}}}:order"


def campaign_index(campaign_id: str, name: str) -> str:
    """name: a state of targets; those that wait for another try are `again`."""
    return f"csms:campaign:{{{campaign_id}}}:in:{name}"


def charging_profile_template(name: str) -> str:
    return f"csms:charging-profile-template:{{{_digest(name)}}}"


def connectors_in(status: str) -> str:
    return f"csms:connectors:{status}"


def firmware_image(image_id: str) -> str:
    return f"csms:firmware-image:{{files}}:{image_id}"


def file_grant(grant_id: str) -> str:
    return f"csms:file-grant:{{files}}:{grant_id}"


def file_grants_of(charge_point_id: str) -> str:
    return f"csms:file-grants-of:{{files}}:{charge_point_id}"


def uploaded_file(upload_id: str) -> str:
    return f"csms:uploaded-file:{{files}}:{upload_id}"


def uploaded_files_of(charge_point_id: str) -> str:
    return f"csms:uploaded-files-of:{{files}}:{charge_point_id}"


def energy_of_day(day: str) -> str:
    return f"csms:energy:{day}"


def failures_from(remote_address: str) -> str:
    return f"csms:failures:{_digest(remote_address)}"


def refusal(digest: str) -> str:
    return f"csms:refusal:{digest}"


def charge_points_of(process_id: str) -> str:
    return f"csms:process:{process_id}:charge-points"


def inbox(process_id: str) -> str:
    return f"csms:inbox:{process_id}"


def session(digest: str) -> str:
    return f"csms:session:{digest}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
