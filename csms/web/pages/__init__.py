"""The page for people: plain forms that work without JavaScript, which only adds what is live."""

from csms.web.pages import (
    charge_point_security,
    charge_points,
    charging,
    charging_templates,
    commands,
    configuration,
    events,
    id_tags,
    local_list,
    overview,
    refused,
    reservations,
    security_events,
    sessions,
    transactions,
    transfers,
)

PAGES = (
    sessions.blueprint,
    overview.blueprint,
    charge_points.blueprint,
    charge_point_security.blueprint,
    charging.blueprint,
    charging_templates.blueprint,
    commands.blueprint,
    configuration.blueprint,
    local_list.blueprint,
    reservations.blueprint,
    transfers.blueprint,
    transactions.blueprint,
    id_tags.blueprint,
    refused.blueprint,
    security_events.blueprint,
    events.blueprint,
)
