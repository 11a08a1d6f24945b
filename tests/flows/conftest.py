"""What the stories assert is told as fully as what a test does."""

import pytest

pytest.register_assert_rewrite("stories", "world")
