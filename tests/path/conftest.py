import pytest

from tests.path.hub import Hub


@pytest.fixture
async def hub(tmp_path):
    world = await Hub.start(tmp_path)
    yield world
    await world.store.close()
