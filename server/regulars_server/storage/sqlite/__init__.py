"""Storage in one SQLite file: one writer connection and several readers, WAL, `synchronous=FULL`.

connection   one call an operation, on a thread or inline
dialect      what SQLite says otherwise than others
storage      the connections, the transactions, and what ends them
"""

from regulars_server.storage.sqlite.connection import InlineConnection, ThreadConnection, inline, on_thread
from regulars_server.storage.sqlite.storage import SqliteStorage

__all__ = ["InlineConnection", "SqliteStorage", "ThreadConnection", "inline", "on_thread"]
