import pytest

from regulars_schema.entities import REGISTRY
from regulars_server.storage.postgres import PostgresStorage
from tests.contract.rows import Scribe
from tests.contract.storage_contract import StorageContract


@pytest.fixture
async def storage(postgres_url):
    storage = PostgresStorage(postgres_url, REGISTRY)
    await storage.open()
    yield storage
    await storage.close()


@pytest.fixture
def scribe():
    return Scribe()


class TestPostgresStorage(StorageContract):
    @pytest.fixture
    async def storage(self, postgres_url):
        storage = PostgresStorage(postgres_url, REGISTRY)
        await storage.open()
        yield storage
        await storage.close()
