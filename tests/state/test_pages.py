"""How every long list is read: newest first, a page at a time, nothing twice, nothing lost."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from csms.errors import FieldError
from csms.state.pages import newest_first, owned_records, pairs, records, scored

LIST = "csms:test-list"


def read_all(link, limit, load=lambda members: members, **bounds):
    """All pages; each item once, as the cursors lead."""
    pages, cursor = [], None
    while True:
        page = newest_first(link, LIST, cursor, limit, load, **bounds)
        pages.append(list(page.items))
        cursor = page.next_cursor
        if cursor is None:
            return pages
        assert len(pages) < 200


def fill(link, scores):
    link.call("DEL", LIST)
    for member, score in scores.items():
        link.call("ZADD", LIST, score, member)


@given(
    st.dictionaries(st.text("abc:é", min_size=1, max_size=3), st.integers(0, 5), max_size=12),
    st.integers(1, 4),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_every_member_comes_once_in_order(sync_link, scores, limit):
    fill(sync_link, scores)

    pages = read_all(sync_link, limit)

    newest = sorted(scores, key=lambda member: (scores[member], member), reverse=True)
    assert [member for page in pages for member in page] == newest
    assert all(len(page) == limit for page in pages[:-1])


def test_a_filter_leaves_out_without_losing(sync_link):
    fill(sync_link, {f"m{n:03d}": n // 3 for n in range(60)})

    def load(members):
        return [member if int(member[1:]) % 7 == 0 else None for member in members]

    pages = read_all(sync_link, 2, load)

    assert [m for page in pages for m in page] == [f"m{n:03d}" for n in range(56, -1, -7)]


def test_a_filter_that_fits_nothing_costs_short_pages(sync_link):
    sync_link.call("ZADD", LIST, *[w for n in range(5_000) for w in (n, f"m{n}")])

    page = newest_first(sync_link, LIST, None, 100, lambda members: [None] * len(members))

    assert page.items == []
    assert page.next_cursor is not None
    assert sum(len(p) for p in read_all(sync_link, 100, lambda ms: [None] * len(ms))) == 0


def test_a_list_may_be_bounded_in_time(sync_link):
    fill(sync_link, {f"m{n}": n for n in range(10)})

    pages = read_all(sync_link, 2, since_ms=3, until_ms=6)

    assert pages == [["m6", "m5"], ["m4", "m3"]]


def test_what_comes_meanwhile_disturbs_no_page(sync_link):
    fill(sync_link, {f"m{n}": n for n in range(6)})
    first = newest_first(sync_link, LIST, None, 3, lambda members: members)
    sync_link.call("ZADD", LIST, 9, "newer")

    second = newest_first(sync_link, LIST, first.next_cursor, 3, lambda members: members)

    assert second.items == ["m2", "m1", "m0"]


@pytest.mark.parametrize("cursor", ["x", "5", ":m", "-5:m", "1e9:m", "nan:m", "٣:m", " 5:m"])
def test_a_foreign_cursor_is_told(sync_link, cursor):
    with pytest.raises(FieldError) as refusal:
        newest_first(sync_link, LIST, cursor, 5, lambda members: members)

    assert refusal.value.field == "cursor"


def test_replies_have_the_same_shape_from_every_client():
    assert pairs(["a", "1", "b", "2"]) == pairs({"a": "1", "b": "2"}) == {"a": "1", "b": "2"}
    assert pairs([]) == {}
    assert scored(["a", "1", "b", "2.5"]) == scored([["a", 1], ["b", 2.5]])
    assert scored([]) == []


def test_records_come_in_the_order_asked_for_and_empty_where_there_is_none(sync_link):
    sync_link.call("HSET", "csms:a", "name", "first")
    sync_link.call("HSET", "csms:b", "name", "second")

    assert records(sync_link, ["csms:b", "csms:none", "csms:a"]) == [
        {"name": "second"},
        {},
        {"name": "first"},
    ]
    assert records(sync_link, []) == []


def test_records_are_found_with_their_owners_by_their_ids_alone(sync_link):
    sync_link.call("HSET", "csms:owners", "one", "CP001", "gone", "CP002")
    sync_link.call("HSET", "csms:CP001:one", "name", "first")

    def name_of(charge_point_id, record_id):
        return f"csms:{charge_point_id}:{record_id}"

    assert owned_records(sync_link, "csms:owners", ["gone", "one", "unknown"], name_of) == [
        ("CP002", "gone", {}),
        ("CP001", "one", {"name": "first"}),
        ("", "unknown", {}),
    ]
    assert owned_records(sync_link, "csms:owners", [], name_of) == []
