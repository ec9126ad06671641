"""Storage in one SQLite file: one writer connection and several readers, WAL, `synchronous=FULL`.

connection   one call an operation, on a thread or inline
where        what is looked for, as SQL
snapshot     what one transaction can read
commit       what the one writer writes
storage      the connections, the transactions, and what ends them
"""

from regulars_server.storage.sqlite.connection import InlineConnection, ThreadConnection, inline, on_thread
from regulars_server.storage.sqlite.storage import SqliteStorage

__all__ = ["InlineConnection", "SqliteStorage", "ThreadConnection", "inline", "on_thread"]
