"""Who may come in: logins of people, tokens of devices, developers and sessions, and pairing codes."""

from regulars_server.access.access import Access, Invitation, Login, Principal, Token
from regulars_server.access.models import ACCESS_DDL
from regulars_server.access.passwords import Argon2

__all__ = ["ACCESS_DDL", "Access", "Argon2", "Invitation", "Login", "Principal", "Token"]
