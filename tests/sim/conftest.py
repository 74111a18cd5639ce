"""How hard the models are tried: the same examples every time, or, when asked, new ones for long.

`pytest tests/sim --hypothesis-profile=soak` tries new examples, longer ones and many more, and
keeps those that fail in `.hypothesis`.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, settings

from zohosync.simulate.arena import Arena
from zohosync.testing.world import quick_folder

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile(
    "sim",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=35,
    stateful_step_count=30,
    suppress_health_check=SLOW,
    phases=[Phase.explicit, Phase.generate],  # shrinking takes minutes
)
settings.register_profile(
    "soak",
    deadline=None,
    max_examples=2_000,
    stateful_step_count=80,
    suppress_health_check=SLOW,
    print_blob=True,
)


@pytest.fixture
def depth(request: pytest.FixtureRequest) -> settings:
    """The profile asked for on the command line, else the one that fits CI."""
    chosen = request.config.getoption("hypothesis_profile", None)
    return settings.get_profile(chosen or "sim")


@pytest.fixture(scope="session")
def arena() -> Iterator[Arena]:
    """The database server of simulations."""
    with TemporaryDirectory(prefix="zohosync-arena-", dir=quick_folder()) as folder:
        Path(folder).chmod(0o711)  # the server runs as somebody else than root
        with Arena(Path(folder, "postgres")) as arena:
            yield arena
