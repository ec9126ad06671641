import pytest

from regulars_schema.entities import REGISTRY
from regulars_server.storage.sqlite import SqliteStorage
from tests.contract.storage_contract import StorageContract


class TestSqliteStorage(StorageContract):
    @pytest.fixture
    async def storage(self, tmp_path):
        storage = SqliteStorage(tmp_path / "chain.db", REGISTRY)
        await storage.open()
        yield storage
        await storage.close()
