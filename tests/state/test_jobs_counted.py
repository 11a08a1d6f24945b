"""Jobs are counted where they are, and a store that does not answer is said so."""

import pytest

from csms import jobs
from csms.errors import StoreUnavailable


def test_jobs_are_counted_by_queue_and_state(sync_link, store_url):
    connection = jobs.connect(store_url)
    jobs.enqueue_housekeeping(connection)
    jobs.enqueue_housekeeping(connection)

    found = jobs.counts(connection)

    assert found["default", "queued"] == 1
    assert {queue for queue, _ in found} == set(jobs.QUEUES)
    connection.close()


def test_a_store_that_does_not_answer_is_said_so(tmp_path):
    connection = jobs.connect(f"unix://{tmp_path}/nobody")

    with pytest.raises(StoreUnavailable):
        jobs.counts(connection)
