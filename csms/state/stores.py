"""All records behind one link, as every layer above is given them."""

from dataclasses import dataclass

from csms.state.attempts import FailedAttempts
from csms.state.campaigns import Campaigns
from csms.state.certificate_requests import CertificateRequests
from csms.state.certificates import Certificates
from csms.state.charge_points import ChargePoints
from csms.state.charging_profile_templates import ChargingProfileTemplates
from csms.state.charging_profiles import ChargingProfiles
from csms.state.commands import Commands
from csms.state.configurations import Configurations
from csms.state.duties import Duties
from csms.state.events import ChangedChargePoints, Events
from csms.state.file_grants import FileGrants
from csms.state.firmware_images import FirmwareImages
from csms.state.id_tags import IdTags
from csms.state.installed_certificates import InstalledCertificates
from csms.state.link import Link
from csms.state.local_lists import LocalLists
from csms.state.messages import Messages
from csms.state.meter_values import MeterValues
from csms.state.overview import Overviews
from csms.state.presence import Presences
from csms.state.refusals import Refusals
from csms.state.reservations import Reservations
from csms.state.security_events import SecurityEvents
from csms.state.signing_keys import SigningKeys
from csms.state.transactions import TransactionIds, Transactions
from csms.state.transfers import Transfers
from csms.state.unclaimed_files import UnclaimedFiles
from csms.state.uploaded_files import UploadedFiles


@dataclass(frozen=True, slots=True)
class Stores:
    link: Link
    campaigns: Campaigns
    certificate_requests: CertificateRequests
    certificates: Certificates
    charge_points: ChargePoints
    charging_profiles: ChargingProfiles
    charging_profile_templates: ChargingProfileTemplates
    commands: Commands
    configurations: Configurations
    duties: Duties
    events: Events
    failed_attempts: FailedAttempts
    changed: ChangedChargePoints
    file_grants: FileGrants
    firmware_images: FirmwareImages
    id_tags: IdTags
    local_lists: LocalLists
    installed_certificates: InstalledCertificates
    messages: Messages
    meter_values: MeterValues
    overviews: Overviews
    presences: Presences
    refusals: Refusals
    reservations: Reservations
    security_events: SecurityEvents
    signing_keys: SigningKeys
    transactions: Transactions
    transaction_ids: TransactionIds
    transfers: Transfers
    unclaimed_files: UnclaimedFiles
    uploaded_files: UploadedFiles

    @classmethod
    def behind(cls, link: Link, message_log_length: int) -> "Stores":
        return cls(
            link=link,
            campaigns=Campaigns(link),
            certificate_requests=CertificateRequests(link),
            certificates=Certificates(link),
            charge_points=ChargePoints(link),
            charging_profiles=ChargingProfiles(link),
            charging_profile_templates=ChargingProfileTemplates(link),
            commands=Commands(link),
            configurations=Configurations(link),
            duties=Duties(link),
            events=Events(link),
            failed_attempts=FailedAttempts(link),
            changed=ChangedChargePoints(),
            file_grants=FileGrants(link),
            firmware_images=FirmwareImages(link),
            id_tags=IdTags(link),
            local_lists=LocalLists(link),
            installed_certificates=InstalledCertificates(link),
            messages=Messages(link, message_log_length),
            meter_values=MeterValues(link),
            overviews=Overviews(link),
            presences=Presences(link),
            refusals=Refusals(link),
            reservations=Reservations(link),
            security_events=SecurityEvents(link),
            signing_keys=SigningKeys(link),
            transactions=Transactions(link),
            transaction_ids=TransactionIds(link),
            transfers=Transfers(link),
            unclaimed_files=UnclaimedFiles(link),
            uploaded_files=UploadedFiles(link),
        )
