"""Storage in one schema of a PostgreSQL database; any number of servers may share it.

dialect      what PostgreSQL says otherwise than SQLite, and the statements of `storage/sql` in its words
bridge       synchronous functions over connections that have to be awaited
pool         connections, and where to
migrating    the numbered steps, here
storage      the transactions, locks, wake-ups, and what ends them
"""

from regulars_server.storage.postgres.pool import Address, open_pool
from regulars_server.storage.postgres.storage import PostgresStorage, is_laid_out

__all__ = ["Address", "PostgresStorage", "is_laid_out", "open_pool"]
