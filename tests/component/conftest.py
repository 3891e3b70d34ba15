"""Fixtures of the component level: everything in one process, no cluster."""

import pytest

from world import FakeWorld, World

pytest.register_assert_rewrite("reconcile_laws")


@pytest.fixture
def world() -> World:
    """A cluster in memory."""
    return FakeWorld()
