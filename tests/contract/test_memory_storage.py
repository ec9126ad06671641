import pytest

from regulars_schema.entities import REGISTRY
from regulars_server.storage.memory import MemoryStorage
from tests.contract.storage_contract import StorageContract


class TestMemoryStorage(StorageContract):
    @pytest.fixture
    async def storage(self):
        storage = MemoryStorage(REGISTRY)
        await storage.open()
        yield storage
        await storage.close()
